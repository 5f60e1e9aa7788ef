"""The rows of a history, and what stands out in them."""

import numpy as np
import pytest
from made.genome import segment

from randommask.pretraining.history import ENOUGH, History, is_far

PHASES = [{"until": 600, "max_span": 4}, {"until": 1200, "max_span": 8}]


def settings():
    return segment(end=1200, steps=1200, curriculum=PHASES).settings


def told(history, losses, norms=None, every=50):
    """Outliers of each row of `every` steps."""
    first = len(history.rows) * every
    norms = np.ones(len(losses)) if norms is None else norms
    for step, (loss, norm) in enumerate(zip(losses, norms, strict=True), first + 1):
        history.add(
            {
                "steps": 1,
                "loss": 10 * loss,
                "masked": 10,
                "tokens": 100,
                "gradient_norm": norm,
            }
        )
        if step % every == 0:
            history.close_row(settings(), step, 1.0, None)
    return [row.get("outliers") for row in history.rows]


def noise(count, seed=0):
    return 3 + np.random.default_rng(seed).normal(0, 0.01, count)


def test_a_spike_of_the_loss_or_of_the_gradient_is_marked():
    losses, norms = noise(600), noise(600, 1)
    losses[320] += 0.2
    losses[333] -= 0.2
    norms[470] *= 2
    rows = told(History([], []), losses, norms)
    assert rows == [0] * 6 + [2, 0, 0, 1, 0, 0]


def test_a_fall_is_no_spike_and_nor_is_what_follows_one():
    assert not any(told(History([], []), noise(600) + np.linspace(3, 0, 600)))
    losses = noise(600)
    losses[300:] -= 1  # a step down: at first everything is far, in the end nothing
    rows = told(History([], []), losses)
    assert rows[6] == 50 and rows[-1] == 0


def test_a_new_phase_is_judged_by_itself():
    losses = noise(1200)
    losses[600:] += 1
    rows = told(History([], []), losses)
    assert not any(rows)


def test_the_first_steps_are_not_judged():
    assert not is_far(9.0, [1.0] * (ENOUGH - 1))
    assert is_far(9.0, [1.0] * ENOUGH)


def test_it_goes_on_exactly():
    losses = noise(900)
    losses[430] += 0.2
    whole, first = History([], []), History([], [])
    told(whole, losses)
    told(first, losses[:420])
    second = History(**first.state())
    assert second.state() == first.state()
    for loss in losses[420:]:
        sums = {"steps": 1, "loss": 10 * loss, "masked": 10, "tokens": 100}
        second.add({**sums, "gradient_norm": 1.0})
        step = 50 * len(second.rows) + int(second.sums["steps"])
        if step % 50 == 0:
            second.close_row(settings(), step, 1.0, None)
    assert second.csv() == whole.csv()


def test_a_history_from_before_there_were_outliers_goes_on():
    old = {"step": 50, "loss": 3.0}
    sums = dict.fromkeys(("steps", "loss", "masked", "tokens", "gradient_norm"), 0.0)
    history = History([old], [], sums)
    told(history, noise(50))
    before, after = history.csv().splitlines()[1:]
    assert before.endswith(",") and after.endswith(",0")


@pytest.mark.parametrize("odd", [float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_not_compared_for_ever(odd):
    assert not is_far(3.0, [3.0] * ENOUGH + [odd])

"""Steps and epochs of a fine-tuning: compiled or not, cut short, or out of patience."""

import json

import numpy as np
import pytest
import torch
from made.dataset import hparams, made, planted, write

from randommask import metrics
from randommask.finetuning import examples
from randommask.finetuning.__main__ import finetune
from randommask.finetuning.fitting import fit
from randommask.finetuning.tuning import Tuning, keep_mask

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Three classes, rows of two lengths, and a last batch of 4 rows."""
    data = made(tmp_path_factory.mktemp("data") / "three", classes=3, rows=(84, 30, 30))
    sequences, labels = planted(9, 84, 3)
    sequences[::3] = [sequence[:-7] for sequence in sequences[::3]]
    return write(data, {"train": (sequences, labels)}, classes=3)


def begin(folder, data, compiler=None, **changes):
    settings = hparams(**changes)
    return Tuning(folder, examples.read(data, settings), settings, compiler)


def losses(run):
    return [float(run.step(step)) for step in range(run.steps)]


def weights(run):
    return torch.cat([p.detach().flatten() for p in run.trained.values()])


# --- Compiled steps, as a GPU takes them -------------------------------------------


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_steps_compute_the_same(folder, dataset, backend):
    settings = {"epochs": 2, "dropout": 0.0}
    plain = begin(folder, dataset, **settings)
    fixed = begin(folder, dataset, {"backend": backend, "dynamic": False}, **settings)
    assert fixed.is_static and not plain.is_static
    assert np.allclose(losses(plain), losses(fixed), rtol=1e-4)
    assert fixed.compiled is not None  # it did not fall back
    assert torch.allclose(weights(plain), weights(fixed), atol=1e-4)
    expected, expected_loss = plain.predict("dev")
    found, loss = fixed.predict("dev")
    assert np.allclose(found, expected, atol=1e-4)
    assert loss == pytest.approx(expected_loss, rel=1e-4)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_whole_batches_are_one_graph_compiled_once(folder, dataset, precision):
    shapes, calls = [], 0

    def backend(module, inputs):
        shapes.append([tuple(part.shape) for part in inputs if part.ndim == 2][-1])

        def count(*arguments):
            nonlocal calls
            calls += 1
            return module(*arguments)

        return count

    compiler = {"backend": backend, "dynamic": False}
    run = begin(folder, dataset, compiler, epochs=2, precision=precision)
    losses(run)
    assert len(shapes) == 1 and calls == 2 * 5  # 84 rows: 5 batches of 16, one of 4


def test_a_compiler_that_fails_is_said_and_changes_no_number(folder, dataset, capsys):
    def backend(module, inputs):
        raise RuntimeError("no such hardware\nin this machine")

    broken = begin(folder, dataset, {"backend": backend, "dynamic": False}, epochs=1)
    sound = begin(folder, dataset, {"backend": "eager", "dynamic": False}, epochs=1)
    assert np.allclose(losses(broken), losses(sound), rtol=1e-6)
    [said] = capsys.readouterr().err.splitlines()
    assert said.startswith("warning: torch.compile failed:")
    assert "no such hardware in this machine" in said
    assert broken.compiled is None


# --- Steps and epochs --------------------------------------------------------------


def test_dropout_and_rows_depend_on_the_steps_number_alone(folder, dataset):
    whole, jumping = (begin(folder, dataset) for _ in range(2))
    for step in range(7):
        last = whole.step(step)
    state = {n: p.detach().clone() for n, p in whole.trained.items()}
    moments = {n: m.clone() for n, m in whole.moments().items()}
    torch.rand(5)
    jumping.restore(state, moments, 7)
    assert float(last) > 0
    assert torch.equal(whole.step(7), jumping.step(7))
    assert torch.equal(weights(whole), weights(jumping))


def test_the_mask_of_a_batch():
    assert keep_mask(torch.tensor([3, 3]), 3) is None
    mask = keep_mask(torch.tensor([1, 3]), 3)
    assert mask.tolist() == [[True, False, False], [True, True, True]]


@pytest.mark.parametrize(("max_steps", "ends"), [(9, [6, 9]), (18, [6, 12, 18])])
def test_max_steps_win_over_the_epochs(folder, dataset, tmp_path, max_steps, ends):
    paths = {"metrics_path": tmp_path / "m", "history_path": tmp_path / "h"}
    settings = hparams(epochs=2, max_steps=max_steps, warmup_steps=0)
    rates, step = [], Tuning.step
    finetune(folder, dataset, settings, **paths)
    lines = (tmp_path / "h").read_text().splitlines()[1:]
    assert [int(line.split(",")[1]) for line in lines] == ends
    assert json.loads((tmp_path / "m").read_text())["epochs"] == len(ends)
    run = begin(folder, dataset, epochs=2, max_steps=max_steps, warmup_steps=0)
    run.optimizer.step = rates.append
    for number in range(run.steps):
        step(run, number)
    assert rates == pytest.approx(
        [3e-3 * (1 - i / max_steps) for i in range(max_steps)]
    )


def test_a_warm_up_may_be_a_share_of_all_steps_and_the_decay_a_cosine(folder, dataset):
    """To a tenth of the peak, as HyenaDNA's authors have it; 12 steps, 3 of warm-up."""
    run = begin(
        folder, dataset, epochs=2, warmup_steps=50, warmup_share=0.25, decay="cosine"
    )
    rates = []
    run.optimizer.step = rates.append
    for number in range(run.steps):
        run.step(number)
    falling = [0.1 + 0.9 * (1 + np.cos(np.pi * i / 9)) / 2 for i in range(9)]
    assert rates == pytest.approx([1e-3, 2e-3, 3e-3, *(3e-3 * f for f in falling)])


def test_the_mean_train_loss_is_over_the_rows_that_were_taken(folder, dataset):
    run = begin(folder, dataset, epochs=1, max_steps=9, learning_rate=1e-12, dropout=0)
    history = fit(run).history
    assert [row[:2] for row in history] == [(1, 6), (2, 9)]
    # 84 rows, then 48: both near the loss of a head that knows nothing, ln 3
    assert [row[2] for row in history] == pytest.approx([np.log(3)] * 2, abs=0.02)


@pytest.mark.parametrize(("patience", "epochs"), [(None, 6), (1, 3), (2, 6), (3, 6)])
def test_patience_counts_epochs_without_a_better_one(
    folder, dataset, monkeypatch, patience, epochs
):
    made_up = iter([0.1, 0.3, 0.3, 0.5, 0.2, 0.4])
    monkeypatch.setattr(metrics, "choose", lambda *_: next(made_up))
    run = begin(folder, dataset, epochs=6, patience=patience)
    outcome = fit(run)
    assert len(outcome.history) == epochs
    assert outcome.best_epoch == (2 if epochs == 3 else 4)
    assert outcome.flags == []

"""The gradient of several processes: one mean, taken once a step, during backward."""

from functools import partial
from itertools import product

import pytest
import torch
import torch.distributed as dist
from made.genome import segment
from made.processes import together
from torch.distributed.algorithms.ddp_comm_hooks import default_hooks
from torch.nn.parallel import DistributedDataParallel

from randommask.errors import InputError
from randommask.pretraining import gradient, trainer

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 4


def begin(corpus, optimizer="adamw", **options):
    """A step is four micro-batches: one to four a process."""
    settings = segment(micro_batch=2, optimizer=optimizer).settings
    return trainer.Trainer(settings, [corpus], **options)


def train(corpus, **options):
    """Losses, norms of the gradient and weights of some steps."""
    made = begin(corpus, **options)
    for step in range(STEPS):
        made.step(step)
    sums, _ = made.collect()
    made.close()
    rows = [(part["loss"] / part["masked"], part["gradient_norm"]) for part in sums]
    return torch.tensor(rows), {n: p.detach() for n, p in made.names.items()}


def verified(corpus):
    """The same, each gradient computed twice."""
    return train(corpus, verify_every=1)


def by_muon(corpus):
    """The same by another optimizer."""
    return train(corpus, optimizer="muon")


def assert_close(found, expected):
    torch.testing.assert_close(found[0], expected[0], rtol=0, atol=1e-5)
    for name, weight in expected[1].items():
        torch.testing.assert_close(found[1][name], weight, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("function", "world"),
    [
        (train, 2),
        *(
            pytest.param(*words, marks=pytest.mark.sweep)
            for words in [(train, 4), *product((verified, by_muon), (2, 4))]
        ),
    ],
)
def test_any_number_of_processes_learns_the_same(corpus, world, function):
    """With dropout too: its seed is the micro-batch's."""
    found = together(world, function, corpus)
    assert_close(found[0], (by_muon if function is by_muon else train)(corpus))
    for other in found[1:]:
        assert torch.equal(other[0], found[0][0])
        assert all(torch.equal(w, found[0][1][n]) for n, w in other[1].items())


def test_one_process_is_not_wrapped(corpus):
    made = begin(corpus)
    made.close()
    assert made.gradient.parallel is None
    assert not list(made.model.buffers())  # none to be kept the same over processes


def gradients(corpus):
    """The gradient of a step, apart and averaged."""
    made, found = begin(corpus), []
    for is_apart in (True, False):
        made.gradient.whole.zero_()
        made.learn_all(0, made.loader.make(0), is_apart)
        found.append(made.gradient.whole.clone())
    made.close()
    return found


@pytest.mark.sweep
def test_apart_or_the_mean_over_processes(corpus):
    (left, mean), (right, same) = together(2, gradients, corpus)
    assert torch.equal(mean, same) and not torch.allclose(left, right)
    torch.testing.assert_close(mean, (left + right) / 2, rtol=1e-6, atol=1e-6)


def order(corpus, precision, is_compiled):
    """When buckets are sent, and the gradient of the lowest layer is there."""
    dist._DEFAULT_FIRST_BUCKET_BYTES = 4096  # else the tiny encoder is one bucket
    gradient.DistributedDataParallel = partial(
        DistributedDataParallel, bucket_cap_mb=1 / 64
    )
    trainer.COMPILER = "aot_eager"
    settings = segment(micro_batch=2, precision=precision).settings
    made, events = trainer.Trainer(settings, [corpus], compiled=is_compiled), []

    def send(group, bucket):
        events.append("sent")
        return default_hooks.allreduce_hook(group, bucket)

    made.gradient.parallel.register_comm_hook(None, send)
    lowest = made.model.position.weight
    lowest.register_hook(lambda _: events.append("lowest"))
    for step in range(STEPS):  # after the first, buckets follow the order of arrival
        events.clear()
        made.step(step)
    sums, _ = made.collect()
    made.close()
    return events, [part["loss"] / part["masked"] for part in sums]


@pytest.mark.parametrize(
    ("precision", "is_compiled"),
    [("fp32", False), pytest.param("bf16", True, marks=pytest.mark.sweep)],
)
def test_buckets_are_sent_during_the_last_backward_pass(corpus, precision, is_compiled):
    found = together(2, order, corpus, precision, is_compiled)
    expected = train(corpus)[0][:, 0].tolist()
    for events, losses in found:
        # of two micro-batches the first is apart, and the lowest layer comes last
        assert events[:2] == ["lowest", "sent"] and events[-1] == "sent"
        assert events.count("lowest") == 2
        assert losses == pytest.approx(expected, abs=1e-2)


def flipped(corpus):
    """What is said where a bit of the second process's gradient flips."""
    made, added = begin(corpus), []
    add = made.gradient.add

    def flip(loss):
        add(loss)
        added.append(loss)
        if made.rank == 1 and len(added) == 4:  # the last of the second computation
            made.gradient.whole.view(torch.int32)[7] ^= 1

    made.gradient.add = flip
    made.learn_all(0, made.loader.make(0), is_apart=True)
    try:
        made.verify(0)
    except InputError as error:
        return str(error)
    finally:
        made.close()


def test_the_process_that_computes_wrongly_says_so(corpus):
    other, wrong = together(2, flipped, corpus)
    assert other is None and "step 0: its gradient, computed twice" in wrong

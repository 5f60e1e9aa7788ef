"""Batches made ahead: the same as made at once, in full, whoever computes them."""

import numpy as np
import pytest
import torch
from made.genome import random_corpus, segment

from randommask import kmers, masking
from randommask.data.windows import Corpus
from randommask.experiment.sections import Phase
from randommask.pretraining import loader

PHASE = Phase(until=1, max_span=8)


@pytest.fixture(scope="module")
def settings():
    return segment().settings


@pytest.fixture(scope="module")
def windows(settings, tmp_path_factory):
    bases = kmers.window_bases(settings.tokens, "overlapping", settings.k)
    return Corpus(
        [random_corpus(tmp_path_factory.mktemp("corpus"))], bases, held_out=[]
    )


def same(left, right):
    return all(
        one.first == other.first
        and one.masked == other.masked
        and torch.equal(one.inputs_MT, other.inputs_MT)
        and torch.equal(one.positions_P, other.positions_P)
        and torch.equal(one.targets_P, other.targets_P)
        for one, other in zip(left, right, strict=True)
    )


def test_steps_in_order_and_out_of_order_give_the_same(settings, windows):
    made = loader.Loader(settings, windows, 0, 1)
    in_order = [made.get(step) for step in range(12)]
    assert len(in_order[0]) == 2
    assert all(same(made.get(step), in_order[step]) for step in (7, 3, 3, 11, 0))
    assert not same(in_order[0], in_order[1])
    made.close()


def test_processes_share_one_global_batch(settings, windows):
    alone = loader.Loader(settings, windows, 0, 1).make(5)
    shared = [loader.Loader(settings, windows, rank, 2).make(5) for rank in (0, 1)]
    assert same(alone, [shared[0][0], shared[1][0]])


def test_what_the_masker_masks_is_masked_and_nothing_else(settings, windows):
    codes = windows.windows(1, 3, 4, 4)
    ids = kmers.batch_ids(codes, settings.tokenization, settings.k)
    options = masking.options(settings, PHASE)
    inputs, labels = masking.corrupt(ids, 8, 1, 3, 4, **options)
    batch = loader.mask(settings, ids, PHASE, 3, 4)
    assert np.array_equal(batch.inputs_MT.numpy(), inputs)
    assert batch.masked == (labels >= 0).sum() > 0
    rebuilt = np.full(labels.size, -100)
    rebuilt[batch.positions_P[: batch.masked]] = batch.targets_P[: batch.masked]
    assert np.array_equal(rebuilt.reshape(labels.shape), labels)
    assert (batch.targets_P[batch.masked :] == loader.IGNORED).all()
    assert len(batch.positions_P) % loader.MULTIPLE == 0


def test_capacity_holds_nearly_every_batch(settings, windows):
    large = settings.model_copy(update={"micro_batch": 512, "batch": 512})
    room = loader.capacity(large)
    made = loader.Loader(large, windows, 0, 1)
    masked = [made.make(step)[0].masked for step in range(8, 12)]  # the longest spans
    assert max(masked) <= room < 1.5 * max(masked)
    made.close()
    share = np.mean(masked) / (512 * 22)
    assert share == pytest.approx(masking.phase_share(large, PHASE), rel=0.05)


def test_a_batch_that_masks_more_is_larger(settings, windows):
    large = settings.model_copy(update={"micro_batch": 256, "batch": 256})
    few = loader.Loader(large, windows, 0, 1, capacity=256).make(9)[0]
    assert few.masked > 256 and len(few.positions_P) >= few.masked
    many = loader.Loader(large, windows, 0, 1, capacity=4096).make(9)[0]
    assert len(many.positions_P) == 4096 and many.masked == few.masked


@pytest.mark.parametrize("sequences", [1, 5, 8])
def test_halves_mask_what_the_whole_masks(settings, windows, sequences):
    codes = windows.windows(1, 3, 0, sequences)
    ids = kmers.batch_ids(codes, settings.tokenization, settings.k)
    whole = loader.mask(settings, ids, PHASE, 3, 0, capacity=512)
    halves = whole.halves()
    assert len(halves) == min(sequences, 2)
    assert sum(half.masked for half in halves) == whole.masked > 0
    assert torch.equal(torch.cat([half.inputs_MT for half in halves]), whole.inputs_MT)
    found = torch.full((whole.inputs_MT.numel(),), loader.IGNORED)
    expected, first = found.clone(), 0
    expected[whole.positions_P[: whole.masked]] = whole.targets_P[: whole.masked]
    for half in halves:
        is_masked = half.targets_P != loader.IGNORED
        found[first + half.positions_P[is_masked]] = half.targets_P[is_masked]
        first += half.inputs_MT.numel()
    assert torch.equal(found, expected)


def test_a_failure_in_the_thread_is_raised(settings, windows, monkeypatch):
    def fail(*_):
        raise ValueError("no windows")

    made = loader.Loader(settings, windows, 0, 1)
    monkeypatch.setattr(windows, "windows", fail)
    with pytest.raises(ValueError, match="no windows"):
        made.get(0)

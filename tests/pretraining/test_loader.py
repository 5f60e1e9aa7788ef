"""Batches made ahead: the same as made at once, in full, whoever computes them."""

import numpy as np
import pytest
import torch
from made.genome import random_corpus, segment

from randommask import kmers, masking
from randommask.data import windows as corpus
from randommask.pretraining import loader


@pytest.fixture(scope="module")
def settings():
    return segment()["settings"]


@pytest.fixture(scope="module")
def windows(settings, tmp_path_factory):
    bases = kmers.window_bases(settings["tokens"], "overlapping", settings["k"])
    return corpus.Corpus(
        [random_corpus(tmp_path_factory.mktemp("corpus"))], bases, held_out=[]
    )


def same(left, right):
    return all(
        one.first == other.first
        and one.asked == other.asked
        and torch.equal(one.inputs_MT, other.inputs_MT)
        and torch.equal(one.places_C, other.places_C)
        and torch.equal(one.targets_C, other.targets_C)
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


def test_what_the_masker_asks_is_asked_and_nothing_else(settings, windows):
    codes = windows.windows(1, 3, 4, 4)
    ids = kmers.batch_ids(settings, codes)
    options = masking.options(settings, 8)
    inputs, labels = masking.corrupt(ids, 8, 1, 3, 4, **options)
    batch = loader.mask(settings, ids, 8, 3, 4)
    assert np.array_equal(batch.inputs_MT.numpy(), inputs)
    assert batch.asked == (labels >= 0).sum() > 0
    rebuilt = np.full(labels.size, -100)
    rebuilt[batch.places_C[: batch.asked]] = batch.targets_C[: batch.asked]
    assert np.array_equal(rebuilt.reshape(labels.shape), labels)
    assert (batch.targets_C[batch.asked :] == loader.IGNORED).all()
    assert len(batch.places_C) % loader.PLACES == 0


def test_capacity_holds_nearly_every_batch(settings, windows):
    large = {**settings, "micro_batch": 512, "batch": 512}
    places = loader.capacity(large)
    made = loader.Loader(large, windows, 0, 1)
    asked = [made.make(step)[0].asked for step in range(8, 12)]  # the longest spans
    assert max(asked) <= places < 1.5 * max(asked)
    made.close()
    share = np.mean(asked) / (512 * 24)
    assert share == pytest.approx(loader.asked_share(large), rel=0.2)  # cut at the ends


def test_a_batch_that_asks_more_is_larger(settings, windows):
    large = {**settings, "micro_batch": 256, "batch": 256}
    few = loader.Loader(large, windows, 0, 1, places=256).make(9)[0]
    assert few.asked > 256 and len(few.places_C) >= few.asked
    many = loader.Loader(large, windows, 0, 1, places=4096).make(9)[0]
    assert len(many.places_C) == 4096 and many.asked == few.asked


@pytest.mark.parametrize("sequences", [1, 5, 8])
def test_halves_ask_what_the_whole_asks(settings, windows, sequences):
    ids = kmers.batch_ids(settings, windows.windows(1, 3, 0, sequences))
    whole = loader.mask(settings, ids, 8, 3, 0, places=512)
    halves = whole.halves()
    assert len(halves) == min(sequences, 2)
    assert sum(half.asked for half in halves) == whole.asked > 0
    assert torch.equal(torch.cat([half.inputs_MT for half in halves]), whole.inputs_MT)
    found = torch.full((whole.inputs_MT.numel(),), loader.IGNORED)
    expected, first = found.clone(), 0
    expected[whole.places_C[: whole.asked]] = whole.targets_C[: whole.asked]
    for half in halves:
        asks = half.targets_C != loader.IGNORED
        found[first + half.places_C[asks]] = half.targets_C[asks]
        first += half.inputs_MT.numel()
    assert torch.equal(found, expected)


def test_a_failure_in_the_thread_is_raised(settings, windows, monkeypatch):
    def fail(*_):
        raise ValueError("no windows")

    made = loader.Loader(settings, windows, 0, 1)
    monkeypatch.setattr(windows, "windows", fail)
    with pytest.raises(ValueError, match="no windows"):
        made.get(0)

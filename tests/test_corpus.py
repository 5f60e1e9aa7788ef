"""Windows: only ACGT, every start equally likely, a function of (seed, step, index)."""

import numpy as np
import pytest
from made_genome import make_corpus

from randommask.corpus import Corpus
from randommask.errors import InputError


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    sequences = {"chr1": "N" * 7 + "ACGT" * 30 + "NN" + "CATG" * 5, "chr2": "GATC" * 9}
    return make_corpus(tmp_path_factory.mktemp("corpus"), sequences)


def test_windows_hold_only_nucleotides(manifest):
    corpus = Corpus([manifest], 12, [])
    windows = corpus.windows(1, 0, 0, 500)
    assert windows.shape == (500, 12)
    assert windows.max() <= 3


def test_every_start_is_equally_likely(manifest):
    corpus = Corpus([manifest], 20, [])
    starts = 101 + 1 + 17  # of runs of 120, 20 and 36 bases
    windows = corpus.windows(3, 5, 0, starts * 400)
    # the run of 20 bases is the only one that begins with CATG and holds 20
    only = [2, 0, 1, 3] * 5
    share = (windows == only).all(axis=1).mean()
    assert share == pytest.approx(1 / starts, rel=0.25)


def test_a_window_is_a_function_of_seed_step_and_index(manifest):
    corpus = Corpus([manifest], 12, [])
    whole = corpus.windows(1, 7, 0, 64)
    assert (corpus.windows(1, 7, 40, 10) == whole[40:50]).all()
    assert (corpus.windows(1, 8, 0, 64) != whole).any()
    assert (corpus.windows(2, 7, 0, 64) != whole).any()


def test_held_out_chromosomes_are_only_validated_on(manifest):
    corpus = Corpus([manifest], 12, ["chr2"])
    gatc = {(3, 0, 1, 2), (0, 1, 2, 3), (1, 2, 3, 0), (2, 3, 0, 1)}  # rotations
    training = {tuple(row[:4]) for row in corpus.windows(1, 0, 0, 300).tolist()}
    validation = {tuple(row[:4]) for row in corpus.validation_windows(1, 50).tolist()}
    assert not training & gatc
    assert validation <= gatc
    fixed = corpus.validation_windows(1, 50)
    assert (fixed == corpus.validation_windows(1, 50)).all()


def test_several_genomes(manifest, tmp_path):
    other = make_corpus(tmp_path, {"chr1": "A" * 50})
    corpus = Corpus([manifest, other], 30, [])
    windows = corpus.windows(0, 0, 0, 200)
    assert 0 < (windows == 0).all(axis=1).mean() < 1


@pytest.mark.parametrize(
    ("bases", "held_out", "message"),
    [
        (121, [], "no run of 121 ACGT bases"),
        (12, ["chr9"], "no chromosome chr9"),
        (12, ["chr1", "chr2"], "for training"),
        (37, ["chr2"], "for validation"),
    ],
)
def test_what_cannot_be_drawn_is_said(manifest, bases, held_out, message):
    with pytest.raises(InputError, match=message):
        Corpus([manifest], bases, held_out)


def test_a_shard_of_another_length_is_refused(tmp_path):
    manifest = make_corpus(tmp_path, {"chr1": "ACGT" * 20})
    np.save(tmp_path / "chr1.npy", np.zeros(3, np.uint8))
    with pytest.raises(InputError, match=r"chr1\.npy: 3 bases, expected 80"):
        Corpus([manifest], 12, [])

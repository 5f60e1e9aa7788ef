"""Windows: only ACGT, every start equally likely, a function of (seed, step, index)."""

import errno
import mmap
import os
import resource

import numpy as np
import pytest
from made.genome import make_corpus

from randommask.data.windows import Corpus
from randommask.errors import InputError
from randommask.genome import decode


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    sequences = {"chr1": "N" * 7 + "ACGT" * 30 + "NN" + "CATG" * 5, "chr2": "GATC" * 9}
    return make_corpus(tmp_path_factory.mktemp("corpus"), sequences)


def test_windows_hold_only_nucleotides(manifest):
    corpus = Corpus([manifest], 12, [])
    windows = corpus.windows(1, 0, 0, 500)
    assert windows.shape == (500, 12)
    assert windows.max() <= 3


def random_letters(seed, count):
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), count))


@pytest.fixture(scope="module")
def two_genomes(tmp_path_factory):
    """Runs of several lengths in two genomes, and every window of 12 bases in them."""
    runs = [random_letters(seed, n) for seed, n in enumerate((150, 12, 40, 11, 90, 13))]
    folder = tmp_path_factory.mktemp("genomes")
    one = {"chr1": f"NN{runs[0]}N{runs[1]}NNN{runs[2]}", "chr2": runs[3]}
    two = {"chr1": f"{runs[4]}N", "chrX": runs[5]}
    manifests = [make_corpus(folder / "a", one), make_corpus(folder / "b", two)]
    windows = [run[i : i + 12] for run in runs for i in range(len(run) - 11)]
    assert len(set(windows)) == len(windows) == 139 + 1 + 29 + 79 + 2
    return manifests, windows


def counts(found, windows):
    """How often each of the windows was drawn; nothing else may have been."""
    place = {window: i for i, window in enumerate(windows)}
    return np.bincount([place[decode(row)] for row in found], minlength=len(windows))


def assert_uniform(observed):
    """Chi-square within 5 standard deviations of its mean."""
    expected, free = observed.mean(), len(observed) - 1
    chi_square = ((observed - expected) ** 2 / expected).sum()
    assert abs(chi_square - free) < 5 * (2 * free) ** 0.5


def test_every_start_in_every_genome_is_equally_likely(two_genomes):
    manifests, windows = two_genomes
    corpus = Corpus(manifests, 12, [])
    assert_uniform(counts(corpus.windows(3, 5, 0, 25_000), windows))
    # and over the steps, at one index
    one_each = np.concatenate([corpus.windows(3, s, 4, 1) for s in range(5_000)])
    assert_uniform(counts(one_each, windows))
    assert_uniform(counts(corpus.validation_windows(3, 25_000), windows))


def test_a_chromosome_held_out_is_so_in_every_genome(two_genomes):
    manifests, windows = two_genomes
    corpus = Corpus(manifests, 12, ["chr1"])
    assert set(map(decode, corpus.windows(1, 0, 0, 200))) == set(windows[-2:])
    held = counts(corpus.validation_windows(1, 20_000), windows)
    assert held[-2:].sum() == 0
    assert_uniform(held[:-2])


def test_half_of_the_windows_come_from_the_other_strand(two_genomes):
    manifests, _ = two_genomes
    # of an odd length: no such sequence is its own reverse complement
    forward = Corpus(manifests, 11, [])
    both = Corpus(manifests, 11, [], reverse_complement=True)
    plain, found = forward.windows(1, 7, 0, 4000), both.windows(1, 7, 0, 4000)
    pairs = str.maketrans("ACGT", "TGCA")
    turned = 0
    for one, other in zip(map(decode, plain), map(decode, found), strict=True):
        assert other in (one, one[::-1].translate(pairs))
        turned += other != one
    assert abs(turned - 2000) < 5 * 4000**0.5 / 2
    assert (both.windows(1, 7, 1000, 500) == found[1000:1500]).all()
    other_step = both.windows(1, 8, 0, 4000) != forward.windows(1, 8, 0, 4000)
    assert (other_step.any(axis=1) != (found != plain).any(axis=1)).any()
    fixed = both.validation_windows(1, 100)
    assert (fixed == forward.validation_windows(1, 100)).all()


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
    with pytest.raises(InputError, match=r"uint8 of shape \(3,\), .* \(80,\)"):
        Corpus([manifest], 12, [])


def test_a_chromosome_without_a_window_is_not_opened(tmp_path):
    manifest = make_corpus(tmp_path, {"chr1": "ACGT" * 20, "scaffold": "ACGTNACGT"})
    (tmp_path / "scaffold.npy").unlink()
    assert len(Corpus([manifest], 12, []).shards) == 1


def test_more_shards_than_open_files_are_allowed(tmp_path, monkeypatch):
    genome = {f"chr{number}": "ACGT" * 4 for number in range(40)}
    manifest = make_corpus(tmp_path, genome)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(map(int, os.listdir("/proc/self/fd")))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 20, hard))
    try:
        assert len(Corpus([manifest], 12, []).shards) == 40
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def refuse(path, mmap_mode):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(np, "load", refuse)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (64, 64))
    with pytest.raises(InputError, match="at most 64 may be open; raise ulimit -n"):
        Corpus([manifest], 12, [])


def test_a_corpus_larger_than_memory_is_read_without_reading_ahead(
    tmp_path, monkeypatch
):
    advised = []

    class Shard:
        def __init__(self, path, length):
            self.obj = self.base = self
            self.length = length

        def __len__(self):
            return self.length

        def madvise(self, advice):
            advised.append(advice)

    monkeypatch.setattr("randommask.data.windows._map", Shard)
    manifest = make_corpus(tmp_path, {"chr1": "ACGT" * 20, "chr2": "ACGT" * 20})
    Corpus([manifest], 12, [])
    assert advised == []
    monkeypatch.setattr(os, "sysconf", lambda name: 16)  # 256 bytes of memory
    Corpus([manifest], 12, [])
    assert advised == [mmap.MADV_RANDOM] * 2

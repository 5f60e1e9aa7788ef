"""A manifest that makes no sense is refused, and so is a shard that is not its."""

import json
import os

import numpy as np
import pytest
from made.genome import random_corpus

from randommask import files
from randommask.data import manifest, shards
from randommask.data.windows import Corpus
from randommask.errors import InputError


@pytest.fixture
def corpus(tmp_path):
    return tmp_path / "corpus", random_corpus(tmp_path / "corpus", 400)


def edit(path, change):
    found = files.read_json(path)
    change(found)
    with open(path, "w") as file:
        json.dump(found, file)


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([[-5, 20]], "chr1: interval [-5, 20], expected one from 0 on"),
        ([[20, 5]], "interval [20, 5]"),
        ([[7, 7]], "interval [7, 7]"),
        ([[0, 401]], "up to 400"),
        ([[0, 30], [29, 40]], "interval [29, 40], expected one from 30 on"),
        ([[50, 60], [0, 10]], "interval [0, 10], expected one from 60 on"),
        ([[0, 1, 2]], "intervals: found [[0, 1, 2]], expected pairs of whole numbers"),
        ([[0], [1, 2]], "expected pairs of whole numbers"),
        ([[0, 1.5]], "expected pairs of whole numbers"),
        ([["0", "9"]], "expected pairs of whole numbers"),
        ({"0": 9}, "expected pairs of whole numbers"),
        ([[0, 2**70]], "expected pairs of whole numbers"),
        (None, "expected pairs of whole numbers"),
    ],
)
def test_odd_intervals_are_one_line(corpus, runs, said):
    _, path = corpus
    edit(path, lambda found: found["chromosomes"][0].update(intervals=runs))
    with pytest.raises(InputError) as caught:
        Corpus([path], 20, [])
    assert said in str(caught.value) and str(caught.value).startswith(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", ["name", "file", "length", "sha256", "intervals"])
def test_a_missing_key_is_named(corpus, key):
    _, path = corpus
    edit(path, lambda found: found["chromosomes"][0].pop(key))
    with pytest.raises(InputError, match=f"no key '{key}'"):
        manifest.load(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"length": "400"},
        {"length": -1},
        {"file": "../chr1.npy"},
        {"file": "/etc/passwd"},
        {"sha256": ""},
        {"name": 3},
    ],
)
def test_a_wrong_type_or_value_is_named(corpus, changed):
    _, path = corpus
    edit(path, lambda found: found["chromosomes"][0].update(changed))
    [key] = changed
    with pytest.raises(InputError, match=rf"chromosomes\.0\.{key}: found"):
        manifest.load(path)


@pytest.mark.parametrize("text", ["[]", "3", "{}", '{"chromosomes": 3}', "nothing"])
def test_what_is_no_manifest_is_one_line(corpus, text):
    _, path = corpus
    with open(path, "w") as file:
        file.write(text)
    with pytest.raises(InputError) as caught:
        manifest.load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "codes",
    [
        np.zeros(400, np.int8),
        np.zeros((400, 1), np.uint8),
        np.zeros(400, np.float64),
        np.zeros((), np.uint8),
        np.array([None] * 400),
    ],
)
def test_a_shard_of_another_type_or_shape_is_refused(corpus, codes):
    folder, path = corpus
    np.save(folder / "chr1.npy", codes)
    with pytest.raises(InputError, match=r"chr1\.npy: "):
        Corpus([path], 20, [])


@pytest.mark.parametrize("kept", [0, 5, 60, 200])
def test_a_cut_shard_is_refused(corpus, kept):
    folder, path = corpus
    shard = folder / "chr1.npy"
    shard.write_bytes(shard.read_bytes()[:kept])
    for refuse in (manifest.verify, lambda path: Corpus([path], 20, [])):
        with pytest.raises(InputError, match=r"chr1\.npy: "):
            refuse(path)


def test_every_flipped_bit_of_a_shard_is_found(corpus):
    folder, path = corpus
    shard = folder / "chr2.npy"
    whole = shard.read_bytes()
    for position in np.random.default_rng(0).integers(0, 8 * len(whole), 20):
        damaged = bytearray(whole)
        damaged[position // 8] ^= 1 << (position % 8)
        shard.write_bytes(damaged)
        with pytest.raises(InputError, match=r"chr2\.npy: damaged: .*make the corpus"):
            manifest.verify(path)
    shard.write_bytes(whole)
    manifest.verify(path)


def test_swapped_and_missing_shards_are_found(corpus):
    folder, path = corpus
    one, two = folder / "chr1.npy", folder / "chr2.npy"
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    with pytest.raises(InputError, match=r"chr1\.npy: damaged"):
        manifest.verify(path)
    one.unlink()
    with pytest.raises(InputError, match=r"chr1\.npy: no such shard"):
        manifest.verify(path)


def test_a_shard_that_stands_still_is_read_once(corpus, monkeypatch):
    folder, path = corpus
    read, sha256 = [], files.sha256
    monkeypatch.setattr(files, "sha256", lambda p: (read.append(p.name), sha256(p))[1])
    manifest.verify(path)
    manifest.verify(path)
    assert sorted(read) == ["chr1.npy", "chr2.npy"]
    shard = folder / "chr2.npy"
    os.utime(shard, ns=(1, 1))
    manifest.verify(path)
    assert read[2:] == ["chr2.npy"]
    (folder / manifest.VERIFIED).write_text("[]")
    manifest.verify(path)
    assert len(read) == 5


def test_the_same_genome_is_made_again_over_a_corpus_that_was_verified(corpus):
    folder, path = corpus
    manifest.verify(path)
    shards.tokenize(folder.parent / "corpus.fa", folder, "made", None)
    assert not (folder / manifest.VERIFIED).exists()


def test_a_folder_that_is_not_ours_to_write_is_verified_all_the_same(
    corpus, monkeypatch, capsys
):
    def refuse(*_):
        raise PermissionError(13, "Permission denied", "verified.json")

    monkeypatch.setattr(files, "write_json", refuse)
    manifest.verify(corpus[1])
    assert "will be read again" in capsys.readouterr().err

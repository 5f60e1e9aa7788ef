"""`config/species.yaml`, and what it reads: chromosomes cut by `bench/species.py`."""

import csv
import gzip
import random
import re
import shutil
import subprocess
import sys
from itertools import pairwise

import pytest
from made import ROOT

from randommask.experiment import file, pages
from randommask.experiment.check import check

PIECES = [(3_000, 3_700), (3_800, 4_500), (33_000, 34_000), (42_000, 43_000)]
"""Coding, from 0; of the blocks 0, 3 and 4, which are train, dev and test."""


@pytest.fixture
def chromosome(tmp_path):
    """52,000 bases of which PIECES are coding, and what the program makes of them."""
    letters = "".join(random.Random(1).choices("ACGT", k=52_000))
    first, second, *others = [f"{a + 1}..{b}" for a, b in PIECES]
    places = [f"complement(join({first},{second}))", *others]
    (tmp_path / "genome.fa.gz").write_bytes(
        gzip.compress(f">one\n{letters[:60]}\n{letters[60:].lower()}\n".encode())
    )
    cds = "".join(f">a [location={place}] [gbkey=CDS]\nATG\n" for place in places)
    (tmp_path / "cds.fa.gz").write_bytes(gzip.compress(cds.encode()))
    for species in ("fly", "yeast"):
        flags = {
            "--genome": tmp_path / "genome.fa.gz",
            "--cds": tmp_path / "cds.fa.gz",
            "--output": tmp_path / "resources/local" / species,
        }
        words = [word for flag in flags.items() for word in flag]
        command = [sys.executable, ROOT / "bench/species.py", *words]
        subprocess.run(command, check=True, timeout=60)
    return letters


def test_what_is_held_out_is_no_part_of_train(chromosome, tmp_path):
    text = (tmp_path / "resources/local/fly/genome/genome.fa").read_text()
    _, train, held = re.split(r">.*\n", text.replace("\n\n", "\n"))
    blocks = [chromosome[at : at + 10_000] for at in range(0, 52_000, 10_000)]
    assert held.strip() == blocks[4]
    assert train.strip().split("N") == [*blocks[:4], blocks[5]]


def test_windows_are_coding_or_not_and_each_split_has_its_own_blocks(
    chromosome, tmp_path
):
    coding = {at for first, last in PIECES for at in range(first, last)}
    of_block = {"train": {0, 1, 2, 5}, "dev": {3}, "test": {4}}
    for split, number in (("train", 10), ("dev", 8), ("test", 8)):
        with open(tmp_path / f"resources/local/fly/coding/{split}.csv") as lines:
            rows = list(csv.DictReader(lines))
        assert [row["label"] for row in rows] == ["0"] * number + ["1"] * number
        starts = []
        for row in rows:
            start = chromosome.index(row["sequence"])
            covered = coding & {*range(start, start + 120)}
            assert len(covered) == (120 if row["label"] == "1" else 0)
            assert {start // 10_000, (start + 119) // 10_000} <= of_block[split]
            starts.append(start)
        starts.sort()
        assert all(after - start >= 120 for start, after in pairwise(starts))


def test_the_config_is_right_and_asks_for_each_probe_with_all_seeds(
    chromosome, tmp_path, monkeypatch
):
    shutil.copytree(ROOT / "config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    experiment = check(file.whole(file.read("config/species.yaml")))
    for species in ("fly", "yeast"):
        needed = pages.of_runs(experiment, experiment.ablations[species])
        for pretrained in ("probe", "probe-seed2", "probe-seed3"):
            of_seed = [path for path in needed if f"-{pretrained}/" in path]
            assert len(of_seed) == 4, (species, pretrained, needed)

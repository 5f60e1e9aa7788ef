"""Every set of GUE that `config/datasets.tsv` lists, from files laid out as GUE's are.

The rows are made, and few: a set of them is as long as the published one, in hundreds.
Some sets get what the published ones have: sequences in two splits, a short sequence,
a letter that is none of the four, rows that are missing.
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from made import ROOT

from randommask.data import prepare
from randommask.experiment import datasets
from randommask.experiment.datasets import SPLITS
from randommask.experiment.hparams import Preparation

GUE = [
    one
    for one in datasets.read(ROOT / "config" / "datasets.tsv")
    if one.source != "deepstarr"
]
# Sequences of train that stand in dev and in test.
LEAKS = {"prom/prom_core_tata": (3, 2), "prom/prom_300_tata": (1, 4)}
SHARED = "splice/reconstructed"  # dev and test share sequences, and one is in train too
SHORT, UNKNOWN, MISSING = "EMP/H3K4me1", "prom/prom_300_all", "EMP/H3K14ac"


def rows(dataset):
    """How many rows each split has here."""
    return {split: max(12, count // 100) for split, count in dataset.rows.items()}


def make_set(dataset, seed):
    """Sequences and labels of each split, as (sequence, label) rows."""
    rng = np.random.default_rng(seed)
    made = {}
    for split, count in rows(dataset).items():
        letters = rng.choice(list("ACGT"), (count, dataset.bases))
        labels = np.sort(rng.integers(0, dataset.classes, count))
        labels[: dataset.classes] = range(dataset.classes)
        made[split] = list(zip(map("".join, letters), labels.tolist(), strict=True))
    return made


def spoil(source, made):
    """Give a set the faults that the published one has."""
    train, dev, test = (made[split] for split in SPLITS)
    if source in LEAKS:
        in_dev, in_test = LEAKS[source]
        dev[:in_dev], test[:in_test] = train[:in_dev], train[-in_test:]
    elif source == SHARED:
        dev[:5] = test[:5]
        train[0] = test[0]
    elif source == SHORT:
        test[-1] = (test[-1][0][:290], test[-1][1])
    elif source == UNKNOWN:
        train[-1] = ("N" + train[-1][0][1:], train[-1][1])
    elif source == MISSING:
        del train[-7:], dev[-1:]


@pytest.fixture(scope="module")
def made():
    """The rows of every set, by its folder in GUE."""
    sets = {one.source: make_set(one, seed) for seed, one in enumerate(GUE)}
    for source, splits in sets.items():
        spoil(source, splits)
    return sets


@pytest.fixture(scope="module")
def summaries(tmp_path_factory, made):
    """What preparation says of every set, by its folder in GUE."""
    folder = tmp_path_factory.mktemp("gue")
    for source, splits in made.items():
        where = folder / "GUE" / source
        where.mkdir(parents=True)
        for split, found in splits.items():
            lines = ["sequence,label", *(f"{text},{label}" for text, label in found)]
            (where / f"{split}.csv").write_text("\n".join(lines) + "\n")
    found = {}
    for dataset in GUE:
        counts = {f"{split}_rows": n for split, n in rows(dataset).items()}
        output = folder / "prepared" / dataset.dataset
        prepare.prepare(folder, replace(dataset, **counts), Preparation(), output)
        found[dataset.source] = json.loads((output / "summary.json").read_text())
    return found


def test_every_set_is_prepared(summaries):
    assert len(summaries) == len(GUE) == 27
    tasks = [summary["task"] for summary in summaries.values()]
    assert list(dict.fromkeys(tasks)) == ["EMP", "TF-M", "TF-H", "PD", "CPD", "SSP"]


def test_labels_are_those_of_the_files(summaries, made):
    for source, summary in summaries.items():
        for split in SPLITS:
            labels = np.bincount([label for _, label in made[source][split]])
            found = summary["splits"][split]["labels"]
            assert found == {str(i): int(n) for i, n in enumerate(labels)}, source
    assert len(summaries[SHARED]["splits"]["test"]["labels"]) == 3


def test_row_counts_differ_where_rows_are_missing_and_nowhere_else(summaries):
    for source, summary in summaries.items():
        differ = [said for said in summary["warnings"] if ", published" in said]
        differ = {said.split(":")[0] for said in differ if "rows" in said}
        assert differ == ({"train", "dev"} if source == MISSING else set()), source


def test_leaks_and_duplicates_are_found_where_they_are_and_nowhere_else(summaries):
    for source, (dev, test) in LEAKS.items():
        leaks = summaries[source]["leaks"]
        assert leaks["train-dev"]["sequences"] == dev
        assert leaks["train-test"]["sequences"] == test
        assert f"train-dev: sequences in both: {dev}" in summaries[source]["warnings"]
    for source, summary in summaries.items():
        assert not any(s["duplicates"] for s in summary["splits"].values()), source
        if source not in (*LEAKS, SHARED):
            counts = [leak["sequences"] for leak in summary["leaks"].values()]
            assert counts == [0, 0, 0], source


def test_dev_and_test_of_splice_share_five_and_train_one_of_them(summaries):
    leaks = summaries[SHARED]["leaks"].items()
    assert {pair: leak["sequences"] for pair, leak in leaks} == {
        "train-dev": 1,
        "train-test": 1,
        "dev-test": 5,
    }


def test_short_sequences_and_other_letters_are_those_that_were_made(summaries):
    said = {
        source: [w for w in summary["warnings"] if "length" in w or "letters" in w]
        for source, summary in summaries.items()
    }
    assert {source: found for source, found in said.items() if found} == {
        SHORT: [
            "test: sequences of another length: 1 (290 to 500 bases, published 500)"
        ],
        UNKNOWN: ["train: sequences with letters other than A, C, G, T: 1"],
    }

"""The real GUE sets that are at hand, against what is known of the published ones.

`shared/data/GUE.tsv`, beside the repository, says which splits are official. Of the
others the official dev was cut into train and dev: together they are the official dev.
"""

import csv
import json

import pytest
from made import ROOT

from randommask.data import prepare
from randommask.experiment import datasets
from randommask.experiment.hparams import Preparation

REAL = ROOT.parent / "shared" / "data"

pytestmark = pytest.mark.skipif(
    not (REAL / "GUE").is_dir(), reason=f"no real benchmark data at {REAL}/GUE"
)

# Rows of each label in the official dev and in the official test, counted by others.
LABELS = {
    "EMP/H3": ((735, 762), (742, 755)),
    "EMP/H3K14ac": ((1379, 1926), (1409, 1896)),
    "EMP/H3K36me3": ((1627, 1861), (1546, 1942)),
    "EMP/H3K4me1": ((1477, 1691), (1434, 1734)),
    "EMP/H3K4me2": ((1270, 1799), (1274, 1795)),
    "EMP/H3K4me3": ((1726, 1954), (1731, 1949)),
    "EMP/H3K79me3": ((1322, 1562), (1358, 1526)),
    "EMP/H3K9ac": ((1262, 1517), (1244, 1535)),
    "EMP/H4": ((823, 638), (814, 647)),
    "EMP/H4ac": ((1587, 1823), (1595, 1815)),
    "mouse/0": ((415, 395), (405, 405)),
    "mouse/1": ((3354, 3391), (3373, 3372)),
    "mouse/2": ((163, 165), (164, 164)),
    "mouse/3": ((119, 120), (120, 119)),
    "prom/prom_300_all": ((2974, 2946), (2940, 2980)),
    "prom/prom_300_notata": ((2681, 2626), (2625, 2682)),
    "prom/prom_300_tata": ((290, 323), (315, 298)),
    "prom/prom_core_tata": ((306, 307), (304, 309)),
    "splice/reconstructed": ((1001, 987, 2574), (956, 1025, 2581)),
    "tf/0": ((483, 517), (500, 500)),
    "tf/1": ((504, 496), (500, 500)),
}
TRAIN_LABELS = {
    "mouse/0": (3229, 3249),
    "mouse/2": (1311, 1309),
    "mouse/3": (952, 952),
    "prom/prom_300_tata": (2460, 2444),
    "prom/prom_core_tata": (2455, 2449),
    "tf/0": (16206, 16172),
    "tf/1": (15332, 15340),
}
# Sequences of the official train that stand in dev and in test.
LEAKS = {"prom/prom_core_tata": (8, 16), "prom/prom_300_tata": (14, 6)}


@pytest.fixture(scope="module")
def official():
    with open(REAL / "GUE.tsv", newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    return {line["set"]: line["split"] == "official" for line in lines}


@pytest.fixture(scope="module")
def summaries(tmp_path_factory, official):
    """What preparation says of every set that is here, by its folder."""
    folder, found = tmp_path_factory.mktemp("benchmark"), {}
    for dataset in datasets.read(ROOT / "config" / "datasets.tsv"):
        if dataset.source in official:
            output = folder / dataset.dataset
            prepare.prepare(REAL, dataset, Preparation(), output)
            summary = json.loads((output / "summary.json").read_text())
            found[dataset.source] = summary
    return found


def labels(summary, split):
    return tuple(summary["splits"][split]["labels"].values())


def test_every_set_is_prepared(summaries, official):
    assert summaries.keys() == official.keys() == LABELS.keys()
    assert len(summaries) == 21


def test_labels_are_the_published_ones(summaries, official):
    for name, summary in summaries.items():
        dev, test = LABELS[name]
        assert labels(summary, "test") == test, name
        if official[name]:
            assert labels(summary, "dev") == dev, name
            assert labels(summary, "train") == TRAIN_LABELS[name]
        else:
            parts = zip(labels(summary, "train"), labels(summary, "dev"), strict=True)
            assert tuple(map(sum, parts)) == dev, name


def test_row_counts_differ_where_a_split_is_not_official_and_nowhere_else(
    summaries, official
):
    for name, summary in summaries.items():
        differ = {w.split(":")[0] for w in summary["warnings"] if ", published" in w}
        assert differ - {"test"} == (set() if official[name] else {"train", "dev"})


def test_the_known_leaks_and_duplicates_are_found(summaries, official):
    for name, (dev, test) in LEAKS.items():
        leaks = summaries[name]["leaks"]
        assert official[name]
        assert leaks["train-dev"]["sequences"] == dev
        assert leaks["train-test"]["sequences"] == test
        assert f"train-dev: sequences in both: {dev}" in summaries[name]["warnings"]
    for name, summary in summaries.items():
        if name.startswith(("EMP/", "mouse/")):
            counts = [leak["sequences"] for leak in summary["leaks"].values()]
            assert counts == [0, 0, 0], name
            assert not any(s["duplicates"] for s in summary["splits"].values()), name


def test_the_official_dev_and_test_of_splice_share_thirty(summaries):
    """The official dev lies in train and dev here; one of the thirty in both."""
    leaks = summaries["splice/reconstructed"]["leaks"]
    folder = REAL / "GUE" / "splice" / "reconstructed"
    train, dev, test = (
        {line.split(",")[0] for line in (folder / f"{split}.csv").open()} - {"sequence"}
        for split in datasets.SPLITS
    )
    assert len((train | dev) & test) == 30
    assert leaks["train-test"]["sequences"] == len(train & test)
    assert leaks["dev-test"]["sequences"] == len(dev & test)


def test_short_sequences_and_other_letters_are_the_known_ones(summaries):
    said = {
        name: [w for w in summary["warnings"] if "length" in w or "letters" in w]
        for name, summary in summaries.items()
    }
    assert {name for name, found in said.items() if found} == {
        "EMP/H3K14ac",
        "EMP/H3K4me1",
        "EMP/H4ac",
        "prom/prom_300_all",
    }
    assert said["EMP/H3K4me1"] == [
        "test: sequences of another length: 1 (290 to 500 bases, published 500)"
    ]
    assert said["prom/prom_300_all"] == [
        "train: sequences with letters other than A, C, G, T: 1"
    ]

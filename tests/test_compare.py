"""Two results folders: planted differences are found, equal ones are equal."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from made.results import ROWS3, make_predictions, metrics_path
from scipy import stats

from randommask import compare
from randommask.errors import InputError

ROWS = ROWS3[1:3]  # DNABERT, +RandomMask
DATASETS, SEEDS = ("EMP-H3", "PD-all", "EAP"), (1, 2, 3)
CARD = """---
license: unknown
---

# {name}

| | |
|---|---|
| attention heads | 2 |

## Recipe

The settings of its pretraining.

| setting | value |
| --- | --- |
| batch | {batch} |
| steps | 100 |

## Data
"""


def make(root, batch=64, **rates):
    """A results folder: three data sets, two rows, three seeds, cards."""
    for row in ROWS:
        card = root / "encoders" / row["encoder"] / "README.md"
        card.parent.mkdir(parents=True)
        card.write_text(CARD.format(name=row["encoder"], batch=batch))
    for dataset in DATASETS:
        places = (root / "finetune", root / "benchmark")
        make_predictions(*places, ROWS, dataset, SEEDS, {"dnabert": 0.7} | rates)
    return root


def edit(root, cell, seed, **changes):
    path = metrics_path(root / "finetune", *cell, seed)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def told(capsys, *words):
    compare.main([*map(str, words)])
    return capsys.readouterr().out


@pytest.fixture
def pair(tmp_path):
    """RandomMask is better in the second folder, DNABERT the same."""
    return make(tmp_path / "a", randommask=0.7), make(tmp_path / "b", randommask=0.95)


def test_a_folder_equals_itself(pair, capsys):
    said = told(capsys, pair[0], pair[0])
    assert "settings that differ, first -> second\nnone\n" in said
    assert "of 6 cells 6 are equal, 0 told apart" in said
    assert "only in" not in said and "not paired" not in said


def test_what_was_planted_is_told_apart(pair, capsys, tmp_path):
    said = told(capsys, *pair, "--csv", tmp_path / "out.csv")
    assert re.search(r"of 6 cells 3 are equal, 3 told apart", said)
    with open(tmp_path / "out.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == 6
    for line in lines:
        cell = (line["encoder"], line["tokenization"], line["dataset"])
        means = []
        for root in pair:
            paths = [metrics_path(root / "finetune", *cell, seed) for seed in SEEDS]
            scores = [json.loads(path.read_text())["score"] for path in paths]
            means.append(100 * np.mean(scores))
        assert np.allclose([float(line["first"]), float(line["second"])], means)
        low, gap, high = (float(line[x]) for x in ("low", "difference", "high"))
        assert line["interval_over"] == "seeds and test rows" and low <= gap <= high
        assert (low > 0) == (line["encoder"] == "randommask")
    mean = np.mean([float(x["difference"]) for x in lines if x["encoder"] != "dnabert"])
    printed = re.escape(f"{mean:+.1f} (+")
    assert re.search(rf"randommask overlapping +3 sets .*{printed}", said)


def test_settings_that_differ_are_named_with_their_cells(tmp_path, capsys):
    ours, theirs = make(tmp_path / "a", randommask=0.8), tmp_path / "b"
    shutil.copytree(ours, theirs)
    card = theirs / "encoders" / "dnabert" / "README.md"
    card.write_text(card.read_text().replace("| 64 |", "| 256 |"))
    for seed in SEEDS:
        sums = {"model.safetensors": "0" * 64}
        edit(ours, ("dnabert", "overlapping", "EAP"), seed, encoder_sha256=sums)
        sums = {"model.safetensors": "1" * 64}
        changed = {"epochs": 5, "seed": seed}
        edit(theirs, ("dnabert", "overlapping", "EAP"), seed, encoder_sha256=sums)
        edit(theirs, ("randommask", "overlapping", "EAP"), seed, settings=changed)
    said = told(capsys, ours, theirs)
    part = said.partition("first -> second\n")[2].partition("\n\n")[0]
    assert part.splitlines() == [
        "encoder_sha256.model.safetensors: other bytes  (dnabert overlapping: EAP)",
        "epochs: 3 -> 5  (randommask overlapping: EAP)",
        "pretraining of dnabert, batch: 64 -> 256",
    ]


def test_an_encoder_without_a_card_is_one_line(pair, capsys):
    ours, theirs = pair
    shutil.rmtree(theirs / "encoders" / "dnabert")
    lines = told(capsys, ours, theirs).splitlines()
    of_dnabert = [line for line in lines if line.startswith("pretraining of dnabert")]
    assert of_dnabert == [f"pretraining of dnabert: not known of {theirs}"]


def test_what_one_lacks_is_named(pair, capsys):
    ours, theirs = pair
    shutil.rmtree(theirs / "finetune" / "dnabert")
    shutil.rmtree(ours / "finetune" / "randommask" / "overlapping" / "EAP" / "seed2")
    said = told(capsys, ours, theirs)
    assert "only in the first: dnabert overlapping: EAP, EMP-H3, PD-all\n" in said
    assert "only in the second: seed 2 of randommask overlapping: EAP\n" in said
    assert re.search(r"of 3 cells 0 are equal", said)


def test_without_the_same_test_rows_seeds_alone_are_compared(pair, capsys, tmp_path):
    ours, theirs = pair
    for path in (theirs / "finetune" / "randommask").rglob("predictions.parquet"):
        path.unlink()
    said = told(capsys, ours, theirs, "--csv", tmp_path / "out.csv")
    assert "not paired (no predictions of the same test rows in both): random" in said
    with open(tmp_path / "out.csv", newline="") as file:
        [line] = [x for x in csv.DictReader(file) if x["dataset"] == "PD-all"][1:]
    cell = ("randommask", "overlapping", "PD-all")
    scores = [
        [
            100
            * json.loads(metrics_path(x / "finetune", *cell, s).read_text())["score"]
            for s in SEEDS
        ]
        for x in (theirs, ours)
    ]
    expected = stats.ttest_ind(*scores, equal_var=False).confidence_interval()
    assert np.allclose([float(line["low"]), float(line["high"])], expected, atol=1e-4)
    assert line["interval_over"] == "seeds"


def test_folders_that_are_no_results_are_refused(pair, tmp_path):
    (tmp_path / "empty").mkdir()
    for name, found in (("absent", "no such folder"), ("empty", "no finetune/")):
        with pytest.raises(InputError, match=f"{name}: {found}.*expected a results"):
            compare.main([str(pair[0]), str(tmp_path / name)])
    edit(pair[1], ("dnabert", "overlapping", "EAP"), 1, score=7)
    with pytest.raises(InputError, match=r"seed1/metrics.json: score: found 7"):
        compare.main([*map(str, pair)])

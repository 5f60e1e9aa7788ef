"""Gains over random weights: against plain loops, and where they were planted."""

import csv
import json
import math
import re
import statistics as plain

import numpy as np
import pytest
from made import ROOT
from made.results import CONFIG, EXPERIMENT, ROWS3, make_predictions
from scipy import stats
from sklearn.metrics import matthews_corrcoef

from randommask.experiment import file, pages
from randommask.experiment.check import check
from randommask.experiment.sections import AblationRow, PublishedRow
from randommask.measures import gains, margins, predictions, resampling, runs
from randommask.measures.gains import Gain
from randommask.report.tables import marks, sheet
from randommask.report.tables.__main__ import main
from randommask.report.tables.sheet import Cell, Column, Grid, Sheet

BASE = ROWS3[3] | {"label": "random", "encoder": "untrained"}
ROWS = [*ROWS3[1:3], BASE]
RATES = {"dnabert": 0.7, "randommask": 0.9, "untrained": 0.7}
DATASETS = ["EMP-H3", "PD-all", "PD-tata", "EAP"]


def tabulate(folder, seeds):
    hparams = {"experiment": EXPERIMENT, "rows": ROWS, "datasets": DATASETS}
    hparams |= {"seeds": list(seeds), "untrained": ["untrained"]}
    made = [f"--{kind}={folder / 'table3'}.{kind}" for kind in ("csv", "md", "tex")]
    main([
        "table3", f"--hparams={json.dumps(hparams)}", f"--runs={folder / 'finetune'}",
        f"--datasets={CONFIG / 'datasets.tsv'}", f"--benchmark={folder / 'benchmark'}",
        f"--published={CONFIG / 'published' / 'table3.csv'}",
        f"--averages={folder / 'averages.csv'}", *made,
    ])  # fmt: skip
    return folder


def make(folder, seeds):
    for dataset in DATASETS:
        places = (folder / "finetune", folder / "benchmark")
        make_predictions(*places, ROWS, dataset, seeds, RATES)
    return tabulate(folder, seeds)


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    return make(tmp_path_factory.mktemp("three"), (0, 1, 2))


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    return make(tmp_path_factory.mktemp("one"), (0,))


def read(path, *key):
    with path.open(newline="") as file:
        return {tuple(line[k] for k in key): line for line in csv.DictReader(file)}


def numbers(line):
    return [float(line[key]) for key in gains.COLUMNS]


def test_a_planted_gain_is_found_and_none_where_there_is_none(three):
    lines = read(three / "table3.csv", "row", "dataset")
    for dataset in DATASETS:
        gain, low, high = numbers(lines["+RandomMask", dataset])
        assert 0 < low < gain < high
        assert gain - low == pytest.approx(high - gain, abs=2e-4)
        means = [
            float(lines[row, dataset]["mean"]) for row in ("+RandomMask", "random")
        ]
        assert gain == pytest.approx(means[0] - means[1], abs=2e-4)
        _, low, high = numbers(lines["DNABERT", dataset])
        assert low < 0 < high
        # of random weights themselves there is none
        assert {lines["random", dataset][key] for key in gains.COLUMNS} == {""}


@pytest.mark.sweep
def test_the_interval_is_that_of_a_plain_loop(three):
    """Test rows drawn one by one, scores by scikit-learn, variances added."""
    root, name, seeds = three / "finetune", "PD-tata", (0, 1, 2)
    test = predictions.read_test(three / "benchmark" / name / "test.parquet")
    sides = []
    for encoder in ("randommask", "untrained"):
        made = runs.read_seeds(root, encoder, "overlapping", name, seeds, [])
        sides.append([predictions.read(made[seed], test) for seed in seeds])
    scores = [
        [100 * matthews_corrcoef(test.labels, named) for named in side]
        for side in sides
    ]
    by_seed = np.subtract(*scores)
    random, drawn = np.random.default_rng(0), []
    for _ in range(400):
        rows = random.integers(len(test.labels), size=len(test.labels))
        gaps = [
            matthews_corrcoef(test.labels[rows], ours[rows])
            - matthews_corrcoef(test.labels[rows], theirs[rows])
            for ours, theirs in zip(*sides, strict=True)
        ]
        drawn.append(100 * np.mean(gaps))
    seeds_part, rows_part = by_seed.var(ddof=1) / 3, np.var(drawn)
    total = seeds_part + rows_part
    freedom = total**2 / (seeds_part**2 / 2)
    half = stats.t.ppf(0.975, freedom) * total**0.5
    gain, low, high = numbers(
        read(three / "table3.csv", "row", "dataset")["+RandomMask", name]
    )
    assert gain == pytest.approx(by_seed.mean(), abs=1e-3)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)


def test_with_one_seed_the_interval_is_of_the_test_rows(one):
    line = read(one / "table3.csv", "row", "dataset")["+RandomMask", "PD-all"]
    test = predictions.read_test(one / "benchmark" / "PD-all" / "test.parquet")
    named = []
    for encoder in ("randommask", "untrained"):
        run = runs.read(one / "finetune", encoder, "overlapping", "PD-all", 0)
        named.append(predictions.read(run, test)[None])
    drawn = 100 * resampling.draws(test.labels, *named, 4000, (9,))
    _, low, high = numbers(line)
    assert (high - low) / 2 == pytest.approx(1.96 * drawn.std(), rel=0.1)
    text = (one / "table3.md").read_text()
    assert "over test rows alone, as there is one seed" in text
    assert "what another seed would change is not known" in text


def test_intervals_hold_the_true_gain_about_as_often_as_they_say():
    random, held, tries = np.random.default_rng(1), 0, 2000
    for _ in range(tries):
        # seeds spread by 2 points each, test rows by 1.5 of the mean
        by_seed = random.normal(0, 2, 3) + random.normal(0, 1.5)
        gain = Gain(dict(enumerate(by_seed)), 1.5**2)
        held += abs(gain.mean) <= gain.half
    assert 0.93 <= held / tries <= 0.98


def test_a_mean_over_data_sets_adds_their_variances(three):
    parts = [Gain({0: 1.0, 1: 3.0}, 4.0), Gain({1: 5.0, 0: 7.0, 2: 9.0}, 12.0)]
    whole = gains.mean_of(parts)
    assert whole == Gain({0: 4.0, 1: 4.0}, 4.0)
    assert whole.half == pytest.approx(stats.norm.ppf(0.975) * 2)
    assert gains.mean_of([]) is gains.mean_of([parts[0], None]) is None
    assert gains.mean_of([Gain({0: 1.0}, 1.0), Gain({1: 1.0}, 1.0)]) is None
    lines = read(three / "table3.csv", "row", "dataset")
    averages = read(three / "averages.csv", "row", "task")
    for task, names in (("PD", DATASETS[1:3]), ("MCC sets", DATASETS[:3])):
        own = plain.fmean(numbers(lines["DNABERT", name])[0] for name in names)
        gain, low, high = numbers(averages["DNABERT", task])
        assert gain == pytest.approx(own, abs=1e-3) and low < gain < high


def test_the_printed_forms_have_every_gain(three):
    text = (three / "table3.md").read_text()
    for line in read(three / "table3.csv", "row", "dataset").values():
        if line["gain"]:
            gain, low, high = numbers(line)
            bold = "**" if low > 0 or high < 0 else ""
            shown = f"{gain:+.1f}" if round(gain, 1) else "0.0"
            assert f"{bold}{shown}{bold} ± {(high - low) / 2:.1f}" in text
    assert 'Gain: the score minus that of "random"' in text
    assert "Mean gain over the 3 MCC sets" in text
    tex = (three / "table3.tex").read_text()
    assert tex.isascii() and "smallest difference" in tex


def test_a_long_table_is_several_floats_of_a_page():
    grid = Grid(("Row",), (Column("a"),), ((("r",), (Cell("1"),)),) * 18)
    tex = sheet.latex(Sheet("long", "Long", "Made.", (grid,) * 5, ("The end.",)))
    floats = tex.split(r"\begin{table*}")[1:]
    assert [text.count(r"\toprule") for text in floats] == [2, 2, 1]
    labels = re.findall(r"\\label\{(.*)\}", tex)
    assert labels == ["tab:long", "tab:long-2", "tab:long-3"]
    assert [text.count(r"\end{table*}") for text in floats] == [1, 1, 1]
    assert ["The end." in text for text in floats] == [False, False, True]


def test_table_3_reads_predictions_where_a_row_is_untrained(monkeypatch):
    monkeypatch.chdir(ROOT)
    config = file.whole(file.read("config/demo.yaml"))
    files = pages.table_files(check(config), "table3")
    first = "<results>/finetune/dnabert/overlapping/EMP-H3/seed1/predictions.parquet"
    rows = config["tables"]["table3"]["rows"]
    assert files["predictions"][0] == first
    assert len(files["predictions"]) == len(rows) * 28
    assert files["benchmark"][0] == "<results>/benchmark/EMP-H3/test.parquet"
    rows[:] = [row for row in rows if row["encoder"] != "untrained"]
    assert (
        not {"predictions", "benchmark"}
        & pages.table_files(check(config), "table3").keys()
    )


def test_an_untrained_row_of_the_same_kind_is_taken():
    def row(label, encoder, tokenization="overlapping", at=None):
        keys = {"label": label, "encoder": encoder, "tokenization": tokenization}
        return AblationRow(**keys, **({"at": at} if at else {}))

    bases = [
        row("a", "u", at="[CLS]"),
        row("b", "u-mean", at="mean"),
        row("c", "u", "non-overlapping", at="mean"),
    ]
    names = ["u", "u-mean"]
    assert gains.reference(row("x", "d", at="mean"), bases, names) is bases[1]
    there = row("x", "d", "non-overlapping", at="mean")
    assert gains.reference(there, bases, names) is bases[2]
    assert gains.reference(row("x", "d", at="[CLS]"), bases, names) is bases[0]
    assert gains.reference(bases[1], bases, names) is None
    published = PublishedRow(label="x", encoder="d", tokenization="character")
    assert gains.reference(published, [published], names) is None


def test_the_smallest_difference_is_tukeys():
    def cells(*sds, mean=50.0, seeds=3):
        return [{"mean": mean, "sd": sd, "seeds": seeds} for sd in sds]

    q = stats.studentized_range.ppf(0.95, 3, 6)
    found = margins.of_seeds([cells(1.0), cells(2.0), cells(3.0)])
    assert found == pytest.approx(q * math.sqrt((1 + 4 + 9) / 3 / 3))
    # the mean over two data sets spreads less
    found = margins.of_seeds([cells(2.0, 2.0)] * 3)
    assert found == pytest.approx(q * math.sqrt(2) / math.sqrt(3))
    assert margins.of_seeds([cells(1.0)]) is None
    assert margins.of_seeds([cells(None, seeds=1)] * 2) is None
    assert margins.of_seeds([cells(0.0)] * 2) is None


def test_equal_rows_are_seldom_called_best():
    """Of seven equal rows with three seeds one is marked in at most 5 % of columns."""
    random, called = np.random.default_rng(2), 0
    for _ in range(1000):
        scores = random.normal(50, 2, (7, 3))
        cells = [
            [{"mean": own.mean(), "sd": own.std(ddof=1), "seeds": 3}] for own in scores
        ]
        least = margins.of_seeds(cells)
        called += 1 in marks.ranks([own[0]["mean"] for own in cells], least)
    assert called <= 50


def test_runs_without_a_defined_score_are_said_and_counted_nowhere(tmp_path):
    """A test split of one class: tables, statistics, gains, as if it were not there."""
    make(tmp_path, [0, 1])
    cell = ("randommask", "overlapping", "PD-all")
    for seed in (0, 1):
        path = runs.metrics_path(tmp_path / "finetune", *cell, seed)
        record = json.loads(path.read_text())
        flags = ["mcc undefined: one class in test"]
        path.write_text(json.dumps(record | {"score": None, "flags": flags}))
    problems = []
    found = runs.read_seeds(tmp_path / "finetune", *cell, [0, 1], problems)
    assert not found and len(found.undefined) == 2 and not problems
    summary = runs.summarise(found, [0, 1])
    assert summary.mean is None and summary.seeds == 0
    assert summary.note == "; ".join(f"seed {s}: {flags[0]}" for s in (0, 1))
    tabulate(tmp_path, [0, 1])
    line = read(tmp_path / "table3.csv", "row", "dataset")["+RandomMask", "PD-all"]
    assert line["mean"] == line["gain"] == "" and flags[0] in line["note"]

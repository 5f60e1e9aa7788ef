"""Scores with and without the test rows that leak, from saved predictions."""

import csv
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made.dataset import seal
from sklearn.metrics import matthews_corrcoef

from randommask.errors import InputError
from randommask.measures import leaks
from randommask.report.tables import datapage
from randommask.report.tables.__main__ import main

ROW = {"label": "Ours", "encoder": "ours", "tokenization": "overlapping"}
LABELS = np.array([0, 1, 0, 1, 0, 1, 0, 1])
NAMED = {1: [0, 1, 0, 1, 1, 0, 0, 1], 2: [0, 1, 0, 1, 0, 0, 1, 1]}
EMPTY = {"train": [], "dev": [], "test": []}


def part(verdict, rows=(), score=0.0):
    return {
        "verdict": verdict,
        "rows": EMPTY | {"test": list(rows)},
        "score": {"dev": 0.0, "test": score},
    }


def found(**changes):
    kinds = ("exact", "reverse", "near", "partners-3", "partners-2")
    return {
        "dataset": "TF-M-0",
        "metric": "mcc",
        "rows": {"train": 20, "dev": 8, "test": 8},
        "leaks": dict.fromkeys(kinds, part("none"))
        | {"contradictions": {"verdict": "none", "rows": EMPTY, "sequences": 0}}
        | changes,
        "shortcuts": {"gc": {"verdict": "none", "score": {"dev": 0, "test": 0.05}}},
    }


@pytest.fixture
def results(tmp_path):
    """One data set, and a row of two seeds."""
    own = tmp_path / "benchmark" / "TF-M-0"
    own.mkdir(parents=True)
    pq.write_table(pa.table({"label": LABELS}), own / "test.parquet")
    seal(own, dataset="TF-M-0", type="classification", classes=2, targets=[])
    for seed, named in NAMED.items():
        folder = tmp_path / f"finetune/ours/overlapping/TF-M-0/seed{seed}"
        folder.mkdir(parents=True)
        shares = np.eye(2)[named]
        columns = {"label": LABELS, "p0": shares[:, 0], "p1": shares[:, 1]}
        pq.write_table(pa.table(columns), folder / "predictions.parquet")
        run = {"encoder": "ours", "tokenization": "overlapping", "seed": seed}
        score = matthews_corrcoef(LABELS, named)
        record = run | {"dataset": "TF-M-0", "score": score, "settings": {}}
        (folder / "metrics.json").write_text(json.dumps(record))
    return tmp_path


def table(results, record, *words):
    (results / "benchmark/TF-M-0/leaks.json").write_text(json.dumps(record))
    hparams = {"experiment": {"name": "x", "notice": "made"}, "seeds": [1, 2]}
    hparams |= {"rows": [ROW | {"published": None}], "datasets": ["TF-M-0"]}
    flags = [f"--{kind}={results / 'leaks'}.{kind}" for kind in ("csv", "md", "tex")]
    flags += [f"--runs={results / 'finetune'}", f"--benchmark={results / 'benchmark'}"]
    main(["leaks", *flags, f"--hparams={json.dumps(hparams)}", *words])
    with open(results / "leaks.csv", newline="") as file:
        return list(csv.DictReader(file)), (results / "leaks.md").read_text()


def mean(rows):
    each = [matthews_corrcoef(LABELS[rows], np.array(x)[rows]) for x in NAMED.values()]
    return 100 * np.mean(each)


def test_each_level_goes_without_its_rows_and_those_before(results):
    record = found(
        exact=part("serious", [0]),
        near=part("serious", [3, 0]),
        **{"partners-2": part("serious", [4, 5], 0.9)},
    )
    lines, page = table(results, record)
    cells = [line for line in lines if line["row"]]
    assert [(x["kind"], x["leaking"]) for x in cells] == [
        ("exact", "1"),
        ("near", "2"),
        ("partners", "4"),
    ]
    whole = list(range(8))
    kept = [[1, 2, 3, 4, 5, 6, 7], [1, 2, 4, 5, 6, 7], [1, 2, 6, 7]]
    for cell, rows in zip(cells, kept, strict=True):
        assert float(cell["mean"]) == pytest.approx(mean(whole), abs=1e-4)
        assert float(cell["left"]) == pytest.approx(mean(rows), abs=1e-4)
    gap = f"{mean(kept[2]):.2f} ({mean(kept[2]) - mean(whole):+.2f})"
    assert f"| TF-M-0 | partners | 4 of 8 | {gap} |" in page
    assert "made" in page and "90.00\u2020" in page
    assert "test rows of 1 of 1 data sets (TF-M-0 25 % of rows by partners-2)" in page
    assert "solve 1 of them in part (TF-M-0 90 by partners-2)" in page


def test_where_nothing_leaks_no_score_is_made_again(results):
    lines, page = table(results, found())
    assert not [line for line in lines if line["row"]]
    assert "In none of 1 data sets does train or dev give away many" in page
    assert "No rule that knows no DNA solves one of them" in page


def test_rows_that_all_leak_leave_no_score(results):
    lines, _ = table(results, found(exact=part("serious", range(8))))
    assert lines[-1]["row"] == "Ours" and lines[-1]["left"] == ""


def test_a_missing_run_is_told_and_the_others_stand(results):
    (results / "finetune/ours/overlapping/TF-M-0/seed2/metrics.json").unlink()
    record = found(exact=part("serious", [0]))
    with pytest.raises(InputError, match="runs missing or unreadable"):
        table(results, record)
    lines, _ = table(results, record, "--partial")
    assert float(lines[-1]["mean"]) == pytest.approx(
        100 * matthews_corrcoef(LABELS, NAMED[1]), abs=1e-4
    )


def test_numbers_are_scored_by_pearson():
    labels = np.array([[0.0, 1], [1, 0], [2, 5], [3, 4]])
    named = labels * [1, -1] + [[0, 0], [0, 0], [0, 0], [9, 9]]
    kept = np.array([True, True, True, False])
    assert leaks._mean(labels, [named], kept) == pytest.approx(0)
    assert leaks._mean(labels, [named], np.ones(4, bool)) != pytest.approx(0)


def test_a_file_that_is_none_is_named(results):
    record = found()
    del record["leaks"]
    with pytest.raises(InputError, match=r"leaks\.json: no 'leaks', expected what"):
        table(results, record)


def test_the_data_page_says_it_too():
    told = leaks.findings(found(exact=part("serious", [0, 1], 0.4)))
    lead = datapage.sheet_of([], [], "", told).lead
    assert lead[-1] == leaks.meaning(told)
    assert "TF-M-0 25 % of rows by exact" in lead[-1]

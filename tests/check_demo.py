"""What a finished `make demo` must show; run after it: `pytest tests/check_demo.py`.

Not collected by `make test`, which starts before there is a demo.
"""

import csv
import json
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[1] / "results" / "demo"


def rows(path):
    with open(DEMO / path, newline="") as file:
        return list(csv.DictReader(file))


def losses(encoder):
    found = (DEMO / "pretrain" / encoder).glob("step-*/history.csv")
    last = max(found, key=lambda path: int(path.parent.name.split("-")[1]))
    return [
        (int(row["step"]), int(row["phase"]), float(row["loss"])) for row in rows(last)
    ]


def test_every_table_and_figure_is_there():
    expected = [
        *(
            f"tables/table{n}.{form}"
            for n in range(1, 6)
            for form in ("csv", "md", "tex")
        ),
        *(
            f"figures/fig{n}.{form}"
            for n in range(1, 6)
            for form in ("png", "pdf", "csv")
        ),
        *(f"tables/statistics.{form}" for form in ("csv", "md", "tex")),
        *(f"figures/ranks.{form}" for form in ("png", "pdf", "csv")),
        *("tables/audit.md", "tables/observations.md", "tables/observations.csv"),
        *(
            "tables/datasets.md",
            "tables/datasets.csv",
            "tables/leaks.csv",
            "report.html",
        ),
    ]
    assert [path for path in expected if not (DEMO / path).stat().st_size] == []


def test_three_encoders_and_three_controls_on_28_datasets_with_real_scores():
    table = rows("tables/table3.csv")
    encoders = {row["encoder"] for row in table}
    ours = {"dnabert", "randommask", "nonoverlapping"}
    assert encoders == {*ours, "untrained", "kmer-linear", "no-model"}
    for encoder in encoders:
        means = [row["mean"] for row in table if row["encoder"] == encoder]
        assert len(means) == 28 and all(means)
    own = [row for row in table if row["encoder"] in ("dnabert", "randommask")]
    assert not [row for row in own if "constant" in row["note"]]
    averages = rows("tables/table3_averages.csv")
    assert {row["row"] for row in averages} == {row["row"] for row in table}


def test_pretraining_is_worth_something_and_counts_of_k_mers_are_not():
    """In the world whose labels are the syntax of words: docs/world.md."""
    scores = {}
    for row in rows("tables/table3.csv"):
        if row["metric"] == "mcc":
            scores.setdefault(row["encoder"], []).append(float(row["mean"]))
    assert {len(found) for found in scores.values()} == {27}
    means = {encoder: sum(found) / 27 for encoder, found in scores.items()}
    for control in ("untrained", "kmer-linear"):
        assert means["dnabert"] > means[control] + 20
        assert means["randommask"] > means[control] + 20
    gains = {
        row["row"]: float(row["gain_low"])
        for row in rows("tables/table3_averages.csv")
        if row["task"] == "MCC sets" and row["gain_low"]
    }
    assert gains["DNABERT"] > 5 and gains["+RandomMask"] > 5


def test_overlapping_pretraining_makes_the_observations_hold():
    found = rows("tables/observations.csv")
    verdicts = {row["verdict"] for row in found if row["observation"] in "12"}
    assert verdicts == {"holds"}


def test_overlapping_loss_falls_fast_and_low_non_overlapping_slowly():
    fast, slow = losses("dnabert"), losses("nonoverlapping")
    assert fast[-1][2] < 0.6 * slow[-1][2]
    assert fast[-1][2] < 0.6 * fast[0][2]
    assert slow[-1][2] > 0.75 * slow[0][2]


def test_randommask_jumps_at_each_phase_and_goes_on_falling():
    curve = losses("randommask")
    phases = sorted({phase for _, phase, _ in curve})
    assert phases == [1, 2, 3, 4, 5]
    for phase in phases[1:]:
        before = [loss for _, p, loss in curve if p == phase - 1][-5:]
        inside = [loss for _, p, loss in curve if p == phase]
        assert sum(inside[:3]) / 3 > sum(before) / len(before) + 0.02, phase
        assert sum(inside[-5:]) / 5 < sum(inside[:3]) / 3, phase


def test_embeddings_of_the_baseline_are_ordered_by_their_central_nucleotides():
    ours = rows("figures/embeddings/dnabert.purity.csv")[-1]
    other = rows("figures/embeddings/nonoverlapping.purity.csv")[-1]
    assert float(ours["purity"]) > float(other["purity"]) + 0.1


@pytest.mark.parametrize(
    "name", ["tables/table3.md", "tables/table2.md", "report.html"]
)
def test_everything_says_that_it_is_the_demo(name):
    assert "not the paper's numbers" in (DEMO / name).read_text().replace("&#39;", "'")


def test_each_run_says_how_it_was_made():
    runs = sorted((DEMO / "finetune").glob("*/*/*/seed*/metrics.json"))
    assert len(runs) == 98 + 3 * 28
    for run in runs:
        record = json.loads(run.read_text())
        if record["encoder"] == "no-model":
            assert record["architecture"]["rule"]
            continue
        if record["encoder"] == "kmer-linear":
            assert record["architecture"]["k"] in record["settings"]["k"]
            continue
        assert record["settings"]["epochs"] >= 1 and record["versions"]["torch"]

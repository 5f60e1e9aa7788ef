"""The statistics against sampling row by row, scipy, and planted differences."""

import csv
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made.dataset import seal
from made.results import CONFIG, EXPERIMENT, ROWS3, make_predictions, metrics_path
from scipy import stats

from randommask import metrics
from randommask.errors import InputError
from randommask.measures import ranks, resampling, statistics
from randommask.report.tables.__main__ import main

ROWS = ROWS3[:3]
BETTER = {"nt": 0.5, "dnabert": 0.5, "randommask": 0.9}
DATASETS = ["EMP-H3", "EMP-H4", "TF-M-0", "TF-M-1", "PD-all", "PD-tata", "SSP", "EAP"]


def tabulate(folder, *extra, rows=ROWS, datasets=DATASETS, seeds=(0, 1)):
    """Table 3 and the statistics of the runs in `folder`; give the csv's lines."""
    hparams = {"experiment": EXPERIMENT, "rows": rows, "datasets": list(datasets)}
    hparams["seeds"] = list(seeds)
    runs = [f"--runs={folder / 'finetune'}"]

    def write(which, flags, **more):
        text = f"--hparams={json.dumps(hparams | more)}"
        made = [f"--{kind}={folder / which}.{kind}" for kind in ("csv", "md", "tex")]
        main([which, text, *runs, *flags, *made, *extra])

    published = f"--published={CONFIG / 'published' / 'table3.csv'}"
    flags = [f"--datasets={CONFIG / 'datasets.tsv'}", published]
    write("table3", [*flags, f"--averages={folder / 'averages.csv'}"])
    flags = [f"--table3={folder / 'table3.csv'}", f"--benchmark={folder / 'benchmark'}"]
    write("statistics", flags, baseline="dnabert")
    with (folder / "statistics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def make(folder, datasets=DATASETS, seeds=(0, 1), rates=BETTER):
    for dataset in datasets:
        make_predictions(
            folder / "finetune", folder / "benchmark", ROWS, dataset, seeds, rates
        )
    return folder


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = make(tmp_path_factory.mktemp("statistics"))
    return folder, tabulate(folder)


def find(lines, over, row, group):
    return next(
        x for x in lines if (x["over"], x["row"], x["group"]) == (over, row, group)
    )


def test_a_planted_gain_is_found_and_none_where_there_is_none(made):
    _, lines = made
    better = find(lines, "data sets", "+RandomMask", "MCC sets")
    assert (better["pairs"], better["wins"], better["losses"]) == ("7", "7", "0")
    assert float(better["low"]) > 20 and float(better["p_value"]) == 0.01562  # 2 / 2**7
    assert float(better["p_holm"]) == 0.03124
    same = find(lines, "data sets", "NT*", "MCC sets")
    assert float(same["low"]) < 0 < float(same["high"])
    for dataset in DATASETS:
        line = find(lines, "test rows", "+RandomMask", dataset)
        assert 0 < float(line["low"]) < float(line["difference"]) < float(line["high"])
        assert (line["pairs"], line["seeds"]) == ("200", "2")
    equal = [find(lines, "test rows", "NT*", name) for name in DATASETS]
    assert sum(float(x["low"]) <= 0 <= float(x["high"]) for x in equal) >= 7


def test_numbers_over_data_sets_equal_scipys(made):
    folder, lines = made
    with (folder / "table3.csv").open(newline="") as file:
        means = {
            (x["row"], x["dataset"]): float(x["mean"]) for x in csv.DictReader(file)
        }
    for row in ("NT*", "+RandomMask"):
        gaps = [means[row, d] - means["DNABERT", d] for d in DATASETS if d != "EAP"]
        line = find(lines, "data sets", row, "MCC sets")
        assert float(line["difference"]) == pytest.approx(np.mean(gaps), abs=1e-4)
        assert float(line["p_value"]) == pytest.approx(
            stats.wilcoxon(gaps).pvalue, rel=1e-3
        )
        naive = stats.bootstrap(
            (gaps,), np.mean, method="percentile", n_resamples=10_000, rng=0
        ).confidence_interval
        assert float(line["low"]) == pytest.approx(naive.low, abs=0.4)
        assert float(line["high"]) == pytest.approx(naive.high, abs=0.4)
    few = find(lines, "data sets", "+RandomMask", "PD")
    assert few["pairs"] == "2" and few["low"] == few["p_value"] == ""


def naive_interval(labels, ours, theirs, score, resamples=2000):
    """Rows drawn one by one, scored by the package's own metrics."""
    random = np.random.default_rng(7)
    gaps = []
    for _ in range(resamples):
        rows = random.integers(len(labels), size=len(labels))
        pairs = zip(ours, theirs, strict=True)
        own = [
            score(labels[rows], a[rows]) - score(labels[rows], b[rows])
            for a, b in pairs
        ]
        gaps.append(np.mean(own))
    return np.quantile(gaps, (0.025, 0.975))


def mcc(labels, named):
    return metrics.mcc(metrics.confusion(labels, np.eye(3)[named]))


def test_classes_are_drawn_as_row_by_row():
    random = np.random.default_rng(0)
    labels = random.integers(3, size=300)
    wrong = random.integers(3, size=(4, 300))
    rates = np.array([[0.8], [0.7], [0.6], [0.5]])
    sides = np.where(random.random((4, 300)) < rates, labels, wrong)
    low, high = resampling.of_classes(labels, sides[:2], sides[2:], 4000, (1,))
    expected = naive_interval(labels, sides[:2], sides[2:], mcc)
    assert (low, high) == pytest.approx(tuple(expected), abs=0.012)
    assert resampling.of_classes(labels, sides[:2], sides[:2], 50, (1,)) == (0, 0)


def test_numbers_are_drawn_as_row_by_row():
    random = np.random.default_rng(0)
    labels = random.normal(5, 3, size=(150, 2))
    sides = labels + random.normal(size=(4, 150, 2)) * [[[2]], [[3]], [[5]], [[6]]]
    low, high = resampling.of_numbers(labels, sides[:2], sides[2:], 2000, (1,))
    expected = naive_interval(
        labels, sides[:2], sides[2:], lambda a, b: metrics.pearsons(a, b).mean()
    )
    assert (low, high) == pytest.approx(tuple(expected), abs=0.02)


def test_constant_and_non_finite_numbers_score_nothing():
    labels = np.arange(40.0).reshape(20, 2) ** 1.5
    flat = np.full((1, 20, 2), 0.1)
    broken = np.where(np.arange(20)[:, None] == 3, np.nan, labels)[None]
    for side in (flat, broken):
        low, high = resampling.of_numbers(labels, side, labels[None], 50, (1,))
        assert (low, high) == pytest.approx((-1, -1))


@given(st.lists(st.lists(st.integers(0, 30), min_size=9, max_size=9), min_size=1))
def test_mccs_are_the_metrics_own(tables):
    confusions = np.array(tables, float).reshape(-1, 3, 3)
    expected = np.nan_to_num([metrics.mcc(own) for own in confusions])
    assert resampling.mccs(confusions) == pytest.approx(expected)


def test_holm():
    values = [0.01, None, 0.03, 0.02, 0.9]
    assert statistics.holm(values) == [0.04, None, 0.06, 0.06, 0.9]
    assert statistics.holm([None]) == [None]


def test_the_page_says_what_is_not_tested(made):
    folder, lines = made
    text = (folder / "statistics.md").read_text()
    assert f"> {EXPERIMENT['notice']}" in text
    line = find(lines, "test rows", "+RandomMask", "SSP")
    shown = "{:+.2f} [{:+.2f}, {:+.2f}]".format(
        *(float(line[key]) for key in ("difference", "low", "high"))
    )
    assert f"**{shown}**" in text
    for words in ("not about seeds or pretraining", "not independent", "over 2 seeds"):
        assert words in text
    assert "no critical difference is given below 3 rows or 10 data sets" in text


def test_a_second_time_gives_the_same_bytes(made):
    folder, _ = made
    before = [(folder / f"statistics.{kind}").read_bytes() for kind in ("csv", "tex")]
    tabulate(folder)
    after = [(folder / f"statistics.{kind}").read_bytes() for kind in ("csv", "tex")]
    assert before == after


# --- Predictions that do not fit ----------------------------------------------------


def change(path, **columns):
    table = pq.read_table(path)
    for name, values in columns.items():
        index = table.schema.get_field_index(name)
        table = table.set_column(index, name, pa.array(values))
    pq.write_table(table, path)


def predictions(folder, dataset, seed=0):
    run = ("randommask", "overlapping", dataset, seed)
    return metrics_path(folder / "finetune", *run).with_name("predictions.parquet")


def test_predictions_for_other_labels_are_refused(tmp_path):
    make(tmp_path, ["SSP"], [0])
    split = tmp_path / "benchmark" / "SSP" / "test.parquet"
    labels = pq.read_table(split)["label"].to_numpy().copy()
    labels[17] = (labels[17] + 1) % 3
    change(split, label=labels)
    with pytest.raises(InputError, match=r"test.parquet: sha256 is"):
        tabulate(tmp_path, datasets=["SSP"], seeds=[0])
    seal(split.parent)
    with pytest.raises(
        InputError, match=r"predictions.parquet: row 17: label .*split|"
    ):
        tabulate(tmp_path, datasets=["SSP"], seeds=[0])
    with pytest.raises(InputError) as error:
        tabulate(tmp_path, datasets=["SSP"], seeds=[0])
    assert re.search(r"row 17: label \[?\d\]?, expected", str(error.value))
    assert str(split) in str(error.value)
    pq.write_table(pq.read_table(split).slice(0, 150), split)
    seal(split.parent)
    with pytest.raises(InputError, match="200 rows, expected 150"):
        tabulate(tmp_path, datasets=["SSP"], seeds=[0])


def test_predictions_of_another_run_are_refused(tmp_path):
    make(tmp_path, ["PD-tata", "EAP"], [0])
    path = predictions(tmp_path, "PD-tata")
    size = len(pq.read_table(path))
    change(path, p0=np.zeros(size, np.float32), p1=np.ones(size, np.float32))
    with pytest.raises(
        InputError, match=r"gives a score of 0\.000000, expected 0\.\d+"
    ):
        tabulate(tmp_path, datasets=["PD-tata"], seeds=[0])
    path = predictions(tmp_path, "EAP")
    pq.write_table(pq.read_table(path).drop(["y_hk"]), path)
    with pytest.raises(InputError, match="no column y_hk"):
        tabulate(tmp_path, datasets=["EAP"], seeds=[0])


def test_predictions_that_cannot_be_read_are_named(tmp_path):
    make(tmp_path, ["SSP"], [0])
    path = predictions(tmp_path, "SSP")
    whole = path.read_bytes()
    path.write_bytes(whole[:100])
    with pytest.raises(
        InputError, match=rf"{re.escape(str(path))}: not readable as parquet"
    ):
        tabulate(tmp_path, datasets=["SSP"], seeds=[0])
    path.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(str(path))):
        tabulate(tmp_path, datasets=["SSP"], seeds=[0])


def test_only_seeds_of_both_runs_are_paired(tmp_path):
    make(tmp_path, ["SSP", "PD-tata"], [0, 1])
    for seed in (0, 1):
        path = metrics_path(
            tmp_path / "finetune", "randommask", "overlapping", "PD-tata", seed
        )
        path.unlink()
    metrics_path(tmp_path / "finetune", "dnabert", "overlapping", "SSP", 1).unlink()
    chosen = dict(datasets=["SSP", "PD-tata"], seeds=[0, 1])
    with pytest.raises(InputError, match="unreadable and left out: 3 "):
        tabulate(tmp_path, **chosen)
    lines = tabulate(tmp_path, "--partial", **chosen)
    assert find(lines, "test rows", "+RandomMask", "SSP")["seeds"] == "1"
    missing = find(lines, "test rows", "+RandomMask", "PD-tata")
    assert missing["note"] == "no two runs of one seed" and missing["low"] == ""
    text = (tmp_path / "statistics.md").read_text()
    assert '"+RandomMask", PD-tata: no two runs of one seed.' in text


def test_nothing_made_yet_is_a_page_of_its_own(tmp_path):
    make(tmp_path, ["SSP"], [0])
    for path in (tmp_path / "finetune").rglob("metrics.json"):
        path.unlink()
    lines = tabulate(tmp_path, "--partial", datasets=["SSP"], seeds=[0])
    assert {line["difference"] for line in lines} == {""}
    text = (tmp_path / "statistics.md").read_text()
    assert "over no seed of both runs" in text and "Ranks over" not in text


def test_a_table_without_the_baseline_is_refused(tmp_path):
    make(tmp_path, ["SSP"], [0])
    with pytest.raises(InputError, match="no row of dnabert, the baseline"):
        tabulate(tmp_path, rows=[ROWS[0], ROWS[2]], datasets=["SSP"], seeds=[0])


# --- Ranks --------------------------------------------------------------------------


def table3(values):
    """Lines of Table 3 from rows by data sets."""
    return [
        {"row": f"r{row}", "dataset": f"d{index}", "mean": value}
        for row, own in enumerate(values)
        for index, value in enumerate(own)
    ]


def test_ranks_share_and_leave_out():
    found = ranks.rank(
        table3([[3.0, 2.0, None, 1.0], [3.001, 1.0, 5.0, 2.0], [None] * 4])
    )
    assert found.rows == ("r0", "r1") and found.datasets == ("d0", "d1", "d3")
    assert found.ranks_DR.tolist() == [[1.5, 1.5], [1, 2], [2, 1]]
    assert ranks.friedman(found) is None and ranks.critical_difference(found) is None


def test_a_tie_for_the_highest_is_counted_once():
    found = table3([[3.0, 2.0, None, 1.0], [3.001, 1.0, 5.0, 2.0], [None] * 4])
    won, tied, compared = ranks.highest(found)
    assert won == {"r0": 1, "r1": 1, "r2": 0} and (tied, compared) == (1, 3)
    assert sum(won.values()) + tied == compared


def test_nemenyi_and_friedman():
    """The quantiles are those of Demsar 2006, Table 5; the F of his equation 7."""
    random = np.random.default_rng(3)
    for rows, quantile in ((3, 2.343), (4, 2.569), (6, 2.850)):
        scores = random.integers(5000, 9000, size=(rows, 14)) / 100
        scores[0] += 10
        found = ranks.rank(table3(scores.tolist()))
        naive = [sorted(own, reverse=True).index(own[0]) + 1 for own in scores.T]
        assert found.means[0] == np.mean(naive)
        expected = quantile * np.sqrt(rows * (rows + 1) / (6 * 14))
        assert ranks.critical_difference(found) == pytest.approx(expected, abs=1e-3)
        chi = (
            12
            * 14
            / (rows * (rows + 1))
            * ((found.means**2).sum() - rows * (rows + 1) ** 2 / 4)
        )
        statistic = 13 * chi / (14 * (rows - 1) - chi)
        expected = stats.f.sf(statistic, rows - 1, 13 * (rows - 1))
        assert ranks.friedman(found) == pytest.approx(expected)
    best = ranks.rank(table3([[3.0] * 12, [2.0] * 12, [1.0] * 12]))
    assert ranks.friedman(best) == 0
    alike = ranks.rank(table3([[1.0] * 12] * 3))
    assert ranks.friedman(alike) is None and set(alike.means) == {2}

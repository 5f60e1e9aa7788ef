"""Metrics and statistics against scikit-learn, scipy, statsmodels, scikit-posthocs.

On random inputs, each quantity as the tables print it.
"""

import warnings

import numpy as np
import pandas as pd
import pytest
import scikit_posthocs
from scipy import stats
from sklearn import metrics as judge
from statsmodels.stats.multicomp import pairwise_tukeyhsd
from statsmodels.stats.multitest import multipletests

from randommask import metrics
from randommask.experiment.datasets import TASKS
from randommask.measures import gains, margins, ranks, resampling, statistics

REPEATS = 40


@pytest.fixture
def random():
    return np.random.default_rng(5)


def classified(random, classes, rows=200):
    """Labels, and probabilities that know something of them; some of them equal."""
    labels = random.integers(0, classes, rows)
    scores = random.random((rows, classes)) + 0.4 * np.eye(classes)[labels]
    scores = np.round(scores, 1)
    return labels, scores / scores.sum(1, keepdims=True)


@pytest.mark.parametrize("classes", [2, 3])
def test_metrics_of_classes(random, classes, verdict):
    largest = dict.fromkeys(
        ("accuracy", "f1", "mcc", "precision", "recall", "auroc", "auprc"), 0.0
    )
    for _ in range(REPEATS):
        labels, chances = classified(random, classes)
        named = chances.argmax(1)
        known = np.eye(classes)[labels]
        told = {"average": "macro", "zero_division": 0}
        areas = (judge.roc_auc_score, judge.average_precision_score)
        columns = [1] if classes == 2 else range(classes)
        expected = {
            "accuracy": judge.accuracy_score(labels, named),
            "mcc": judge.matthews_corrcoef(labels, named),
            "f1": judge.f1_score(labels, named, **told),
            "precision": judge.precision_score(labels, named, **told),
            "recall": judge.recall_score(labels, named, **told),
        } | {
            name: np.mean([area(known[:, c], chances[:, c]) for c in columns])
            for name, area in zip(("auroc", "auprc"), areas, strict=True)
        }
        found = metrics.score(metrics.CLASSIFICATION, labels, chances)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            largest[name] = max(largest[name], abs(found[name] - value))
    for name, difference in largest.items():
        verdict(f"{name}, {classes} classes", "scikit-learn", difference, 1e-12)


def test_metrics_of_numbers(random, verdict):
    largest = dict.fromkeys(("mse", "pearson", "spearman"), 0.0)
    for _ in range(REPEATS):
        labels = np.round(random.normal(3.0, 2.0, (150, 2)), 1)
        found = labels + random.normal(0.0, 2.0, labels.shape)
        columns = list(zip(labels.T, found.T, strict=True))
        expected = {
            "mse": judge.mean_squared_error(labels, found),
            "pearson": np.mean([stats.pearsonr(*pair).statistic for pair in columns]),
            "spearman": np.mean([stats.spearmanr(*pair).statistic for pair in columns]),
        }
        scores = metrics.score(metrics.REGRESSION, labels, found)
        for name, value in expected.items():
            largest[name] = max(largest[name], abs(scores[name] - value))
    for name, difference in largest.items():
        whom = "scikit-learn" if name == "mse" else "scipy"
        verdict(f"{name} of numbers", whom, difference, 1e-12)


def test_bootstrap_of_a_mean(random, verdict):
    """Both draw: the ends differ by what draws differ by, in widths of the interval."""
    largest = 0.0
    for number in range(10):
        gaps = random.normal(1.0, 3.0, 28)
        ours = resampling.of_means(gaps, 10_000, (1, number))
        theirs = stats.bootstrap(
            (gaps,), np.mean, n_resamples=10_000, method="percentile", rng=number
        ).confidence_interval
        width = theirs.high - theirs.low
        ends = np.abs(np.subtract(ours, (theirs.low, theirs.high)))
        largest = max(largest, ends.max() / width)
    name = "ends of a bootstrap interval over data sets, in its widths"
    verdict(name, "scipy.stats.bootstrap", largest, 0.03)


def test_bootstrap_over_test_rows(random, verdict):
    largest = 0.0
    for number in range(5):
        labels, first = classified(random, 2, 400)
        _, second = classified(random, 2, 400)
        own, base = first.argmax(1), second.argmax(1)

        def gap(labels, own, base, axis=-1):
            return judge.matthews_corrcoef(labels, own) - judge.matthews_corrcoef(
                labels, base
            )

        ours = resampling.of_classes(labels, own[None], base[None], 4_000, (1, number))
        theirs = stats.bootstrap(
            (labels, own, base), gap, paired=True, vectorized=False, n_resamples=1_000,
            method="percentile", rng=number,
        ).confidence_interval  # fmt: skip
        width = theirs.high - theirs.low
        ends = np.abs(np.subtract(ours, (theirs.low, theirs.high)))
        largest = max(largest, ends.max() / width)
    name = "ends of a bootstrap interval of a gap in MCC, in its widths"
    verdict(name, "scipy.stats.bootstrap, scikit-learn", largest, 0.1)


def table3(random, rows=4, datasets=27):
    """Records as Table 3 has them, means that print alike now and then."""
    tasks = list(TASKS)[:3]
    return [
        {
            "row": f"row {row}",
            "dataset": f"set {number}",
            "task": tasks[number % 3],
            "metric": "mcc",
            "mean": float(np.round(random.normal(50 + row, 4), 0)),
        }
        for number in range(datasets)
        for row in range(rows)
    ]


def test_wilcoxon_with_holm(random, verdict):
    apart = {"Wilcoxon's p": 0.0, "Holm's p": 0.0}
    for _ in range(10):
        records = table3(random)
        found = statistics.over_datasets(records, "row 0")
        frame = pd.DataFrame(records).pivot(
            index="dataset", columns="row", values="mean"
        )
        mcc = [line for line in found if line["group"] == statistics.MCC_SETS]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = [
                stats.wilcoxon(frame[line["row"]] - frame["row 0"]).pvalue
                for line in mcc
            ]
        adjusted = multipletests(expected, method="holm")[1]
        for line, plain, holm in zip(mcc, expected, adjusted, strict=True):
            wanted = {"Wilcoxon's p": plain, "Holm's p": holm}
            ours = {"Wilcoxon's p": line["p_value"], "Holm's p": line["p_holm"]}
            for name in apart:
                gap = abs(ours[name] / wanted[name] - 1)
                apart[name] = max(apart[name], gap)
    for name, difference in apart.items():
        whom = "scipy" if name.startswith("W") else "statsmodels"
        verdict(f"{name}, relative (four digits are printed)", whom, difference, 1e-3)


def test_tukeys_smallest_difference(random, verdict):
    largest = 0.0
    for _ in range(REPEATS):
        rows, seeds = random.integers(2, 8), random.integers(2, 6)
        values = random.normal(50, 3, (rows, seeds))
        cells = [
            [{"mean": v.mean(), "sd": v.std(ddof=1), "seeds": seeds}] for v in values
        ]
        tested = pairwise_tukeyhsd(values.ravel(), np.repeat(np.arange(rows), seeds))
        # The half width of every pair's interval is the smallest difference that shows.
        expected = np.diff(tested.confint, axis=1).ravel() / 2
        found = margins.of_seeds(cells)
        largest = max(largest, np.abs(found / expected - 1).max())
    name = "smallest difference that seeds show (Tukey), relative"
    verdict(name, "statsmodels", largest, 1e-3)


def test_friedman_and_nemenyi(random, verdict):
    """Nemenyi's p is 5 % where two mean ranks differ by the critical difference."""
    apart = {"friedman": 0.0, "nemenyi": 0.0}
    for _ in range(5):
        records = table3(random)
        found = ranks.rank(records)
        frame = pd.DataFrame(records).pivot(
            index="dataset", columns="row", values="mean"
        )
        # As Iman and Davenport have it, F from Friedman's chi-square.
        chi = stats.friedmanchisquare(*-frame.to_numpy().T).statistic
        n, k = frame.shape
        value = (n - 1) * chi / (n * (k - 1) - chi)
        expected = stats.f.sf(value, k - 1, (k - 1) * (n - 1))
        apart["friedman"] = max(
            apart["friedman"], abs(ranks.friedman(found) / expected - 1)
        )
        judged = scikit_posthocs.posthoc_nemenyi_friedman(-frame.to_numpy()).to_numpy()
        gaps = np.abs(found.means[:, None] - found.means)
        # Their p against ours: which pairs lie further apart than the difference.
        ours = gaps > ranks.critical_difference(found)
        apart["nemenyi"] += np.count_nonzero(ours != (judged < ranks.ALPHA))
    verdict("Friedman's p, relative", "scipy", apart["friedman"], 1e-9)
    name = "pairs of rows that Nemenyi's test tells apart otherwise"
    verdict(name, "scikit-posthocs", apart["nemenyi"], 0)


def test_the_interval_of_a_gain_is_students(random, verdict):
    """Where test rows add nothing, it is the one-sample t interval over seeds."""
    largest = 0.0
    for _ in range(REPEATS):
        values = random.normal(5, 2, random.integers(2, 7))
        gain = gains.Gain(dict(enumerate(values)), 0.0)
        low, high = stats.ttest_1samp(values, 0).confidence_interval()
        ends = (gain.mean - gain.half, gain.mean + gain.half)
        largest = max(largest, np.abs(np.subtract(ends, (low, high))).max())
    verdict("ends of a gain's interval over seeds", "scipy", largest, 1e-9)

"""Every metric against scikit-learn's or scipy's, and what degenerate input scores."""

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as reference

from randommask import metrics

pytestmark = pytest.mark.filterwarnings("error")


def drawn(seed, rows, width, coarse):
    """Labels and probabilities; `coarse` ones tie."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, width, rows)
    logits = random.normal(size=(rows, width)) + np.eye(width)[labels]
    if coarse:
        logits = logits.round()
    exponent = np.exp(logits)
    return labels, (exponent / exponent.sum(1, keepdims=True)).astype(np.float32)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 60), st.integers(2, 4), st.booleans())
def test_classification_equals_scikit_learn(seed, rows, classes, coarse):
    labels, probabilities = drawn(seed, rows, classes, coarse)
    scores = metrics.score("classification", labels, probabilities)
    named = probabilities.argmax(1)
    mean = {"average": "macro", "zero_division": 0}
    expected = {
        "accuracy": reference.accuracy_score(labels, named),
        "f1": reference.f1_score(labels, named, **mean),
        "precision": reference.precision_score(labels, named, **mean),
        "recall": reference.recall_score(labels, named, **mean),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a single label
        expected["mcc"] = reference.matthews_corrcoef(labels, named)
    if len(set(labels)) < 2:
        assert scores.pop("mcc") is None and expected.pop("mcc") == 0
    if len(set(labels)) < classes:
        assert scores.pop("auroc") is None and scores.pop("auprc") is None
    elif classes == 2:
        expected["auroc"] = reference.roc_auc_score(labels, probabilities[:, 1])
        expected["auprc"] = reference.average_precision_score(
            labels, probabilities[:, 1]
        )
    else:
        expected["auroc"] = np.mean(
            [
                reference.roc_auc_score(labels == label, probabilities[:, label])
                for label in range(classes)
            ]
        )
        expected["auprc"] = reference.average_precision_score(labels, probabilities)
    assert scores == pytest.approx(expected, abs=1e-12)
    chosen = metrics.choose("classification", labels, probabilities)
    assert metrics.defined(chosen) == scores.get("mcc")


def test_several_classes_are_averaged_as_scikit_learn_does():
    labels, logits = drawn(3, 200, 3, False)
    probabilities = logits.astype(np.float64)
    probabilities /= probabilities.sum(1, keepdims=True)
    expected = reference.roc_auc_score(labels, probabilities, multi_class="ovr")
    found = metrics.score("classification", labels, probabilities)["auroc"]
    assert found == pytest.approx(expected, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(3, 60), st.integers(1, 3), st.booleans())
def test_regression_equals_scipy(seed, rows, outputs, coarse):
    random = np.random.default_rng(seed)
    labels = random.normal(size=(rows, outputs))
    values = (labels + random.normal(size=(rows, outputs))).astype(np.float32)
    values[0], values[1] = -3, 3  # no constant column
    if coarse:
        labels, values = labels.round(1), values.round()
    scores = metrics.score("regression", labels, values)
    each = [
        stats.pearsonr(labels[:, output], values[:, output].astype(float))[0]
        for output in range(outputs)
    ]
    ranked = [
        stats.spearmanr(labels[:, output], values[:, output])[0]
        for output in range(outputs)
    ]
    assert scores == pytest.approx(
        {
            "mse": reference.mean_squared_error(labels, values),
            "pearson": np.mean(each),
            "spearman": np.mean(ranked),
            **{f"pearson_{output}": value for output, value in enumerate(each)},
        },
        abs=1e-9,
    )
    assert metrics.choose("regression", labels, values) == scores["pearson"]


@pytest.mark.parametrize("classes", [2, 3])
def test_a_constant_prediction_scores_as_in_scikit_learn(classes):
    labels = np.arange(31) % classes
    same = np.full((31, classes), 1 / classes)
    same[:, 1] += 0.01
    scores = metrics.score("classification", labels, same)
    named = np.ones(31, int)
    mean = {"average": "macro", "zero_division": 0}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a single prediction
        expected = {
            "accuracy": reference.accuracy_score(labels, named),
            "f1": reference.f1_score(labels, named, **mean),
            "mcc": reference.matthews_corrcoef(labels, named),
            "precision": reference.precision_score(labels, named, **mean),
            "recall": reference.recall_score(labels, named, **mean),
            "auroc": 0.5,
            "auprc": np.mean([labels == 1] if classes == 2 else 1 / classes),
        }
    assert scores == pytest.approx(expected, abs=1e-12)


def test_many_rows_overflow_nothing():
    labels, probabilities = drawn(0, 200_000, 2, False)
    expected = reference.matthews_corrcoef(labels, probabilities.argmax(1))
    assert metrics.choose("classification", labels, probabilities) == pytest.approx(
        expected, abs=1e-12
    )


def test_constant_predictions_score_0_and_are_flagged():
    labels = np.array([0, 1, 1, 0])
    same = np.full((4, 2), 0.5, np.float32)
    assert metrics.score("classification", labels, same)["mcc"] == 0
    assert metrics.flags("classification", same) == ["constant predictions"]
    # probabilities that differ but always name the same class
    tilted = np.array([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3], [0.6, 0.4]])
    assert metrics.flags("classification", tilted) == ["constant predictions"]
    values = np.array([[0.1, 1.0], [0.1, 2.0], [0.1, 3.0]], np.float32)
    labels = np.array([[3.0, 3.0], [2.0, 2.0], [1.0, 1.0]])
    scores = metrics.score("regression", labels, values)
    assert scores["pearson_0"] == 0 and scores["pearson_1"] == pytest.approx(-1)
    assert metrics.flags("regression", values) == ["constant predictions"]
    assert metrics.flags("regression", values[:, 1:]) == []


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_predictions_are_flagged_and_score_no_warning(bad):
    labels, probabilities = drawn(0, 20, 2, False)
    probabilities[3] = bad
    assert metrics.flags("classification", probabilities) == ["non-finite predictions"]
    scores = metrics.score("classification", labels, probabilities)
    assert scores["auroc"] is None and np.isfinite(scores["mcc"])
    varied = np.arange(40.0).reshape(20, 2)
    scores = metrics.score("regression", varied, probabilities)
    assert scores["pearson"] == 0 and scores["mse"] is None


@pytest.mark.parametrize("predictions", ["good", "constant", "nan"])
def test_labels_that_do_not_vary_have_no_score(predictions):
    """Not 0, which would say that the model is no better than chance."""
    _, probabilities = drawn(0, 20, 2, False)
    probabilities[:] = {"good": probabilities, "constant": 0.5, "nan": np.nan}[
        predictions
    ]
    labels = np.ones(20, np.int64)
    scores = metrics.score("classification", labels, probabilities)
    assert [scores[name] for name in ("mcc", "auroc", "auprc")] == [None] * 3
    assert scores["accuracy"] is not None
    assert np.isnan(metrics.choose("classification", labels, probabilities))
    assert metrics.undefined(labels) == "one class"
    assert metrics.undefined(np.array([0, 1, 1])) is None
    both = np.stack([np.ones(20), np.arange(20.0)], axis=1)
    scores = metrics.score("regression", both, probabilities)
    names = ("pearson", "spearman", "pearson_0")
    assert [scores[name] for name in names] == [None] * 3
    assert scores["pearson_1"] is not None
    assert np.isnan(metrics.choose("regression", both, probabilities))
    assert metrics.undefined(both) == "a target that never varies"


def test_neither_scikit_learn_nor_scipy_is_imported():
    code = (
        "import sys, randommask.metrics; print({'sklearn', 'scipy'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "set()"

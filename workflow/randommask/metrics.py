"""How good predictions are, by the definitions of scikit-learn and scipy.

Written in numpy: importing scikit-learn takes longer than many a demo's fine-tuning;
the tests hold every number against scikit-learn and scipy.

Shapes: n rows, C classes, O outputs.
"""

import numpy as np

CLASSIFICATION, REGRESSION = "classification", "regression"
MULTILABEL = "multilabel"  # several labels that are each there or not
CHOSEN_BY = {CLASSIFICATION: "mcc", REGRESSION: "pearson"}  # picks the best epoch
CHOSEN_BY[MULTILABEL] = "mcc"
CONSTANT, NON_FINITE = "constant predictions", "non-finite predictions"
UNDEFINED = "undefined"
ONE_CLASS, CONSTANT_TARGET = "one class", "a target that never varies"


def score(
    task_type: str, labels: np.ndarray, predictions: np.ndarray
) -> dict[str, float | None]:
    """All metrics of a task, as fractions; None where one is undefined.

    Classification: labels (n,) from 0 on, predictions (n, C) class probabilities. F1,
    precision and recall are means over the classes that occur in labels or predictions;
    AUROC and AUPRC (average precision) those of class 1, or with more than two classes
    means over one against the rest, undefined unless all classes occur in the labels.
    Regression: labels and predictions (n, O). MSE, Pearson and Spearman are means over
    the outputs; `pearson_0` ... are each output's.
    Multilabel: labels (n, O) of 0 and 1, predictions (n, O) probabilities, of which
    a half is a 1. All are means over the labels, AUROC and AUPRC undefined unless each
    is 0 and 1 somewhere; `mcc_0` ... are each label's.

    A constant prediction scores 0 in MCC, Pearson and Spearman; so does one that is not
    finite, and what else depends on its values is then undefined. So are MCC, Pearson
    and Spearman where the labels do not vary: there is nothing to tell apart. See
    `flags`.
    """
    finite = bool(np.isfinite(predictions).all())
    if task_type == CLASSIFICATION:
        scores = _of_classes(labels, predictions)
        areas = _areas(labels, predictions) if finite else (None, None)
        return scores | dict(zip(("auroc", "auprc"), areas, strict=True))
    if task_type == MULTILABEL:
        return _of_labels(labels, predictions)
    each = pearsons(labels, predictions)
    error = labels.astype(np.float64) - predictions
    return {
        "mse": float((error**2).mean()) if finite else None,
        "pearson": defined(each.mean()),
        "spearman": defined(_spearman(labels, predictions if finite else None)),
    } | {f"pearson_{output}": defined(value) for output, value in enumerate(each)}


def choose(task_type: str, labels: np.ndarray, predictions: np.ndarray) -> float:
    """The metric an epoch is chosen by: MCC, or the mean Pearson over the outputs.

    NaN where it is undefined: no epoch is then better than another.
    """
    if task_type == CLASSIFICATION:
        return mcc(confusion(labels, predictions))
    if task_type == MULTILABEL:
        predictions = decided(predictions)
    return float(pearsons(labels, predictions).mean())


def flags(task_type: str, predictions: np.ndarray) -> list[str]:
    """What a reader of a table must know: constant or non-finite predictions.

    Constant is a classification that names one class only, and a regression one of
    whose outputs never changes.
    """
    if not np.isfinite(predictions).all():
        return [NON_FINITE]
    named = predictions
    if task_type == CLASSIFICATION:
        named = predictions.argmax(1)[:, None]
    elif task_type == MULTILABEL:
        named = decided(predictions)
    return [CONSTANT] if (named == named[:1]).all(0).any() else []


def decided(predictions_nO: np.ndarray) -> np.ndarray:
    """The labels that probabilities name: 0 or 1 as floats, NaN where they are NaN.

    Of two columns of 0 and 1 Pearson's correlation is Matthews': `pearsons` of these
    is each label's MCC.
    """
    named = (predictions_nO >= 0.5).astype(np.float64)
    return np.where(np.isfinite(predictions_nO), named, np.nan)


def undefined(labels: np.ndarray) -> str | None:
    """Why no MCC or Pearson correlation of these labels is defined; None if it is."""
    if (labels == labels[:1]).all(0).any():
        return ONE_CLASS if labels.ndim == 1 else CONSTANT_TARGET
    return None


def defined(value: float) -> float | None:
    """A score as JSON has it: None where it is undefined."""
    return None if np.isnan(value) else float(value)


def confusion(labels: np.ndarray, predictions: np.ndarray) -> np.ndarray:
    """Rows of label i whose likeliest class is j: (C, C) int64."""
    classes = predictions.shape[1]
    pairs = labels.astype(np.int64) * classes + predictions.argmax(1)
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def mcc(confusion_CC: np.ndarray) -> float:
    """Matthews correlation of a confusion matrix (Gorodkin's).

    0 where one class is named alone, NaN where one class alone is there to be named.
    """
    counts = confusion_CC.astype(np.float64)
    true, named, total = counts.sum(1), counts.sum(0), counts.sum()
    covariance = counts.trace() * total - true @ named
    if np.count_nonzero(true) < 2:
        return float("nan")
    spread = (total**2 - true @ true) * (total**2 - named @ named)
    return float(covariance / np.sqrt(spread)) if spread else 0.0


def pearsons(labels_nO: np.ndarray, predictions_nO: np.ndarray) -> np.ndarray:
    """Pearson correlation of each output: (O,).

    0 where the predictions are constant, NaN where the labels are.
    """
    constant = (labels_nO == labels_nO[:1]).all(0)
    if not np.isfinite(predictions_nO).all():
        return np.where(constant, np.nan, 0.0)
    sides = []
    for values in (labels_nO, predictions_nO):
        centred = values.astype(np.float64) - values.mean(0, dtype=np.float64)
        # A constant minus its mean is 0 but for rounding, which must not correlate.
        centred[:, (values == values[:1]).all(0)] = 0
        length = np.linalg.norm(centred, axis=0)
        sides.append(centred / np.where(length > 0, length, 1))
    found = np.clip((sides[0] * sides[1]).sum(0), -1, 1)
    return np.where(constant, np.nan, found)


def _of_classes(labels: np.ndarray, predictions: np.ndarray) -> dict[str, float | None]:
    """Accuracy, MCC and the means over classes, from the confusion matrix."""
    counts = confusion(labels, predictions)
    hits, true, named = counts.diagonal(), counts.sum(1), counts.sum(0)
    occur = true + named > 0
    hits, true, named = hits[occur], true[occur], named[occur]
    return {
        "accuracy": float(hits.sum() / len(labels)),
        "f1": float((2 * hits / (true + named)).mean()),
        "mcc": defined(mcc(counts)),
        "precision": float((hits / np.maximum(named, 1)).mean()),
        "recall": float((hits / np.maximum(true, 1)).mean()),
    }


def _of_labels(
    labels_nO: np.ndarray, predictions_nO: np.ndarray
) -> dict[str, float | None]:
    """Of labels that are each there or not; see `score`."""
    named = decided(predictions_nO)
    each, auroc, auprc = pearsons(labels_nO, named), None, None
    is_finite = np.isfinite(predictions_nO).all()
    if is_finite and not (labels_nO == labels_nO[:1]).all(0).any():
        pairs = zip(labels_nO.T == 1, predictions_nO.T, strict=True)
        auroc, auprc = map(float, np.mean([_curves(*pair) for pair in pairs], axis=0))
    return {
        "accuracy": float((named == labels_nO).mean()),
        "mcc": defined(each.mean()),
        "auroc": auroc,
        "auprc": auprc,
    } | {f"mcc_{output}": defined(value) for output, value in enumerate(each)}


def _areas(
    labels: np.ndarray, predictions: np.ndarray
) -> tuple[float | None, float | None]:
    """AUROC and AUPRC; see `score`."""
    classes = predictions.shape[1]
    if len(np.unique(labels)) < classes:
        return None, None
    # Of two classes the second says all; of more, each is held against the rest.
    against = [1] if classes == 2 else range(classes)
    areas = [_curves(labels == label, predictions[:, label]) for label in against]
    auroc, auprc = np.mean(areas, axis=0)
    return float(auroc), float(auprc)


def _curves(positive: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Area under the ROC curve, average precision; `positive` (n,) holds both kinds."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    hits = np.cumsum(positive[order])[last]  # equal scores share one threshold
    misses = last + 1 - hits
    right, wrong = hits / hits[-1], misses / misses[-1]
    steps = np.diff(wrong, prepend=0.0)
    auroc = (steps * (right + np.append(0.0, right[:-1])) / 2).sum()
    auprc = (np.diff(right, prepend=0.0) * hits / (last + 1)).sum()
    return auroc, auprc


def _spearman(labels: np.ndarray, predictions: np.ndarray | None) -> float:
    """Over the outputs; `predictions` are None where they are not finite."""
    ranks = _ranks(labels)
    if predictions is None:
        return float(pearsons(ranks, np.full(ranks.shape, np.nan)).mean())
    return float(pearsons(ranks, _ranks(predictions)).mean())


def _ranks(values_nO: np.ndarray) -> np.ndarray:
    """Ranks from 1 on within each column, ties sharing their mean rank."""
    columns = []
    for values in values_nO.T:
        _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
        columns.append((np.cumsum(counts) - (counts - 1) / 2)[which])
    return np.stack(columns, axis=1)

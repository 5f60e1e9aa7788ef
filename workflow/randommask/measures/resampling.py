"""How far a difference between two scores depends on what happened to be tested.

Bootstraps (Efron and Tibshirani 1993), paired: both sides of a comparison are seen on
the same draw. Intervals are the middle 95 % of the draws (percentile intervals).

Shapes: N test rows, S seeds, O outputs, R resamples.
"""

from collections.abc import Sequence

import numpy as np

_CHUNK = 64
"""Resamples drawn at once where each needs an array of the length of the test split."""

Bounds = tuple[float, float]


def of_means(differences: np.ndarray, resamples: int, seed: Sequence[int]) -> Bounds:
    """Interval of the mean of (n,) differences, drawing from them."""
    random = np.random.default_rng(seed)
    drawn = random.integers(len(differences), size=(resamples, len(differences)))
    return _middle(differences[drawn].mean(axis=1))


def of_classes(
    labels_N: np.ndarray,
    ours_SN: np.ndarray,
    theirs_SN: np.ndarray,
    resamples: int,
    seed: Sequence[int],
) -> Bounds:
    """Interval of the mean over seeds of our MCC minus theirs, drawing test rows."""
    return _middle(draws(labels_N, ours_SN, theirs_SN, resamples, seed))


def draws(
    labels: np.ndarray,
    ours: np.ndarray,
    theirs: np.ndarray,
    resamples: int,
    seed: Sequence[int],
) -> np.ndarray:
    """Our score minus theirs, the mean over seeds, in each draw of test rows: (R,)."""
    draw = _draws_of_classes if labels.ndim == 1 else _draws_of_numbers
    return draw(labels, ours, theirs, resamples, seed)


def _draws_of_classes(
    labels_N: np.ndarray,
    ours_SN: np.ndarray,
    theirs_SN: np.ndarray,
    resamples: int,
    seed: Sequence[int],
) -> np.ndarray:
    """See `of_classes`.

    Rows that agree in label and in all predictions are alike, so the numbers of each
    kind in a draw are multinomial: drawn at once, with the same law as row by row.
    """
    random = np.random.default_rng(seed)
    sides = np.concatenate([ours_SN, theirs_SN])
    classes = 1 + int(max(labels_N.max(), sides.max()))
    kind_N = labels_N
    for predicted_N in sides:
        _, kind_N = np.unique(kind_N * classes + predicted_N, return_inverse=True)
    _, first, counts = np.unique(kind_N, return_index=True, return_counts=True)
    drawn = random.multinomial(len(labels_N), counts / len(labels_N), size=resamples)
    scores = [
        mccs(_confusions(drawn, labels_N[first], predicted_N[first], classes))
        for predicted_N in sides
    ]
    return _gap(np.array(scores))


def _confusions(
    drawn_RK: np.ndarray, labels_K: np.ndarray, named_K: np.ndarray, classes: int
) -> np.ndarray:
    """Confusion matrices (R, C, C) of draws of K kinds of rows."""
    cells = np.eye(classes**2)[labels_K * classes + named_K]
    return (drawn_RK @ cells).reshape(-1, classes, classes)


def mccs(confusions_RCC: np.ndarray) -> np.ndarray:
    """`metrics.mcc` of each confusion matrix: (R,); 0 where one side is constant.

    Draws of one class alone tell nothing apart, so they count as chance does.
    """
    true, named = confusions_RCC.sum(2), confusions_RCC.sum(1)
    total = true.sum(1)
    hits = np.trace(confusions_RCC, axis1=1, axis2=2)
    covariance = hits * total - (true * named).sum(1)
    spread = (total**2 - (true**2).sum(1)) * (total**2 - (named**2).sum(1))
    return np.where(spread > 0, covariance / np.sqrt(np.maximum(spread, 1)), 0)


def of_numbers(
    labels_NO: np.ndarray,
    ours_SNO: np.ndarray,
    theirs_SNO: np.ndarray,
    resamples: int,
    seed: Sequence[int],
) -> Bounds:
    """Interval of the mean over seeds of our Pearson correlation minus theirs.

    The correlation is the mean over the outputs; test rows are drawn. A side that is
    not finite, or constant, scores 0 as in `metrics`.
    """
    return _middle(draws(labels_NO, ours_SNO, theirs_SNO, resamples, seed))


def _draws_of_numbers(
    labels_NO: np.ndarray,
    ours_SNO: np.ndarray,
    theirs_SNO: np.ndarray,
    resamples: int,
    seed: Sequence[int],
) -> np.ndarray:
    """See `of_numbers`."""
    random = np.random.default_rng(seed)
    rows = len(labels_NO)
    sides = np.concatenate([ours_SNO, theirs_SNO])
    sides[~np.isfinite(sides).all(axis=(1, 2))] = 0
    label, side = _centred(labels_NO), [_centred(side) for side in sides]
    moments = [label, label**2]
    for values in side:
        moments += [values, values**2, values * label]
    columns = np.concatenate(moments, axis=1)
    sums = []
    for start in range(0, resamples, _CHUNK):
        count = min(_CHUNK, resamples - start)
        picked = random.integers(rows, size=(count, rows), dtype=np.int32)
        weights = np.stack([np.bincount(own, minlength=rows) for own in picked])
        sums.append(weights.astype(np.float64) @ columns)
    means = np.concatenate(sums).reshape(resamples, -1, labels_NO.shape[1]) / rows
    label_1, label_2 = means[:, 0], means[:, 1] - means[:, 0] ** 2
    scores = []
    for position in range(2, means.shape[1], 3):
        first, second, both = (means[:, position + i] for i in range(3))
        spread = label_2 * (second - first**2)
        known = spread > 1e-24
        covariance = both - first * label_1
        correlation = covariance / np.sqrt(np.where(known, spread, 1))
        scores.append(np.where(known, correlation, 0).mean(axis=1))
    return _gap(np.array(scores))


def _centred(values_NO: np.ndarray) -> np.ndarray:
    """Each column with mean 0 and spread 1; exactly 0 where it is constant."""
    centred = values_NO - values_NO.mean(axis=0)
    centred[:, (values_NO == values_NO[:1]).all(axis=0)] = 0
    spread = centred.std(axis=0)
    return centred / np.where(spread > 0, spread, 1)


def _gap(scores_2SR: np.ndarray) -> np.ndarray:
    """Mean over seeds of the first half minus the second: (R,)."""
    ours, theirs = np.split(scores_2SR, 2)
    return (ours - theirs).mean(axis=0)


def _middle(values_R: np.ndarray) -> Bounds:
    low, high = np.quantile(values_R, (0.025, 0.975))
    return float(low), float(high)

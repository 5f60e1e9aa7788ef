"""Linear models of k-mer counts, and the counts: numbers only, no files.

Each count is standardised on the rows a model is fitted to. A strength s stands for the
penalty s |w|^2 beside the mean square error, s/2 |w|^2 beside the mean cross-entropy:
the same whatever the number of rows.

Shapes: n rows, b bases, p = 4^k features, O outputs (classes or targets).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from randommask import kmers, metrics

BLOCK = 2048  # rows counted at once: 4,096 features of 8 bytes are then 64 MiB


@dataclass(frozen=True)
class LinearModel:
    """Scores of the classes, or values: counts @ weights + bias."""

    k: int
    strength: float
    weights: np.ndarray
    """(p, O), of the counts as they are."""
    bias: np.ndarray
    """(O,)."""


def counts(codes: np.ndarray, k: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Blocks of rows and their k-mer counts (rows, p) int64, in the order of ids."""
    features = 4**k
    for first in range(0, len(codes), BLOCK):
        rows = slice(first, min(first + BLOCK, len(codes)))
        ids = kmers.kmer_ids(codes[rows], k)
        where = np.arange(len(ids))[:, None] * features
        cells = (where + ids - kmers.NUM_SPECIAL)[ids >= kmers.NUM_SPECIAL]
        found = np.bincount(cells, minlength=len(ids) * features)
        yield rows, found.reshape(len(ids), features)


def classifiers(
    codes: np.ndarray,
    labels: np.ndarray,
    classes: int,
    k: int,
    strengths: Sequence[float],
) -> list[LinearModel]:
    """Logistic regressions; all counts of the split are in memory, as float32."""
    X = np.empty((len(codes), 4**k), np.float32)
    total, squares = np.zeros((2, 4**k))
    for rows, found in counts(codes, k):
        X[rows] = found
        total += found.sum(0)
        squares += np.square(found).sum(0)
    mean = total / len(X)
    spread = np.sqrt((squares / len(X) - mean**2).clip(min=0))
    spread[spread == 0] = 1
    X -= mean.astype(np.float32)
    X /= spread.astype(np.float32)
    there = np.unique(labels)
    fitted, models = LogisticRegression(warm_start=True, max_iter=1000), []
    for strength in strengths:
        weights, bias = np.zeros((4**k, classes)), np.full(classes, -np.inf)
        bias[there] = 0  # a class that train lacks is never named
        if len(there) > 1:
            fitted.set_params(C=1 / (strength * len(X))).fit(X, labels)
            named = there if len(there) > 2 else there[1:]
            weights[:, named] = (fitted.coef_ / spread).T
            bias[named] = fitted.intercept_ - mean @ weights[:, named]
        models.append(LinearModel(k, strength, weights, bias))
    return models


def labellers(
    codes: np.ndarray, labels_nO: np.ndarray, k: int, strengths: Sequence[float]
) -> list[LinearModel]:
    """Logistic regressions of labels that are each there or not: scores are logits."""
    each = [classifiers(codes, own.astype(int), 2, k, strengths) for own in labels_nO.T]
    return [
        LinearModel(
            k,
            strength,
            np.stack([m.weights[:, 1] - m.weights[:, 0] for m in models], axis=1),
            np.array([m.bias[1] - m.bias[0] for m in models]),
        )
        for strength, models in zip(strengths, zip(*each, strict=True), strict=True)
    ]


def regressions(
    codes: np.ndarray, labels: np.ndarray, k: int, strengths: Sequence[float]
) -> list[LinearModel]:
    """Ridge regressions from the sums of products, which need no matrix of all rows."""
    rows, target = len(labels), labels.mean(0)
    products, crossed = np.zeros((4**k, 4**k)), np.zeros((4**k, len(target)))
    total = np.zeros(4**k)
    for block, found in counts(codes, k):
        # float32 products are faster, and exact: these are whole numbers below 2**24.
        exact = found.astype(np.float32)
        products += exact.T @ exact
        crossed += found.T @ (labels[block] - target)
        total += found.sum(0)
    mean = total / rows
    products /= rows
    products -= np.outer(mean, mean)
    spread = np.sqrt(products.diagonal().clip(min=0))
    spread[spread == 0] = 1
    products /= np.outer(spread, spread)
    crossed /= rows * spread[:, None]
    models = []
    for strength in strengths:
        penalised = products.copy()
        penalised.flat[:: 4**k + 1] += strength
        factor = cho_factor(penalised, overwrite_a=True, check_finite=False)
        weights = cho_solve(factor, crossed) / spread[:, None]
        models.append(LinearModel(k, strength, weights, target - mean @ weights))
    return models


def predict(models: Sequence[LinearModel], codes: np.ndarray, kind: str) -> np.ndarray:
    """Probabilities or values (models, n, O) float32 of models of one k."""
    weights = np.concatenate([model.weights for model in models], axis=1)
    bias = np.stack([model.bias for model in models])
    scores = np.empty((len(models), len(codes), bias.shape[1]))
    for rows, found in counts(codes, models[0].k):
        block = (found @ weights).reshape(len(found), *bias.shape) + bias
        scores[:, rows] = block.transpose(1, 0, 2)
    if kind == metrics.CLASSIFICATION:
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        scores /= scores.sum(-1, keepdims=True)
    elif kind == metrics.MULTILABEL:
        scores = expit(scores)
    return scores.astype(np.float32)

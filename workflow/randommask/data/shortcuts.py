"""Rules that predict labels without a model of DNA, to show what a score may mean.

Fitted on train, scored on dev; nothing is chosen by test:

- the label of an `exact` or `reverse` copy, or of `near` duplicates, in train (for
  test rows: in train or dev), else the most frequent label;
- what the label of a shuffle partner says (`partners-3` to `-1`), as learnt in train:
  where negatives are shuffled positives it says the opposite;
- `length` and `gc`, the most frequent label of rows alike in them;
- `composition`, the likelier of one order-3 Markov chain a class;
- `position`, the likelier by which letter stands where, counted from the first base.

Numbers are predicted by the same rules: the classes are then what lies up to and above
the median of train, and a probability stands for the point that far between their
means.

Shapes: n rows, C classes, O targets.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from randommask import kmers, metrics
from randommask.data.alike import KINDS, PARTNERS, Alike
from randommask.genome import OTHER

BINS = 16  # of lengths and of GC, equally full
ORDER = 3

Blocks = Iterator[tuple[np.ndarray, np.ndarray]]
Shares = dict[str, np.ndarray]
"""Probabilities (n, C) of the rows of dev and of test."""


class Rows(Protocol):
    """A split: letters, and labels (n,) int64 or (n, O) float64."""

    sequences: list[str]
    labels: np.ndarray


@dataclass(frozen=True)
class Rule:
    """What a rule predicts: probabilities (n, C), or values (n, O), of dev and test."""

    name: str
    predictions: Shares
    dev: float
    """MCC, or the mean Pearson."""


def rules(
    kind: str, splits: Mapping[str, Rows], classes: int | None, alike: Alike
) -> Iterator[Rule]:
    """All rules, fitted; `kind` and `classes` as in a data set's summary."""
    columns = [splits["train"].labels]
    if kind != metrics.CLASSIFICATION:
        columns = list(splits["train"].labels.T)
    for name in (*KINDS, "length", "gc", "composition", "position"):
        found = []
        for place, column in enumerate(columns):
            labels = {split: rows.labels for split, rows in splits.items()}
            if kind == metrics.MULTILABEL:
                labels = {s: y[:, place].astype(np.int64) for s, y in labels.items()}
            if kind == metrics.REGRESSION:
                middle = np.median(column)
                labels = {s: (y[:, place] > middle) + 0 for s, y in labels.items()}
            shares = _shares(name, splits, labels, classes or 2, alike)
            if kind == metrics.MULTILABEL:
                shares = {s: p[:, 1:] for s, p in shares.items()}
            if kind == metrics.REGRESSION:
                is_high = labels["train"] == 1
                low = column[~is_high].mean()
                high = column[is_high].mean() if is_high.any() else low
                shares = {s: low + p[:, 1:] * (high - low) for s, p in shares.items()}
            found.append(shares)
        predictions = {
            split: np.concatenate([shares[split] for shares in found], axis=1)
            for split in ("dev", "test")
        }
        score = metrics.choose(kind, splits["dev"].labels, predictions["dev"])
        yield Rule(name, predictions, score)


def best(found: Sequence[Rule]) -> Rule:
    """The rule with the best score on dev; of equals the first."""
    return max(found, key=lambda rule: rule.dev)


def _shares(
    name: str,
    splits: Mapping[str, Rows],
    labels: Mapping[str, np.ndarray],
    classes: int,
    alike: Alike,
) -> Shares:
    if name in KINDS:
        return _by_likeness(name, labels, classes, alike)
    if name in ("length", "gc"):
        measure = _lengths if name == "length" else _gc
        values = {split: measure(rows.sequences) for split, rows in splits.items()}
        inner = np.linspace(0, 1, BINS + 1)[1:-1]
        edges = np.unique(np.quantile(values["train"], inner, method="lower"))
        bins = {split: np.searchsorted(edges, found) for split, found in values.items()}
        return _by_table(bins, len(edges) + 1, labels["train"], classes)
    if name == "composition":
        return _by_letters(_quads, 4**ORDER, splits, labels["train"], classes)
    longest = int(_lengths(splits["train"].sequences).max())
    positions = lambda sequences: _placed(sequences, longest)  # noqa: E731
    return _by_letters(positions, longest, splits, labels["train"], classes)


def _by_likeness(
    name: str, labels: Mapping[str, np.ndarray], classes: int, alike: Alike
) -> Shares:
    """The label that most rows that are alike have; of a partner what that says."""
    known = {"train": labels["train"]}
    votes = {
        "dev": alike.votes(name, "dev", known, classes),
        "test": alike.votes(name, "test", {**known, "dev": labels["dev"]}, classes),
    }
    if name in PARTNERS:
        votes["train"] = alike.votes(name, "train", known, classes)
        says = {split: _named(found, classes) for split, found in votes.items()}
        return _by_table(says, classes + 1, labels["train"], classes)
    prior = np.bincount(labels["train"], minlength=classes) / len(labels["train"])
    shares = {split: found + 1e-9 * prior for split, found in votes.items()}
    return {split: p / p.sum(1, keepdims=True) for split, p in shares.items()}


def _named(votes: np.ndarray, classes: int) -> np.ndarray:
    """The class with most votes (n,); `classes` where there are none."""
    return np.where(votes.any(1), votes.argmax(1), classes)


def _by_table(
    bins: Mapping[str, np.ndarray], size: int, labels: np.ndarray, classes: int
) -> Shares:
    """The shares of the classes in each row's bin, by the rows of train."""
    counts = np.bincount(bins["train"] * classes + labels, minlength=size * classes)
    prior = np.bincount(labels, minlength=classes) / len(labels)
    table = counts.reshape(size, classes) + prior
    table /= table.sum(1, keepdims=True)
    return {split: table[bins[split]] for split in ("dev", "test")}


def _by_letters(
    features: Callable[[Sequence[str]], Blocks],
    positions: int,
    splits: Mapping[str, Rows],
    labels: np.ndarray,
    classes: int,
) -> Shares:
    """Bayes' rule with each class's frequencies of the four letters at each place.

    `features` gives 4 * position + letter for each letter of a row, and
    4 * `positions` for
    one that does not count. The place is a position, or the three letters before.
    """
    counts = np.ones((classes, positions * 4 + 1))
    for rows, found in features(splits["train"].sequences):
        for label in range(classes):
            own = found[labels[rows] == label].ravel()
            counts[label] += np.bincount(own, minlength=positions * 4 + 1)
    table = counts[:, :-1].reshape(classes, positions, 4)
    weights = np.zeros((classes, positions * 4 + 1), np.float32)
    weights[:, :-1] = np.log(table / table.sum(2, keepdims=True)).reshape(classes, -1)
    prior = np.bincount(labels, minlength=classes) / len(labels)
    shares = {}
    for split in ("dev", "test"):
        scores = np.empty((len(splits[split].sequences), classes))
        for rows, found in features(splits[split].sequences):
            scores[rows] = np.stack([w[found].sum(1) for w in weights], axis=1)
        with np.errstate(divide="ignore"):  # a class that train lacks is never named
            scores += np.log(prior)
        scores = np.exp(scores - scores.max(1, keepdims=True))
        shares[split] = scores / scores.sum(1, keepdims=True)
    return shares


def _quads(sequences: Sequence[str]) -> Blocks:
    """Of each letter but the first three: itself and the three before it."""
    for rows, codes in kmers.blocks(sequences):
        ids = kmers.kmer_ids(codes, ORDER + 1).astype(np.int64)
        is_word = ids >= kmers.NUM_SPECIAL
        yield rows, np.where(is_word, ids - kmers.NUM_SPECIAL, 4 ** (ORDER + 1))


def _placed(sequences: Sequence[str], longest: int) -> Blocks:
    """Of each letter up to `longest`: itself and where it stands."""
    for rows, codes in kmers.blocks(sequences):
        codes = codes[:, :longest].astype(np.int64)
        found = np.arange(codes.shape[1]) * 4 + codes
        yield rows, np.where(codes < OTHER, found, 4 * longest)


def _lengths(sequences: Sequence[str]) -> np.ndarray:
    return np.fromiter(map(len, sequences), np.float64, len(sequences))


def _gc(sequences: Sequence[str]) -> np.ndarray:
    """The share of G and C of the letters that are bases; 0 without any."""
    found = np.zeros(len(sequences))
    for rows, codes in kmers.blocks(sequences):
        bases = (codes < OTHER).sum(1)
        found[rows] = ((codes > 1) & (codes < OTHER)).sum(1) / np.maximum(bases, 1)
    return found

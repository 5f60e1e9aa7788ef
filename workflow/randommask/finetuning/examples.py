"""A benchmark dataset as `data.prepare` wrote it: sequences and labels, checked.

Nothing here imports torch, which the linear control does without.

Shapes: N rows, O targets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from randommask import metrics
from randommask.data import prepared
from randommask.data.sampling import sample
from randommask.errors import InputError
from randommask.experiment.datasets import SPLITS
from randommask.experiment.hparams import Run


@dataclass(frozen=True)
class Split:
    """The rows of one split that are used, in the order of its file."""

    where: str
    """File, dataset and split, for messages."""
    sequences: list[str]
    labels: np.ndarray
    """int64 (N,) classes, or float64 (N, O) values or labels of 0 and 1."""
    sha256: str
    """Of the file."""


@dataclass(frozen=True)
class Examples:
    """A dataset: what is to be predicted, and its three splits by name."""

    dataset: str
    type: str
    """`classification`, `multilabel` or `regression`."""
    classes: int | None
    targets: tuple[str, ...]
    splits: Mapping[str, Split]

    @property
    def outputs(self) -> int:
        """What a model has to put out: classes, or targets."""
        return self.classes or len(self.targets)

    @property
    def checksums(self) -> dict[str, str]:
        """sha256 of the files by split."""
        return {name: split.sha256 for name, split in self.splits.items()}


def read(folder: str | Path, run: Run) -> Examples:
    """Read a dataset's folder; of train, `train_rows` chosen by the run's seed.

    Raises `InputError` for a file that is not the one `data.prepare` made, a label that
    cannot be, and a dataset other than that of the `run`.
    """
    [data] = read_each(folder, [run])
    return data


def read_each(folder: str | Path, runs: Sequence[Run]) -> list[Examples]:
    """The same for runs that differ in their seeds alone, read once.

    Where all learn from the same rows, it is one object.
    """
    whole = _read(folder, runs[0])
    return [_few(whole, run) for run in runs]


def _read(folder: str | Path, run: Run) -> Examples:
    folder = Path(folder)
    known = prepared.summary(folder)
    expected = {"dataset": known.dataset, "metric": metrics.CHOSEN_BY[known.type]}
    for key, value in expected.items():
        if getattr(run, key) != value:
            raise InputError(
                f"--hparams: {key} is {getattr(run, key)}, expected {value} "
                f"({folder}/{prepared.SUMMARY})"
            )
    splits = {}
    for name in SPLITS:
        table = prepared.table(folder, name, known)
        where = f"{folder / name}.parquet: {known.dataset} {name}"
        if known.type == metrics.CLASSIFICATION:
            labels = _classes(table["label"], known.classes, where)
        else:
            labels = _values(table, known.columns, where)
        sequences = table["sequence"].to_pylist()
        splits[name] = Split(where, sequences, labels, known.sha256[name])
    return Examples(known.dataset, known.type, known.classes, known.targets, splits)


def _few(data: Examples, run: Run) -> Examples:
    """With the rows that the run learns from: all, or as many as it is told."""
    train = data.splits["train"]
    if run.train_rows is None or run.train_rows >= len(train.labels):
        return data
    kept = sample(train.labels, run.train_rows, (run.seed, 0))
    sequences = [train.sequences[row] for row in kept]
    train = replace(train, sequences=sequences, labels=train.labels[kept])
    return replace(data, splits={**data.splits, "train": train})


def _classes(column: pa.ChunkedArray, classes: int, where: str) -> np.ndarray:
    labels = np.array(column.to_pylist(), np.int64)
    wrong = (labels < 0) | (labels >= classes)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{where} row {row}: label is {labels[row]}, expected 0 to {classes - 1}"
        )
    return labels


def _values(table: pa.Table, columns: list[str], where: str) -> np.ndarray:
    labels = np.array([table[name].to_pylist() for name in columns], np.float64).T
    wrong = ~np.isfinite(labels)
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        found = labels[row, column]
        raise InputError(
            f"{where} row {row}: {columns[column]} is {found}, expected a number"
        )
    return labels

"""A benchmark dataset as `data.prepare` wrote it: sequences and labels, checked.

Nothing here imports torch, which the linear control does without.

Shapes: N rows, O targets.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from randommask import files, metrics
from randommask.errors import InputError
from randommask.experiment.datasets import SPLITS
from randommask.experiment.hparams import Run


@dataclass(frozen=True)
class Split:
    """The rows of one split, in the order of its file."""

    where: str
    """File, dataset and split, for messages."""
    sequences: list[str]
    labels: np.ndarray
    """int64 (N,) classes, or float64 (N, O) values."""
    sha256: str
    """Of the file."""


@dataclass(frozen=True)
class Examples:
    """A dataset: what is to be predicted, and its three splits by name."""

    dataset: str
    type: str
    """`classification` or `regression`."""
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
    """Read a dataset's folder.

    Raises `InputError` for a file that is no parquet, a label that cannot be, and a
    dataset other than that of the `run`.
    """
    folder = Path(folder)
    summary = files.read_json(folder / "summary.json")
    try:
        dataset, kind = summary["dataset"], summary["type"]
        classes, targets = summary["classes"], tuple(summary["targets"])
    except KeyError as error:
        raise InputError(f"{folder / 'summary.json'}: no key {error}") from None
    expected = {"dataset": dataset, "metric": metrics.CHOSEN_BY[kind]}
    for key, value in expected.items():
        if getattr(run, key) != value:
            raise InputError(
                f"--hparams: {key} is {getattr(run, key)}, expected {value} "
                f"({folder}/summary.json)"
            )
    columns = [f"label_{target}" for target in targets] or ["label"]
    splits = {}
    for name in SPLITS:
        path = folder / f"{name}.parquet"
        checksum = files.sha256(path)
        table = _read_table(path, ["sequence", *columns])
        where = f"{path}: {dataset} {name}"
        if kind == metrics.CLASSIFICATION:
            labels = _classes(table["label"], classes, where)
        else:
            labels = _values(table, columns, where)
        sequences = table["sequence"].to_pylist()
        splits[name] = Split(where, sequences, labels, checksum)
    return Examples(dataset, kind, classes, targets, splits)


def _read_table(path: Path, columns: list[str]) -> pa.Table:
    try:
        # read_table would import the machinery for datasets of many files
        table = pq.ParquetFile(path).read()
    except (pa.ArrowInvalid, OSError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path}: not readable as parquet ({first})") from None
    for column in columns:
        if column not in table.column_names:
            raise InputError(f"{path}: no column {column}")
    if not table.num_rows:
        raise InputError(f"{path}: 0 rows, expected at least 1")
    return table


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

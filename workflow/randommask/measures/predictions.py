"""What the runs predicted for the rows of a test split, held against its labels.

Shapes: N test rows, C classes, O outputs.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from randommask import metrics
from randommask.data import prepared
from randommask.errors import InputError
from randommask.measures.runs import Run

_SCORED_ALIKE = 1e-4
"""Largest difference, in per cent, of a score made again from the same predictions."""


@dataclass(frozen=True)
class Test:
    """The labels of a test split: classes (N,) int64, or numbers (N, O) float64."""

    path: Path
    labels: np.ndarray
    names: tuple[str, ...]


def read_test(path: Path) -> Test:
    """The labels in `<results>/benchmark/<dataset>/test.parquet`."""
    known = prepared.summary(path.parent)
    table = prepared.table(path.parent, path.stem, known, sequences=False)
    return Test(path, _numbers(table, known.columns), tuple(known.columns))


def test_of(run: Run) -> Test:
    """The labels as a run has them beside its predictions, where the split is gone."""
    path = run.path.with_name("predictions.parquet")
    columns = _read(path).column_names
    names = [name for name in columns if name == "label" or name[:6] == "label_"]
    if not names:
        raise InputError(f"{path}: no column 'label', expected predictions of a run")
    return Test(path, _columns(path, names), tuple(names))


def read(run: Run, test: Test) -> np.ndarray:
    """The predictions of a run: the class named (N,) int64, or numbers (N, O) float64.

    Of several labels the numbers are 0 and 1, whose Pearson correlation is their MCC.

    Raises `InputError` naming the file where it is missing or unreadable, was made for
    other rows or labels than those of `test`, or does not give the score of its run.
    """
    path = run.path.with_name("predictions.parquet")
    found = _read(path).column_names
    if missing := [name for name in test.names if name not in found]:
        raise InputError(
            f"{path}: no column {missing[0]!r}, expected as in {test.path}"
        )
    labels = _columns(path, list(test.names))
    if len(labels) != len(test.labels):
        raise InputError(
            f"{path}: {len(labels)} rows, expected {len(test.labels)} as in {test.path}"
        )
    differ = labels != test.labels
    if differ.any():
        row = int(np.argwhere(differ)[0][0])
        raise InputError(
            f"{path}: row {row}: label {labels[row]}, expected {test.labels[row]} as in"
            f" {test.path}"
        )
    if test.names == ("label",):
        names = [name for name in found if name[:1] == "p" and name[1:].isdigit()]
        values = _columns(path, names or ["p0"]).reshape(len(labels), -1)
        if labels.max(initial=0) >= values.shape[1]:
            raise InputError(
                f"{path}: {values.shape[1]} classes, expected {labels.max() + 1}"
            )
        score = metrics.mcc(metrics.confusion(labels, values))
        predicted = values.argmax(1)
    else:
        # probabilities of labels that are each there or not, else numbers
        letter = "p" if f"p{test.names[0][5:]}" in found else "y"
        predicted = _columns(path, [f"{letter}{name[5:]}" for name in test.names])
        if letter == "p":
            predicted = metrics.decided(predicted)
        score = float(metrics.pearsons(labels, predicted).mean())
    if abs(100 * score - run.score) > _SCORED_ALIKE:
        raise InputError(
            f"{path}: gives a score of {score:.6f}, expected {run.score / 100:.6f}"
            f" as in {run.path}"
        )
    return predicted


def _columns(path: Path, names: list[str]) -> np.ndarray:
    """One column as it is, or several side by side; classes int64, numbers float64."""
    return _numbers(_read(path, names), names)


def _read(path: Path, names: list[str] | None = None) -> pa.Table:
    # Arrow's own error has no file name of its own.
    return prepared.parquet(path, path.read_bytes(), names)


def _numbers(table: pa.Table, names: list[str]) -> np.ndarray:
    columns = [table[name].to_numpy() for name in names]
    if names == ["label"]:
        return columns[0].astype(np.int64)
    return np.stack(columns, axis=1).astype(np.float64)

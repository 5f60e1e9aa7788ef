"""A benchmark dataset as fine-tuning takes it: all its tokens in memory, its labels.

Shapes: N rows, T tokens of the longest row, O targets.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from randommask import files, kmers, metrics
from randommask.encoders import families
from randommask.errors import InputError

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Split:
    """The rows of one split, in the order of its file."""

    ids_NT: np.ndarray
    """int16, which torch indexes; the ids are small enough."""
    lengths_N: np.ndarray
    """Tokens of each row, specials among them, padding not."""
    labels: np.ndarray
    """int64 (N,) classes, or float64 (N, O) values."""
    sha256: str
    """Of the file."""


@dataclass(frozen=True)
class Examples:
    """A dataset: what is asked, and its three splits by name."""

    dataset: str
    type: str
    classes: int | None
    targets: tuple[str, ...]
    splits: dict[str, Split]

    @property
    def outputs(self) -> int:
        """What a model has to put out: classes, or targets."""
        return self.classes or len(self.targets)


def read(
    folder: str | Path, tokenization: str, encoder: str | Path, truncate: bool = False
) -> Examples:
    """Read what `data.prepare` wrote into `folder`; tokenize it for `encoder`.

    Raises `InputError` for a file that is missing or unreadable, a tokenization that
    the encoder's family does not read, a label that cannot be, and a sequence that has
    more tokens than the encoder positions; with `truncate` it is cut at its end.
    """
    folder, family = Path(folder), families.of(encoder)
    if tokenization not in family.TOKENIZATIONS:
        known = " or ".join(family.TOKENIZATIONS)
        raise InputError(f"{encoder}: tokenization is {tokenization}, expected {known}")
    summary = files.read_json(folder / "summary.json")
    try:
        dataset, kind = summary["dataset"], summary["type"]
        classes, targets = summary["classes"], tuple(summary["targets"])
    except KeyError as error:
        raise InputError(f"{folder / 'summary.json'}: no key {error}") from None
    columns = [f"label_{target}" for target in targets] or ["label"]
    splits = {}
    for name in SPLITS:
        path = folder / f"{name}.parquet"
        table = _read_table(path, ["sequence", *columns])
        where = f"{path}: {dataset} {name}"
        sequences = table["sequence"].to_pylist()
        ids, lengths = _tokens(sequences, tokenization, encoder, where, truncate)
        if kind == metrics.CLASSIFICATION:
            labels = _classes(table["label"], classes, where)
        else:
            labels = _values(table, columns, where)
        splits[name] = Split(ids, lengths, labels, files.sha256(path))
    return Examples(dataset, kind, classes, targets, splits)


def _read_table(path: Path, columns: list[str]) -> pa.Table:
    try:
        # read_table would import the machinery for datasets of many files
        table = pq.ParquetFile(path).read()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except (pa.ArrowInvalid, OSError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path}: not readable as parquet ({first})") from None
    for column in columns:
        if column not in table.column_names:
            raise InputError(f"{path}: no column {column}")
    if not table.num_rows:
        raise InputError(f"{path}: 0 rows, expected at least 1")
    return table


def _tokens(
    sequences: list[str],
    tokenization: str,
    encoder: str | Path,
    where: str,
    truncate: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """Ids (N, T) int16 and tokens of each row (N,)."""
    family = families.of(encoder)
    config = family.read_config(encoder)
    step = 1 if tokenization != kmers.NON_OVERLAPPING else config.k
    while True:
        ids, lengths = family.tokenize(sequences, tokenization, config)
        excess = lengths - config.positions
        if excess.max() <= 0:
            return ids, lengths
        if not truncate:
            row = int(np.argmax(excess > 0))
            raise InputError(
                f"{where} row {row}: {lengths[row]} tokens of {len(sequences[row])} "
                f"bases, expected at most the encoder's {config.positions} positions "
                "(or truncate)"
            )
        for row in np.flatnonzero(excess > 0):
            # beside two specials, a token has one base at least: that many always fit
            bases = len(sequences[row]) - excess[row] * step
            sequences[row] = sequences[row][: max(bases, config.positions - 2)]


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

"""A benchmark dataset as fine-tuning takes it: all its tokens in memory, its labels.

Shapes: N rows, T tokens of the longest row, O targets.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from randommask import files, kmers, metrics
from randommask.encoder import EncoderConfig
from randommask.errors import InputError

SPLITS = ("train", "dev", "test")


@dataclass(frozen=True)
class Split:
    """The rows of one split, in the order of its file."""

    ids_NT: np.ndarray
    """int16, which torch indexes; the ids are small enough."""
    lengths_N: np.ndarray
    """Tokens of each row, [CLS] and [SEP] among them, padding not."""
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


def read(folder: str | Path, tokenization: str, config: EncoderConfig) -> Examples:
    """Read and tokenize what `randommask.benchmark` wrote into `folder`.

    Raises `InputError` for a file that is missing or unreadable, a sequence that has
    more tokens than the encoder positions, and a label that cannot be.
    """
    folder = Path(folder)
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
        ids, lengths = _tokens(sequences, tokenization, config, where)
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
    sequences: list[str], tokenization: str, config: EncoderConfig, where: str
) -> tuple[np.ndarray, np.ndarray]:
    """Ids (N, T) int16 and tokens of each row (N,)."""
    bases = np.fromiter(map(len, sequences), np.int64, len(sequences))
    step = kmers.stride(tokenization, config.k)
    lengths = np.maximum((bases - config.k) // step + 1, 0) + 2
    if (lengths > config.positions).any():
        row = int(np.argmax(lengths > config.positions))
        raise InputError(
            f"{where} row {row}: {lengths[row]} tokens, expected at most the "
            f"encoder's {config.positions} positions"
        )
    ids = kmers.tokenize(sequences, tokenization, config.k)
    return ids.view(np.int16), lengths


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

"""Read one split of a benchmark as published, and check every row of it.

Two layouts. GUE: `<source>/{train,dev,test}.csv`, found by the columns `sequence` and
`label` or, for a regression, by the names of the targets; a dataset of one's own has
the same. DeepSTARR: `Sequences_<Fold>.fa` beside `Sequences_activity_<Fold>.txt`,
joined by order, as its authors do (https://doi.org/10.5281/zenodo.5502060). The table
as published names no sequence; where it has one of the columns in `DEEPSTARR_IDS`,
each name must be the FASTA record's.

Files are read as `docs/inputs.md` says. Nothing here may import pandas, as
`pyarrow.array` and `to_numpy` do: it takes longer than most datasets.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from randommask import genome, reading
from randommask.errors import InputError
from randommask.experiment.datasets import Dataset, gue_folder

DEEPSTARR_IDS = ("id", "ID", "name", "Name", "NAME", "sequence_id", "Sequence_ID")
DEEPSTARR_FOLDS = {"train": "Train", "dev": "Val", "test": "Test"}

# IUPAC codes; U has been read as T.
LETTERS = "ACGTRYSWKMBDHVN"
COMPLEMENTS = "TGCAYRSWMKVHDBN"

NUMBER = re.compile(r" *[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)? *")


def read_split(
    source: Path, dataset: Dataset, split: str, k: int
) -> tuple[pa.Table, list[str]]:
    """Read the rows of `split` in the order of the file; return what to warn of too.

    Columns: `sequence` (string, upper case) and `label` (int64) or, for a regression,
    `label_<target>` (float64) for each target; of several labels each is 0 or 1.
    Raises `InputError` for a file that is missing, empty or no table, for a letter that
    is no nucleotide code, a sequence shorter than `k`, a label that is no number or out
    of range.
    """
    tally = genome.Tally()
    if dataset.source == "deepstarr":
        table = _read_deepstarr(source, dataset, split, k, tally)
    else:
        folder = source if dataset.own_folder else gue_folder(source, dataset.source)
        path = folder / f"{split}.csv"
        names = list(dataset.targets) or ["label"]
        cells, lines = _read_columns(path, ["sequence", *names])
        sequences = [
            _letters(f"{path}: line {line}", cell, k, tally)
            for line, cell in zip(lines, cells["sequence"], strict=True)
        ]
        columns = {"sequence": _strings(sequences)}
        if dataset.type == "classification":
            columns["label"] = _labels(path, lines, cells["label"], dataset.classes)
        else:
            columns |= {
                f"label_{name}": _numbers(path, lines, cells[name], name)
                for name in names
            }
            if dataset.type == "multilabel":
                for name in names:
                    _check_binary(path, lines, columns[f"label_{name}"], name)
        table = pa.table(columns)
    return table, [f"{split}: {note}" for note in tally.notes()]


def _read_deepstarr(
    source: Path, dataset: Dataset, split: str, k: int, tally: genome.Tally
) -> pa.Table:
    """Join the sequences and the activities of a fold by their order."""
    fold = DEEPSTARR_FOLDS[split]
    fasta = source / f"Sequences_{fold}.fa"
    activity = source / f"Sequences_activity_{fold}.txt"
    names = {f"label_{t}": f"{t.capitalize()}_log2_enrichment" for t in dataset.targets}
    cells, lines = _read_columns(activity, list(names.values()), DEEPSTARR_IDS)
    records, sequences = [], []
    for record in genome.records(fasta, tally, table=genome.LETTERS):
        genome.check(fasta, record)
        _check_length(f"{fasta}: record {record.number}", len(record.letters), k)
        records.append(record.name)
        sequences.append(record.letters.decode("ascii"))
    if len(lines) != len(sequences):
        raise InputError(
            f"{activity}: found {len(lines)} rows, but {fasta.name} has "
            f"{len(sequences)} sequences, expected as many"
        )
    for name in cells.keys() - set(names.values()):
        for row, (found, expected) in enumerate(zip(cells[name], records, strict=True)):
            if found != expected:
                raise InputError(
                    f"{activity}: line {lines[row]}: {name} is {found!r}, but record "
                    f"{row + 1} of {fasta.name} is {expected!r}"
                )
    return pa.table(
        {"sequence": _strings(sequences)}
        | {
            label: _numbers(activity, lines, cells[name], name)
            for label, name in names.items()
        }
    )


def _read_columns(
    path: Path, names: Sequence[str], optional: Sequence[str] = ()
) -> tuple[dict[str, list[str]], list[int]]:
    """The cells of each column, and the lines they stand on."""
    columns: dict[str, list[str]] = {}
    lines = []
    for row in reading.table(path, names, optional):
        if row.problem:
            raise InputError(f"{path}: line {row.line}: {row.problem}")
        lines.append(row.line)
        for name, cell in row.cells.items():
            columns.setdefault(name, []).append(cell)
    if not lines:
        raise InputError(f"{path}: found no row below the header, expected at least 1")
    return columns, lines


def _letters(where: str, cell: str, k: int, tally: genome.Tally) -> str:
    """Upper case, U as T; refuse other letters and sequences shorter than `k`."""
    letters = cell.encode()
    spelt = tally.spell(letters, genome.LETTERS)
    if wrong := genome.problem(spelt, letters):
        raise InputError(f"{where}: {wrong}")
    _check_length(where, len(spelt), k)
    return spelt.decode("ascii")


def _check_length(where: str, bases: int, k: int) -> None:
    if bases < k:
        raise InputError(
            f"{where}: found a sequence of {bases} bases, expected at least k = {k}"
        )


def _strings(texts: Sequence[str]) -> pa.ChunkedArray:
    """ASCII texts as arrow holds them."""
    offsets = np.zeros(len(texts) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, texts), np.int32, len(texts)), out=offsets[1:])
    return pa.chunked_array([_array(offsets, "".join(texts).encode("ascii"))])


def _array(offsets: np.ndarray, letters: bytes | np.ndarray) -> pa.Array:
    buffers = pa.py_buffer(offsets), pa.py_buffer(letters)
    return pa.StringArray.from_buffers(len(offsets) - 1, *buffers)


def _labels(
    path: Path, lines: list[int], cells: list[str], classes: int
) -> pa.ChunkedArray:
    """Read class numbers; refuse what is no integer in range(`classes`)."""
    labels = np.empty(len(cells), np.int64)
    for row, cell in enumerate(cells):
        # Nine digits cannot overflow, and no class number is longer.
        is_number = len(cell) <= 9 and cell.isascii() and cell.isdigit()
        if not is_number or int(cell) >= classes:
            raise InputError(
                f"{path}: line {lines[row]}: label is {cell!r}, "
                f"expected an integer from 0 to {classes - 1}"
            )
        labels[row] = int(cell)
    return _column(labels)


def _numbers(
    path: Path, lines: list[int], cells: list[str], name: str
) -> pa.ChunkedArray:
    """Read a column of numbers; refuse what is no finite number."""
    numbers = np.empty(len(cells), np.float64)
    for row, cell in enumerate(cells):
        numbers[row] = float(cell) if NUMBER.fullmatch(cell) else np.nan
        if not np.isfinite(numbers[row]):
            raise InputError(
                f"{path}: line {lines[row]}: {name} is {cell!r}, "
                "expected a finite number"
            )
    return _column(numbers)


def _check_binary(
    path: Path, lines: list[int], column: pa.ChunkedArray, name: str
) -> None:
    """Refuse a label that is neither there nor not."""
    found = values(column)
    wrong = np.flatnonzero((found != 0) & (found != 1))
    if len(wrong):
        row = wrong[0]
        raise InputError(
            f"{path}: line {lines[row]}: {name} is {found[row]:g}, expected 0 or 1"
        )


def _column(values: np.ndarray) -> pa.ChunkedArray:
    kind = pa.from_numpy_dtype(values.dtype)
    buffers = [None, pa.py_buffer(values)]
    return pa.chunked_array([pa.Array.from_buffers(kind, len(values), buffers)])


def letter_counts(sequences: pa.ChunkedArray) -> np.ndarray:
    """How often each of the 256 bytes occurs: (256,) int64."""
    counts = np.zeros(256, np.int64)
    for _, letters in _pieces(sequences):
        # bincount makes eight bytes of one: in parts, they stay in the cache
        for part in np.array_split(letters, len(letters) // 2**18 + 1):
            counts += np.bincount(part, minlength=256)
    return counts


def values(column: pa.ChunkedArray) -> np.ndarray:
    """A column of numbers or of booleans, none of them missing."""
    if pa.types.is_boolean(column.type):
        return values(column.cast(pa.uint8())).astype(bool)
    kind = np.dtype(str(column.type))
    return np.concatenate(
        [
            np.frombuffer(chunk.buffers()[1], kind)[chunk.offset :][: len(chunk)]
            for chunk in column.chunks
            if len(chunk)
        ]
        or [np.empty(0, kind)]
    )


def reverse_complements(sequences: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the other strand of each sequence; any length, IUPAC codes, upper case."""
    table = np.zeros(256, np.uint8)
    table[list(LETTERS.encode())] = list(COMPLEMENTS.encode())
    chunks = []
    for offsets, letters in _pieces(sequences):
        lengths = np.diff(offsets)
        # the reverse of all sequences in one piece is the reverse of each, last first
        backwards = np.ascontiguousarray(table[letters][::-1])
        bounds = np.zeros(len(offsets), np.int32)
        np.cumsum(lengths[::-1], out=bounds[1:])
        last = pa.Array.from_buffers(
            pa.int32(),
            len(lengths),
            [None, pa.py_buffer(np.arange(len(lengths), dtype=np.int32)[::-1].copy())],
        )
        chunks.append(_array(bounds, backwards).take(last))
    return pa.chunked_array(chunks, pa.string())


def _pieces(sequences: pa.ChunkedArray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Offsets (n + 1,) and letters of each chunk, without a copy."""
    for chunk in sequences.chunks:
        _, offsets, letters = chunk.buffers()
        if len(chunk):
            bounds = np.frombuffer(offsets, np.int32)[chunk.offset :][: len(chunk) + 1]
            text = np.frombuffer(letters or b"", np.uint8)
            yield bounds - bounds[0], text[bounds[0] : bounds[-1]]

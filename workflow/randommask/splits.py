"""Read one split of a benchmark as published, and check every row of it.

Two layouts. GUE: `<source>/{train,dev,test}.csv`, found by the columns `sequence` and
`label`. DeepSTARR: `Sequences_<Fold>.fa` beside `Sequences_activity_<Fold>.txt`, which
carries no identifier and is joined by order, as its authors do
(https://doi.org/10.5281/zenodo.5502060).

A line number counts the header as line 1 and leaves out blank lines.
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from randommask.datasets import Dataset
from randommask.errors import InputError

DEEPSTARR_FOLDS = {"train": "Train", "dev": "Val", "test": "Test"}

# IUPAC codes; U is left out, for nothing here is RNA.
LETTERS = "ACGTRYSWKMBDHVN"
COMPLEMENTS = "TGCAYRSWMKVHDBN"

NUMBER = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*$"


def read_split(source: Path, dataset: Dataset, split: str, k: int) -> pa.Table:
    """Read the rows of `split` in the order of the file.

    Columns: `sequence` (string, upper case) and `label` (int64) or, for a regression,
    `label_<target>` (float64) for each target. Raises `InputError` for a file that is
    missing, empty or no table, for a letter that is no nucleotide code, a sequence
    shorter than `k`, a label that is no number or out of range.
    """
    if dataset.source == "deepstarr":
        return _read_deepstarr(source, dataset, split, k)
    path = _find(source, dataset.source) / f"{split}.csv"
    names = list(dataset.targets) or ["label"]
    table = _read_columns(path, ["sequence", *names], ",")
    columns = {"sequence": _check_sequences(path, table["sequence"], k, "line", 2)}
    if dataset.type == "classification":
        columns["label"] = _labels(path, table["label"], dataset.classes)
    else:
        columns |= {f"label_{name}": _numbers(path, table, name) for name in names}
    return pa.table(columns)


def _find(source: Path, inside: str) -> Path:
    """Find a GUE folder, which the official archive keeps below `GUE/`."""
    folders = [source / inside, source / "GUE" / inside]
    for folder in folders:
        if folder.is_dir():
            return folder
    raise InputError(f"{folders[0]}: no such folder, nor {folders[1]}")


def _read_deepstarr(source: Path, dataset: Dataset, split: str, k: int) -> pa.Table:
    """Join the sequences and the activities of a fold by their order."""
    fold = DEEPSTARR_FOLDS[split]
    fasta = source / f"Sequences_{fold}.fa"
    activity = source / f"Sequences_activity_{fold}.txt"
    sequences = _check_sequences(fasta, _read_fasta(fasta), k, "record", 1)
    names = {f"label_{t}": f"{t.capitalize()}_log2_enrichment" for t in dataset.targets}
    table = _read_columns(activity, list(names.values()), "\t")
    if table.num_rows != len(sequences):
        raise InputError(
            f"{activity}: found {table.num_rows} rows, but {fasta.name} has "
            f"{len(sequences)} sequences, expected as many"
        )
    numbers = {label: _numbers(activity, table, n) for label, n in names.items()}
    return pa.table({"sequence": sequences} | numbers)


def _read_columns(path: Path, names: Sequence[str], delimiter: str) -> pa.Table:
    """Read the named columns of a table with a header line, as strings."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = next(csv.reader(file, delimiter=delimiter), [])
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason})") from None
    for name in names:
        if header.count(name) != 1:
            found = "more than one" if name in header else "no"
            raise InputError(
                f"{path}: found {found} column {name}, expected one "
                f"(the header is {delimiter.join(header)[:80]!r})"
            )
    try:
        table = arrow_csv.read_csv(
            path,
            # Only a single thread can say in which row it stumbled.
            read_options=arrow_csv.ReadOptions(use_threads=False),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter),
            convert_options=arrow_csv.ConvertOptions(
                include_columns=list(names),
                column_types=dict.fromkeys(names, pa.string()),
            ),
        )
    except pa.ArrowInvalid as error:
        message = str(error).splitlines()[0][:200].replace("Row #", "line ")
        raise InputError(f"{path}: {message}") from None
    if table.num_rows == 0:
        raise InputError(f"{path}: found no row below the header, expected at least 1")
    return table.combine_chunks()


def _read_fasta(path: Path) -> pa.ChunkedArray:
    """Read the sequences of a FASTA file in order; names are not kept."""
    sequences: list[str] = []
    try:
        with open(path, encoding="ascii") as file:
            parts: list[str] | None = None
            for line in map(str.strip, file):
                if line.startswith(">"):
                    if parts is not None:
                        sequences.append("".join(parts))
                    parts = []
                elif line:
                    if parts is None:
                        raise InputError(
                            f"{path}: starts with {line[:20]!r}, expected '>'"
                        )
                    parts.append(line)
            if parts is not None:
                sequences.append("".join(parts))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not plain text ({error.reason})") from None
    if not sequences:
        raise InputError(f"{path}: found no sequence, expected at least 1")
    return pa.chunked_array([pa.array(sequences, pa.string())])


def _check_sequences(
    path: Path, sequences: pa.ChunkedArray, k: int, unit: str, first: int
) -> pa.ChunkedArray:
    """Raise to upper case; refuse other letters and sequences shorter than `k`.

    An error calls a row `unit` and counts from `first`.
    """
    sequences = pc.utf8_upper(sequences)
    row = _first_false(pc.match_substring_regex(sequences, f"^[{LETTERS}]*$"))
    if row is not None:
        letters = sequences[row].as_py()
        letter = next(letter for letter in letters if letter not in LETTERS)
        raise InputError(
            f"{path}: {unit} {row + first}: found {letter!r} in the sequence, "
            f"expected letters of {LETTERS}"
        )
    row = _first_false(pc.greater_equal(pc.binary_length(sequences), k))
    if row is not None:
        raise InputError(
            f"{path}: {unit} {row + first}: found a sequence of "
            f"{len(sequences[row].as_py())} bases, expected at least k = {k}"
        )
    return sequences


def _labels(path: Path, cells: pa.ChunkedArray, classes: int) -> pa.ChunkedArray:
    """Read class numbers; refuse what is no integer in range(`classes`)."""
    # Nine digits cannot overflow, and no class number is longer.
    row = _first_false(pc.match_substring_regex(cells, "^[0-9]{1,9}$"))
    if row is None:
        labels = pc.cast(cells, pa.int64())
        row = _first_false(pc.less(labels, classes))
    if row is not None:
        raise InputError(
            f"{path}: line {row + 2}: label is {cells[row].as_py()!r}, "
            f"expected an integer from 0 to {classes - 1}"
        )
    return labels


def _numbers(path: Path, table: pa.Table, name: str) -> pa.ChunkedArray:
    """Read a column of numbers; refuse what is no finite number."""
    cells = table[name]
    row = _first_false(pc.match_substring_regex(cells, NUMBER))
    if row is None:
        values = pc.cast(pc.utf8_trim_whitespace(cells), pa.float64())
        row = _first_false(pc.is_finite(values))
    if row is not None:
        raise InputError(
            f"{path}: line {row + 2}: {name} is {cells[row].as_py()!r}, "
            "expected a finite number"
        )
    return values


def _first_false(flags: pa.ChunkedArray) -> int | None:
    """Return the number of the first row that fails a check, counted from 0."""
    row = pc.index(flags, False).as_py()
    return None if row < 0 else row


def reverse_complements(sequences: pa.ChunkedArray) -> pa.Array:
    """Return the other strand of each sequence; any length, IUPAC codes, upper case.

    The reverse of all sequences in one piece is the reverse of each, last one first.
    """
    table = np.zeros(256, np.uint8)
    table[list(LETTERS.encode())] = list(COMPLEMENTS.encode())
    lengths = pc.binary_length(sequences).to_numpy()
    letters = np.frombuffer("".join(sequences.to_pylist()).encode(), np.uint8)
    offsets = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths[::-1], out=offsets[1:])
    backwards = pa.StringArray.from_buffers(
        len(lengths),
        pa.py_buffer(offsets),
        pa.py_buffer(np.ascontiguousarray(table[letters][::-1])),
    )
    return backwards.take(pa.array(np.arange(len(lengths))[::-1]))

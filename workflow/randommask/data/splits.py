"""Read one split of a benchmark as published, and check every row of it.

Two layouts. GUE: `<source>/{train,dev,test}.csv`, found by the columns `sequence` and
`label` or, for a regression, by the names of the targets; a dataset of one's own has
the same. DeepSTARR: `Sequences_<Fold>.fa` beside `Sequences_activity_<Fold>.txt`,
joined by order, as its authors do (https://doi.org/10.5281/zenodo.5502060). The table
as published names no sequence; where it has one of the columns in `DEEPSTARR_IDS`,
each name must be the FASTA record's.

Upper or lower case, LF or CRLF, with or without a byte order mark: all are read alike.
A line number counts the header as line 1 and leaves out blank lines. Nothing here may
import pandas, as `pyarrow.array` and `to_numpy` do: it takes longer than most datasets.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from randommask.errors import InputError
from randommask.experiment.datasets import Dataset, gue_folder
from randommask.genome import read_letters

DEEPSTARR_IDS = ("id", "name", "sequence_id")
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
    folder = source if dataset.own_folder else gue_folder(source, dataset.source)
    path = folder / f"{split}.csv"
    names = list(dataset.targets) or ["label"]
    table = _read_columns(path, ["sequence", *names], ",")
    columns = {"sequence": _check_sequences(path, table["sequence"], k, "line", 2)}
    if dataset.type == "classification":
        columns["label"] = _labels(path, table["label"], dataset.classes)
    else:
        columns |= {f"label_{name}": _numbers(path, table, name) for name in names}
    return pa.table(columns)


def _read_deepstarr(source: Path, dataset: Dataset, split: str, k: int) -> pa.Table:
    """Join the sequences and the activities of a fold by their order."""
    fold = DEEPSTARR_FOLDS[split]
    fasta = source / f"Sequences_{fold}.fa"
    activity = source / f"Sequences_activity_{fold}.txt"
    names = {f"label_{t}": f"{t.capitalize()}_log2_enrichment" for t in dataset.targets}
    ids = [c for c in _header(activity, "\t") if c.lower() in DEEPSTARR_IDS][:1]
    table = _read_columns(activity, [*names.values(), *ids], "\t")
    sequences, records = _read_fasta(fasta)
    sequences = _check_sequences(fasta, sequences, k, "record", 1)
    if table.num_rows != len(sequences):
        raise InputError(
            f"{activity}: found {table.num_rows} rows, but {fasta.name} has "
            f"{len(sequences)} sequences, expected as many"
        )
    for name in ids:
        for row, (found, expected) in enumerate(
            zip(table[name].to_pylist(), records, strict=True)
        ):
            if found != expected:
                raise InputError(
                    f"{activity}: line {row + 2}: {name} is {found!r}, but record "
                    f"{row + 1} of {fasta.name} is {expected!r}"
                )
    numbers = {label: _numbers(activity, table, n) for label, n in names.items()}
    return pa.table({"sequence": sequences} | numbers)


def _header(path: Path, delimiter: str) -> list[str]:
    """The names of a table's columns."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return next(csv.reader(file, delimiter=delimiter), [])
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason})") from None


def _read_columns(path: Path, names: Sequence[str], delimiter: str) -> pa.Table:
    """Read the named columns of a table with a header line, as strings."""
    header = _header(path, delimiter)
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


def _read_fasta(path: Path) -> tuple[pa.ChunkedArray, list[str]]:
    """Read the sequences of a FASTA file in order, and their names."""
    names, starts, letters = [], [], bytearray()
    for name, sequence in read_letters(path):
        names.append(name)
        starts.append(len(letters))
        letters += sequence
    if not letters.isascii():
        raise InputError(f"{path}: not plain text")
    offsets = np.array([*starts, len(letters)], np.int32)
    return pa.chunked_array([_strings(offsets, letters)]), names


def _strings(offsets: np.ndarray, letters: bytearray | np.ndarray) -> pa.Array:
    buffers = pa.py_buffer(offsets), pa.py_buffer(letters)
    return pa.StringArray.from_buffers(len(offsets) - 1, *buffers)


def _check_sequences(
    path: Path, sequences: pa.ChunkedArray, k: int, unit: str, first: int
) -> pa.ChunkedArray:
    """Raise to upper case; refuse other letters and sequences shorter than `k`.

    An error calls a row `unit` and counts from `first`.
    """
    sequences = pc.ascii_upper(sequences)
    counts = letter_counts(sequences)
    if counts.sum() > counts[list(LETTERS.encode())].sum():
        plain = pc.match_substring_regex(sequences, f"^[{LETTERS}]*$")
        row = _first_false(values(plain))
        letters = sequences[row].as_py()
        letter = next(letter for letter in letters if letter not in LETTERS)
        raise InputError(
            f"{path}: {unit} {row + first}: found {letter!r} in the sequence, "
            f"expected letters of {LETTERS}"
        )
    row = _first_false(values(pc.binary_length(sequences)) >= k)
    if row is not None:
        raise InputError(
            f"{path}: {unit} {row + first}: found a sequence of "
            f"{len(sequences[row].as_py())} bases, expected at least k = {k}"
        )
    return sequences


def _labels(path: Path, cells: pa.ChunkedArray, classes: int) -> pa.ChunkedArray:
    """Read class numbers; refuse what is no integer in range(`classes`)."""
    # Nine digits cannot overflow, and no class number is longer.
    row = _first_false(values(pc.match_substring_regex(cells, "^[0-9]{1,9}$")))
    if row is None:
        labels = pc.cast(cells, pa.int64())
        row = _first_false(values(labels) < classes)
    if row is not None:
        raise InputError(
            f"{path}: line {row + 2}: label is {cells[row].as_py()!r}, "
            f"expected an integer from 0 to {classes - 1}"
        )
    return labels


def _numbers(path: Path, table: pa.Table, name: str) -> pa.ChunkedArray:
    """Read a column of numbers; refuse what is no finite number."""
    cells = table[name]
    row = _first_false(values(pc.match_substring_regex(cells, NUMBER)))
    if row is None:
        numbers = pc.cast(pc.utf8_trim_whitespace(cells), pa.float64())
        row = _first_false(np.isfinite(values(numbers)))
    if row is not None:
        raise InputError(
            f"{path}: line {row + 2}: {name} is {cells[row].as_py()!r}, "
            "expected a finite number"
        )
    return numbers


def _first_false(flags: np.ndarray) -> int | None:
    """Return the number of the first row that fails a check, counted from 0."""
    return None if flags.all() else int(flags.argmin())


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
        chunks.append(_strings(bounds, backwards).take(last))
    return pa.chunked_array(chunks, pa.string())


def _pieces(sequences: pa.ChunkedArray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Offsets (n + 1,) and letters of each chunk, without a copy."""
    for chunk in sequences.chunks:
        _, offsets, letters = chunk.buffers()
        if len(chunk):
            bounds = np.frombuffer(offsets, np.int32)[chunk.offset :][: len(chunk) + 1]
            text = np.frombuffer(letters or b"", np.uint8)
            yield bounds - bounds[0], text[bounds[0] : bounds[-1]]

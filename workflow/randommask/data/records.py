"""Sequences of one's own, for `predict` and `embed`: read, named, cut into windows.

A file is a FASTA, or a table with a column `sequence` and perhaps `id`;
`docs/inputs.md` says how both are read. A record that cannot be used does not lose the
others: it comes as a window with a problem.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from randommask import genome, reading
from randommask.errors import InputError
from randommask.genome import Record, Tally

# Windows tokenized together: enough to keep the tokenizer's cost a window low, and
# few enough that a genome is never in memory as text.
CHUNK = 1024
INCOMPLETE = 3
"""Exit status where nothing could be made of some records."""


class Window(NamedTuple):
    """A stretch of a record, or a record that cannot be predicted."""

    record: int
    name: str
    start: int
    end: int
    bases: str
    problem: str | None = None
    windows: int = 0
    """Of the record, in all."""
    more: tuple[str, ...] = ()
    """What else is known of the record, by the columns of its source."""


def starts(length: int, window: int) -> Iterator[int]:
    """Where the windows of a sequence start: each half a window after the one before.

    The last ends with the sequence.

    >>> list(starts(10, 4)), list(starts(11, 4)), list(starts(3, 4))
    ([0, 2, 4, 6], [0, 2, 4, 6, 7], [0])
    """
    last = max(0, length - window)
    yield from range(0, last, max(1, window // 2))
    yield last


def count(length: int, window: int) -> int:
    """How many windows `starts` makes.

    >>> count(10, 4), count(11, 4), count(3, 4)
    (4, 5, 1)
    """
    return -(-max(0, length - window) // max(1, window // 2)) + 1


def cut(records: Iterator[Record], window: int, least: int) -> Iterator[Window]:
    """Cut records into windows; one that is shorter than `least` bases is a problem."""
    for number, name, codes, problem in records:
        length = 0 if problem else len(codes)
        if not problem and length < least:
            problem = f"{length} bases, expected at least {least}"
        if problem:
            yield Window(number, name, 0, 0, "", problem)
            continue
        codes_n = np.frombuffer(codes, np.uint8)
        for start in starts(length, window):
            end = min(start + window, length)
            bases = genome.decode(codes_n[start:end])
            made = count(length, window)
            yield Window(number, name, start, end, bases, windows=made)


def of_table(path: str | Path, tally: Tally) -> Iterator[Record]:
    """The rows of a table with a column `sequence`, as records."""
    number = 0
    for number, row in enumerate(reading.table(path, ["sequence"], ["id"]), 1):
        name = row.cells.get("id", "" if row.problem else str(number - 1))
        if row.problem:
            problem = f"line {row.line}: {row.problem}"
            yield Record(number, name, b"", problem)
            continue
        letters = row.cells["sequence"].encode()
        codes = tally.spell(letters, genome.CODES)
        problem = genome.problem(codes, letters)
        yield Record(number, name, codes, problem or (None if codes else genome.EMPTY))
    if not number:
        raise InputError(f"{path}: 0 rows, expected at least 1")


class Names:
    """The names that passed by: those that say too little of which record is meant."""

    def __init__(self) -> None:
        self.records = self.nameless = self.repeated = 0
        self.first = ""
        self._seen: set[int] = set()

    def watch(self, records: Iterator[Record]) -> Iterator[Record]:
        """Pass records on."""
        for record in records:
            self.records += 1
            key = hash(record.name)  # the names themselves may take gigabytes
            if not record.name:
                self.nameless += 1
            elif key in self._seen:
                self.first = self.first or record.name
                self.repeated += 1
            self._seen.add(key)
            yield record

    def say(self, path: str | Path) -> None:
        """Tell on stderr."""
        if self.repeated:
            print(
                f"note: {path}: {self.repeated} records have the name of one before "
                f"(the first is {self.first[:60]!r}); column record tells them apart",
                file=sys.stderr,
            )
        if self.nameless:
            print(f"note: {path}: {self.nameless} records have no id", file=sys.stderr)


class Source:
    """The records of a FASTA file or a table, and what there is to say of them."""

    columns: ClassVar[tuple[str, ...]] = ()
    """What else than a name there is of each record."""

    def __init__(self, fasta: str | Path | None, table: str | Path | None) -> None:
        self.path = table if fasta is None else fasta
        self._read = of_table if fasta is None else genome.records
        self._tally, self._names = Tally(), Names()
        self._missed: dict[int, str] = {}

    def windows(self, size: int, least: int) -> Iterator[Window]:
        """All records, cut: see `cut`."""
        read = self._read(self.path, self._tally)
        return cut(self._names.watch(read), size, least)

    def miss(self, record: int, problem: str) -> None:
        """Take down why there is nothing of a record; the first reason stays."""
        self._missed.setdefault(record, problem)

    def say(self, what: str) -> int:
        """Tell on stderr of letters, names and records without `what`; count these."""
        self._tally.say(self.path)
        self._names.say(self.path)
        if self._missed:
            number, problem = next(iter(self._missed.items()))
            print(
                f"warning: {self.path}: {len(self._missed)} of {self._names.records} "
                f"records without a {what}, the first is record {number}: {problem}",
                file=sys.stderr,
            )
        return len(self._missed)

"""Nucleotides as codes, `A0 T1 C2 G3` and 4 for everything else; FASTA.

A letter is read in either case, U as T, and the other IUPAC codes as unknown.
"""

import runpy
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from randommask import reading
from randommask.errors import InputError

if TYPE_CHECKING:
    from hashlib import _Hash as Digest

ALPHABET = "ATCG"
OTHER = len(ALPHABET)

IUPAC = "ACGTURYSWKMBDHVN"
INVALID = 255
EMPTY = "empty, expected bases"
WHITESPACE = b" \t\n\v\f\r"


def _table(unknown: int, codes: bool = True) -> bytes:
    """What each byte is read as; `unknown` if no IUPAC letter stands for it."""
    table = np.full(256, unknown, np.uint8)
    for letter in IUPAC:
        read = "T" if letter == "U" else letter
        code = ALPHABET.find(read) % (OTHER + 1) if codes else ord(read)
        table[[ord(letter), ord(letter.lower())]] = code
    return table.tobytes()


_LENIENT = _table(OTHER)
CODES = _table(INVALID)
"""Of each letter, its code."""
LETTERS = _table(INVALID, codes=False)
"""Of each letter, itself in upper case, and T of U."""


@dataclass
class Tally:
    """How many letters were read as something else."""

    uracil: int = 0
    unknown: int = 0
    """IUPAC codes for more than one base; where codes are read, not letters."""

    def spell(self, letters: bytes, table: bytes, ignored: bytes = b"") -> bytes:
        """What the letters are by `CODES` or `LETTERS`; `INVALID` where not IUPAC."""
        made = letters.translate(table, ignored)
        for letter in b"Uu":
            if letter in letters:  # far faster than to count, and seldom so
                self.uracil += letters.count(letter)
        if OTHER in made:
            self.unknown += made.count(OTHER)
        return made

    def notes(self) -> list[str]:
        """What a reader has to know, a line each."""
        found = []
        if self.uracil:
            found.append(f"{self.uracil} U read as T")
        if self.unknown:
            found.append(f"{self.unknown} letters other than ACGT read as unknown")
        return found

    def say(self, path: str | Path) -> None:
        """Tell it on stderr."""
        for note in self.notes():
            print(f"note: {path}: {note}", file=sys.stderr)


class Record(NamedTuple):
    """A sequence as it came in."""

    number: int
    """From 1, in the order of the file."""
    name: str
    """The first word after `>`, which may be empty."""
    letters: bytes | None
    """Codes or letters; None where they are not wanted."""
    problem: str | None
    """Why it cannot be used."""


def encode(sequence: str | bytes) -> np.ndarray:
    """Codes of a sequence, uint8 (n,): A0 T1 C2 G3 in either case, 4 for all else.

    >>> encode("AUcgN").tolist()
    [0, 1, 2, 3, 4]
    """
    if isinstance(sequence, str):
        # One byte a character, whatever it is, so that positions stay.
        sequence = sequence.encode("latin-1", errors="replace")
    return np.frombuffer(sequence.translate(_LENIENT), np.uint8).copy()


def decode(codes: np.ndarray) -> str:
    """Letters of uint8 codes (n,), upper case, N for 4: the inverse of `encode`."""
    return np.frombuffer(b"ATCGN", np.uint8)[codes].tobytes().decode()


def intervals(codes: np.ndarray) -> np.ndarray:
    """Find the runs of A, C, G and T in codes (n,), as half-open int64 (runs, 2).

    >>> intervals(encode("NACNNGT")).tolist()
    [[1, 3], [5, 7]]
    """
    is_base = codes < OTHER
    edges = np.flatnonzero(is_base[1:] != is_base[:-1]) + 1
    starts_inside = is_base[:1].nonzero()[0]
    ends_inside = is_base[-1:].nonzero()[0] + len(codes)
    return np.concatenate([starts_inside, edges, ends_inside]).reshape(-1, 2)


def problem(
    spelt: bytes, letters: bytes, ignored: bytes = b"", before: int = 0
) -> str | None:
    """What is wrong with letters that `Tally.spell` spelt, behind `before` others."""
    bad = spelt.find(INVALID)
    if bad < 0:
        return None
    shown = ascii(letters.translate(None, ignored)[bad : bad + 1])[1:]
    return f"found {shown} at base {before + bad + 1}, expected IUPAC letters ({IUPAC})"


def read_fasta(
    path: str | Path, wanted: set[str] | None = None, digest: "Digest | None" = None
) -> Iterator[tuple[str, np.ndarray | None]]:
    """Yield the name and the codes, uint8 (n,), of each record of a FASTA file.

    The name is the first word after `>`. Records that are not in `wanted` are passed
    over unread and have None for codes. Raises `InputError` where the file is not
    FASTA or broken, a record is empty or nameless, or a letter is not an IUPAC one.
    `digest` is told the bytes of the file.
    """
    tally = Tally()
    for record in records(path, tally, wanted, digest=digest):
        check(path, record)
        codes = record.letters
        yield record.name, None if codes is None else np.frombuffer(codes, np.uint8)
    tally.say(path)


def check(path: str | Path, record: Record) -> None:
    """Raise `InputError` for a record without a name, or with a problem."""
    if not record.name:
        raise InputError(
            f"{path}: record {record.number} has no name, expected '>name'"
        )
    if record.problem:
        raise InputError(f"{path}: record {record.name}: {record.problem}")


def records(
    path: str | Path,
    tally: Tally,
    wanted: set[str] | None = None,
    table: bytes = CODES,
    digest: "Digest | None" = None,
) -> Iterator[Record]:
    """Yield each record of a FASTA file with what `table` makes of its letters.

    Raises `InputError` where the file is not FASTA; what is wrong with one record
    stands in its `problem`.
    """
    number, name, made, wrong = 0, "", None, None

    def finish() -> Record:
        empty = EMPTY if made is not None and not made else None
        return Record(number, name, made, wrong or empty)

    for is_header, piece in _pieces(path, digest):
        if is_header:
            if number:
                yield finish()
            words = piece[1:].split(maxsplit=1)
            number, wrong = number + 1, None
            name = words[0].decode(errors="replace") if words else ""
            made = bytearray() if wanted is None or name in wanted else None
        elif made is not None and not wrong:
            spelt = tally.spell(piece, table, WHITESPACE)
            if wrong := problem(spelt, piece, WHITESPACE, len(made)):
                made.clear()
            else:
                made += spelt
    yield finish()


def _pieces(path: str | Path, digest: "Digest | None") -> Iterator[tuple[bool, bytes]]:
    """Cut a FASTA file into whole header lines (True) and stretches of sequence."""
    header, is_new, is_started = bytearray(), True, False
    for block in reading.blocks(path, digest):
        if b"\r" in block:
            block = block.replace(b"\r", b"\n")
        if not is_started:
            block = block.lstrip()
            _check_start(path, block)
            is_started = bool(block)
        start = 0
        while start < len(block):
            if header or (is_new and block.startswith(b">", start)):
                end = block.find(b"\n", start) + 1
                header += block[start : end or len(block)]
                if end:
                    yield True, bytes(header)
                    header.clear()
            else:
                end = block.find(b">", start + 1)
                while end > 0 and not block.startswith(b"\n", end - 1):
                    end = block.find(b">", end + 1)
                yield False, block[start : end if end > 0 else len(block)]
            start = end if end > 0 else len(block)
            is_new = block.startswith(b"\n", start - 1)
    if header:
        yield True, bytes(header)
    if not is_started:
        raise InputError(f"{path}: empty file, expected FASTA")


def _check_start(path: str | Path, block: bytes) -> None:
    """Refuse a file whose first visible byte is not the `>` of a header."""
    if block and not block.startswith(b">"):
        shown = ascii(block[:20].split(b"\n")[0])[1:]
        raise InputError(f"{path}: not FASTA: starts with {shown}, expected '>name'")


if __name__ == "__main__":
    # Until 0.2.0 this was the command's name: an old line would do nothing, and well.
    runpy.run_module("randommask.data.shards", run_name="__main__", alter_sys=True)

"""The one door by which text comes in: unpacked, its line ends alike, rows whole.

A file may be plain, gzip or bgzip, which its first bytes say, not its name, and is read
once from front to end, so that a pipe or /dev/stdin will do. A byte order mark is left
out; CR, LF and CRLF all end a line. `docs/inputs.md` has the whole policy.
"""

import codecs
import csv
import io
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from randommask.errors import InputError

if TYPE_CHECKING:
    from hashlib import _Hash as Digest

Read = Callable[[int], bytes]
GZIP_MAGIC = b"\x1f\x8b"
BLOCK_BYTES = 1 << 23
# Read at once of a packed file: what is left of it behind a member is copied, and the
# members of a bgzip are small.
PACKED_BYTES = 1 << 16
GZIP_HEAD = 18  # bytes of a gzip's head with the field that marks a bgzip's blocks


class Row(NamedTuple):
    """A row of a table."""

    line: int
    """In the file, from 1; the header is a line too."""
    cells: dict[str, str]
    """Of the columns asked for; empty where the row is not as long as the header."""
    problem: str | None
    """What is wrong with the row."""


def blocks(path: str | Path, digest: "Digest | None" = None) -> Iterator[bytes]:
    """The bytes of a file in pieces, unpacked and without a byte order mark.

    `digest`, an object of hashlib, is told the bytes of the file as it is. Raises
    `InputError` for a gzip that is broken or cut off.
    """
    with open(path, "rb") as file:

        def read(size: int) -> bytes:
            data = file.read(size)
            if digest is not None:
                digest.update(data)
            return data

        head = read(len(codecs.BOM_UTF8))  # waits for all three, in a pipe too
        is_gzip = head.startswith(GZIP_MAGIC)
        pieces = _unpacked(path, read, head) if is_gzip else _plain(read, head)
        start = b""
        for piece in pieces:
            start += piece
            if len(start) >= len(codecs.BOM_UTF8):
                yield start.removeprefix(codecs.BOM_UTF8)
                break
        else:
            yield start
        yield from pieces


def lines(path: str | Path) -> Iterator[str]:
    """The lines of a text file, without their ends."""
    stream = io.BufferedReader(_Stream(blocks(path)), BLOCK_BYTES)
    try:
        for line in io.TextIOWrapper(stream, encoding="utf-8", newline=None):
            yield line.removesuffix("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason})") from None


def table(
    path: str | Path, needed: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[Row]:
    """The rows below the header of a table, with the columns asked for.

    Cells are parted by tabs where the header has one, else by commas, and may stand in
    double quotes, which close on their line: one that does not would swallow the rows
    behind it. Blank lines are passed over. Raises `InputError` for a quote out of
    place, and for a column that is missing or there twice.
    """
    rows = ((n, line) for n, line in enumerate(lines(path), 1) if line.strip(" "))
    line, head = next(rows, (1, ""))
    delimiter = "\t" if "\t" in head else ","
    header = _cells(path, line, head, delimiter)
    for name in (*needed, *optional):
        if (count := header.count(name)) > 1 or (name in needed and not count):
            found = "more than one" if count else "no"
            raise InputError(
                f"{path}: found {found} column {name}, expected one "
                f"(the header is {head[:80]!r})"
            )
    places = {
        name: header.index(name) for name in (*needed, *optional) if name in header
    }
    for line, text in rows:
        cells = _cells(path, line, text, delimiter)
        if len(cells) == len(header):
            yield Row(line, {name: cells[at] for name, at in places.items()}, None)
        else:
            yield Row(line, {}, f"found {len(cells)} cells, expected {len(header)}")


def _cells(path: str | Path, line: int, text: str, delimiter: str) -> list[str]:
    if '"' not in text:
        return text.split(delimiter)
    csv.field_size_limit(sys.maxsize)  # else a cell ends at 131,072 bases
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True))
    except csv.Error as error:
        found = str(error)
        if found == "unexpected end of data":
            found = "a quote is open at the end of the line"
        raise InputError(f"{path}: line {line}: {found}, expected a row") from None


def _plain(read: Read, head: bytes) -> Iterator[bytes]:
    while block := head + read(BLOCK_BYTES):
        yield block
        head = b""


def _unpacked(path: str | Path, read: Read, data: bytes) -> Iterator[bytes]:
    """The members of a gzip; those of a bgzip end with an empty one."""
    from isal import isal_zlib  # twice as fast as zlib; plain files need none

    is_open = False
    while data := data + read(max(0, GZIP_HEAD - len(data))):
        if not data.startswith(GZIP_MAGIC[: len(data)]):
            if data.strip(b"\0"):
                shown = ascii(data[:8])[1:]
                raise InputError(f"{path}: broken gzip: {shown} behind its end")
            data = read(PACKED_BYTES)  # zeros, which a tape or a disk fills up with
            continue
        is_block = len(data) > 13 and bool(data[3] & 4) and data[12:14] == b"BC"
        is_empty, member = True, isal_zlib.decompressobj(16 + isal_zlib.MAX_WBITS)
        while not member.eof:
            try:
                piece = member.decompress(data, BLOCK_BYTES)
            except isal_zlib.error as error:
                raise InputError(f"{path}: broken gzip ({error})") from None
            data = member.unconsumed_tail
            if piece:
                is_empty = False
                yield piece
            elif not data and not member.eof and not (data := read(PACKED_BYTES)):
                raise InputError(
                    f"{path}: the gzip ends too early (truncated), expected all of it"
                )
        data = member.unused_data
        is_open = is_block and not is_empty
    if is_open:
        raise InputError(
            f"{path}: the bgzip has no end marker (truncated), expected all of it"
        )


class _Stream(io.RawIOBase):
    """Pieces of bytes as a file."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces, self.left = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        while not self.left:
            piece = next(self.pieces, None)
            if piece is None:
                return 0
            self.left = memoryview(piece)
        taken = min(len(buffer), len(self.left))
        buffer[:taken], self.left = self.left[:taken], self.left[taken:]
        return taken

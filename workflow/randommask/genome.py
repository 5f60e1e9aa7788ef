"""Nucleotides as codes, `A0 T1 C2 G3` and 4 for everything else; FASTA."""

import codecs
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from randommask.errors import InputError

ALPHABET = "ATCG"
OTHER = len(ALPHABET)

IUPAC = "ACGTURYSWKMBDHVN"
INVALID = 255
WHITESPACE = b" \t\n\v\f\r"
GZIP_MAGIC = b"\x1f\x8b"
BLOCK_BYTES = 1 << 23


def _code_table(unknown: int) -> bytes:
    """Code of each byte; `unknown` for those that no IUPAC letter stands for."""
    table = np.full(256, unknown, np.uint8)
    for letters in (IUPAC, IUPAC.lower()):
        table[list(letters.encode())] = OTHER
    for letters in (ALPHABET, ALPHABET.lower()):
        table[list(letters.encode())] = range(OTHER)
    return table.tobytes()


_LENIENT = _code_table(OTHER)
_STRICT = _code_table(INVALID)


def encode(sequence: str | bytes) -> np.ndarray:
    """Codes of a sequence, uint8 (n,): A0 T1 C2 G3 in either case, 4 for all else.

    >>> encode("ATcgN").tolist()
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


def read_fasta(
    path: str | Path, wanted: set[str] | None = None
) -> Iterator[tuple[str, np.ndarray | None]]:
    """Yield the name and the codes, uint8 (n,), of each record of a FASTA file.

    The name is the first word after `>`. Records that are not in `wanted` are passed
    over unread and have None for codes. Raises `InputError` where the file is not
    FASTA or broken, a record is empty or nameless, or a letter is not an IUPAC one.
    """
    for name, codes in _records(path, wanted, _strict_codes):
        yield name, None if codes is None else np.frombuffer(codes, np.uint8)


def read_letters(path: str | Path) -> Iterator[tuple[str, bytearray]]:
    """Yield the name and the letters of each record, whatever letters they are.

    Raises `InputError` as `read_fasta` does, but for the letters.
    """
    return _records(path, None, lambda *words: words[2].translate(None, WHITESPACE))


def _records(
    path: str | Path,
    wanted: set[str] | None,
    read: Callable[[str | Path, str, bytes, int], bytes],
) -> Iterator[tuple[str, bytearray | None]]:
    """Yield each record with what `read` makes of its lines; None if it is not wanted.

    `read` is told the path, the record's name, some whole lines, and how many bytes it
    has made of the lines before them.
    """
    name, gathered = None, bytearray()

    def finish() -> tuple[str, bytearray | None]:
        if wanted is not None and name not in wanted:
            return name, None
        if not gathered:
            raise InputError(f"{path}: record {name} is empty, expected bases")
        return name, gathered

    for piece in _pieces(Path(path)):
        if piece.startswith(b">"):
            if name is not None:
                yield finish()
            words = piece[1:].split(maxsplit=1)
            if not words:
                raise InputError(f"{path}: a record has no name, expected '>name'")
            name, gathered = words[0].decode(errors="replace"), bytearray()
        elif wanted is None or name in wanted:
            gathered += read(path, name, piece, len(gathered))
    yield finish()


def _strict_codes(path: str | Path, name: str, piece: bytes, before: int) -> bytes:
    """Codes of some lines of a record, of which `before` bases have been read."""
    codes = piece.translate(_STRICT, WHITESPACE)
    bad = codes.find(INVALID)
    if bad >= 0:
        letter = piece.translate(None, WHITESPACE)[bad : bad + 1]
        raise InputError(
            f"{path}: record {name}: found {ascii(letter)[1:]} at base "
            f"{before + bad + 1}, expected IUPAC letters ({IUPAC})"
        )
    return codes


def _pieces(path: Path) -> Iterator[bytes]:
    """Cut a FASTA file into header lines and stretches of whole sequence lines."""
    with open(path, "rb") as file:
        is_gzip = file.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
        started = False
        for block in _unpacked_blocks(path, file) if is_gzip else _blocks(file):
            if not started:
                block = block.removeprefix(codecs.BOM_UTF8).lstrip()
                _check_start(path, block)
                started = bool(block)
            yield from _cut(block)
    if not started:
        raise InputError(f"{path}: empty file, expected FASTA")


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    # The line that a block ends in is completed: all cuts are at line starts.
    while block := file.read(BLOCK_BYTES) + file.readline():
        yield block


def _unpacked_blocks(path: Path, file: BinaryIO) -> Iterator[bytes]:
    from isal import igzip, isal_zlib  # twice as fast as gzip; plain files need none

    try:
        yield from _blocks(igzip.IGzipFile(fileobj=file))
    except EOFError:
        raise InputError(
            f"{path}: the gzip ends too early (truncated), expected all of it"
        ) from None
    except (igzip.BadGzipFile, isal_zlib.error) as error:
        raise InputError(f"{path}: broken gzip ({error})") from None


def _check_start(path: Path, block: bytes) -> None:
    """Refuse a file whose first visible byte is not the `>` of a header."""
    if block and not block.startswith(b">"):
        shown = ascii(block[:20].split(b"\n")[0])[1:]
        raise InputError(f"{path}: not FASTA: starts with {shown}, expected '>name'")


def _cut(block: bytes) -> Iterator[bytes]:
    """Cut a block that starts at a line start before and after each header line."""
    start = 0
    while start < len(block):
        if block.startswith(b">", start):
            end = block.find(b"\n", start) + 1
        else:
            end = block.find(b">", start)
            while end > 0 and block[end - 1] not in b"\r\n":
                end = block.find(b">", end + 1)
        end = end if end > 0 else len(block)
        yield block[start:end]
        start = end

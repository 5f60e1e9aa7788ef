"""A genome to look places up in, and the regions of a BED file there."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from randommask import genome, reading
from randommask.data import records
from randommask.data.records import Source, Window
from randommask.errors import InputError
from randommask.genome import Record, Tally

if TYPE_CHECKING:
    from pyfaidx import IndexRecord

# Codes are A0 T1 C2 G3 and 4 for all else.
COMPLEMENT = np.array([1, 0, 3, 2, 4], np.uint8)
HEADINGS = ("#", "track", "browser")
SPACE = ord(" ")
IS_SPACE = np.isin(np.arange(256), list(genome.WHITESPACE))
DIGITS = 18
"""Of a position; Python refuses to read thousands."""
HEADER_BYTES = 1 << 12
"""More than a header has."""
BLOCK_LINES = 1 << 18
UNFIT = "expected an index of the genome as it is: delete it"


class Reference(ExitStack):
    """A plain FASTA file with its index; a context that closes both.

    The index beside the file is used where it is not older, else one is made for the
    time being: nothing is written beside what is read.
    """

    def __init__(self, path: str | Path) -> None:
        from pyfaidx import Faidx, FastaIndexingError

        super().__init__()
        self.path = Path(path)
        with open(self.path, "rb") as file:
            if file.read(2) == reading.GZIP_MAGIC:
                raise InputError(f"{path}: packed, expected a plain FASTA: unpack it")
        beside = Path(f"{path}.fai")
        made_at = beside.stat().st_mtime if beside.exists() else 0
        is_fresh = made_at >= self.path.stat().st_mtime
        folder = self.enter_context(TemporaryDirectory())
        index = beside if is_fresh else Path(folder) / "index.fai"
        try:
            opened = Faidx(str(path), indexname=str(index), as_raw=True)
        except (FastaIndexingError, ValueError) as error:
            said = " ".join(str(error).split())
            if is_fresh:
                raise InputError(f"{beside}: {said}, {UNFIT}") from None
            raise InputError(f"{path}: cannot be indexed ({said})") from None
        self._faidx = self.enter_context(opened)
        self.tally = Tally()
        self.lengths = {name: one.rlen for name, one in opened.index.items()}
        self._odd_lines: dict[str, str | None] = {}
        if is_fresh:
            self._check_index(beside)

    def _check_index(self, beside: Path) -> None:
        """Raise `InputError` where an index is of another file, or of an older one.

        Each of its records has to begin below a header of its name and to end where
        another begins, the last one where the file ends: else wrong bases would be
        read, and nobody told.
        """
        behind = b""
        with open(self.path, "rb") as file:
            for name, one in sorted(
                self._faidx.index.items(), key=lambda item: item[1].offset
            ):
                file.seek(max(0, one.offset - HEADER_BYTES))
                before = file.read(min(one.offset, HEADER_BYTES))
                header = before[:-1].rpartition(b"\n")[2].split(maxsplit=1)
                file.seek(one.offset + _extent(one)[1] - 1)
                behind = file.read(HEADER_BYTES)
                is_whole = behind and behind[1:].strip()[:1] in (b"", b">")
                if header[:1] != [b">" + name.encode()] or not (
                    before.endswith(b"\n") and is_whole
                ):
                    raise InputError(f"{beside}: {name} lies elsewhere, {UNFIT}")
            if not self.lengths or behind[1:].strip() or file.read(1):
                raise InputError(f"{beside}: not of all records, {UNFIT}")

    def problem(self, chromosome: str, start: int, end: int) -> str | None:
        """Why these bases (from 0, the end not included) are not there."""
        if chromosome not in self.lengths:
            other = chromosome.removeprefix("chr")
            near = [x for x in (other, f"chr{other}") if x in self.lengths]
            hint = f"; did you mean {near[0]!r}?" if near else ""
            return f"no record {chromosome[:60]!r} in {self.path.name}{hint}"
        length = self.lengths[chromosome]
        if not 0 <= start < end <= length:
            return (
                f"bases {start} to {end}, expected a stretch of the {length} of "
                f"{chromosome}"
            )
        if chromosome not in self._odd_lines:
            self._odd_lines[chromosome] = self._odd_line(chromosome)
        return self._odd_lines[chromosome]

    def _odd_line(self, chromosome: str) -> str | None:
        """What keeps a record's bases from being counted: a line that is not letters.

        An index counts a space, a tab or a lone carriage return as a base, so that all
        bases behind it would be read from the wrong place.
        """
        one = self._faidx.index[chromosome]
        whole, size = _extent(one)
        stretch = np.memmap(self.path, np.uint8, "r", one.offset, (size,))
        lines = stretch[: whole * one.lenb].reshape(whole, one.lenb)
        for first in range(0, whole + 1, BLOCK_LINES):
            block = lines[first : first + BLOCK_LINES]
            letters, ends = block[:, : one.lenc], block[:, one.lenc :]
            is_odd = ~IS_SPACE[ends].all(axis=1)
            # six times faster than to look each letter up, and nearly always enough
            if np.count_nonzero(block <= SPACE) > np.count_nonzero(ends <= SPACE):
                is_odd |= IS_SPACE[letters].any(axis=1)
            if is_odd.any():
                line = first + int(is_odd.argmax()) + 1
                break
        else:
            if not IS_SPACE[stretch[whole * one.lenb :]].any():
                return None
            line = whole + 1
        return (
            f"{self.path.name}: {chromosome}: line {line} of it has a space or another "
            f"length, expected {one.lenc} letters a line"
        )

    def read(
        self, chromosome: str, start: int, end: int
    ) -> tuple[np.ndarray, str | None]:
        """The bases of a stretch that is there, as codes (n,), and what is wrong."""
        try:
            letters = self._faidx.fetch(chromosome, start + 1, end).encode()
        except UnicodeDecodeError as error:
            letters = error.object.translate(None, b"\r\n")
        codes = self.tally.spell(letters, genome.CODES)
        problem = genome.problem(codes, letters, before=start)
        said = f"{self.path.name}: {chromosome}: {problem}" if problem else None
        return np.frombuffer(codes, np.uint8), said


class Regions(Source):
    """The regions of a BED file, as records: cut into windows where they are long.

    A window of a region on the strand `-` is read from that strand, while its start and
    end count along the chromosome.
    """

    columns = ("chrom", "strand")

    def __init__(self, bed: str | Path, reference: Reference) -> None:
        super().__init__(None, bed)
        self.reference = reference

    def windows(self, size: int, least: int) -> Iterator[Window]:
        """All regions, cut: see `records.cut`."""
        for record, start, end, more in self._regions():
            watched = self._names.watch(iter([record]))
            for window in records.cut(watched, size, least):
                first, last = start + window.start, start + window.end
                if more[1] == "-":
                    first, last = end - window.end, end - window.start
                yield window._replace(start=first, end=last, more=more)

    def say(self, what: str) -> int:
        """Tell of the genome's letters too."""
        self.reference.tally.say(self.reference.path)
        return super().say(what)

    def _regions(self) -> Iterator[tuple[Record, int, int, tuple[str, str]]]:
        """Each region as a record, with its start, end, chromosome and strand."""
        number = 0
        for line, text in enumerate(reading.lines(self.path), 1):
            if not text.strip() or text.startswith(HEADINGS):
                continue
            number += 1
            cells = text.split("\t" if "\t" in text else None)
            start, end, problem = _span(cells, line)
            chromosome = cells[0]
            strand = cells[5] if len(cells) > 5 else "."
            name = cells[3] if len(cells) > 3 else f"{chromosome}:{start}-{end}"
            if not problem and strand not in ("+", "-", "."):
                problem = f"line {line}: strand is {strand[:20]!r}, expected +, - or ."
            problem = problem or self.reference.problem(chromosome, start, end)
            codes = b""
            if not problem:
                found, problem = self.reference.read(chromosome, start, end)
                if strand == "-" and not problem:
                    found = COMPLEMENT[found[::-1]]
                codes = found.tobytes()
            yield Record(number, name, codes, problem), start, end, (chromosome, strand)
        if not number:
            raise InputError(f"{self.path}: 0 regions, expected at least 1")


def _extent(one: "IndexRecord") -> tuple[int, int]:
    """Lines of an indexed record before its last; bytes up to its last letter."""
    whole = max(0, one.rlen - 1) // (one.lenc or 1)
    return whole, one.rlen + whole * (one.lenb - one.lenc)


def is_position(cell: str) -> bool:
    """Whether a cell says how many bases."""
    return cell.isascii() and cell.isdigit() and len(cell) <= DIGITS


def _span(cells: list[str], line: int) -> tuple[int, int, str | None]:
    """Start and end of a line of BED, or what is wrong with it."""
    if len(cells) < 3:
        return 0, 0, f"line {line}: found {len(cells)} columns, expected 3 or more"
    for name, cell in zip(("start", "end"), cells[1:3], strict=True):
        if not is_position(cell):
            said = f"line {line}: {name} is {cell[:20]!r}, expected a number of bases"
            return 0, 0, said
    return int(cells[1]), int(cells[2]), None

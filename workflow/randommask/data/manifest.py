"""The manifest of a corpus, and whether its shards are still what it says.

    {"genome": "hg38", "alphabet": "ATCG",
     "sources": [{"file": "hg38.fa.gz", "sha256": "..."}],
     "chromosomes": [{"name": "chr1", "file": "chr1.npy", "length": 248956422,
                      "sha256": "...", "intervals": [[10000, 207666], ...]}, ...]}

`verify` reads every shard once, by as many threads as there are cores, and writes what
it found into `verified.json` beside the manifest: a shard whose size and time of change
are still those is not read again by the next job.
"""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, PlainValidator, StringConstraints

from randommask import files
from randommask.errors import InputError
from randommask.experiment.form import Record, Section, Text, Whole, expected, read

VERIFIED = "verified.json"

Sha256 = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{64}$")]


def _file_name(name: str) -> str:
    if Path(name).name != name:
        raise expected("the name of a file beside the manifest")
    return name


def _pairs(found: Any) -> np.ndarray:
    """A table of whole numbers; a list of millions of tuples would take gigabytes."""
    if found == []:
        return np.empty((0, 2), np.int64)
    try:
        table = np.array(found)
    except (ValueError, OverflowError):  # rows of different lengths
        raise expected("pairs of whole numbers") from None
    if table.dtype.kind != "i" or table.ndim != 2 or table.shape[1] != 2:
        raise expected("pairs of whole numbers")
    return table


class Source(Section):
    """A FASTA file that the shards were made from."""

    file: Text
    """its name"""
    sha256: Sha256
    """of its bytes"""


class Chromosome(Section):
    """One shard."""

    name: Record
    """of the FASTA record"""
    file: Annotated[Text, AfterValidator(_file_name)]
    """the shard, beside the manifest"""
    length: Whole
    """bases"""
    sha256: Sha256
    """of the shard's bytes"""
    intervals: Annotated[Any, PlainValidator(_pairs)]
    """first and end, from 0, of each run of A, C, G and T, in order: (N, 2) int64"""


class Manifest(Section):
    """A genome's shards."""

    genome: Text
    """its name"""
    alphabet: Text
    """the letters of codes 0, 1, 2 and 3"""
    sources: tuple[Source, ...]
    """the files that it was made from"""
    chromosomes: tuple[Chromosome, ...]
    """its shards"""


def load(path: str | Path) -> Manifest:
    """The manifest at `path`; `InputError` for what is missing or makes no sense."""
    found = read(Manifest, files.read_json(path), str(path))
    for chromosome in found.chromosomes:
        runs = chromosome.intervals
        before = np.concatenate([[0], runs[:-1, 1]])
        is_wrong = (runs[:, 0] < before[: len(runs)]) | (runs[:, 0] >= runs[:, 1])
        is_wrong |= runs[:, 1] > chromosome.length
        if is_wrong.any():
            row = int(is_wrong.argmax())
            raise InputError(
                f"{path}: {chromosome.name}: interval {runs[row].tolist()}, expected "
                f"one from {before[row]} on, the end of the one before, up to "
                f"{chromosome.length}"
            )
    return found


def verify(path: str | Path) -> None:
    """Raise `InputError` for a shard whose bytes are not those of the manifest."""
    folder = Path(path).parent
    chromosomes = load(path).chromosomes
    memory, before = folder / VERIFIED, {}
    with suppress(OSError, InputError):  # none yet, or not one of ours
        before = files.read_json(memory)
    known = before if isinstance(before, dict) else {}
    found = {c.file: _seen(folder / c.file, c.sha256) for c in chromosomes}
    unread = [c for c in chromosomes if known.get(c.file) != found[c.file]]
    if not unread:
        return
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        sums = pool.map(files.sha256, [folder / c.file for c in unread])
        for chromosome, made in zip(unread, sums, strict=True):
            if made != chromosome.sha256:
                raise InputError(
                    f"{folder / chromosome.file}: damaged: sha256 {made[:12]}..., "
                    f"expected {chromosome.sha256[:12]}... (manifest.json); make the "
                    "corpus again"
                )
    try:
        files.write_json(memory, found)
    except (OSError, InputError) as error:  # somebody else's folder
        print(f"note: shards will be read again: {error}", file=sys.stderr)


def _seen(shard: Path, sha256: str) -> list:
    """What stands still while nobody writes a shard, and what it should be."""
    try:
        now = shard.stat()
    except FileNotFoundError:
        raise InputError(
            f"{shard}: no such shard, expected it beside manifest.json"
        ) from None
    return [now.st_size, now.st_mtime_ns, sha256]

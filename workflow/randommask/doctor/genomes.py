"""A look into the genomes that are here: are the chromosomes in them, and are they DNA.

Plain FASTA is read at random through its index, which samtools' `.fai` beside it is
where that is newer than the file; another is made in a temporary place, for a folder of
genomes may well belong to somebody else. A packed file is gone through for its names.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from randommask.data.shards import fasta_files
from randommask.doctor.finding import Finding
from randommask.errors import InputError, listing, reason
from randommask.experiment.encoders import keys, named
from randommask.experiment.sections import Experiment, LocalCopy, Ours
from randommask.experiment.units import amount
from randommask.genome import IUPAC, read_fasta
from randommask.reading import GZIP_MAGIC

if TYPE_CHECKING:
    from pyfaidx import Faidx

LOOK_BASES = 100
"""Read from the middle of each chromosome."""


def genomes(experiment: Experiment) -> Iterator[Finding]:
    """A line a genome that is here, and one on chromosomes to hold out of training."""
    everywhere: set[str] = set()
    is_whole = True
    for name in experiment.genome_names:
        path = _here(experiment, name)
        if path is None:
            is_whole = False
            continue
        chosen = experiment.genomes.get(name)
        wanted = chosen.chromosomes if chosen else None
        try:
            records = _records(path, wanted)
        except (InputError, OSError) as error:
            advice = f"bring it again, or change {name} in the config"
            yield Finding("problem", "genome", f"{name}: {reason(error)}", advice)
            is_whole = False
            continue
        everywhere |= records.keys() if wanted is None else set(wanted)
        yield _chosen(name, records, wanted)
    trained = named(experiment, Ours)
    held_out = {one for name in trained for one in keys(experiment, name).held_out}
    if is_whole and (missing := sorted(held_out - everywhere)):
        found = f"held_out: no genome has {listing(missing)}"
        yield Finding("problem", "genome", found, "name records of the FASTA files")


def _here(experiment: Experiment, name: str) -> Path | None:
    """Where a genome lies, if it does so already."""
    source = experiment.sources[name]
    fetched = Path(experiment.pathvars.resources) / name
    path = Path(source.path) if isinstance(source, LocalCopy) else fetched
    return path if path.exists() else None


def _chosen(
    name: str, records: dict[str, int | None], wanted: Iterable[str] | None
) -> Finding:
    """Whether the chromosomes asked for are among the records."""
    names = list(records) if wanted is None else list(wanted)
    if missing := [one for one in names if one not in records]:
        found = f"{name}: no {listing(missing)}, found {listing(records)}"
        advice = f"name its records in genomes: {name}: chromosomes"
        return Finding("problem", "genome", found, advice)
    lengths = [records[one] for one in names]
    bases = "" if None in lengths else f", {amount(sum(lengths), 'b')}"
    return Finding("ok", "genome", f"{name}: {len(names)} sequences{bases}")


def _records(path: Path, wanted: Iterable[str] | None) -> dict[str, int | None]:
    """The records of a genome's files and their lengths, None where not counted."""
    found: dict[str, int | None] = {}
    for file in fasta_files(path):
        with open(file, "rb") as opened:
            is_packed = opened.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        own = None if is_packed else _indexed(file, wanted)
        if own is None:
            own = {name: None for name, _ in read_fasta(file, set())}
        found |= own
    return found


def _indexed(file: Path, wanted: Iterable[str] | None) -> dict[str, int] | None:
    """The records of a plain file by its index; None where it can have none.

    An index needs lines of one length, which the workflow itself does not.
    """
    from pyfaidx import Faidx, FastaIndexingError

    beside = Path(f"{file}.fai")
    is_fresh = beside.exists() and beside.stat().st_mtime >= file.stat().st_mtime
    with TemporaryDirectory() as folder:
        index = beside if is_fresh else Path(folder) / "index.fai"
        try:
            with Faidx(str(file), indexname=str(index), as_raw=True) as opened:
                lengths = {name: entry.rlen for name, entry in opened.index.items()}
                for name in lengths.keys() & set(wanted or lengths):
                    _check_letters(file, opened, name, lengths[name])
        except (FastaIndexingError, ValueError):
            return None
    return lengths


def _check_letters(file: Path, opened: "Faidx", name: str, length: int) -> None:
    """Raise `InputError` where the middle of a record is no DNA."""
    start = max(1, (length - LOOK_BASES) // 2)
    letters = opened.fetch(name, start, min(length, start + LOOK_BASES))
    if odd := sorted(set(letters.upper()) - set(IUPAC)):
        raise InputError(
            f"{file}: record {name}: found {odd[0]!r} near base {start}, expected "
            f"IUPAC letters ({IUPAC})"
        )

"""A genome as FASTA in, one shard of nucleotide codes a chromosome out.

A shard is a `.npy` of uint8, `A0 T1 C2 G3` and 4 for everything else, so that every k
and both strides read the same bytes. `manifest.json` beside the shards holds their
names, lengths, checksums and the intervals that are nothing but A, C, G and T.

    python -m randommask.data.shards --source resources/hg38 \
        --hparams '{"genome": "hg38", "chromosomes": ["chr21", "chr22"]}' \
        --output results/corpus/hg38

`source` is one FASTA file or a folder of them, plain, gzip or bgzip; `chromosomes` is
null for every sequence. Memory: about three bytes a base of the longest chromosome.
"""

import argparse
import hashlib
from collections.abc import Collection, Sequence
from contextlib import suppress
from glob import escape
from pathlib import Path

import numpy as np

from randommask.data.fetched import verify
from randommask.data.manifest import VERIFIED
from randommask.errors import InputError, run
from randommask.experiment.hparams import Shards
from randommask.files import check_folder, make_aside, sha256, write_json
from randommask.genome import ALPHABET, intervals, read_fasta

SUFFIXES = tuple(
    suffix + packed for suffix in (".fa", ".fasta", ".fna") for packed in ("", ".gz")
)


def fasta_files(source: str | Path) -> list[Path]:
    """List the FASTA files that `source` means: itself, or a folder's, sorted by name.

    Raises `InputError` where there is none.
    """
    source = Path(source)
    if not source.exists():
        raise InputError(f"{source}: no such file or folder, expected FASTA")
    if not source.is_dir():
        return [source]
    found = sorted(
        path
        for path in source.iterdir()
        if path.name.lower().endswith(SUFFIXES) and not path.name.startswith(".")
    )
    if not found:
        raise InputError(
            f"{source}: no FASTA here, expected one of *{', *'.join(SUFFIXES)}"
        )
    return found


def tokenize(
    source: str | Path,
    output: str | Path,
    genome: str,
    chromosomes: Sequence[str] | None,
) -> None:
    """Write the shards and the manifest of a genome to the folder `output`.

    The chromosomes stand in the order of `chromosomes`, or of the files where that is
    None. Raises `InputError` for all that `read_fasta` refuses, a name that occurs
    twice or is no file name, a chromosome that is absent, a genome without a base.
    """
    check_folder(output, *_made(output))
    verify(source)
    wanted = None if chromosomes is None else set(chromosomes)
    home: dict[str, Path] = {}
    shards: dict[str, dict] = {}
    sources: list[dict[str, str]] = []
    with make_aside(output, *_made(output)) as folder:
        folder.mkdir()
        for path in fasta_files(source):
            digest = hashlib.sha256()  # as it is read: a pipe gives its bytes once
            for name, codes in read_fasta(path, wanted, digest):
                if name in home:
                    raise InputError(
                        f"{path}: record {name} is in {home[name]} already, "
                        "expected each name once"
                    )
                home[name] = path
                if codes is not None:
                    shards[name] = _write_shard(folder, path, name, codes)
            sources.append({"file": path.name, "sha256": digest.hexdigest()})
        order = list(shards) if chromosomes is None else chromosomes
        _check_found(source, order, home)
        if not any(shard["intervals"] for shard in shards.values()):
            raise InputError(f"{source}: found no A, C, G or T, expected at least one")
        write_json(
            folder / "manifest.json",
            {
                "genome": genome,
                "alphabet": ALPHABET,
                "sources": sources,
                "chromosomes": [shards[name] for name in order],
            },
        )


def _made(folder: str | Path) -> list[str]:
    """What stands there of a tokenization, if nothing else does.

    The manifest alone is an output of the rule: before another try Snakemake deletes it
    and leaves the shards.
    """
    folder = Path(folder)
    shards = []
    for path in folder.glob("*.npy"):
        with suppress(OSError, ValueError):
            codes = np.load(path, mmap_mode="r")
            if codes.dtype == np.uint8 and codes.ndim == 1:
                shards.append(escape(path.name))
    manifest = folder / "manifest.json"
    is_ours = manifest.is_file() and b'"alphabet"' in manifest.read_bytes()
    return [*shards, VERIFIED, *([manifest.name] if is_ours else [])]


def _write_shard(folder: Path, path: Path, name: str, codes: np.ndarray) -> dict:
    """Save the codes of a chromosome; return its entry in the manifest."""
    is_plain = name.isascii() and name.isprintable() and len(name) <= 200
    if not is_plain or name.startswith(".") or "/" in name or "\\" in name:
        raise InputError(
            f"{path}: record name {name[:60]!a} is no file name, expected "
            "printable ASCII without slashes or a leading dot"
        )
    shard = folder / f"{name}.npy"
    with open(shard, "wb") as file:  # np.save does not say that a disk is full
        header = np.lib.format.header_data_from_array_1_0(codes)
        np.lib.format.write_array_header_1_0(file, header)
        file.write(codes)
    return {
        "name": name,
        "file": shard.name,
        "length": len(codes),
        "sha256": sha256(shard),
        "intervals": intervals(codes).tolist(),
    }


def _check_found(
    source: str | Path, wanted: Sequence[str], found: Collection[str]
) -> None:
    """Raise `InputError` for the wanted chromosomes that are not among those found."""
    missing = [name for name in wanted if name not in found]
    if missing:
        raise InputError(
            f"{source}: no chromosome {_shortened(missing)}, "
            f"found {_shortened(list(found))}"
        )


def _shortened(names: list[str], shown: int = 6) -> str:
    """Join names by commas; say how many more there are than are shown."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def main(argv: list[str] | None = None) -> None:
    """Command line; see the head of this module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--source", required=True, help="FASTA file, or folder of them")
    parser.add_argument("--hparams", required=True, help="JSON: see Shards")
    parser.add_argument("--output", required=True, help="folder to write")
    args = parser.parse_args(argv)
    settings = Shards.parse(args.hparams)
    tokenize(args.source, args.output, settings.genome, settings.chromosomes)


if __name__ == "__main__":
    run(main)

"""A genome as FASTA in, one shard of nucleotide codes a chromosome out.

A shard is a `.npy` of uint8, `A0 T1 C2 G3` and 4 for everything else, so that every k
and both strides read the same bytes. `manifest.json` beside the shards holds their
names, lengths, checksums and the intervals that are nothing but A, C, G and T.

    python -m randommask.genome --source resources/hg38 \
        --hparams '{"genome": "hg38", "chromosomes": ["chr21", "chr22"]}' \
        --output results/corpus/hg38

`source` is one FASTA file or a folder of them, plain, gzip or bgzip; `chromosomes` is
null for every sequence. Memory: about three bytes a base of the longest chromosome.
"""

import argparse
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from randommask.errors import InputError, run
from randommask.fetched import verify
from randommask.files import make_aside, sha256, write_json

ALPHABET = "ATCG"
OTHER = len(ALPHABET)
SUFFIXES = tuple(
    suffix + packed for suffix in (".fa", ".fasta", ".fna") for packed in ("", ".gz")
)

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


def read_fasta(
    path: str | Path, wanted: set[str] | None = None
) -> Iterator[tuple[str, np.ndarray | None]]:
    """Yield the name and the codes, uint8 (n,), of each record of a FASTA file.

    The name is the first word after `>`. Records that are not in `wanted` are passed
    over unread and have None for codes. Raises `InputError` where the file is not
    FASTA or broken, a record is empty or nameless, or a letter is not an IUPAC one.
    """
    name, codes = None, bytearray()
    for piece in _pieces(Path(path)):
        if piece.startswith(b">"):
            if name is not None:
                yield name, _finish(path, name, codes, wanted)
            words = piece[1:].split(maxsplit=1)
            if not words:
                raise InputError(f"{path}: a record has no name, expected '>name'")
            name, codes = words[0].decode(errors="replace"), bytearray()
        elif wanted is None or name in wanted:
            codes += _strict_codes(path, name, piece, len(codes))
    yield name, _finish(path, name, codes, wanted)


def _finish(
    path: str | Path, name: str, codes: bytearray, wanted: set[str] | None
) -> np.ndarray | None:
    """Turn the codes gathered for a record into an array; None if it is not wanted."""
    if wanted is not None and name not in wanted:
        return None
    if not codes:
        raise InputError(f"{path}: record {name} is empty, expected bases")
    return np.frombuffer(codes, np.uint8)


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
                block = block.lstrip()
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


def tokenize(
    source: str | Path, output: str | Path, genome: str, chromosomes: list[str] | None
) -> None:
    """Write the shards and the manifest of a genome to the folder `output`.

    The chromosomes stand in the order of `chromosomes`, or of the files where that is
    None. Raises `InputError` for all that `read_fasta` refuses, a name that occurs
    twice or is no file name, a chromosome that is absent, a genome without a base.
    """
    verify(source)
    files = fasta_files(source)
    wanted = None if chromosomes is None else set(chromosomes)
    home: dict[str, Path] = {}
    shards: dict[str, dict] = {}
    with make_aside(output, "*.npy", "manifest.json") as folder:
        folder.mkdir()
        for path in files:
            for name, codes in read_fasta(path, wanted):
                if name in home:
                    raise InputError(
                        f"{path}: record {name} is in {home[name]} already, "
                        "expected each name once"
                    )
                home[name] = path
                if codes is not None:
                    shards[name] = _write_shard(folder, path, name, codes)
        order = list(shards) if chromosomes is None else chromosomes
        _check_found(source, order, home)
        if not any(shard["intervals"] for shard in shards.values()):
            raise InputError(f"{source}: found no A, C, G or T, expected at least one")
        write_json(
            folder / "manifest.json",
            {
                "genome": genome,
                "alphabet": ALPHABET,
                "sources": [{"file": f.name, "sha256": sha256(f)} for f in files],
                "chromosomes": [shards[name] for name in order],
            },
        )


def _write_shard(folder: Path, path: Path, name: str, codes: np.ndarray) -> dict:
    """Save the codes of a chromosome; return its entry in the manifest."""
    is_plain = name.isascii() and name.isprintable() and len(name) <= 200
    if not is_plain or name.startswith(".") or "/" in name or "\\" in name:
        raise InputError(
            f"{path}: record name {name[:60]!a} is no file name, expected "
            "printable ASCII without slashes or a leading dot"
        )
    shard = folder / f"{name}.npy"
    np.save(shard, codes)
    return {
        "name": name,
        "file": shard.name,
        "length": len(codes),
        "sha256": sha256(shard),
        "intervals": intervals(codes).tolist(),
    }


def _check_found(source: str | Path, wanted: list[str], found: Collection[str]) -> None:
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
    parser.add_argument("--hparams", required=True, type=json.loads)
    parser.add_argument("--output", required=True, help="folder to write")
    args = parser.parse_args(argv)
    tokenize(args.source, args.output, **args.hparams)


if __name__ == "__main__":
    run(main)

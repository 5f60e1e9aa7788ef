"""How fast a genome becomes shards and token ids, beside the plain way.

    PYTHONPATH=workflow python bench/genome.py [--megabases 50] [--repeats 3]

Two made chromosomes, a third in lower case, with runs of N, in lines of 50 bases as
UCSC writes them. Plain is Python's gzip module for unpacking, and for token ids
DNABERT's way (each k-mer cut out as text, then looked up in a dictionary), on a piece
of a megabase. The ways take turns; medians.
"""

import argparse
import gzip
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from isal import igzip

from randommask import kmers
from randommask.data.shards import tokenize

K = 6
PIECE_MEGABASES = 1


def make_fasta(path: Path, bases: int) -> None:
    """Write two chromosomes of `bases` in all, and the same gzipped beside."""
    draws = np.random.default_rng(0)
    text = bytearray()
    for name in (b"chr1", b"chr2"):
        letters = np.frombuffer(b"ACGT", np.uint8)[draws.integers(0, 4, bases // 2)]
        for start in range(0, len(letters), 3000):  # a third soft-masked
            letters[start : start + 1000] |= 0x20
        letters[: bases // 200] = ord("N")
        lines = letters[: len(letters) // 50 * 50].reshape(-1, 50)
        ends = np.full((len(lines), 1), ord("\n"), np.uint8)
        text += b">" + name + b"\n" + np.hstack([lines, ends]).tobytes()
    path.write_bytes(text)
    packed(path).write_bytes(gzip.compress(bytes(text), 6))


def packed(path: Path) -> Path:
    """The gzipped twin of a file."""
    return path.with_name(f"{path.name}.gz")


def unpack(open_packed: Callable, path: Path) -> None:
    """Unpack a file in pieces and drop them."""
    with open_packed(path) as file:
        while file.read(1 << 23):
            pass


def our_ids(path: Path, output: Path) -> list[np.ndarray]:
    """Token ids of each chromosome, by way of the shards."""
    tokenize(path, output, "made", None)
    shards = sorted(output.glob("*.npy"))
    return [kmers.kmer_ids(np.load(shard, mmap_mode="r"), K) for shard in shards]


def plain_ids(path: Path, vocabulary: dict[str, int]) -> list[list[int]]:
    """Token ids of each chromosome as DNABERT makes them: text k-mers, a dictionary."""
    records = path.read_text().split(">")[1:]
    ids = []
    for record in records:
        sequence = "".join(record.split("\n")[1:]).upper()
        words = [sequence[i : i + K] for i in range(len(sequence) - K + 1)]
        ids.append([vocabulary.get(word, kmers.UNK) for word in words])
    return ids


def main(argv: list[str] | None = None) -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--megabases", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args(argv)
    vocabulary = {word: i + kmers.NUM_SPECIAL for i, word in enumerate(kmers.names(K))}
    with tempfile.TemporaryDirectory() as folder:
        fasta, piece = Path(folder) / "made.fa", Path(folder) / "piece.fa"
        output = Path(folder) / "shards"
        make_fasta(fasta, args.megabases * 1_000_000)
        make_fasta(piece, PIECE_MEGABASES * 1_000_000)
        for ours, plain in zip(
            our_ids(piece, output), plain_ids(piece, vocabulary), strict=True
        ):
            assert ours.tolist() == plain
        whole, part = args.megabases, PIECE_MEGABASES
        ways = {
            ("unpack gzip", "ours"): (whole, lambda: unpack(igzip.open, packed(fasta))),
            ("unpack gzip", "plain"): (whole, lambda: unpack(gzip.open, packed(fasta))),
            ("gzipped FASTA to shards", "ours"): (
                whole,
                lambda: tokenize(packed(fasta), output, "made", None),
            ),
            ("FASTA to shards", "ours"): (
                whole,
                lambda: tokenize(fasta, output, "made", None),
            ),
            ("FASTA to token ids", "ours"): (whole, lambda: our_ids(fasta, output)),
            ("FASTA to token ids", "plain"): (
                part,
                lambda: plain_ids(piece, vocabulary),
            ),
        }
        seconds: dict[tuple[str, str], list[float]] = {way: [] for way in ways}
        for _ in range(args.repeats):
            for way, (_, call) in ways.items():
                start = time.perf_counter()
                call()
                seconds[way].append(time.perf_counter() - start)
    speed = {way: ways[way][0] / statistics.median(seconds[way]) for way in ways}
    print(
        f"| {whole} Mb, median of {args.repeats} | ours, Mb/s | plain, Mb/s | ratio |"
    )
    print("|---|---|---|---|")
    for step in dict.fromkeys(step for step, _ in ways):
        ours, plain = speed[step, "ours"], speed.get((step, "plain"))
        beside = f"{plain:.1f} | {ours / plain:.1f}" if plain else "|"
        print(f"| {step} | {ours:.1f} | {beside} |")


if __name__ == "__main__":
    main()

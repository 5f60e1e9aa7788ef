"""What the sampler does with a corpus of 1 Tbp: one Markdown table.

    PYTHONPATH=workflow python bench/scale.py [--intervals N ...]

Manifests of 320 made genomes of 24 chromosomes, 130 Mbp each; the shards are sparse
files, so the bases need no disk. Each row has another number of intervals (runs of
ACGT) in all, up to what drafts full of gaps have, and is measured in a process of its
own: processor seconds to open the corpus, memory that the process gains by it and at
most, and the pace of batches of 512 windows of 515 bases that were never read before,
in windows a second of processor time, medians.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import process_time

import numpy as np

from randommask.data.windows import Corpus

GENOMES, CHROMOSOMES, BASES = 320, 24, 130_000_000
WINDOW, BATCH, REPEATS = 515, 512, 9
GAP = 100  # bases of N between two intervals


def make(folder: Path, intervals: int) -> list[str]:
    """Manifests with so many intervals in all, and their sparse shards."""
    header = folder / "header.npy"
    np.save(header, np.zeros(0, np.uint8))
    shape = f"'shape': ({BASES},), }}"
    text = header.read_bytes()
    start = text.index(b"'shape'")
    filled = text[:start] + shape.encode()
    filled = filled.ljust(len(text) - 1) + b"\n"
    each = max(intervals // (GENOMES * CHROMOSOMES), 1)
    edges = np.linspace(0, BASES, each + 1).astype(int)
    runs = np.stack([edges[:-1], edges[1:] - GAP], axis=1).tolist()
    paths = []
    for genome in range(GENOMES):
        place = folder / f"genome{genome}"
        place.mkdir()
        entries = []
        for number in range(CHROMOSOMES):
            shard = place / f"chr{number}.npy"
            shard.write_bytes(filled)
            with open(shard, "r+b") as file:
                file.truncate(len(filled) + BASES)
            entry = {"name": f"chr{number}", "file": shard.name, "length": BASES}
            entries.append({**entry, "sha256": "0" * 64, "intervals": runs})
        path = place / "manifest.json"
        made = {"genome": place.name, "alphabet": "ATCG", "sources": []}
        path.write_text(json.dumps({**made, "chromosomes": entries}))
        paths.append(str(path))
    return paths


def resident() -> float:
    """MiB of this process in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def measure(manifests: list[str]) -> dict[str, float]:
    """Open the corpus and draw from it."""
    before, start = resident(), process_time()
    corpus = Corpus(manifests, WINDOW, [])
    opened, held = process_time() - start, resident() - before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before
    taken = []
    for step in range(REPEATS):
        start = process_time()
        corpus.windows(1, step, 0, BATCH)
        taken.append(process_time() - start)
    rate = BATCH / median(taken)
    return {"opened": opened, "held": held, "peak": peak, "rate": rate}


def main() -> None:
    """Print the table; with `--measure` be the process of one row."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = [8_000, 300_000, 3_000_000]
    parser.add_argument("--intervals", type=int, nargs="+", default=default)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    flags = parser.parse_args()
    if flags.measure:
        print(json.dumps(measure(json.loads(flags.measure.read_text()))))
        return
    print("| intervals | manifests, MB | open, s | held, MiB | peak, MiB | windows/s |")
    print("|--:|--:|--:|--:|--:|--:|")
    for intervals in flags.intervals:
        with tempfile.TemporaryDirectory() as folder:
            paths = make(Path(folder), intervals)
            size = sum(Path(path).stat().st_size for path in paths) / 1e6
            listing = Path(folder) / "manifests"
            listing.write_text(json.dumps(paths))
            words = [sys.executable, __file__, "--measure", str(listing)]
            done = subprocess.run(words, capture_output=True, text=True, check=True)
        row = json.loads(done.stdout)
        numbers = [f"{row['opened']:.1f}", f"{row['held']:,.0f}"]
        numbers += [f"{row['peak']:,.0f}", f"{row['rate']:,.0f}"]
        print(f"| {intervals:,} | {size:,.0f} | {' | '.join(numbers)} |", flush=True)


if __name__ == "__main__":
    main()

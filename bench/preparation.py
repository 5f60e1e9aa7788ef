"""Preparation at full size: time and memory of all 28 datasets, on made rows.

    PYTHONPATH=workflow python bench/preparation.py [DATASET ...]

Writes random sequences in the published layouts, with the published numbers of rows
and some repeated in a later split, into a temporary folder (0.4 GB). Then prepares
every dataset as the workflow does: a process each, two at a time, the largest first.
The promise it is held to: under 2 minutes on 2 cores, under 2 GiB for the two together.
"""

import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from made import ROOT

from randommask.data.splits import DEEPSTARR_FOLDS
from randommask.experiment import datasets
from randommask.experiment.datasets import SPLITS, Dataset

LIST = ROOT / "config" / "datasets.tsv"
PROCESSES = 2
SHARED = 20  # rows of a later split that stand in the training split as well
LETTERS = np.frombuffer(b"ACGT", np.uint8)
OTHERS = np.frombuffer(b"TGCA", np.uint8)


def main() -> None:
    """Make the rows, prepare them, and print the table."""
    listed = datasets.read(LIST)
    if names := sys.argv[1:]:
        listed = [datasets.find(listed, name, LIST) for name in names]
    listed.sort(key=lambda dataset: -sum(dataset.rows.values()) * dataset.bases)
    with tempfile.TemporaryDirectory() as folder:
        # Linux counts what this process holds as the peak of those it starts, so the
        # rows are made by others.
        with multiprocessing.get_context("spawn").Pool(PROCESSES) as pool:
            work = [(Path(folder) / "source", dataset) for dataset in listed]
            pool.starmap(write, work, chunksize=1)
        start = time.perf_counter()
        runs = prepare(Path(folder), listed)
        seconds = time.perf_counter() - start
    print("| dataset | rows | bases | seconds | processor seconds | peak MiB |")
    print("|---|---:|---:|---:|---:|---:|")
    for dataset in listed:
        rows = sum(dataset.rows.values())
        numbers = "{:.2f} | {:.2f} | {:.0f}".format(*runs[dataset.dataset])
        print(f"| {dataset.dataset} | {rows:,} | {dataset.bases} | {numbers} |")
    rows = sum(sum(dataset.rows.values()) for dataset in listed)
    used = sum(run[1] for run in runs.values())
    peaks = sorted(run[2] for run in runs.values())
    print(
        f"| all, {PROCESSES} at a time | {rows:,} | | {seconds:.1f} | {used:.1f} "
        f"| {sum(peaks[-PROCESSES:]):.0f} (the two largest) |"
    )


def write(folder: Path, dataset: Dataset) -> None:
    """Write the three splits of a dataset as its authors publish them."""
    rng = np.random.default_rng(sum(dataset.dataset.encode()))
    train = None
    for split in SPLITS:
        rows = dataset.rows[split]
        if dataset.source == "deepstarr":
            codes = rng.integers(0, 4, (rows // 2, dataset.bases), np.uint8)
            write_deepstarr(folder, split, codes, rng)
            continue
        codes = rng.integers(0, 4, (rows, dataset.bases), np.uint8)
        if train is not None:
            codes[:SHARED] = train[:SHARED]
        train = codes if train is None else train
        lines = np.empty((rows, dataset.bases + 3), np.uint8)
        lines[:, :-3] = LETTERS[codes]
        lines[:, -3], lines[:, -1] = ord(","), ord("\n")
        lines[:, -2] = ord("0") + rng.permutation(np.arange(rows) % dataset.classes)
        path = folder / dataset.source / f"{split}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"sequence,label\n" + lines.tobytes())


def write_deepstarr(
    folder: Path, split: str, codes: np.ndarray, rng: np.random.Generator
) -> None:
    """Write both strands of the regions `codes` (n, T), and six activities each."""
    folder.mkdir(parents=True, exist_ok=True)
    fold, regions = DEEPSTARR_FOLDS[split], len(codes)
    both = np.concatenate([LETTERS[codes], OTHERS[codes][:, ::-1]])
    numbers = np.arange(2 * regions)[:, None] // 10 ** np.arange(6)[::-1] % 10
    names = np.frombuffer(b">chr2L_000000_positive_peaks_region_\n", np.uint8)
    lines = np.empty((2 * regions, len(names) + codes.shape[1] + 1), np.uint8)
    lines[:, : len(names)] = names
    lines[:, 7:13] = ord("0") + numbers
    lines[:, len(names) : -1], lines[:, -1] = both, ord("\n")
    (folder / f"Sequences_{fold}.fa").write_bytes(lines.tobytes())
    digits = rng.integers(0, 10, (regions, 6 * 19), np.uint8) + ord("0")
    digits[:, 1::19], digits[:, 18::19] = ord("."), ord("\t")
    digits[:, -1] = ord("\n")
    kinds = ("", "_scaled", "_quantile_normalized")
    names = [
        f"{name}_log2_enrichment{kind}" for kind in kinds for name in ("Dev", "Hk")
    ]
    (folder / f"Sequences_activity_{fold}.txt").write_bytes(
        "\t".join(names).encode() + b"\n" + digits.tobytes() * 2
    )


def prepare(
    folder: Path, listed: list[Dataset]
) -> dict[str, tuple[float, float, float]]:
    """Seconds, processor seconds and peak MiB of each dataset's own process."""
    waiting, running, done = list(listed), {}, {}
    while waiting or running:
        while waiting and len(running) < PROCESSES:
            name = waiting.pop(0).dataset
            command = [sys.executable, "-m", "randommask.data.prepare"]
            command += ["--source", folder / "source", "--datasets", LIST]
            command += ["--dataset", name, "--hparams", "{}", "--output", folder / name]
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            running[process.pid] = (process, name, time.perf_counter())
        pid, status, usage = os.wait4(-1, 0)
        process, name, start = running.pop(pid)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"error: {name}: exit code {process.returncode}")
        done[name] = (
            time.perf_counter() - start,
            usage.ru_utime + usage.ru_stime,
            usage.ru_maxrss / 1024,
        )
    return done


if __name__ == "__main__":
    main()

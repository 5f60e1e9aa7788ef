"""Recompute every score in table.csv from the predictions that were published with it.

    python reproduce.py

needs numpy and pyarrow, and nothing of the program that made the predictions. It stops
where a file is not the one that SHA256SUMS lists, or a score is not the printed one.
"""

import csv
import hashlib
import statistics
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
TOLERANCE = 0.001  # points; the table has four decimals


def check_sums(folder: Path) -> int:
    """Compare every file with its SHA-256; return their number."""
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    for line in lines:
        due, name = line.split("  ", 1)
        if not (folder / name).exists():
            sys.exit(f"error: {name}: no such file, but SHA256SUMS lists it")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != due:
            sys.exit(f"error: {name}: not the file that SHA256SUMS lists")
    return len(lines)


def score(path: Path) -> float:
    """MCC of classes, or the mean Pearson correlation of numbers, in per cent."""
    table = pq.read_table(path)
    columns = {name: table[name].to_numpy() for name in table.column_names}
    if "label" in columns:
        chances = [columns[name] for name in columns if name.startswith("p")]
        return 100 * mcc(columns["label"], np.argmax(chances, axis=0), len(chances))
    targets = [name[2:] for name in columns if name.startswith("y_")]
    pairs = [(columns[f"label_{name}"], columns[f"y_{name}"]) for name in targets]
    return 100 * statistics.fmean(pearson(*pair) for pair in pairs)


def mcc(labels: np.ndarray, named: np.ndarray, classes: int) -> float:
    """Matthews correlation for any number of classes; 0 where it is not defined."""
    counts = np.zeros((classes, classes))
    np.add.at(counts, (labels, named), 1)
    true, guessed, total = counts.sum(1), counts.sum(0), counts.sum()
    spread = (total**2 - true @ true) * (total**2 - guessed @ guessed)
    if not spread:
        return 0.0
    return (counts.trace() * total - true @ guessed) / np.sqrt(spread)


def pearson(labels: np.ndarray, values: np.ndarray) -> float:
    """Pearson correlation; 0 where a side never changes."""
    if (labels == labels[0]).all() or (values == values[0]).all():
        return 0.0
    return float(np.corrcoef(labels.astype(float), values.astype(float))[0, 1])


def main() -> None:
    """Check the files, then every line of the table."""
    print(f"{check_sums(HERE)} files as in SHA256SUMS")
    with open(HERE / "table.csv", newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        runs = HERE / "runs" / line["tokenization"] / line["dataset"]
        scores = [
            score(runs / f"seed{seed}" / "predictions.parquet")
            for seed in line["seeds"].split()
        ]
        mean = statistics.fmean(scores)
        print(
            f"{line['row']}, {line['tokenization']}, {line['dataset']}: "
            f"{line['metric']} {mean:.2f} per cent over {len(scores)} seeds"
        )
        if not abs(mean - float(line["mean"])) < TOLERANCE:
            sys.exit(f"error: table.csv has {line['mean']}")


if __name__ == "__main__":
    main()

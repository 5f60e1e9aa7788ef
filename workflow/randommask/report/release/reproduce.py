"""Recompute every score in table.csv from the predictions that were published with it.

    python reproduce.py

needs numpy and pyarrow, and nothing of the program that made the predictions. It stops
where a file is not the one that SHA256SUMS lists, or a mean or a standard deviation is
not the printed one. README.md may be edited; what it says is in table.csv.
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
        expected, name = line.split("  ", 1)
        if not (folder / name).exists():
            sys.exit(f"error: {name}: no such file, but SHA256SUMS lists it")
        if hashlib.sha256((folder / name).read_bytes()).hexdigest() != expected:
            sys.exit(f"error: {name}: not the file that SHA256SUMS lists")
    return len(lines)


def score(path: Path) -> float:
    """MCC of classes, or the mean Pearson correlation of numbers, in per cent.

    Numbers that are not all finite score 0. Of several labels, each 0 or 1, it is the
    mean MCC, which is the correlation of what is there with what is named.
    """
    table = pq.ParquetFile(path).read(use_threads=False)
    columns = {name: table[name].to_numpy() for name in table.column_names}
    if "label" in columns:
        chances = [columns[name] for name in columns if name.startswith("p")]
        return 100 * mcc(columns["label"], np.argmax(chances, axis=0), len(chances))
    for name in [name for name in columns if name.startswith("p_")]:
        known = np.isfinite(columns[name])
        columns[f"y_{name[2:]}"] = np.where(known, columns[name] >= 0.5, np.nan)
    targets = [name[2:] for name in columns if name.startswith("y_")]
    if not all(np.isfinite(columns[f"y_{name}"]).all() for name in targets):
        return 0.0
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


def check_line(line: dict[str, str]) -> None:
    """Recompute a line of the table from its runs, and say what came out."""
    name = f"{line['row']}, {line['dataset']}"
    if not line["mean"]:
        print(f"{name}: {line['note']}")
        return
    runs = HERE / "runs" / line["encoder"] / line["tokenization"] / line["dataset"]
    scores = [score(path) for path in sorted(runs.glob("seed*/predictions.parquet"))]
    if len(scores) != int(line["seeds"]):
        sys.exit(
            f"error: {name}: {len(scores)} runs, but table.csv has {line['seeds']}"
        )
    found = {"mean": statistics.fmean(scores)}
    if len(scores) > 1:
        found["sd"] = statistics.stdev(scores)
    said = " +- ".join(f"{value:.2f}" for value in found.values())
    note = f" ({line['note']})" if line["note"] else ""
    count = f"{len(scores)} seed{'s' if len(scores) > 1 else ''}"
    print(f"{name}: {line['metric']} {said} per cent over {count}{note}")
    printed = {key: float(line[key]) for key in ("mean", "sd") if line[key]}
    if printed.keys() != found.keys() or not all(
        abs(found[key] - printed[key]) < TOLERANCE for key in found
    ):
        printed_as = f"mean {line['mean']}, sd {line['sd'] or 'none'}"
        sys.exit(f"error: {name}: table.csv has {printed_as}")


def main() -> None:
    """Check the files, then every line of the table."""
    print(f"{check_sums(HERE)} files as in SHA256SUMS")
    with open(HERE / "table.csv", newline="") as file:
        for line in csv.DictReader(file):
            check_line(line)


if __name__ == "__main__":
    main()

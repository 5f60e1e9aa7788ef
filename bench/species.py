"""A chromosome cut up: what `config/species.yaml` pretrains on and probes with.

    python bench/species.py --genome fly_chr4.fa.gz --cds fly_chr4_cds.fa.gz \
        --output resources/local/fly

It is cut into blocks of 10,000 bases. Of each five in a row the last is held out of
pretraining and is the data set's test, the fourth is its dev, the rest its train.
`genome/genome.fa` has two records, `train` and `held-out`, their blocks parted by an N.

With `--cds`, NCBI's FASTA of coding sequences, `coding/` is a data set: windows of 120
bases of the chromosome's plus strand, side by side, that lie within coding sequence of
either strand (label 1) or touch none (label 0). Of the class that has more of them in a
split, each window of the other takes the one that is nearest in GC.
"""

import argparse
import csv
import gzip
import re
from pathlib import Path

import numpy as np

BLOCK, WINDOW = 10_000, 120
SPLITS = ("train", "train", "train", "dev", "test")


def unpacked(path: Path) -> str:
    """Read a file that gzip packed."""
    return gzip.decompress(path.read_bytes()).decode()


def gc(sequence: str) -> int:
    """Count G and C."""
    return sequence.count("G") + sequence.count("C")


def windows(is_wanted: np.ndarray, sequence: str) -> list[str]:
    """Windows side by side in each run of wanted positions, those that are all ACGT."""
    edges = np.flatnonzero(np.diff(np.r_[False, is_wanted, False]))
    found = [
        sequence[start : start + WINDOW]
        for first, last in edges.reshape(-1, 2).tolist()
        for start in range(first, last - WINDOW + 1, WINDOW)
    ]
    return [one for one in found if set(one) <= set("ACGT")]


def matched(few: list[str], many: list[str]) -> list[str]:
    """For each of the few the one of the many, not yet taken, whose GC is nearest."""
    left, taken = list(many), []
    for one in few:
        nearest = min(range(len(left)), key=lambda i: abs(gc(left[i]) - gc(one)))
        taken.append(left.pop(nearest))
    return taken


def write_coding(blocks: list[str], is_coding: np.ndarray, folder: Path) -> None:
    """Write train.csv, dev.csv and test.csv."""
    rows: dict[str, tuple[list, list]] = {split: ([], []) for split in SPLITS}
    for number, block in enumerate(blocks):
        part = is_coding[number * BLOCK :][: len(block)]
        outside, inside = rows[SPLITS[number % len(SPLITS)]]
        outside += windows(~part, block)
        inside += windows(part, block)
    folder.mkdir(parents=True, exist_ok=True)
    for split, (outside, inside) in rows.items():
        if len(inside) < len(outside):
            outside = matched(inside, outside)
        else:
            inside = matched(outside, inside)
        with (folder / f"{split}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["sequence", "label"])
            table.writerows([one, 0] for one in outside)
            table.writerows([one, 1] for one in inside)
        shares = [sum(map(gc, some)) / len(some) / WINDOW for some in (outside, inside)]
        print(
            split, len(outside) + len(inside), "rows, GC {:.3f} {:.3f}".format(*shares)
        )


def main() -> None:
    """Read the flags, cut, and say how much came out."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--genome", type=Path, required=True)
    parser.add_argument("--cds", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    told = parser.parse_args()
    _, _, letters = unpacked(told.genome).partition("\n")
    sequence = letters.replace("\n", "").upper()
    blocks = [sequence[start:][:BLOCK] for start in range(0, len(sequence), BLOCK)]
    held = [SPLITS[number % len(SPLITS)] == "test" for number in range(len(blocks))]
    (told.output / "genome").mkdir(parents=True, exist_ok=True)
    with (told.output / "genome" / "genome.fa").open("w") as file:
        for name, wanted in (("train", False), ("held-out", True)):
            chosen = [
                b for b, is_held in zip(blocks, held, strict=True) if is_held == wanted
            ]
            file.write(f">{name}\n{'N'.join(chosen)}\n")
            print(name, sum(map(len, chosen)), "bases")
    if told.cds:
        is_coding = np.zeros(len(sequence), bool)
        for location in re.findall(r"\[location=([^]]*)\]", unpacked(told.cds)):
            for first, last in re.findall(r"<?(\d+)\.\.>?(\d+)", location):
                is_coding[int(first) - 1 : int(last)] = True
        print(f"coding {is_coding.mean():.3f}")
        write_coding(blocks, is_coding, told.output / "coding")


if __name__ == "__main__":
    main()

"""What a data set's scores may mean: rows that leak, labels that a rule finds.

    python -m randommask.data.leaks --data results/benchmark/TF-M-0 \
        --output results/benchmark/TF-M-0/leaks.json

`--data` is a folder that `randommask.data.prepare` made, of the paper's or of one's own
data. leaks.json holds

- `leaks`: for each kind of likeness (`randommask.data.alike`) the rows of dev and test
  that an earlier split gives away, and the rows of train that do so; how many of those
  in test have the label of the rows they are like; `score`, what a rule that knows
  nothing else reaches on test. And `contradictions`, the sequences that stand with more
  than one label;
- `shortcuts`: what the other rules of `randommask.data.shortcuts` reach;
- `best`: the rule that is best on dev.

Scores are fractions: MCC, or the mean Pearson. Rows count from 0. A verdict is `none`,
`some` or `serious`. A leak is `serious` from one test row in 20 on (`MANY_ROWS`; of
contradictions, one row in 20 of any split), or where its rule's score is at least
`HIGH`, a shortcut in the latter case alone. A score below `LOW` is `none`, and so is
one that chance would reach in so few test rows.
"""

import argparse
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from randommask import files, metrics
from randommask.data import prepared, shortcuts
from randommask.data.alike import (
    COMMON,
    KINDS,
    LEVELS,
    MOST,
    NEAR,
    Alike,
    K,
)
from randommask.data.prepared import Summary
from randommask.data.splits import values
from randommask.errors import run
from randommask.experiment.datasets import SPLITS

NONE, SOME, SERIOUS = "none", "some", "serious"
MANY_ROWS = 0.05
LOW, HIGH = 0.1, 0.3
LEAKS = tuple(kind for kind in KINDS if any(kind in level for level in LEVELS.values()))
"""Kinds that are no chance; that letter counts agree (`partners-1`) is a shortcut."""


@dataclass(frozen=True)
class Rows:
    """A split."""

    sequences: list[str]
    labels: np.ndarray
    """int64 (n,), or float64 (n, O)."""


def read(folder: Path) -> tuple[Summary, dict[str, Rows]]:
    """The summary and the splits of a prepared data set."""
    known = prepared.summary(folder)
    splits = {}
    for split in SPLITS:
        table = prepared.table(folder, split, known)
        labels = np.stack([values(table[name]) for name in known.columns], axis=1)
        if known.type == metrics.CLASSIFICATION:
            labels = labels[:, 0]
        splits[split] = Rows(table["sequence"].to_pylist(), labels)
    return known, splits


def measure(summary: Summary, splits: dict[str, Rows]) -> dict[str, Any]:
    """What leaks.json holds."""
    kind, test = summary.type, splits["test"]
    alike = Alike({split: rows.sequences for split, rows in splits.items()})
    rules = list(shortcuts.rules(kind, splits, summary.classes, alike))
    scores = {
        rule.name: {
            "dev": metrics.defined(rule.dev),
            "test": metrics.defined(
                metrics.choose(kind, test.labels, rule.predictions["test"])
            ),
        }
        for rule in rules
    }
    chance = 3 / math.sqrt(len(test.labels))
    leaks = {}
    for name in LEAKS:
        found = {split: alike.leaking(split, (name,)) for split in SPLITS}
        leaks[name] = {
            "verdict": max(
                _of_rows(found["test"]),
                _of_score(scores[name]["test"], chance),
                key=(NONE, SOME, SERIOUS).index,
            ),
            "rows": {s: np.flatnonzero(rows).tolist() for s, rows in found.items()},
            "score": scores[name],
        }
        if kind == metrics.CLASSIFICATION:
            leaks[name]["same_label"] = _same_label(name, alike, splits, summary)
    if kind == metrics.CLASSIFICATION:
        leaks["contradictions"] = _contradictions(alike, splits, summary.classes)
    best = shortcuts.best(rules).name
    return {
        "dataset": summary.dataset,
        "task": summary.task,
        "metric": metrics.CHOSEN_BY[kind],
        "rows": {split: len(rows.labels) for split, rows in splits.items()},
        "near": {
            "k": K,
            "containment": NEAR,
            "common": COMMON,
            "sampled": f"{alike.sampled:.2g} of all k-mers, as there are more than"
            f" {MOST:,}"
            if alike.sampled < 1
            else None,
        },
        "leaks": leaks,
        "shortcuts": {
            name: {"verdict": _of_score(found["test"], chance), "score": found}
            for name, found in scores.items()
            if name not in LEAKS
        },
        "best": {"rule": best, **scores[best]},
    }


def _of_rows(is_leaking: np.ndarray) -> str:
    if not is_leaking.any():
        return NONE
    return SERIOUS if is_leaking.mean() >= MANY_ROWS else SOME


def _of_score(score: float | None, chance: float) -> str:
    if score is None or score < max(LOW, chance):
        return NONE
    return SERIOUS if score >= HIGH else SOME


def _same_label(
    name: str, alike: Alike, splits: dict[str, Rows], summary: Summary
) -> int:
    """Test rows whose label most rows like them in train and dev have."""
    known = {split: splits[split].labels for split in ("train", "dev")}
    votes = alike.votes(name, "test", known, summary.classes)
    is_same = votes.argmax(1) == splits["test"].labels
    return int(np.count_nonzero(is_same & votes.any(1)))


def _contradictions(
    alike: Alike, splits: dict[str, Rows], classes: int
) -> dict[str, Any]:
    """Rows whose sequence stands with another label too, in any split."""
    labels = {split: rows.labels for split, rows in splits.items()}
    found = {
        split: (alike.votes("exact", split, labels, classes) > 0).sum(1) > 1
        for split in splits
    }
    numbers = [alike.numbers[split][rows] for split, rows in found.items()]
    return {
        "verdict": _of_rows(np.concatenate([*found.values()])),
        "sequences": len(np.unique(np.concatenate(numbers))),
        "rows": {s: np.flatnonzero(rows).tolist() for s, rows in found.items()},
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Read the flags, measure one data set, say what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="prepared data set")
    parser.add_argument(
        "--output", type=files.new_file, required=True, help="JSON to write"
    )
    flags = parser.parse_args(argv)
    files.check_file(flags.output, *flags.data.glob("*.parquet"))
    found = measure(*read(flags.data))
    files.write_json(flags.output, found)
    for name, leak in found["leaks"].items():
        rows, score = len(leak["rows"]["test"]), leak.get("score", {}).get("test")
        reached = "" if score is None else f", {found['metric']} {score:.3f}"
        print(f"{name}: {leak['verdict']}, {rows} test rows{reached}")
    for name, shortcut in found["shortcuts"].items():
        score = shortcut["score"]["test"]
        reached = f"{found['metric']} " + ("?" if score is None else f"{score:.3f}")
        print(f"{name}: {shortcut['verdict']}, {reached}")


if __name__ == "__main__":
    run(main)

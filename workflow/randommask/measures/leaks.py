"""What the leaks of the data sets mean to Table 3: its scores with and without them.

Read from the `leaks.json` of each data set and the predictions of the runs; nothing is
trained again, as only test rows go. A record is one of two:

- with an empty `row`, what was found: of `kind`, its verdict, how many test rows it
  gives away, and in `mean` what a rule that knows nothing else reaches on test;
- a row of Table 3 at a level (`exact`, `near`, `partners`, each with those before):
  its `mean` on all test rows, and on those that are `left` without the leaking ones.

All scores are per cent.
"""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

from randommask import files, metrics
from randommask.data.alike import LEVELS
from randommask.data.leaks import SERIOUS
from randommask.errors import InputError
from randommask.measures import predictions, runs
from randommask.measures.records import Record, percent

TEXTS = ("dataset", "metric", "kind", "verdict", "row")
NUMBERS = ("test_rows", "leaking", "mean", "left")
_NAMED = 4
"""Data sets that a sentence names."""

Found = dict[str, Any]


def read(path: Path) -> Found:
    """One leaks.json; `InputError` for what is none."""
    found = files.read_json(path)
    for key in ("dataset", "metric", "rows", "leaks", "shortcuts"):
        if not isinstance(found, dict) or key not in found:
            raise InputError(f"{path}: no {key!r}, expected what data.leaks writes")
    return found


def of_file(path: Path) -> list[Record]:
    """What was found in one data set, by its leaks.json."""
    return findings(read(path))


def findings(found: Found) -> list[Record]:
    """A record a kind of leak or shortcut."""
    shared = {"dataset": found["dataset"], "metric": found["metric"]}
    lines = []
    for kind, part in {**found["leaks"], **found["shortcuts"]}.items():
        rows, score = part.get("rows"), part.get("score")
        lines.append(
            {**shared, "kind": kind, "verdict": part["verdict"], "row": ""}
            | {"test_rows": found["rows"]["test"]}
            | {"leaking": len(rows["test"]) if rows else None}
            | {"mean": percent(_in_per_cent(score)) if score else None, "left": None}
        )
    return lines


def over_rows(
    root: Path,
    benchmark: Path,
    rows: Sequence[Any],
    names: Sequence[str],
    seeds: Sequence[int],
    problems: list[str],
) -> list[Record]:
    """All records, data set by data set; a run that is missing goes to `problems`."""
    lines = []
    for name in names:
        found = read(benchmark / name / "leaks.json")
        lines += findings(found)
        test = predictions.read_test(benchmark / name / "test.parquet")
        levels = _levels(found, len(test.labels))
        if not levels:
            continue
        for row in rows:
            cell = (root, row.encoder, row.tokenization, name)
            made = runs.read_seeds(*cell, seeds, problems)
            named = [predictions.read(run, test) for run in made.values()]
            whole = np.ones(len(test.labels), bool)
            for level, is_leaking in levels.items():
                lines.append(
                    {"dataset": name, "metric": found["metric"], "kind": level}
                    | {"verdict": "", "row": row.label}
                    | {"test_rows": len(whole), "leaking": int(is_leaking.sum())}
                    | {"mean": _mean(test.labels, named, whole)}
                    | {"left": _mean(test.labels, named, ~is_leaking)}
                )
    return lines


def _in_per_cent(score: dict[str, float | None]) -> float | None:
    return None if score["test"] is None else 100 * score["test"]


def _levels(found: Found, rows: int) -> dict[str, np.ndarray]:
    """Which test rows leak at each level that has more than the one before."""
    levels, before = {}, 0
    for level, kinds in LEVELS.items():
        is_leaking = np.zeros(rows, bool)
        for kind in kinds:
            is_leaking[found["leaks"][kind]["rows"]["test"]] = True
        if is_leaking.sum() > before:
            levels[level] = is_leaking
        before = is_leaking.sum()
    return levels


def _mean(labels: np.ndarray, named: list[np.ndarray], kept: np.ndarray) -> Any:
    """The mean score over the seeds on some rows; None without a run or a row."""
    if not named or not kept.any() or metrics.undefined(labels[kept]):
        return None
    return percent(100 * fmean(_score(labels[kept], own[kept]) for own in named))


def _score(labels: np.ndarray, named: np.ndarray) -> float:
    if labels.ndim > 1:
        return float(metrics.pearsons(labels, named).mean())
    size = 1 + int(max(labels.max(), named.max()))
    return metrics.mcc(metrics.confusion(labels, np.eye(size)[named]))


def meaning(records: Sequence[Record]) -> str:
    """What a reader of Table 3 must know of the data, in two sentences."""
    own = [line for line in records if not line["row"]]
    sets = len({line["dataset"] for line in own})
    rows: dict[str, tuple[float, str]] = {}
    best: dict[str, tuple[float, str]] = {}
    for line in own:
        name, kind = line["dataset"], line["kind"]
        if line["leaking"] and line["verdict"] == SERIOUS and kind != "contradictions":
            share = 100 * line["leaking"] / line["test_rows"]
            rows[name] = max(rows.get(name, (0, "")), (share, kind))
        if line["mean"] is not None and line["verdict"] == SERIOUS:
            best[name] = max(best.get(name, (0, "")), (line["mean"], kind))
    first = (
        f"Train or dev gives away test rows of {len(rows)} of {sets} data sets"
        f" ({_named(rows, ' % of rows')})."
        if rows
        else f"In none of {sets} data sets does train or dev give away many test rows."
    )
    second = (
        f"Rules that know no DNA solve {len(best)} of them in part"
        f" ({_named(best, '')}): there a score says less of what a model has learnt"
        " than it seems."
        if best
        else "No rule that knows no DNA solves one of them."
    )
    return f"{first} {second}"


def _named(found: dict[str, tuple[float, str]], unit: str) -> str:
    names = sorted(found, key=lambda name: -found[name][0])
    texts = [
        f"{name} {found[name][0]:.0f}{unit} by {found[name][1]}"
        for name in names[:_NAMED]
    ]
    more = len(names) - _NAMED
    return ", ".join([*texts, *([f"and {more} more"] if more > 0 else [])])

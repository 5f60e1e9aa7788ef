"""The fine-tunings behind Tables 2 and 3: their `metrics.json`, checked and summed up.

A run that was not made is no error, only a missing number; a file that is there but is
half-written, or belongs to another run than its folder says, stops the table.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from randommask import files
from randommask.errors import InputError


@dataclass(frozen=True)
class Run:
    """One fine-tuning: its file, its test score in per cent, what is odd about it."""

    path: Path
    score: float
    flags: tuple[str, ...]
    settings: dict[str, Any]


@dataclass(frozen=True)
class Summary:
    """The seeds of one cell: per cent; `sd` (ddof 1) is None below two seeds."""

    mean: float | None
    sd: float | None
    seeds: int
    note: str


def read(
    root: Path, encoder: str, tokenization: str, dataset: str, seed: int
) -> Run | None:
    """The run of that name under `<results>/finetune`, or None where it was not made.

    Raises `InputError` naming the file where it is not JSON, belongs to another run or
    holds no score in [-1, 1].
    """
    path = root / encoder / tokenization / dataset / f"seed{seed}" / "metrics.json"
    if not path.exists():
        return None
    metrics = files.read_json(path)
    if not isinstance(metrics, dict):
        raise InputError(f"{path}: found {type(metrics).__name__}, expected an object")
    expected = {
        "encoder": encoder,
        "tokenization": tokenization,
        "dataset": dataset,
        "seed": seed,
    }
    for key, value in expected.items():
        if metrics.get(key) != value:
            raise InputError(
                f"{path}: {key}: found {metrics.get(key)!r}, expected {value!r}"
            )
    score = metrics.get("score")
    if (
        not isinstance(score, int | float)
        or not math.isfinite(score)
        or not -1 <= score <= 1
    ):
        raise InputError(f"{path}: score: found {score!r}, expected a number in -1..1")
    settings = dict(metrics.get("settings", {}))
    settings.pop("seed", None)
    return Run(path, 100 * score, tuple(metrics.get("flags", ())), settings)


def read_seeds(
    root: Path, encoder: str, tokenization: str, dataset: str, seeds: Sequence[int]
) -> dict[int, Run]:
    """The runs of one cell by seed, those that exist.

    Raises `InputError` naming two files where their settings differ in more than the
    seed: their mean would be the mean of two experiments.
    """
    runs = {}
    for seed in seeds:
        run = read(root, encoder, tokenization, dataset, seed)
        if run is not None:
            runs[seed] = run
    first = next(iter(runs.values()), None)
    for run in runs.values():
        for key in sorted({*run.settings, *first.settings}):
            left, right = first.settings.get(key), run.settings.get(key)
            if left != right:
                raise InputError(
                    f"{run.path}: {key}: found {right!r}, expected {left!r}"
                    f" as in {first.path}"
                )
    return runs


def summarise(runs: dict[int, Run], seeds: Sequence[int]) -> Summary:
    """Mean, sd and count over the seeds there are; in words what is odd or missing.

    >>> summarise({}, [1, 2]).note
    'no run'
    """
    missing = [seed for seed in seeds if seed not in runs]
    notes = []
    if not runs:
        notes.append("no run")
    elif missing:
        notes.append(f"no run of seed {', '.join(map(str, missing))}")
    notes += [
        f"seed {seed}: {', '.join(run.flags)}"
        for seed, run in runs.items()
        if run.flags
    ]
    scores = [run.score for run in runs.values()]
    return Summary(
        mean=statistics.fmean(scores) if scores else None,
        sd=statistics.stdev(scores) if len(scores) > 1 else None,
        seeds=len(scores),
        note="; ".join(notes),
    )

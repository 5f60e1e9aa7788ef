"""The fine-tunings behind Tables 2 and 3: their `metrics.json`, checked and summed up.

A run that was not made, or whose file is half-written or belongs to another run than
its folder says, leaves its number missing and is named. Runs of one cell that were made
in different ways stop the table.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from randommask import files
from randommask.errors import InputError, reason
from randommask.metrics import UNDEFINED

_SHARED = ("architecture", "data_sha256", "encoder_sha256")
"""What all seeds of a cell must have in common beside their settings, where known."""

_NAMED = 5
"""Problems that the closing error spells out."""


@dataclass(frozen=True)
class Run:
    """One fine-tuning: its file, its test score in per cent, what is odd about it."""

    path: Path
    score: float | None
    """None where no score is defined, which `flags` say."""
    flags: tuple[str, ...]
    settings: dict[str, Any]
    shared: dict[str, Any]


@dataclass(frozen=True)
class Summary:
    """The seeds of one cell: per cent; `sd` (ddof 1) is None below two seeds."""

    mean: float | None
    sd: float | None
    seeds: int
    note: str


def metrics_path(
    root: Path, encoder: str, tokenization: str, dataset: str, seed: int
) -> Path:
    """Where a run's metrics stand under `<results>/finetune`."""
    return root / encoder / tokenization / dataset / f"seed{seed}" / "metrics.json"


def read(root: Path, encoder: str, tokenization: str, dataset: str, seed: int) -> Run:
    """The run of that name under `<results>/finetune`.

    Raises `InputError` naming the file where it is missing or not JSON, belongs to
    another run or holds no score in [-1, 1].
    """
    path = metrics_path(root, encoder, tokenization, dataset, seed)
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
    flags = tuple(metrics.get("flags", ()))
    is_undefined = score is None and any(UNDEFINED in flag for flag in flags)
    if not is_undefined and (
        not isinstance(score, int | float)
        or not math.isfinite(score)
        or not -1 <= score <= 1
    ):
        raise InputError(f"{path}: score: found {score!r}, expected a number in -1..1")
    settings = dict(metrics.get("settings", {}))
    settings.pop("seed", None)
    shared = {key: metrics[key] for key in _SHARED if key in metrics}
    if settings.get("train_rows") and "encoder_sha256" not in shared:
        # A control is chosen by the rows that it learns from, which the seed draws.
        shared.pop("architecture", None)
    score = None if is_undefined else 100 * score
    return Run(path, score, flags, settings, shared)


class Scored(dict[int, Run]):
    """Runs by seed that have a score, and beside them those for which none is defined.

    No table can count the latter; that they were made has to be said.
    """

    def __init__(self, found: dict[int, Run]) -> None:
        super().__init__({s: r for s, r in found.items() if r.score is not None})
        self.undefined = {s: r for s, r in found.items() if r.score is None}


def read_seeds(
    root: Path,
    encoder: str,
    tokenization: str,
    dataset: str,
    seeds: Sequence[int],
    problems: list[str],
) -> Scored:
    """The runs of one cell by seed, those that can be read and have a score.

    What is wrong with the others is added to `problems`. Raises `InputError` naming two
    files where their settings differ in more than the seed, or their data or encoders
    differ: their mean would be the mean of two experiments.
    """
    found = {}
    for seed in seeds:
        try:
            found[seed] = read(root, encoder, tokenization, dataset, seed)
        except (InputError, OSError) as error:
            problems.append(reason(error))
    first = next(iter(found.values()), None)
    for run in found.values():
        known = run.shared.keys() & first.shared.keys()
        mine = run.settings | {key: run.shared[key] for key in known}
        theirs = first.settings | {key: first.shared[key] for key in known}
        for key in sorted({*mine, *theirs}):
            if mine.get(key) != theirs.get(key):
                raise InputError(
                    f"{run.path}: {key}: found {mine.get(key)!r}, expected"
                    f" {theirs.get(key)!r} as in {first.path}"
                )
    return Scored(found)


def check_complete(problems: Sequence[str]) -> None:
    """Raise `InputError` naming the runs that left a cell without all its seeds."""
    named = list(dict.fromkeys(problems))
    if named:
        more = f"; and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        raise InputError(
            f"runs missing or unreadable and left out: {len(named)} (--partial"
            f" accepts that): {'; '.join(named[:_NAMED])}{more}"
        )


def summarise(runs: dict[int, Run], seeds: Sequence[int]) -> Summary:
    """Mean, sd and count over the seeds there are; in words what is odd or missing.

    >>> summarise({}, [1, 2]).note
    'no run'
    """
    undefined = getattr(runs, "undefined", {})
    missing = [seed for seed in seeds if seed not in runs and seed not in undefined]
    notes = []
    if not runs and not undefined:
        notes.append("no run")
    elif missing:
        notes.append(f"no run of seed {', '.join(map(str, missing))}")
    notes += [
        f"seed {seed}: {', '.join(run.flags)}"
        for seed, run in {**runs, **undefined}.items()
        if run.flags
    ]
    scores = [run.score for run in runs.values()]
    return Summary(
        mean=statistics.fmean(scores) if scores else None,
        sd=statistics.stdev(scores) if len(scores) > 1 else None,
        seeds=len(scores),
        note="; ".join(notes),
    )

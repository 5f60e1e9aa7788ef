"""The numbers behind an ablation, read from where the jobs left them.

A record says one thing of one row: `measure` is

- `score`: test MCC (of numbers: Pearson) in per cent, `of` a data set, a task or
  `mean`, the mean over the data sets; `low` and `high` are the 95 % interval over
  seeds;
- `loss`: validation loss with all spans of `of` tokens, nats a masked token;
- `purity`, `silhouette`: order of the embeddings, where it is measured;
- `cls_mass`, `entropy`: attention on [CLS], and how widely it spreads, in nats: means
  over the layers;
- `hours`, `core_hours`, `gpu_hours`: of all jobs `of` pretraining or fine-tuning.

`value` is None where there is nothing to read.
"""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from randommask.datasets import Dataset
from randommask.errors import InputError
from randommask.files import read_json
from randommask.tables import runs
from randommask.tables.records import Record, read_csv, tasks_of

MEAN = "mean"
LEVEL = 0.95  # of every interval
KEYS = ("row", "encoder", "tokenization", "series", "at")
Scores = dict[str, dict[int, runs.Run]]
"""A row's runs by data set and seed; their scores are per cent."""


def read_scores(
    finetuned: Path, row: Record, datasets: Sequence[Dataset], seeds: Sequence[int]
) -> Scores:
    """The scores of a row's runs under `<results>/finetune`.

    Raises `InputError` where a run is missing or is another than its folder says, and
    where the runs of a cell were made in different ways.
    """
    scores: Scores = {}
    for dataset in datasets:
        problems: list[str] = []
        cell = (row["encoder"], row["tokenization"], dataset.dataset)
        found = runs.read_seeds(finetuned, *cell, seeds, problems)
        if problems:
            raise InputError(problems[0])
        scores[dataset.dataset] = found
    return scores


def by_seed(scores: Scores, names: Sequence[str]) -> list[float]:
    """For each seed the mean over some data sets."""
    seeds = scores[names[0]]
    return [
        statistics.fmean(scores[name][seed].score for name in names) for seed in seeds
    ]


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Student's interval of the mean at `LEVEL`; None below two values.

    >>> interval([1.0])
    """
    from scipy.stats import t

    if len(values) < 2:
        return None
    width = t.ppf((1 + LEVEL) / 2, len(values) - 1)
    width *= statistics.stdev(values) / math.sqrt(len(values))
    middle = statistics.fmean(values)
    return middle - width, middle + width


def score_records(
    row: Record, scores: Scores, datasets: Sequence[Dataset]
) -> list[Record]:
    """A record for each data set, each task and their mean."""
    groups = {dataset.dataset: [dataset.dataset] for dataset in datasets}
    for task in tasks_of(dataset.task for dataset in datasets):
        groups.setdefault(task, [d.dataset for d in datasets if d.task == task])
    groups[MEAN] = [dataset.dataset for dataset in datasets]
    lines = []
    for of, names in groups.items():
        note = _note(scores[of]) if of in scores else ""
        lines.append(record(row, "score", of, by_seed(scores, names), note))
    return lines


def _note(found: dict[int, runs.Run]) -> str:
    """What is odd about the runs of one data set, and of which seeds."""
    odd: dict[str, list[int]] = {}
    for seed, run in found.items():
        if run.flags:
            odd.setdefault(", ".join(run.flags), []).append(seed)
    return "; ".join(
        f"{flags} (seed {', '.join(map(str, seeds))})" for flags, seeds in odd.items()
    )


def record(
    row: Record, measure: str, of: Any, values: Sequence[float], note: str = ""
) -> Record:
    """One line of the csv: the mean of some values, and its interval."""
    low, high = interval(values) or (None, None)
    rounded = [
        None if number is None else round(number, 6) + 0.0
        for number in (statistics.fmean(values) if values else None, low, high)
    ]
    return {
        **{key: row.get("label" if key == "row" else key, "") for key in KEYS},
        "measure": measure,
        "of": of,
        **dict(zip(("value", "low", "high"), rounded, strict=True)),
        "seeds": len(values) if measure == "score" else "",
        "note": note,
    }


def pretraining_records(results: Path, row: Record) -> list[Record]:
    """What the row's encoder learnt, from `<results>`; nothing where not pretrained."""
    pretraining = row["pretraining"]
    if pretraining is None:
        return []
    lines = read_csv(
        results / "pretrain" / pretraining["kept"] / "spans.csv",
        (),
        ("step", "span", "validation_loss", "bound"),
    )
    found = []
    for line in lines:
        if line["step"] == pretraining["step"]:
            span = int(line["span"])
            found += [
                record(row, "loss", span, [line["validation_loss"]]),
                record(row, "bound", span, [line["bound"]]),
            ]
    if row["has_order"]:
        path = results / "figures" / "purity" / f"{row['encoder']}.csv"
        last = read_csv(path, (), ("purity", "silhouette"))[-1]
        found += [record(row, key, "", [last[key]]) for key in last]
    path = results / "figures" / "attention" / f"{row['encoder']}.csv"
    layers = read_csv(path, (), ("cls_mass", "entropy"))
    for key in ("cls_mass", "entropy"):
        middle = statistics.fmean(layer[key] for layer in layers)
        found.append(record(row, key, "", [middle]))
    return found


def time_records(
    results: Path,
    logs: Path,
    row: Record,
    datasets: Sequence[Dataset],
    seeds: Sequence[int],
) -> list[Record]:
    """Hours of the jobs behind a row, from Snakemake's benchmark files under `logs`."""
    jobs: dict[str, list[tuple[Path, float, int]]] = {}
    if row["pretraining"]:
        jobs["pretraining"] = [
            (
                logs / "benchmarks" / "pretrain" / f"{job}.tsv",
                share,
                _gpus_of_pretraining(results / "pretrain" / job / "speed.csv"),
            )
            for job, share in row["pretraining"]["jobs"].items()
        ]
    jobs["fine-tuning"] = []
    for dataset in datasets:
        cell = f"{row['encoder']}/{row['tokenization']}/{dataset.dataset}"
        for seed in seeds:
            run = f"finetune/{cell}/seed{seed}"
            device = read_json(results / run / "metrics.json").get("device", "cpu")
            path = logs / "benchmarks" / f"{run}.tsv"
            jobs["fine-tuning"].append((path, 1.0, int(device != "cpu")))
    return [
        record(row, measure, of, [] if hours is None else [hours])
        for of, found in jobs.items()
        for measure, hours in zip(
            ("hours", "core_hours", "gpu_hours"), _hours(found), strict=True
        )
    ]


def _gpus_of_pretraining(path: Path) -> int:
    """GPUs that a pretraining ran on, as its speeds say."""
    return int(read_csv(path, (), ("gpus",))[-1]["gpus"] or 0)


def _hours(jobs: list[tuple[Path, float, int]]) -> tuple[float | None, ...]:
    """Hours, core-hours and GPU-hours of jobs; None where a file is missing."""
    sums = [0.0, 0.0, 0.0]
    for path, share, gpus in jobs:
        seconds = _benchmark(path)
        if seconds is None:
            return None, None, None
        took, computed = seconds
        for place, amount in enumerate((took, computed, gpus * took)):
            sums[place] += share * amount / 3600
    return tuple(sums)


def _benchmark(path: Path) -> tuple[float, float] | None:
    """Seconds and processor seconds of the last run in a benchmark file.

    A job too short to be measured has `NA` or `-` for its processor time.
    """
    if not path.exists():
        return None
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    if not lines:
        return None
    line = dict(zip(header.split("\t"), lines[-1].split("\t"), strict=False))
    try:
        return float(line["s"]), float(line["cpu_time"])
    except (KeyError, ValueError):
        return None

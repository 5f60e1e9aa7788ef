"""Scores of runs as the records behind Tables 2 and 3."""

import statistics
from collections.abc import Sequence
from pathlib import Path

from randommask.errors import InputError
from randommask.experiment.datasets import Dataset
from randommask.experiment.sections import PublishedRow, Table2Row
from randommask.measures import gains, runs
from randommask.measures.records import Record, difference, mean, percent, tasks_of
from randommask.measures.statistics import MCC_SETS

Gained = dict[tuple[str, str], gains.Gain]
"""Gains by row and data set."""


def table3(
    root: Path,
    rows: Sequence[PublishedRow],
    datasets: Sequence[Dataset],
    seeds: Sequence[int],
    printed: dict[str, dict[str, float]],
    problems: list[str],
    gained: Gained | None = None,
) -> list[Record]:
    """A record per row and data set, read from `<results>/finetune` at `root`.

    Runs that are missing or cannot be read are named in `problems`. Raises `InputError`
    where a row stands beside a published one that does not exist.
    """
    records = []
    for row in rows:
        beside = _printed_row(row, printed)
        for dataset in datasets:
            name = dataset.dataset
            found = runs.read_seeds(
                root, row.encoder, row.tokenization, name, seeds, problems
            )
            summary = runs.summarise(found, seeds)
            records.append(
                {
                    "row": row.label,
                    "encoder": row.encoder,
                    "tokenization": row.tokenization,
                    "task": dataset.task,
                    "dataset": name,
                    "metric": dataset.metric,
                    "mean": percent(summary.mean),
                    "sd": percent(summary.sd),
                    "seeds": summary.seeds,
                    "published": beside.get(name),
                    "delta": percent(difference(summary.mean, beside.get(name))),
                    **gains.columns((gained or {}).get((row.label, name))),
                    "note": summary.note,
                }
            )
    return records


def _printed_row(row: Record, printed: dict[str, dict[str, float]]) -> dict[str, float]:
    if row.published is None:
        return {}
    if row.published not in printed:
        raise InputError(
            f"row {row.label}: no published row {row.published!r},"
            f" expected one of {', '.join(printed)}"
        )
    return printed[row.published]


def averages(records: list[Record], gained: Gained | None = None) -> list[Record]:
    """A record per row and task of Table 3: the mean over the task's data sets.

    The last of a row is the mean over the sets scored by MCC, of whatever task.
    """
    lines = []
    for row in dict.fromkeys(record["row"] for record in records):
        own = [record for record in records if record["row"] == row]
        groups = {
            task: [record for record in own if record["task"] == task]
            for task in tasks_of(record["task"] for record in own)
        }
        groups[MCC_SETS] = [record for record in own if record["metric"] == "mcc"]
        for task, cells in groups.items():
            if not cells:
                continue
            ours = mean([cell["mean"] for cell in cells])
            theirs = mean([cell["published"] for cell in cells])
            lines.append(
                {
                    "row": row,
                    "task": task,
                    "datasets": len(cells),
                    "mean": percent(ours),
                    "published": percent(theirs),
                    "delta": percent(difference(ours, theirs)),
                    **gains.columns(
                        gains.mean_of(
                            [(gained or {}).get((row, x["dataset"])) for x in cells]
                        )
                    ),
                }
            )
    return lines


def table2(
    root: Path,
    rows: Sequence[Table2Row],
    datasets: Sequence[Dataset],
    seeds: Sequence[int],
    printed: dict[tuple[str, str], dict[str, float]],
    problems: list[str],
) -> list[Record]:
    """A record per row and task: the mean over the task's data sets and the seeds.

    `sd` is over the task means of those seeds that were run on all its data sets; runs
    that are missing or cannot be read are named in `problems`.
    """
    records = []
    for row in rows:
        key = (row.published, row.tokenization)
        if row.published is not None and key not in printed:
            raise InputError(f"row {row.label}: Table 2 prints no {' '.join(key)}")
        for task in tasks_of(dataset.task for dataset in datasets):
            names = [d.dataset for d in datasets if d.task == task]
            found = [
                runs.read_seeds(
                    root, row.encoder, row.tokenization, name, seeds, problems
                )
                for name in names
            ]
            summaries = [runs.summarise(cell, seeds) for cell in found]
            complete = [
                statistics.fmean(cell[seed].score for cell in found)
                for seed in seeds
                if all(seed in cell for cell in found)
            ]
            ours = mean([summary.mean for summary in summaries])
            theirs = printed.get(key, {}).get(task)
            notes = [
                f"{name}: {summary.note}"
                for name, summary in zip(names, summaries, strict=True)
                if summary.note
            ]
            records.append(
                {
                    "label": row.label,
                    "encoder": row.encoder,
                    "pretraining": row.pretraining,
                    "tokenization": row.tokenization,
                    "task": task,
                    "mean": percent(ours),
                    "sd": percent(statistics.stdev(complete))
                    if ours is not None and len(complete) > 1
                    else None,
                    "seeds": len(complete),
                    "datasets": len(names),
                    "sets": " ".join(names),
                    "published": theirs,
                    "delta": percent(difference(ours, theirs)),
                    "note": "; ".join(notes),
                }
            )
    return records


def token_gains(
    records: list[Record],
) -> dict[str, dict[str, tuple[float | None, ...]]]:
    """Overlapping minus non-overlapping by label and task: (ours, printed) in points.

    Only labels that have both; a task without either number gets None.
    """
    cells = {
        (record["label"], record["tokenization"], record["task"]): record
        for record in records
    }
    found: dict[str, dict[str, tuple[float | None, ...]]] = {}
    for label, tokenization, task in cells:
        other = cells.get((label, "overlapping", task))
        if tokenization == "non-overlapping" and other:
            own = cells[label, tokenization, task]
            found.setdefault(label, {})[task] = tuple(
                difference(other[key], own[key]) for key in ("mean", "published")
            )
    return found

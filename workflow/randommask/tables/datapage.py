"""The data page: what the prepared data sets hold, and what is odd about them.

Read from the `summary.json` that the preparation of each data set leaves; nothing is
counted again here.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from randommask import files
from randommask.datasets import SPLITS, TASKS
from randommask.errors import InputError
from randommask.tables.records import Record
from randommask.tables.sheet import Cell, Column, Grid, Sheet

_MANY = 3
"""Warnings of one kind are listed one by one below this number."""

Summary = dict[str, Any]


def read(paths: Sequence[str | Path]) -> list[Summary]:
    """The summaries in the paper's order of tasks.

    Raises `InputError` for a file that is no summary, or two of one data set.
    """
    summaries: dict[str, Summary] = {}
    for path in paths:
        summary = files.read_json(path)
        for key in ("dataset", "task", "type", "published", "splits", "leaks"):
            if not isinstance(summary, dict) or key not in summary:
                raise InputError(f"{path}: no {key!r}, expected a data set's summary")
        if summary["dataset"] in summaries:
            raise InputError(f"{path}: a second summary of {summary['dataset']}")
        summaries[summary["dataset"]] = summary
    return sorted(summaries.values(), key=lambda found: TASKS.index(found["task"]))


def records(summaries: list[Summary]) -> list[Record]:
    """A record per data set and split.

    `in_train`, `in_dev`: how many of its different sequences stand there too;
    `published`: the number of rows its authors give; `largest_class`: a fraction.
    """
    lines = []
    for summary in summaries:
        leaks = summary["leaks"]
        for split in SPLITS:
            if split not in summary["splits"]:
                raise InputError(f"{summary['dataset']}: no split {split!r}")
            found = summary["splits"][split]
            lines.append(
                {
                    "dataset": summary["dataset"],
                    "task": summary["task"],
                    "split": split,
                    **{key: found[key] for key in ("rows", "min_bases", "max_bases")},
                    "published": summary["published"].get(split),
                    "gc": None if found["gc"] is None else round(found["gc"], 4),
                    "labels": _labels(found["labels"]),
                    "largest_class": _largest(summary, found),
                    "duplicates": found["duplicates"],
                    "in_train": leaks.get(f"train-{split}"),
                    "in_dev": leaks.get(f"dev-{split}"),
                    "sha256": found["sha256"],
                }
            )
    return lines


def _labels(labels: dict[str, Any]) -> str:
    return " ".join(
        f"{name}:{value['mean']:.3f}+-{value['sd']:.3f}"
        if isinstance(value, dict)
        else f"{name}:{value}"
        for name, value in labels.items()
    )


def _largest(summary: Summary, split: dict[str, Any]) -> float | None:
    if summary["type"] != "classification" or not split["rows"]:
        return None
    return round(max(split["labels"].values()) / split["rows"], 4)


def page(summaries: list[Summary], lines: list[Record], notice: str) -> Sheet:
    """One line a data set: rows, lengths, balance, GC, duplicates and leaks.

    Numbers of the splits are separated by slashes: train / dev / test.
    """
    names = ("task", "rows", "rows published", "bases", "GC %", "largest class %")
    columns = tuple(map(Column, (*names, "duplicates", "in train: dev / test")))
    columns += (Column("in dev: test"),)
    table = []
    for summary in summaries:
        own = [line for line in lines if line["dataset"] == summary["dataset"]]
        low = min(line["min_bases"] for line in own)
        high = max(line["max_bases"] for line in own)
        texts = (
            summary["task"],
            _slashed(own, "rows"),
            _slashed(own, "published"),
            f"{low}" if low == high else f"{low}-{high}",
            _slashed(own, "gc", 100),
            _slashed(own, "largest_class", 100),
            _slashed(own, "duplicates"),
            _slashed(own[1:], "in_train"),
            _slashed(own[2:], "in_dev"),
        )
        table.append(((summary["dataset"],), tuple(map(Cell, texts))))
    counts = "rows, GC, class and duplicates: train / dev / test"
    return Sheet(
        label="datasets",
        title="The data sets as prepared",
        notice=notice,
        grids=(Grid(("Data set",), columns, tuple(table)),),
        remarks=(counts, *warnings(summaries)),
    )


def _slashed(lines: list[Record], key: str, scale: int = 0) -> str:
    values = [line[key] for line in lines]
    if all(value in (None, "") for value in values):
        return "-"
    return " / ".join(
        "-" if value is None else f"{scale * value:.1f}" if scale else f"{value}"
        for value in values
    )


def warnings(summaries: list[Summary]) -> list[str]:
    """The warnings, those of one kind (equal but for numbers and names) in one line."""
    kinds: dict[str, list[tuple[str, str]]] = {}
    for summary in summaries:
        name = summary["dataset"]
        for warning in summary.get("warnings", ()):
            text = warning.removeprefix(f"{name}: ")
            kind = re.sub(r"\d[\d.,]*", "#", text.replace(name, ""))
            kinds.setdefault(kind, []).append((name, text))
    lines = []
    for found in kinds.values():
        names = list(dict.fromkeys(name for name, _ in found))
        where = (
            ", ".join(names) if len(names) < 2 * _MANY else f"{len(names)} data sets"
        )
        texts = list(dict.fromkeys(text for _, text in found))
        if len(found) < _MANY:
            lines += [f"Warning: {name}: {text}" for name, text in found]
        elif len(texts) == 1:
            lines.append(f"Warning: {where}: {texts[0]}")
        else:
            lines.append(
                f"Warning, {len(found)} alike, in {where};"
                f" such as {found[0][0]}: {texts[0]}"
            )
    return lines

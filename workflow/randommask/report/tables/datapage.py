"""The data page: what the prepared data sets hold, and what is odd about them.

Read from the `summary.json` that the preparation of each data set leaves; nothing is
counted again here.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from randommask import files
from randommask.errors import InputError
from randommask.experiment.datasets import SPLITS, rank
from randommask.measures.records import Record
from randommask.report.tables.sheet import Cell, Column, Grid, Sheet

_MANY = 3
"""Warnings of one kind are listed one by one below this number."""

_NAMED = 6
"""Data sets that a sentence names before it says how many more there are."""

_KEYS = ("dataset", "task", "type", "published", "bases", "settings", "splits", "leaks")

Summary = dict[str, Any]


def read(paths: Sequence[str | Path]) -> list[Summary]:
    """The summaries in the paper's order of tasks, those of other tasks last.

    Raises `InputError` for a file that is no summary, or two of one data set.
    """
    summaries: dict[str, Summary] = {}
    for path in paths:
        summary = files.read_json(path)
        for key in _KEYS:
            if not isinstance(summary, dict) or key not in summary:
                raise InputError(f"{path}: no {key!r}, expected a data set's summary")
        if summary["dataset"] in summaries:
            raise InputError(f"{path}: a second summary of {summary['dataset']}")
        summaries[summary["dataset"]] = summary
    return sorted(summaries.values(), key=lambda found: rank(found["task"]))


def records(summaries: list[Summary]) -> list[Record]:
    """A record per data set and split.

    `in_train`, `in_dev`: how many of its different sequences stand there too, and
    `rows_in_train`, `rows_in_dev` its rows that hold one of them; `repeated`: sequences
    that stand more than once, and `duplicates` their rows beyond the first;
    `published`, `published_bases`: rows and length that its authors give;
    `largest_class`: a fraction.
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
                    "published_bases": summary["bases"],
                    "gc": None if found["gc"] is None else round(found["gc"], 4),
                    "labels": _labels(found["labels"]),
                    "largest_class": _largest(summary, found),
                    "repeated": found["repeated"],
                    "duplicates": found["duplicates"],
                    **_stands_in("train", split, leaks),
                    **_stands_in("dev", split, leaks),
                    "sha256": found["sha256"],
                }
            )
    return lines


def _stands_in(other: str, split: str, leaks: dict[str, Any]) -> Record:
    leak = leaks.get(f"{other}-{split}", {})
    return {
        f"in_{other}": leak.get("sequences"),
        f"rows_in_{other}": leak.get(f"{split}_rows"),
    }


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


def sheet_of(summaries: list[Summary], lines: list[Record], notice: str) -> Sheet:
    """One line a data set: rows, lengths, balance, GC, duplicates and leaks.

    Numbers of the splits are separated by slashes: train / dev / test.
    """
    names = ("task", "rows", "rows published", "bases", "bases published", "GC %")
    names += ("largest class %", "duplicates", "in train: dev / test", "in dev: test")
    columns = tuple(Column(name, text=name == "task") for name in names)
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
            str(summary["bases"]),
            _slashed(own, "gc", 100),
            _slashed(own, "largest_class", 100),
            _slashed(own, "duplicates"),
            _leaks(own[1:], "train"),
            _leaks(own[2:], "dev"),
        )
        table.append(((summary["dataset"],), tuple(map(Cell, texts))))
    counts = (
        "Rows, GC, class and duplicates: train / dev / test. Duplicates are rows whose"
        " sequence stood in an earlier row; leaks are different sequences, in brackets"
        " the rows where they are more."
    )
    return Sheet(
        label="datasets",
        title="The data sets as prepared",
        notice=notice,
        grids=(Grid(("Data set",), columns, tuple(table)),),
        remarks=(counts, *warnings(summaries)),
        lead=meaning(summaries),
    )


def meaning(summaries: list[Summary]) -> tuple[str, ...]:
    """What leaks and duplicates mean to whoever reads the scores, with the numbers."""
    sizes, leaks, repeats = {}, {}, {}
    for summary in summaries:
        name, splits = summary["dataset"], summary["splits"]
        sizes[name] = splits["dev"]["rows"] + splits["test"]["rows"]
        leaks[name] = sum(
            summary["leaks"][f"train-{split}"][f"{split}_rows"]
            for split in ("dev", "test")
        )
        repeats[name] = splits["train"]["duplicates"]
    dropped = any(summary["settings"].get("drop_leaks") for summary in summaries)
    cut = any(summary["settings"].get("max_rows") for summary in summaries)
    found = _counted(leaks, lambda name: f"{100 * leaks[name] / sizes[name]:.2g} %")
    which = " (of those kept here)" if cut else ""
    if found and dropped:
        first = (
            f"Dev and test rows{which} whose sequence stood in train as well: {found}."
            " Those training rows were dropped, so the scores are not those of the"
            " benchmark as published."
        )
    elif found:
        first = (
            f"Dev and test rows{which} whose sequence stands in train as well: {found}."
            " The benchmark is used as published: on these rows a model can remember"
            " what it was shown, and the scores of these data sets may be too high."
        )
    else:
        first = f"No dev or test row{which} has a sequence that stands in train too."
    if found := _counted(repeats):
        second = (
            f"Training rows{which} that repeat an earlier one's sequence: {found}."
            " They stay, and weigh in training as often as they stand there."
        )
    else:
        second = f"No training row{which} repeats an earlier one's sequence."
    return first, second


def _counted(
    counts: dict[str, int], comment: Callable[[str], str] | None = None
) -> str:
    """The data sets with the highest counts by name, and how many there are."""
    names = sorted((n for n in counts if counts[n]), key=lambda n: -counts[n])
    if not names:
        return ""
    texts = [
        f"{name} {counts[name]:,}" + (f" ({comment(name)})" if comment else "")
        for name in names[:_NAMED]
    ]
    if (more := len(names) - _NAMED) > 0:
        texts.append(f"and {more} more")
    total = sum(counts.values())
    return (
        f"{total:,}, in {len(names)} of {len(counts)} data sets"
        f" ({'most in ' if more > 0 else ''}{', '.join(texts)})"
    )


def _leaks(lines: list[Record], other: str) -> str:
    """Sequences of each split that stand in `other` too, and the rows if more."""
    return " / ".join(
        f"{line[f'in_{other}']}"
        if line[f"in_{other}"] == line[f"rows_in_{other}"]
        else f"{line[f'in_{other}']} ({line[f'rows_in_{other}']})"
        for line in lines
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

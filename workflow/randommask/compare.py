"""Two results folders side by side: what was set otherwise, and what came out.

    python -m randommask.compare results/demo results/other [--csv differences.csv]

Scores are those of the second folder less those of the first, in points of per cent,
over the seeds that both have. Where both have predictions for the same test rows, runs
are paired by seed and row, and the interval is that of a gain (`measures.gains`); else
it is Welch's over the seeds, if there are two of each. Settings are those that the runs
recorded, and the recipe in the card of each encoder.
"""

import argparse
import re
import statistics
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from randommask import files
from randommask.errors import InputError, differences, run
from randommask.measures import gains, predictions, runs
from randommask.measures.gains import Gain
from randommask.measures.margins import LEVEL
from randommask.measures.records import percent, write_csv
from randommask.measures.runs import Run

Cell = tuple[str, str, str]
"""Encoder, tokenization, data set."""

OF_A_RUN = ("architecture", "rows", "data_sha256", "encoder_sha256")
OF_A_MACHINE = ("versions", "device", "precision")
SEEDS, ROWS = "seeds", "test rows"
UNPAIRED = "no predictions of the same test rows in both"
DIGEST = re.compile(r'"[0-9a-f]{64}"')
NAMED = 3
"""Data sets of a row that are named; of more their number is said."""


@dataclass
class Results:
    """The runs of a results folder: cell -> seed -> run, and what they recorded."""

    root: Path
    scores: dict[Cell, dict[int, Run]] = field(default_factory=dict)
    recorded: dict[Cell, dict[str, Any]] = field(default_factory=dict)

    def recipe(self, encoder: str) -> dict[str, str]:
        """The settings in the card of an encoder; empty where it has none."""
        path = self.root / "encoders" / encoder / "README.md"
        if not path.is_file():
            return {}
        text = path.read_text(encoding="utf-8").partition("## Recipe\n")[2]
        rows = re.findall(r"^\| (\S+) \| (.*) \|$", text.partition("\n## ")[0], re.M)
        return {key: value for key, value in rows if set(key) != {"-"}}


@dataclass(frozen=True)
class Difference:
    """One cell that both have: means over the common seeds, and how sure the gap is."""

    cell: Cell
    ours: float
    theirs: float
    seeds: int
    bounds: tuple[float, float] | None
    over: str
    note: str = ""
    gain: Gain | None = None

    @property
    def gap(self) -> float:
        """The second folder's less the first's."""
        return self.theirs - self.ours

    @property
    def is_told_apart(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.bounds is not None and not self.bounds[0] <= 0 <= self.bounds[1]


def read(root: Path) -> Results:
    """All runs below `root`; `InputError` where there are none or one is unreadable."""
    paths = sorted((root / "finetune").glob("*/*/*/seed*/metrics.json"))
    if not paths:
        what = "no such folder" if not root.is_dir() else "no finetune/*/*/*/seed*"
        raise InputError(f"{root}: {what}, expected a results folder with runs")
    results = Results(root)
    for path in paths:
        *cell, seed = path.parent.relative_to(root / "finetune").parts
        if not (number := seed.removeprefix("seed")).isdigit():
            raise InputError(f"{path}: found {seed}, expected seed and a number")
        made = runs.read(root / "finetune", *cell, int(number))
        results.scores.setdefault(tuple(cell), {})[int(number)] = made
        if tuple(cell) not in results.recorded:
            results.recorded[tuple(cell)] = _recorded(files.read_json(path))
    return results


def _recorded(metrics: dict[str, Any]) -> dict[str, Any]:
    """What a run says of how it was made, but for its name and its seed."""
    settings = dict(metrics.get("settings", {}))
    for key in ("encoder", "tokenization", "dataset", "seed"):
        settings.pop(key, None)
    kept = {key: metrics[key] for key in OF_A_RUN if key in metrics}
    machine = {f"run.{key}": metrics[key] for key in OF_A_MACHINE if key in metrics}
    return settings | kept | machine


def settings(ours: Results, theirs: Results) -> Iterator[str]:
    """A line a setting that differs, with the cells it differs in."""
    where: dict[str, list[Cell]] = {}
    for cell in ours.recorded.keys() & theirs.recorded.keys():
        for line in differences(ours.recorded[cell], theirs.recorded[cell]):
            if DIGEST.search(line):
                line = f"{line.partition(': ')[0]}: other bytes"
            where.setdefault(line, []).append(cell)
    for line, cells in sorted(where.items()):
        yield f"{line}  ({'; '.join(named(cells))})"
    encoders = {cell[0] for cell in ours.scores.keys() & theirs.scores.keys()}
    for encoder in sorted(encoders):
        both = (ours.recipe(encoder), theirs.recipe(encoder))
        if bool(both[0]) != bool(both[1]):
            lacking = theirs if both[0] else ours
            yield f"pretraining of {encoder}: not known of {lacking.root}"
            continue
        for line in differences(*both):
            key, _, values = line.partition(": ")
            plain = values.replace('\\"', "'").replace('"', "")
            yield f"pretraining of {encoder}, {key}: {plain}"


def named(cells: Iterable[Cell]) -> list[str]:
    """The cells row by row; of many data sets their number."""
    rows: dict[tuple[str, str], list[str]] = {}
    for encoder, tokenization, dataset in sorted(cells):
        rows.setdefault((encoder, tokenization), []).append(dataset)
    return [
        f"{' '.join(row)}: "
        + (", ".join(own) if len(own) <= NAMED else f"{len(own)} data sets")
        for row, own in rows.items()
    ]


def difference(cell: Cell, ours: dict[int, Run], theirs: dict[int, Run]) -> Difference:
    """Of the seeds that both have a score for, of which there is at least one."""
    seeds = sorted(ours.keys() & theirs.keys())
    left, right = ({seed: one[seed] for seed in seeds} for one in (ours, theirs))
    means = [statistics.fmean(x.score for x in one.values()) for one in (left, right)]
    first = left[seeds[0]]
    try:
        test = predictions.test_of(first)
        gain = gains.paired(test, right, left, (gains.SEED, crc32(cell[2].encode())))
    except (InputError, OSError):
        bounds = _welch(left, right)
        over = SEEDS if bounds else ""
        return Difference(cell, *means, len(seeds), bounds, over, UNPAIRED)
    bounds = gain.mean - gain.half, gain.mean + gain.half
    over = ROWS if len(seeds) == 1 else f"{SEEDS} and {ROWS}"
    return Difference(cell, *means, len(seeds), bounds, over, gain=gain)


def _welch(left: dict[int, Run], right: dict[int, Run]) -> tuple[float, float] | None:
    """The interval of the difference of two means; None below two seeds."""
    from scipy.stats import ttest_ind

    if len(left) < 2:
        return None
    sides = [[x.score for x in one.values()] for one in (right, left)]
    if all(len(set(side)) == 1 for side in sides):
        return None  # no spread to judge by
    low, high = ttest_ind(*sides, equal_var=False).confidence_interval(LEVEL)
    return float(low), float(high)


def compared(ours: Results, theirs: Results) -> list[Difference]:
    """A difference for each cell of which both have a run of one seed with a score."""
    found = []
    for cell in sorted(ours.scores.keys() & theirs.scores.keys()):
        sides = [runs.Scored(one.scores[cell]) for one in (ours, theirs)]
        if sides[0].keys() & sides[1].keys():
            found.append(difference(cell, *sides))
    return found


def only(ours: Results, theirs: Results) -> Iterator[str]:
    """What one folder has runs of and the other has not."""
    for name, one, other in (("first", ours, theirs), ("second", theirs, ours)):
        for line in named(one.scores.keys() - other.scores.keys()):
            yield f"only in the {name}: {line}"
        more: dict[str, list[Cell]] = {}
        for cell in one.scores.keys() & other.scores.keys():
            if seeds := sorted(one.scores[cell].keys() - other.scores[cell].keys()):
                more.setdefault(", ".join(map(str, seeds)), []).append(cell)
        for seeds, cells in sorted(more.items()):
            yield f"only in the {name}: seed {seeds} of {'; '.join(named(cells))}"


def averages(found: Sequence[Difference]) -> Iterator[str]:
    """A line a row: means over the data sets that both have."""
    rows: dict[tuple[str, str], list[Difference]] = {}
    for one in found:
        rows.setdefault(one.cell[:2], []).append(one)
    for row, own in rows.items():
        means = [statistics.fmean(side) for side in zip(*_means(own), strict=True)]
        gain = gains.mean_of([one.gain for one in own])
        bounds = gain and (gain.mean - gain.half, gain.mean + gain.half)
        sets = f"{len(own)} set{'s' if len(own) > 1 else ''}"
        yield _line(" ".join(row), sets, *means, bounds)


def _means(found: Iterable[Difference]) -> Iterator[tuple[float, float]]:
    return ((one.ours, one.theirs) for one in found)


def _line(
    name: str,
    beside: str,
    ours: float,
    theirs: float,
    bounds: tuple[float, float] | None,
) -> str:
    interval = f" ({bounds[0]:+.1f} to {bounds[1]:+.1f})" if bounds else ""
    gap = theirs - ours
    return f"{name:<44} {beside:>8} {ours:8.1f} {theirs:8.1f} {gap:+8.1f}{interval}"


def text(ours: Results, theirs: Results, found: Sequence[Difference]) -> Iterator[str]:
    """The lines that are printed."""
    for name, one in (("first", ours), ("second", theirs)):
        count = sum(map(len, one.scores.values()))
        yield f"{name + ':':<8} {one.root}, {count:,} runs"
    lines = [*only(ours, theirs)]
    yield from ["", *lines] if lines else []
    lines = [*settings(ours, theirs)]
    yield from ["", "settings that differ, first -> second", *lines]
    if not lines:
        yield "none"
    if not found:
        yield from ["", "no run that both have"]
        return
    percents = f"{100 * LEVEL:.0f} %"
    head = f"{'':<44} {'':>8} {'first':>8} {'second':>8} {'change':>8}"
    yield from ["", f"scores in per cent; in brackets the {percents} interval", head]
    yield from averages(found)
    apart = [one for one in found if one.is_told_apart]
    equal = sum(one.gap == 0 for one in found)
    yield ""
    yield (
        f"of {len(found)} cells {equal} are equal, {len(apart)} told apart (by chance"
        f" alone about {(1 - LEVEL) * (len(found) - equal):.0f}), the others are within"
        " their interval or have none"
    )
    for one in sorted(apart, key=lambda one: -abs(one.gap)):
        seeds = f"{one.seeds} seed{'s' if one.seeds > 1 else ''}"
        yield _line(" ".join(one.cell), seeds, one.ours, one.theirs, one.bounds)
    if unpaired := [one.cell for one in found if one.note]:
        yield f"not paired ({UNPAIRED}): {'; '.join(named(unpaired))}"
    both = ours.scores.keys() & theirs.scores.keys()
    if unscored := both - {one.cell for one in found}:
        yield f"no seed with a score in both: {'; '.join(named(unscored))}"


def records(found: Sequence[Difference]) -> list[dict[str, Any]]:
    """A line a cell, for `--csv`."""
    return [
        {
            **dict(zip(("encoder", "tokenization", "dataset"), one.cell, strict=True)),
            "first": percent(one.ours),
            "second": percent(one.theirs),
            "seeds": one.seeds,
            "difference": percent(one.gap),
            "low": percent(one.bounds[0]) if one.bounds else None,
            "high": percent(one.bounds[1]) if one.bounds else None,
            "interval_over": one.over,
            "note": one.note,
        }
        for one in found
    ]


def main(argv: list[str] | None = None) -> None:
    """Read the flags, compare and print."""
    parser = argparse.ArgumentParser(
        prog="python -m randommask.compare", description=__doc__.splitlines()[0]
    )
    parser.add_argument("first", type=Path, help="a results folder")
    parser.add_argument("second", type=Path, help="another")
    parser.add_argument("--csv", type=files.new_file, help="every cell, to write")
    flags = parser.parse_args(argv)
    ours, theirs = read(flags.first), read(flags.second)
    found = compared(ours, theirs)
    print("\n".join(text(ours, theirs, found)))
    if flags.csv:
        write_csv(flags.csv, records(found))


if __name__ == "__main__":
    run(main)

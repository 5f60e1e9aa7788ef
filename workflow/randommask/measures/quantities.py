"""Named quantities: what is told in more than one place has one value and one look.

A quantity is defined once, as a function of what was measured or as a cell of a table,
and written once, by its unit. Tables, captions, the observations and the report take
both from here; `python -m randommask.plan` and `randommask.doctor` share `plan.needs`
and the units. `read` gathers what the files of one results folder say, by name:

    score/DNABERT/EMP-H3      a cell of Table 3, and of Table 2 where it is of one set
    mean/DNABERT/EMP          a mean over all data sets of a task
    difference/+RandomMask    to the baseline, with `low`, `high`, `p`, `wins` ...
    overlap gain/DNABERT      points of overlapping over other fine-tuning tokens
    last loss/baseline        nats; `purity/`, `[CLS] middle/` and `[CLS] last/` alike
"""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from randommask.experiment.units import text
from randommask.measures.records import Record, mean, read_csv

LINES = 3
"""Lines of a loss history whose mean counts as the loss at one step."""


@dataclass(frozen=True)
class Quantity:
    """A value with its name and unit; None where it was not measured."""

    name: str
    value: float | None
    unit: str

    def __str__(self) -> str:
        return text(self.value, self.unit, "not measured")


Registry = Mapping[str, Quantity]


def last_loss(lines: Sequence[Record]) -> float:
    """What a history ends at: the mean of its last lines."""
    return statistics.fmean(line["loss"] for line in lines[-LINES:])


def cls_shares(layers: Sequence[Record]) -> tuple[float | None, float]:
    """Attention on [CLS]: the mean of the layers between, if any, and the last one."""
    masses = [x["cls_mass"] for x in sorted(layers, key=lambda line: line["layer"])]
    between = masses[1:-1]
    return (statistics.fmean(between) if between else None), masses[-1]


def read(tables: Path, figures: Path) -> dict[str, Quantity]:
    """All quantities that the files there are tell, by name."""
    found: list[Quantity] = []
    for path, of in (
        (tables / "table3.csv", _scores),
        (tables / "table3_averages.csv", _means),
        (tables / "table2.csv", _gains),
        (tables / "statistics.csv", _differences),
        (figures / "fig5.csv", _losses),
        (figures / "fig2.csv", _purities),
        (figures / "fig4.csv", _attention),
    ):
        if path.exists():
            found += of(path)
    return {quantity.name: quantity for quantity in found}


def _scores(path: Path) -> list[Quantity]:
    lines = read_csv(path, ("row", "dataset"), ("mean",))
    return [
        Quantity(f"score/{x['row']}/{x['dataset']}", x["mean"], "per cent")
        for x in lines
    ]


def _means(path: Path) -> list[Quantity]:
    lines = read_csv(path, ("row", "task"), ("mean",))
    return [
        Quantity(f"mean/{x['row']}/{x['task']}", x["mean"], "per cent") for x in lines
    ]


def _gains(path: Path) -> list[Quantity]:
    from randommask.measures.scores import token_gains

    texts, numbers = ("label", "tokenization", "task"), ("mean", "published")
    return [
        Quantity(f"overlap gain/{label}", mean([x[0] for x in by_task.values()]), unit)
        for label, by_task in token_gains(read_csv(path, texts, numbers)).items()
        for unit in ("points",)
    ]


DIFFERENCE = {
    "pairs": "count",
    "difference": "points",
    "low": "points",
    "high": "points",
    "p_value": "p",
    "p_holm": "p",
    "wins": "count",
    "ties": "count",
    "losses": "count",
}
"""What a comparison over data sets tells, and the units."""


def _differences(path: Path) -> list[Quantity]:
    lines = read_csv(path, ("over", "row", "group"), tuple(DIFFERENCE))
    return [
        Quantity(f"{key.removesuffix('_value')}/{line['row']}", line[key], unit)
        for line in lines
        if (line["over"], line["group"]) == ("data sets", "MCC sets")
        for key, unit in DIFFERENCE.items()
    ]


def _losses(path: Path) -> list[Quantity]:
    by_role = grouped(read_csv(path, ("role",), ("step", "loss")))
    return [
        Quantity(f"last loss/{role}", last_loss(lines), "nats")
        for role, lines in by_role.items()
    ]


def _purities(path: Path) -> list[Quantity]:
    by_role = grouped(read_csv(path, ("role",), ("step", "purity")))
    return [
        Quantity(f"purity/{role}", known[-1], "purity")
        for role, lines in by_role.items()
        if (known := [x["purity"] for x in lines if x["purity"] is not None])
    ]


def _attention(path: Path) -> list[Quantity]:
    by_role = grouped(read_csv(path, ("role",), ("layer", "cls_mass")))
    return [
        Quantity(f"[CLS] {where}/{role}", value, "share")
        for role, lines in by_role.items()
        for where, value in zip(("middle", "last"), cls_shares(lines), strict=True)
    ]


def grouped(lines: Sequence[Record], key: str = "role") -> dict[str, list[Record]]:
    """The lines of each role, in their order."""
    by_role: dict[str, list[Record]] = {}
    for line in lines:
        by_role.setdefault(line[key], []).append(line)
    return by_role

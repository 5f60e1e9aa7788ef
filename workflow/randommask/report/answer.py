"""Who is best: means over tasks, data sets won, and how far it is from the paper."""

from pathlib import Path

from markupsafe import Markup

from randommask.measures import leaks, ranks
from randommask.measures.gains import COLUMNS
from randommask.measures.quantities import Registry
from randommask.measures.records import Record, percent, read_csv, tasks_of
from randommask.measures.statistics import MCC_SETS
from randommask.report.claims import to_html
from randommask.report.tables import gained, marks, sheet
from randommask.report.tables.sheet import Cell, Column, Grid, Sheet

NOTHING: Record = {"datasets": 0, "mean": None, "delta": None}

WORDS = {
    "EMP": "epigenetic marks prediction",
    "TF-M": "transcription factor binding, mouse",
    "TF-H": "transcription factor binding, human",
    "PD": "promoter detection",
    "CPD": "core promoter detection",
    "SSP": "splice site prediction",
    "EAP": "enhancer activity prediction",
    "MCC": "Matthews correlation coefficient",
}
"""What the abbreviations stand for."""


def answer(tables: Path, known: Registry) -> Markup:
    """Who is best, by how much, and how far from the paper."""
    records, lines = table3(tables / "table3.csv"), averages(tables)
    rows = tuple(dict.fromkeys(record["row"] for record in records))
    by_task = {(line["row"], line["task"]): line for line in lines}
    means = {row: by_task.get((row, MCC_SETS), NOTHING) for row in rows}
    won, tied, compared = ranks.highest(records)
    sentences = [*_best(records, means, known)]
    if compared:
        most, told = max(won.values()), _told(records)
        first = _first(won)
        verb = "are each" if " and " in first else "is"
        sentences.append(
            f"{first} {verb} highest alone on {most} of {compared} data sets, {tied}"
            " are ties; a lead that is large enough to call a row the best is there"
            f" on {told}."
        )
    printed, _, total = ranks.highest(records, "published")
    if total:
        sentences.append(
            f"Of the same rows the paper prints {_first(printed)} as best on"
            f" {max(printed.values())} of {total}."
        )
    said = sentences or ["No row of Table 3 has all its runs yet."]
    table = sheet.to_html(_sheet(records, lines, means, won, compared))
    told = Markup('<p class="answer">{}</p>\n').format(Markup(" ").join(said))
    if (found := tables / "leaks.csv").exists():
        meaning = leaks.meaning(read_csv(found, leaks.TEXTS, leaks.NUMBERS))
        told += Markup('<p class="answer">{}</p>\n').format(meaning)
    return told + Markup(table) + words(records)


def table3(path: Path) -> list[Record]:
    """The records of Table 3."""
    texts = ("row", "encoder", "task", "dataset", "metric", "note")
    numbers = ("mean", "sd", "seeds", "published", "delta", *COLUMNS)
    return read_csv(path, texts, numbers)


def averages(tables: Path) -> list[Record]:
    """The means over the data sets of each task."""
    numbers = ("datasets", "mean", "published", "delta", *COLUMNS)
    return read_csv(tables / "table3_averages.csv", ("row", "task"), numbers)


def words(records: list[Record]) -> Markup:
    """The abbreviations that the page uses, spelled out."""
    used = [*tasks_of(record["task"] for record in records), "MCC"]
    parts = [f"{name}: {WORDS[name]}" for name in used if name in WORDS]
    return Markup('<p class="words-list">{}.</p>\n').format("; ".join(parts))


def _best(
    records: list[Record], means: dict[str, Record], known: Registry
) -> list[Markup | str]:
    """The row with the highest mean, and whether its lead says anything."""
    measured = [row for row in means if means[row]["mean"] is not None]
    if not measured:
        return []
    best = max(measured, key=lambda row: means[row]["mean"])
    mean = to_html(known[f"mean/{best}/{MCC_SETS}"])
    delta = means[best]["delta"]
    beside = "."
    if delta is not None:
        side = "above" if delta > 0 else "below"
        beside = f", {sheet.number(abs(delta))} {side} the printed numbers."
    said: list[Markup | str] = [
        Markup("{} has the highest mean over the {} classification sets, {}{}").format(
            f'"{best}"', int(means[best]["datasets"]), mean, beside
        )
    ]
    others = [means[row]["mean"] for row in measured if row != best]
    least = gained.smallest(records, "metric", "mcc", list(means.values()))
    lead = means[best]["mean"] - max(others, default=0)
    if others and least and lead < least:
        said.append(
            f"Its lead over the next, {sheet.number(lead)}, is below the smallest"
            f" difference that can be told, {sheet.number(least)}."
        )
    return said


def _told(records: list[Record]) -> int:
    """On how many data sets a row is above all others by more than chance makes."""
    told = 0
    for name in dict.fromkeys(record["dataset"] for record in records):
        shown = [record for record in records if record["dataset"] == name]
        least = gained.smallest(records, "dataset", name, shown)
        told += 1 in marks.ranks([record["mean"] for record in shown], least)
    return told


def _first(won: dict[str, int]) -> str:
    """The row, or the rows, that won most often."""
    return " and ".join(f'"{row}"' for row, n in won.items() if n == max(won.values()))


def _sheet(
    records: list[Record],
    averaged: list[Record],
    means: dict[str, Record],
    won: dict[str, int],
    compared: int,
) -> Sheet:
    """Means over all classification sets and over each task, and the data sets won."""
    tasks = tasks_of(record["task"] for record in records)
    by_task = {(line["row"], line["task"]): line for line in averaged}
    lines, values, shown = [], [], []
    for row in means:
        found = [means[row], *(by_task[row, task] for task in tasks)]
        shown.append(found)
        cells = [
            Cell(sheet.number(line["mean"]), delta=sheet.signed(line["delta"]))
            for line in found
        ]
        lines.append(cells)
        values.append([percent(line["mean"]) for line in found])
    least = [
        gained.smallest(records, *of, [found[place] for found in shown])
        for place, of in enumerate([("metric", "mcc"), *(("task", x) for x in tasks)])
    ]
    ranked = marks.rank_cells(lines, values, least)
    best = [Cell(f"{won[row]} of {compared}" if compared else "") for row in means]
    pairs = tuple(
        ((row,), (*cells, cell))
        for row, cells, cell in zip(means, ranked, best, strict=True)
    )
    names = [f"{x} ({n})" for x, n in _counts(records, tasks).items()]
    columns = (
        *map(Column, ("MCC mean", *names)),
        Column("highest alone on", text=True),
    )
    remark = "Means over data sets, their number in brackets, per cent"
    if any(cell.delta for line in lines for cell in line):
        remark += (
            "; beside them the difference to the mean of the numbers that the paper"
            " prints for the same data sets"
        )
    marked = "Bold: the best of a column; underlined: the second; only where the lead"
    marked += " is more than chance makes, as below Table 3"
    grid = Grid(("Row",), columns, pairs)
    return Sheet(
        "answer", "Means over data sets", "", (grid,), (f"{remark}.", f"{marked}.")
    )


def _counts(records: list[Record], tasks: list[str]) -> dict[str, int]:
    return {
        task: len({r["dataset"] for r in records if r["task"] == task})
        for task in tasks
    }

"""Tables 2 and 3: our means over seeds, each beside the number the paper printed.

All values are per cent (MCC; Pearson for EAP). A mean over data sets is given only
where every one of them has a run, and is compared with the printed numbers of the same
data sets: no average mixes ours with theirs.
"""

import statistics
from collections.abc import Sequence

from randommask.experiment.datasets import TASKS
from randommask.measures.records import Record, difference, mean, tasks_of
from randommask.measures.scores import averages, token_gains
from randommask.report.tables import gained, marks, sheet
from randommask.report.tables.sheet import Cell, Column, Grid, Sheet

TITLE3 = "Table 3. Results on every data set, MCC in per cent (EAP: Pearson)"

_WIDEST = 10
"""Columns of one printed block; the paper cuts its Table 3 likewise."""

_BLOCKS = (("EMP", "EAP", "SSP"), ("TF-M", "CPD"), ("TF-H", "PD"))
"""Tasks that stand side by side in the printed Table 3."""


def table3_sheet(
    records: list[Record],
    notice: str,
    controls: Sequence[str] = (),
    means: list[Record] | None = None,
    is_wide: bool = False,
) -> Sheet:
    """Table 3 as printed: rows by data sets and averages, tasks side by side.

    It is cut into blocks that a printed page has room for, unless it may be wide.

    Below each block stand the smallest differences that say anything, and the gains
    over random weights, if the records have any. `means` are the averages with their
    gains. `controls` are encoders; the distance to them is told below.
    """
    means = averages(records) if means is None else means
    by_cell = {(record["row"], record["dataset"]): record for record in records}
    by_task = {(line["row"], line["task"]): line for line in means}
    rows = tuple(dict.fromkeys(record["row"] for record in records))
    tasks_here = tasks_of(record["task"] for record in records)
    others = tuple(task for task in tasks_here if task not in TASKS)
    grids = []
    blocks = [tuple(tasks_here)] if is_wide else [*_BLOCKS, others]
    for tasks in blocks:
        columns = [column for task in tasks for column in _columns(task, records)]
        for part in [columns] if is_wide else _cut(columns):
            found = {
                row: [
                    (by_task if key == "task" else by_cell)[row, name]
                    for key, name in map(_of, part)
                ]
                for row in rows
            }
            shown = list(found.values())
            least = [
                gained.smallest(records, *_of(column), [own[place] for own in shown])
                for place, column in enumerate(part)
            ]
            ranked = marks.rank_cells(
                [[_cell(record) for record in own] for own in shown],
                [[record["mean"] for record in own] for own in shown],
                least,
            )
            pairs = [((row,), own) for row, own in zip(rows, ranked, strict=True)]
            if any(least):
                cells = tuple(Cell(sheet.number(value)) for value in least)
                pairs.append((("smallest difference",), cells))
            grids.append(Grid(("Row",), tuple(part), tuple(pairs)))
            grids += gained.block(found, part, is_wide)
    return Sheet(
        label="table3",
        title=TITLE3,
        notice=notice,
        grids=tuple(grids),
        remarks=(
            *_own_regressions(records),
            *remarks_on(records, "row", "dataset"),
            *gained.remarks(records, means),
            *distances(records, controls),
        ),
    )


def _of(column: Column) -> tuple[str, str]:
    """Which records a column is of: of a task, or of a data set."""
    if column.short == "avg.":
        return "task", column.group
    return "dataset", column.name


def _own_regressions(records: list[Record]) -> list[str]:
    """The data sets beside EAP that the title's "Pearson" holds for too."""
    own = [r for r in records if r["metric"] == "pearson" and r["task"] != "EAP"]
    names = dict.fromkeys(record["dataset"] for record in own)
    return [f"Pearson, not MCC: {', '.join(names)}."] if names else []


def distances(records: list[Record], controls: Sequence[str]) -> tuple[str, ...]:
    """What each row brings beyond a control, on the data sets that have both."""
    means: dict[str, dict[str, float]] = {}
    for record in records:
        if record["mean"] is not None:
            means.setdefault(record["row"], {})[record["dataset"]] = record["mean"]
    encoders = {record["row"]: record["encoder"] for record in records}
    remarks = []
    for control in (row for row in means if encoders[row] in controls):
        gains = []
        for row in (row for row in means if encoders[row] not in controls):
            both = [name for name in means[row] if name in means[control]]
            if both:
                gain = statistics.fmean(
                    means[row][name] - means[control][name] for name in both
                )
                gains.append(f'"{row}" {sheet.signed(gain)} (n = {len(both)})')
        if gains:
            listed = ", ".join(gains)
            remarks.append(f'Mean distance over n data sets to "{control}": {listed}.')
    return tuple(remarks)


def _columns(task: str, records: list[Record]) -> list[Column]:
    names = dict.fromkeys(r["dataset"] for r in records if r["task"] == task)
    columns = [Column(name, task, name.removeprefix(f"{task}-")) for name in names]
    if len(columns) > 1:
        columns.append(Column(f"{task} avg.", task, "avg."))
    return columns


def _cut(columns: list[Column]) -> list[list[Column]]:
    """Cut into the fewest parts that are narrow enough, of about equal width."""
    if not columns:
        return []
    parts = -(-len(columns) // _WIDEST)
    width = -(-len(columns) // parts)
    return [columns[i : i + width] for i in range(0, len(columns), width)]


def _cell(record: Record) -> Cell:
    sd = record.get("sd")
    return Cell(
        text=sheet.number(record["mean"]),
        spread="" if sd is None else sheet.number(sd),
        delta=sheet.signed(record["delta"]),
        flagged="seed" in record.get("note", "") and record["mean"] is not None,
    )


def remarks_on(records: list[Record], row: str, column: str) -> tuple[str, ...]:
    """What a reader has to know: seeds, empty cells, marked cells."""
    seeds = sorted({int(record["seeds"]) for record in records if record["seeds"]})
    remarks = []
    if any(record["delta"] is not None for record in records):
        remarks.append("With a sign: the difference to the number the paper printed.")
    if seeds == [1]:
        remarks.append("One seed, so there is no standard deviation.")
    elif seeds:
        span = "-".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))
        remarks.append(
            f"Mean \u00b1 standard deviation (n - 1) over {span} seeds;"
            " none below two seeds."
        )
    empty: dict[str, list[str]] = {}
    for record in records:
        if record["mean"] is None:
            empty.setdefault(record[row], []).append(record[column])
    total = len({record[column] for record in records})
    for name, cells in empty.items():
        which = "every cell" if len(cells) == total else ", ".join(cells)
        remarks.append(f'No run, so the cell is empty: "{name}": {which}.')
    remarks += [
        f'\u2020 "{record[row]}", {record[column]}: {record["note"]}.'
        for record in records
        if record["note"] and record["mean"] is not None
    ]
    return tuple(remarks)


def table2_sheet(records: list[Record], notice: str) -> Sheet:
    """Table 2 as printed, and below it what overlapping tokens gain."""
    pretraining = {record["label"]: record["pretraining"] for record in records}
    tasks = tasks_of(record["task"] for record in records)
    sets = {record["task"]: record["sets"].split() for record in records}
    columns = tuple(Column(_named(task, sets[task])) for task in tasks)
    cells = {(r["label"], r["tokenization"], r["task"]): r for r in records}
    lines = []
    for label in dict.fromkeys(record["label"] for record in records):
        own = [key for key in cells if key[0] == label]
        tokenizations = tuple(dict.fromkeys(key[1] for key in own))
        found = [[cells[label, t, task] for task in tasks] for t in tokenizations]
        ranked = marks.rank_cells(
            [[_cell(record) for record in line] for line in found],
            [[record["mean"] for record in line] for line in found],
        )
        lines += [
            ((label, pretraining[label], tokenization), line)
            for tokenization, line in zip(tokenizations, ranked, strict=True)
        ]
    stub = ("Model", "Pre-trained", "Fine-tuning")
    remarks = (
        "A column of one data set has its name, which is that of Table 3; else it is"
        " the mean over as many data sets as stand in brackets. Bold: the higher of a"
        " model's rows as printed, whatever chance makes; underlined: the other.",
        *remarks_on(records, "label", "task"),
    )
    if any(record["published"] is not None for record in records):
        remarks += (
            "How the paper made its PD and CPD numbers is not stated: the audit"
            " compares them with the means and the all sets of Table 3.",
        )
    return Sheet(
        label="table2",
        title="Table 2. Fine-tuning with overlapping and other tokens, per cent",
        notice=notice,
        grids=(Grid(stub, columns, tuple(lines)), *_gain_grid(records, tasks)),
        remarks=remarks,
    )


def _named(task: str, sets: Sequence[str]) -> str:
    """The name of a column: of its data set, or of its task and how many it has."""
    return sets[0] if len(sets) == 1 else f"{task} ({len(sets)})"


def _gain_grid(records: list[Record], tasks: list[str]) -> tuple[Grid, ...]:
    lines = []
    for label, by_task in token_gains(records).items():
        pairs = [by_task[task] for task in tasks]
        pairs.append(tuple(mean([pair[i] for pair in pairs]) for i in (0, 1)))
        cells = [
            Cell(sheet.signed(ours), delta=sheet.signed(difference(ours, printed)))
            for ours, printed in pairs
        ]
        lines.append(((label,), tuple(cells)))
    if not lines:
        return ()
    sets = {record["task"]: record["sets"].split() for record in records}
    names = [_named(task, sets[task]) for task in tasks]
    columns = (*map(Column, names), Column("mean"))
    return (Grid(("Overlapping minus non-overlapping",), columns, tuple(lines)),)

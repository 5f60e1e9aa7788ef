"""The leaks of the data sets as a sheet: what was found, and scores without it."""

from collections.abc import Sequence

from randommask.data.leaks import NONE, SERIOUS
from randommask.measures.leaks import meaning
from randommask.measures.records import Record, difference
from randommask.report.tables import sheet
from randommask.report.tables.sheet import Cell, Column, Grid, Sheet

_ROW_KINDS = ("exact", "reverse", "near", "partners-2", "partners-3", "contradictions")


def sheet_of(records: Sequence[Record], notice: str) -> Sheet:
    """Test rows that leak, what rules reach, and Table 3's rows without the leaks."""
    own = [line for line in records if not line["row"]]
    rules = [kind for kind in _kinds(own) if kind != "contradictions"]
    leaking = [kind for kind in _ROW_KINDS if kind in _kinds(own)]
    counted, scored = [], []
    for name in dict.fromkeys(line["dataset"] for line in own):
        by_kind = {line["kind"]: line for line in own if line["dataset"] == name}
        rows = next(iter(by_kind.values()))["test_rows"]
        cells = [_count(by_kind.get(kind)) for kind in leaking]
        counted.append(((name,), (Cell(f"{rows:.0f}"), *cells)))
        scored.append(((name,), tuple(_rule(by_kind.get(kind)) for kind in rules)))
    grids = [
        Grid(("Data set",), (Column("test rows"), *map(Column, leaking)), (*counted,)),
        Grid(("Rule on test, per cent",), (*map(Column, rules),), (*scored,)),
        *_without([line for line in records if line["row"]]),
    ]
    remarks = (
        "First: rows of test that a row of train or dev gives away; contradictions are"
        " test rows whose sequence has another label somewhere.",
        "Then: what a rule reaches that knows nothing else (MCC; EAP: Pearson), fitted"
        " on train. \u2020 marks what is serious: one test row in 20, or 30 per cent.",
        "Last: scores of Table 3 without the rows that leak at a level, from the same"
        " predictions; with a sign, the difference to the score on all test rows.",
    )
    title = "What leaks between the splits, and what rules without a model reach"
    lead = (meaning(records),) if records else ()
    return Sheet("leaks", title, notice, (*grids,), remarks, lead)


def _kinds(lines: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(line["kind"] for line in lines))


def _count(line: Record | None) -> Cell:
    if line is None:
        return Cell("-")
    is_serious = line["verdict"] == SERIOUS and bool(line["leaking"])
    return Cell(f"{line['leaking'] or 0:.0f}", flagged=is_serious)


def _rule(line: Record | None) -> Cell:
    if line is None or line["mean"] is None:
        return Cell("-")
    is_high = line["verdict"] != NONE and line["mean"] >= 30
    return Cell(sheet.number(line["mean"]), flagged=is_high)


def _without(lines: Sequence[Record]) -> list[Grid]:
    """A line a data set and level, a column a row of Table 3."""
    if not lines:
        return []
    rows = list(dict.fromkeys(line["row"] for line in lines))
    cells = {(x["dataset"], x["kind"], x["row"]): x for x in lines}
    made = []
    for name, level in dict.fromkeys((x["dataset"], x["kind"]) for x in lines):
        found = [cells[name, level, row] for row in rows]
        gone = f"{found[0]['leaking']:.0f} of {found[0]['test_rows']:.0f}"
        shown = (
            Cell(
                sheet.number(line["left"]),
                delta=sheet.signed(difference(line["left"], line["mean"])),
            )
            for line in found
        )
        made.append(((name, level, gone), (*shown,)))
    return [Grid(("Data set", "Without", "rows"), (*map(Column, rows),), (*made,))]

"""The statistics as printed: what is tested, what came out, and what is not tested."""

import numpy as np

from randommask.experiment import units
from randommask.measures import ranks
from randommask.measures.records import Record
from randommask.measures.statistics import (
    MCC_SETS,
    OVER_DATASETS,
    OVER_ROWS,
    RESAMPLES_DATASETS,
    RESAMPLES_ROWS,
)
from randommask.report.tables import sheet
from randommask.report.tables.sheet import Cell, Column, Grid, Sheet

TITLE = "Statistics: each row of Table 3 against the baseline"


def sheet_of(lines: list[Record], table3: list[Record], notice: str) -> Sheet:
    """Over data sets, mean ranks, every data set; below it what is tested."""
    rows = dict.fromkeys(line["row"] for line in lines)
    by_group = {(x["over"], x["row"], x["group"]): x for x in lines}
    grids = (
        _whole_grid(lines),
        _ranks_grid(ranks.rank(table3), ranks.highest(table3)[0]),
        _groups_grid(OVER_DATASETS, "Task", tuple(rows), by_group),
        _groups_grid(OVER_ROWS, "Data set", tuple(rows), by_group),
    )
    return Sheet(
        label="statistics",
        title=TITLE,
        notice=notice,
        grids=tuple(grid for grid in grids if grid.lines),
        remarks=_remarks(lines, ranks.rank(table3)),
    )


def _whole_grid(lines: list[Record]) -> Grid:
    names = ("data sets", "difference", "95 % interval", "p", "p (Holm)")
    columns = tuple(map(Column, (*names, "wins / ties / losses")))
    made = []
    for line in lines:
        if line["over"] != OVER_DATASETS or line["group"] != MCC_SETS:
            continue
        counts = " / ".join(f"{int(line[k])}" for k in ("wins", "ties", "losses"))
        texts = (f"{int(line['pairs'])}", sheet.signed(line["difference"]))
        texts += (_interval(line), _p(line["p_value"]), _p(line["p_holm"]), counts)
        cells = [Cell(text) for text in texts]
        cells[1] = Cell(texts[1], rank=_apart(line))
        made.append(((f'"{line["row"]}" - "{line["baseline"]}"',), tuple(cells)))
    return Grid((f"Over the {MCC_SETS}",), columns, tuple(made))


def _ranks_grid(found: ranks.Ranks, won: dict[str, int]) -> Grid:
    columns = (Column("data sets"), Column("mean rank"), Column("highest alone on"))
    if not found.datasets:
        return Grid(("Ranks over all data sets",), columns, ())
    order = np.argsort(found.means, kind="stable")
    lines = tuple(
        (
            (found.rows[position],),
            (
                Cell(f"{len(found.datasets)}"),
                Cell(sheet.number(float(found.means[position]))),
                Cell(f"{won[found.rows[position]]}"),
            ),
        )
        for position in order
    )
    return Grid(("Ranks over all data sets",), columns, lines)


def _groups_grid(
    over: str, name: str, rows: tuple[str, ...], by_group: dict[tuple, Record]
) -> Grid:
    groups = dict.fromkeys(key[2] for key in by_group if key[0] == over)
    lines = []
    for group in groups:
        if group == MCC_SETS:
            continue
        cells = []
        for row in rows:
            line = by_group[over, row, group]
            text = f"{sheet.signed(line['difference'])} {_interval(line)}".strip()
            cells.append(Cell(text, rank=_apart(line)))
        lines.append(((group,), tuple(cells)))
    return Grid((name,), tuple(map(Column, rows)), tuple(lines))


def _interval(line: Record) -> str:
    if line["low"] is None:
        return ""
    return f"[{sheet.signed(line['low'])}, {sheet.signed(line['high'])}]"


def _apart(line: Record) -> int:
    """1, which is printed bold, where the interval leaves out 0."""
    return int(line["low"] is not None and not line["low"] <= 0 <= line["high"])


def _p(value: float | None) -> str:
    return units.text(value, "p")


def _remarks(lines: list[Record], found: ranks.Ranks) -> tuple[str, ...]:
    """What the numbers say, and what they do not."""
    baseline = lines[0]["baseline"]
    paired = sorted({int(x["seeds"]) for x in lines if x["seeds"]})
    seeds = "no seed" if not paired else f"{paired[-1]} seeds"
    if paired and paired[0] != paired[-1]:
        seeds = f"{paired[0]} to {seeds}"
    elif paired == [1]:
        seeds = "one seed"
    friedman, critical = ranks.friedman(found), ranks.critical_difference(found)
    tested = (
        f"The Friedman test that all rows rank alike (Iman and Davenport) gives p"
        f" {_p(friedman) if friedman < 0.001 else f'= {_p(friedman)}'}"
        if friedman is not None
        else "Too few rows or data sets for a test of the ranks"
    )
    apart = (
        f"; mean ranks differ at 0.05 (Nemenyi) if they are {critical:.2f} apart."
        if critical is not None
        else f"; no critical difference is given below {ranks.FEWEST_ROWS} rows or"
        f" {ranks.FEWEST_DATASETS} data sets."
    )
    return (
        f'Differences to "{baseline}" in points of per cent, above 0 where the row is'
        " better; bold where the interval leaves out 0. EAP (Pearson) is left out of"
        f" the mean over the {MCC_SETS}.",
        f"Over data sets: means over seeds, {RESAMPLES_DATASETS:,} resamples of the"
        " data sets; Wilcoxon's signed-rank test, two-sided, with Holm's adjustment for"
        " the number of rows. Neither is given below six pairs, which say too little."
        " Wins and ties as printed, two decimals; a data set on which rows tie for the"
        " highest counts for none of them.",
        f"Within a data set: {RESAMPLES_ROWS:,} resamples of its test rows, the mean"
        f" over {seeds} of both runs. The interval is about the choice of test"
        " rows only, not about seeds or pretraining, of which there is one; it is not"
        " adjusted for the number of comparisons: of twenty intervals of equal encoders"
        " one leaves out 0. EAP's rows are drawn one by one, though the two strands of"
        " a region are two rows: its interval is up to 1.4 times too narrow.",
        tested + apart,
        "The data sets are not independent (PD-all and CPD-all hold the other promoter"
        " sets, PD and CPD are cut from the same promoters), so tests over data sets"
        " are more certain of themselves than they should be.",
        *(f'"{x["row"]}", {x["group"]}: {x["note"]}.' for x in lines if x["note"]),
    )

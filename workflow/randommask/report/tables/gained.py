"""What stands with Table 3: gains over random weights, and what is called the best.

A number is marked as best only where its lead says something: see `measures.margins`.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate, pairwise

from randommask.measures import margins
from randommask.measures.gains import RESAMPLES
from randommask.measures.records import Record
from randommask.measures.statistics import MCC_SETS
from randommask.report.tables.sheet import Cell, Column, Grid, spans_of

WIDEST = 8
"""Columns of gains that a page has room for beside each other."""

MARKED = "Bold: the best of a column, underlined: the second, only where"


def smallest(
    records: Sequence[Record], key: str, name: str, shown: Sequence[Record]
) -> float | None:
    """The smallest difference that the seeds, else the test rows, show of a column.

    It is of the data sets whose `key` is `name`, or of their mean; `shown` are the
    records of the column, one a row.
    """
    cells: dict[str, list[Record]] = {}
    for record in records:
        if record[key] == name:
            cells.setdefault(record["row"], []).append(record)
    by_seeds = margins.of_seeds(list(cells.values()))
    return margins.of_test_rows(shown) if by_seeds is None else by_seeds


def has_any(records: Sequence[Record]) -> bool:
    """Whether there are gains."""
    return any(record.get("gain") is not None for record in records)


def untrained(records: Sequence[Record]) -> str:
    """The row that the gains are over: the first without any."""
    with_gain = {r["row"] for r in records if r.get("gain") is not None}
    return next(r["row"] for r in records if r["row"] not in with_gain)


def block(
    found: Mapping[str, Sequence[Record]],
    columns: Sequence[Column],
    is_wide: bool = False,
) -> list[Grid]:
    """The gains of a block of columns, a grid a task where they are wide; or none."""
    rows = [row for row, own in found.items() if has_any(own)]
    cuts = [0]
    if len(columns) > WIDEST and not is_wide:
        cuts = list(accumulate((width for _, width in spans_of(columns)), initial=0))[
            :-1
        ]
    grids = []
    for first, last in pairwise([*cuts, len(columns)]):
        lines = [((row,), tuple(map(cell, found[row][first:last]))) for row in rows]
        grids.append(Grid(("Gain",), tuple(columns[first:last]), tuple(lines)))
    return grids if rows else []


def cell(record: Record) -> Cell:
    """A gain and half of its interval, to one decimal; bold where 0 is left out."""
    if record.get("gain") is None:
        return Cell()
    gain, low, high = round(record["gain"], 1), record["gain_low"], record["gain_high"]
    return Cell(
        text=f"{gain:+.1f}" if gain else "0.0",
        spread=f"{(high - low) / 2:.1f}",
        rank=int(not low <= 0 <= high),
    )


def remarks(records: Sequence[Record], means: Sequence[Record]) -> list[str]:
    """What is called best, how the gains were made, and their mean over all."""
    seeds = max((int(record["seeds"]) for record in records), default=0)
    said = []
    if len({record["row"] for record in records}) > 1:
        said.append(marked(seeds, has_any(records)))
    if not has_any(records):
        return said
    said.append(explained([untrained(records)], seeds))
    whole = [line for line in means if line["task"] == MCC_SETS and has_any([line])]
    if whole:
        listed = [f'"{line["row"]}" {_text(cell(line))}' for line in whole]
        said.append(
            f"Mean gain over the {int(whole[0]['datasets'])} {MCC_SETS}, of these data"
            f" sets and no others: {', '.join(listed)}."
        )
    return said


def marked(seeds: int, has_gains: bool) -> str:
    """Which numbers are called best, and by which measure."""
    if seeds > 1:
        return (
            f"{MARKED} the lead over the next is at least the smallest difference that"
            f" {seeds} seeds can show: q s / sqrt(n), Tukey's honestly significant"
            " difference (1949), which holds for all pairs of rows at once. s is the"
            " standard deviation over the n seeds, pooled over the rows that seeds"
            " change, and q the 95 % point of the studentized range."
        )
    if has_gains:
        return (
            f"{MARKED} the lead over the next is at least the smallest difference that"
            " the test rows can show: the root mean square of what stands after \u00b1"
            " in a column's gains. With one seed there is no other interval: what"
            " another seed would change is not known."
        )
    return (
        "One seed and no row of random weights: it is not known which differences"
        " chance makes, so no number is marked as the best."
    )


def explained(bases: Sequence[str], seeds: int) -> str:
    """How the gains were made over the rows without pretraining, each over one."""
    interval = (
        "over seeds and test rows: \u00b1 t sqrt(s^2 / n + v), s the standard"
        " deviation of the n seeds' gains, v the variance of their mean in"
        f" {RESAMPLES:,} bootstrap draws of the test rows, t with Satterthwaite's"
        " degrees of freedom (1946)"
    )
    if seeds == 1:
        interval = (
            "over test rows alone, as there is one seed: \u00b1 1.96 sqrt(v), v the"
            f" variance in {RESAMPLES:,} bootstrap draws of the test rows"
        )
    over = " or ".join(f'"{name}"' for name in bases)
    if len(bases) > 1:
        over += ", whichever is read alike"
    return (
        f"Gain: the score minus that of {over}, of the same seeds and test rows, in"
        f" points. Its 95 % interval is {interval}. Bold: the interval leaves out 0; it"
        " is not adjusted for the number of comparisons."
    )


def _text(gain: Cell) -> str:
    return f"{gain.text} \u00b1 {gain.spread}"

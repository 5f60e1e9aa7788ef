"""Which numbers of a column are marked: the best and the second, if it can be told."""

import math
from collections.abc import Sequence
from dataclasses import replace

from randommask.report.tables.sheet import Cell


def ranks(values: Sequence[float | None], least: float | None = 0.0) -> list[int]:
    """1 for the best, 2 for the second of at least two values, as printed; else 0.

    Values that print alike share a rank. A value has one where it is `least` above the
    next, and so are those before it; None: no difference says anything.

    >>> ranks([1.0, 3.001, 3.0, None, 2.0])
    [0, 1, 1, 0, 2]
    >>> ranks([1.0, 1.5, 4.0], 1.0), ranks([3.0, 3.5, 1.0], 1.0)
    ([0, 0, 1], [0, 0, 0])
    """
    printed = [None if value is None else round(value, 2) for value in values]
    if least is None or sum(value is not None for value in printed) < 2:
        return [0] * len(printed)
    best = sorted((value for value in printed if value is not None), reverse=True)
    if not least:
        best = sorted(set(best), reverse=True)
    told: list[float] = []
    for value, following in zip(best[:2], [*best[1:3], -math.inf], strict=False):
        if value - following < least:
            break
        told.append(value)
    return [told.index(value) + 1 if value in told else 0 for value in printed]


def rank_cells(
    lines: Sequence[Sequence[Cell]],
    values: Sequence[Sequence[float | None]],
    least: Sequence[float | None] | None = None,
) -> list[tuple[Cell, ...]]:
    """The same lines of cells with the ranks of `values` down each column.

    `least` has for each column the smallest difference that says anything, if asked.
    """
    columns = list(zip(*values, strict=True))
    least = [0.0] * len(columns) if least is None else least
    by_column = [ranks(*pair) for pair in zip(columns, least, strict=True)]
    by_line = zip(*by_column, strict=True) if by_column else [() for _ in lines]
    return [
        tuple(replace(cell, rank=rank) for cell, rank in zip(cells, row, strict=True))
        for cells, row in zip(lines, by_line, strict=True)
    ]

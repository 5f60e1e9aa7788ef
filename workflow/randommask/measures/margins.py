"""By how much two scores must differ to be told apart by the seeds there are.

It is Tukey's honestly significant difference (1949): q s / sqrt(n), with s the standard
deviation over the seeds, pooled over the rows, n the seeds, and q the 95 % point of the
studentized range for the rows that are compared. It holds for all pairs of rows at
once, so also for the best and the second. With one seed there is no s; then the
interval of the gains over test rows is all there is.
"""

import math
import statistics
from collections.abc import Sequence
from functools import cache

from randommask.measures.records import Record

LEVEL = 0.95  # of every interval


@cache
def studentized_range(rows: int, freedom: int) -> float:
    """The point that the range of `rows` equal means exceeds in 5 % of cases."""
    from scipy.stats import studentized_range as law

    return float(law.ppf(LEVEL, rows, freedom))


def of_seeds(cells: Sequence[Sequence[Record]]) -> float | None:
    """For each row the cells that its number is the mean of: one, or a task's.

    Rows that no seed changes, as the linear control, would make the others look surer.
    None below two rows with a number, or where no row has a spread.
    """
    measured = [own for own in cells if all(x["mean"] is not None for x in own)]
    spread = [
        own
        for own in measured
        if all(cell["sd"] is not None for cell in own) and any(x["sd"] for x in own)
    ]
    if len(measured) < 2 or not spread:
        return None
    # runs of different data sets are drawn apart: their variances add up
    variances = [sum(x["sd"] ** 2 for x in own) / len(own) ** 2 for own in spread]
    seeds = [min(int(x["seeds"]) for x in own) for own in spread]
    freedom = sum(seeds) - len(seeds)
    variance = statistics.fmean(variances) / min(seeds)
    return studentized_range(len(measured), freedom) * math.sqrt(variance)


def of_test_rows(records: Sequence[Record]) -> float | None:
    """Half of the gains' interval: the root mean square over the rows that have one."""
    halves = [
        (record["gain_high"] - record["gain_low"]) / 2
        for record in records
        if record.get("gain_low") is not None
    ]
    halves = [half for half in halves if half]  # 0: two rows that predict the same
    return math.sqrt(statistics.fmean(h**2 for h in halves)) if halves else None

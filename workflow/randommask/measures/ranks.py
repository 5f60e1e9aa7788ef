"""Ranks of the rows of Table 3 over the data sets (Demsar 2006, JMLR 7).

Rank 1 is the best of a data set; rows whose means print alike share the mean of their
ranks.

Shapes: D data sets, R rows.
"""

from dataclasses import dataclass

import numpy as np

from randommask.measures.records import Record

ALPHA = 0.05
FEWEST_ROWS, FEWEST_DATASETS = 3, 10
"""Below these neither the test nor a critical difference says anything."""


@dataclass(frozen=True)
class Ranks:
    """The rows and data sets that could be ranked, and every rank: (D, R)."""

    rows: tuple[str, ...]
    datasets: tuple[str, ...]
    ranks_DR: np.ndarray

    @property
    def means(self) -> np.ndarray:
        """Mean rank of each row: (R,)."""
        return self.ranks_DR.mean(axis=0)


def rank(table3: list[Record]) -> Ranks:
    """Rank the rows that have any value, on data sets where none of them lacks one."""
    from scipy.stats import rankdata

    rows = dict.fromkeys(line["row"] for line in table3 if line["mean"] is not None)
    by_dataset: dict[str, dict[str, float]] = {}
    for line in table3:
        if line["mean"] is not None:
            own = by_dataset.setdefault(line["dataset"], {})
            own[line["row"]] = round(line["mean"], 2)
    complete = {name: own for name, own in by_dataset.items() if len(own) == len(rows)}
    values = [[-own[row] for row in rows] for own in complete.values()]
    ranks = rankdata(values, axis=1) if values else np.empty((0, len(rows)))
    return Ranks(tuple(rows), tuple(complete), ranks)


def highest(table3: list[Record], key: str = "mean") -> tuple[dict[str, int], int, int]:
    """On how many data sets each row is highest alone, on how many some tie for it.

    And how many can be compared: rows without any value are left out, and a data set
    counts where no other row lacks one. So the rows' counts and the ties add up.

    >>> cells = {"a": (1.0, 2.0, 2.001), "b": (0.0, 3.0, 2.0)}
    >>> highest([{"row": r, "dataset": d, "mean": v}
    ...          for r, own in cells.items() for d, v in enumerate(own)])
    ({'a': 1, 'b': 1}, 1, 3)
    """
    by_dataset: dict[str, dict[str, float | None]] = {}
    rows = {line["row"] for line in table3 if line[key] is not None}
    for line in table3:
        if line["row"] in rows:
            by_dataset.setdefault(line["dataset"], {})[line["row"]] = line[key]
    won = dict.fromkeys((line["row"] for line in table3), 0)
    tied = compared = 0
    for values in by_dataset.values():
        if len(values) < 2 or None in values.values():
            continue
        compared += 1
        printed = {row: round(value, 2) for row, value in values.items()}
        best = [row for row in printed if printed[row] == max(printed.values())]
        if len(best) == 1:
            won[best[0]] += 1
        else:
            tied += 1
    return won, tied, compared


def friedman(ranks: Ranks) -> float | None:
    """p-value of the Friedman test that all rows rank alike (Iman and Davenport).

    None where there are too few rows or data sets, or all ranks are equal.
    """
    from scipy.stats import f, friedmanchisquare

    datasets, rows = ranks.ranks_DR.shape
    too_few = rows < FEWEST_ROWS or datasets < FEWEST_DATASETS
    if too_few or (ranks.means == ranks.means[0]).all():
        return None
    chi = friedmanchisquare(*ranks.ranks_DR.T).statistic
    rest = datasets * (rows - 1) - chi
    if rest <= 1e-9:
        return 0.0
    return float(
        f.sf((datasets - 1) * chi / rest, rows - 1, (rows - 1) * (datasets - 1))
    )


def critical_difference(ranks: Ranks) -> float | None:
    """Nemenyi's: mean ranks further apart than this differ at the level `ALPHA`.

    None with too few rows or data sets to speak of.
    """
    from scipy.stats import studentized_range

    datasets, rows = ranks.ranks_DR.shape
    if rows < FEWEST_ROWS or datasets < FEWEST_DATASETS:
        return None
    quantile = studentized_range.ppf(1 - ALPHA, rows, np.inf) / np.sqrt(2)
    return float(quantile * np.sqrt(rows * (rows + 1) / (6 * datasets)))

"""The rank plot: where each row of Table 3 stands on the data sets, and on the mean."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from randommask.measures import ranks
from randommask.measures.ranks import Ranks
from randommask.measures.records import read_csv
from randommask.report.figures import style

LINE = 0.27  # inches from a row to the next
ABOVE, BELOW = 0.42, 0.5  # inches: the critical difference; the axis and its name
LETTER, RIGHT = 0.056, 0.42  # inches: a letter of a name; the mean ranks
AREA = 11  # square points of a dot for each data set


def draw(table: str, notice: str, roles: dict[str, str]) -> tuple[Figure, pd.DataFrame]:
    """Rows by mean rank, best on top; a dot grows with the data sets of that rank.

    A bar joins rows whose mean ranks are not further apart than Nemenyi's critical
    difference, where one can be given. `roles` gives the encoders their colours.
    Returns every rank: row, encoder, tokenization, dataset, rank, mean_rank.
    """
    texts = ("row", "encoder", "tokenization", "dataset")
    lines = read_csv(table, texts, ("mean",))
    found = ranks.rank(lines)
    first = {line["row"]: line for line in reversed(lines)}
    numbers = _numbers(found, first)
    if not found.datasets:
        return _empty(notice), numbers
    encoders = dict.fromkeys(line["encoder"] for line in lines)
    colours = style.encoder_colours(roles, encoders)
    order = np.argsort(found.means, kind="stable")
    joined = _groups(np.sort(found.means), ranks.critical_difference(found))
    height = ABOVE + LINE * len(order) + BELOW + 0.1 * len(joined)
    figure = style.new(style.ONE_COLUMN, height, notice)
    left = 0.2 + LETTER * max(map(len, found.rows))
    width = style.ONE_COLUMN - left - RIGHT
    axes = style.place(figure, left, ABOVE, width, height - ABOVE - BELOW)
    for position, column in enumerate(order):
        row = found.rows[column]
        colour = colours[first[row]["encoder"]]
        _draw_row(axes, position, row, found.ranks_DR[:, column], colour)
    _draw_bars(axes, np.sort(found.means), joined)
    _draw_frame(axes, found, len(joined))
    return figure, numbers


def _empty(notice: str) -> Figure:
    """What is drawn while no data set can be ranked, as of a partial table."""
    figure = style.new(style.ONE_COLUMN, 0.6, notice)
    words = "no data set has a value in every row yet"
    figure.text(0.5, 0.6, words, ha="center", va="center", color=style.GREY)
    return figure


def _numbers(found: Ranks, first: dict[str, dict]) -> pd.DataFrame:
    columns = ["row", "encoder", "tokenization", "dataset", "rank", "mean_rank"]
    lines = [
        (
            row,
            first[row]["encoder"],
            first[row]["tokenization"],
            dataset,
            found.ranks_DR[position, column],
            round(float(found.means[column]), 4),
        )
        for column, row in enumerate(found.rows)
        for position, dataset in enumerate(found.datasets)
    ]
    return pd.DataFrame(lines, columns=columns)


def _groups(means: np.ndarray, critical: float | None) -> list[tuple[int, int]]:
    """Runs (first, last) of ascending mean ranks within the difference, the longest."""
    if critical is None:
        return []
    runs: list[tuple[int, int]] = []
    for first in range(len(means)):
        last = int(np.searchsorted(means, means[first] + critical, side="right")) - 1
        if last > first and (not runs or last > runs[-1][1]):
            runs.append((first, last))
    return runs


def _draw_row(
    axes: Axes, position: int, row: str, ranks_D: np.ndarray, colour: str
) -> None:
    values, counts = np.unique(ranks_D, return_counts=True)
    axes.axhline(position, color=style.FAINT, lw=0.5, zorder=0)
    axes.scatter(
        values,
        np.full(len(values), position),
        s=AREA * counts,
        color=colour,
        alpha=0.35,
        linewidths=0,
        clip_on=False,
    )
    mean = ranks_D.mean()
    axes.plot(mean, position, "|", color=colour, ms=13, mew=2.2, clip_on=False)
    beside = axes.get_yaxis_transform()
    side = dict(transform=beside, va="center", fontsize=6.5)
    axes.text(-0.08, position, row, ha="right", **side)
    axes.text(1.08, position, f"{mean:.2f}", **side)


def _draw_bars(axes: Axes, means: np.ndarray, joined: list[tuple[int, int]]) -> None:
    """Below the rows, from the best to the worst mean rank that do not differ."""
    for position, (first, last) in enumerate(joined):
        height = len(means) - 0.35 + 0.36 * position
        axes.plot(means[[first, last]], [height] * 2, color=style.INK, lw=2.4)


def _draw_frame(axes: Axes, found: Ranks, bars: int) -> None:
    rows = len(found.rows)
    axes.set(xlim=(1, max(rows, 2)), ylim=(rows - 0.45 + 0.36 * bars, -0.5))
    axes.set_xticks(range(1, max(rows, 2) + 1))
    axes.set(yticks=[], xlabel=f"rank on {len(found.datasets)} data sets (1 is best)")
    axes.spines["left"].set_visible(False)
    critical = ranks.critical_difference(found)
    words = "no critical difference: too few rows or data sets"
    if critical is not None:
        words = f"critical difference {critical:.2f}"
        above = axes.get_xaxis_transform()
        axes.plot(
            [1, 1 + critical],
            [1.06, 1.06],
            "|-",
            color=style.INK,
            lw=1.2,
            ms=5,
            transform=above,
            clip_on=False,
        )
    axes.annotate(
        words,
        (0, 1),
        xytext=(0, 13),
        xycoords="axes fraction",
        textcoords="offset points",
        fontsize=6,
    )
    axes.text(1.08, -0.72, "mean", transform=axes.get_yaxis_transform(), fontsize=6)

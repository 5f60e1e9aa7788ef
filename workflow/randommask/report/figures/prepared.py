"""The data page's figure: a line a data set, and what to know of it side by side.

Colour says where to look: a training split that is small, a class that is far above
its even share, duplicates and leaks by their share of the rows.
"""

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from randommask.errors import InputError
from randommask.experiment.datasets import SPLITS
from randommask.measures import readers
from randommask.report.figures import style

SMALL = 5000  # training rows
UNBALANCED = 1.1  # the largest class over its even share
SHARES = (1e-4, 1e-1)  # of the rows: the ends of the colour scale

COLUMNS = {
    "dataset": "text",
    "task": "text",
    "split": "text",
    "rows": "whole number",
    "published": "number or empty",
    "min_bases": "whole number",
    "max_bases": "whole number",
    "gc": "number or empty",
    "labels": "text",
    "largest_class": "number or empty",
    "duplicates": "whole number",
    "in_train": "number or empty",
    "rows_in_train": "number or empty",
    "in_dev": "number or empty",
    "rows_in_dev": "number or empty",
}
_COUNTS = ("published", "in_train", "rows_in_train", "in_dev", "rows_in_dev")

_LINE, _TOP, _BOTTOM = 0.152, 0.74, 0.38  # inches: a data set, what is above, below
_PANELS = {  # inches from the left, and wide
    "rows": (0.98, 1.42),
    "bases": (2.52, 0.68),
    "labels": (3.32, 1.0),
    "gc": (4.44, 0.78),
    "duplicates": (5.34, 0.87),
    "leaks": (6.31, 0.87),
}
_ACCENT = style.COLOURS["randommask"]
_PLAIN = style.COLOURS["baseline"]
_MARKERS = {"train": "o", "dev": "|", "test": "x"}
_SIZES = {"train": 13, "dev": 40, "test": 12}  # of equal ones all three are seen
_HEAT = LinearSegmentedColormap.from_list("leaks", ["#FCE6D5", "#D55E00", "#7A2E00"])


def draw(table: str, notice: str) -> tuple[Figure, pd.DataFrame]:
    """One line a data set: rows, length, labels, GC, duplicates and leaks.

    `table` is the csv of the data page; returns those of its columns that are drawn.
    """
    lines = readers.table(table, COLUMNS)
    names = list(dict.fromkeys(lines["dataset"]))
    if len(lines) != len(SPLITS) * len(names):
        raise InputError(f"{table}: {len(lines)} lines, expected a line a split")
    by_split = {
        split: lines[lines["split"] == split].set_index("dataset").reindex(names)
        for split in SPLITS
    }
    height = len(names) * _LINE
    figure = style.new(style.TWO_COLUMNS, _TOP + height + _BOTTOM, notice)
    axes = {
        name: style.place(figure, left, _TOP, width, height)
        for name, (left, width) in _PANELS.items()
    }
    _frame(axes, by_split["train"]["task"])
    _rows(axes["rows"], by_split)
    _bases(axes["bases"], by_split)
    _labels(axes["labels"], by_split["train"])
    _gc(axes["gc"], by_split)
    _cells(axes["duplicates"], _duplicates(by_split))
    _cells(axes["leaks"], _leaks(by_split))
    _key(figure)
    return figure, lines.astype(dict.fromkeys(_COUNTS, "Int64"))


def _frame(axes: dict[str, Axes], tasks: pd.Series) -> None:
    """The lines' names, a faint rule between tasks, and a title above each panel."""
    titles = {
        "rows": "rows",
        "bases": "bases",
        "labels": "labels of train (%)",
        "gc": "GC (%)",
        "duplicates": "repeated rows",
        "leaks": "in two splits",
    }
    ends = [i for i, (a, b) in enumerate(pairwise(tasks)) if a != b]
    for letter, (name, panel) in zip("abcdef", axes.items(), strict=True):
        is_cells = name in ("duplicates", "leaks")
        style.panel_title(panel, letter, titles[name], lift=15 if is_cells else 4)
        panel.set(ylim=(len(tasks) - 0.5, -0.5), yticks=[])
        panel.spines["left"].set_visible(False)
        for end in ends:
            panel.axhline(end + 0.5, color=style.FAINT, lw=0.5, zorder=0)
    first = axes["rows"]
    names = [name if len(name) < 19 else f"{name[:16]}.." for name in tasks.index]
    first.set_yticks(range(len(tasks)), names)
    first.tick_params(axis="y", length=0)


def _rows(axes: Axes, by_split: dict[str, pd.DataFrame]) -> None:
    position = np.arange(len(by_split["train"]))
    counts = {split: table["rows"].to_numpy() for split, table in by_split.items()}
    small = counts["train"] < SMALL
    low = np.minimum(counts["dev"], counts["test"])
    axes.hlines(position, low, counts["train"], color=style.FAINT, lw=0.8, zorder=1)
    colours = np.where(small, _ACCENT, _PLAIN)
    for split, marker in _MARKERS.items():
        size = _SIZES[split]
        look = {"marker": marker, "linewidths": 0.9}
        axes.scatter(counts[split], position, size, colours, **look)
    published = by_split["train"]["published"].to_numpy()
    differs = np.isfinite(published) & (published != counts["train"])
    axes.scatter(
        published[differs],
        position[differs],
        13,
        facecolors="none",
        edgecolors=style.GREY,
        linewidths=0.6,
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(numticks=5))
    axes.xaxis.set_major_formatter(FuncFormatter(_short))
    # within less than a power of ten the ticks between would be labelled, too wide
    axes.xaxis.set_minor_formatter(NullFormatter())
    known = np.concatenate(list(counts.values()))
    low, high = np.log10(known.min()), np.log10(known.max())
    axes.set_xlim(0.75 * 10 ** np.floor(low), 1.3 * 10 ** np.ceil(high))
    axes.grid(axis="x", color=style.FAINT, lw=0.4)
    axes.set_axisbelow(True)


def _short(value: float, _: int = 0) -> str:
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _bases(axes: Axes, by_split: dict[str, pd.DataFrame]) -> None:
    lowest = np.min([table["min_bases"] for table in by_split.values()], axis=0)
    highest = np.max([table["max_bases"] for table in by_split.values()], axis=0)
    for position, (low, high) in enumerate(zip(lowest, highest, strict=True)):
        axes.plot([low, high], [position, position], color=_PLAIN, lw=0.9)
        axes.plot(high, position, "s", color=_PLAIN, ms=2.6)
    axes.set_xlim(0, 1.08 * highest.max())
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.grid(axis="x", color=style.FAINT, lw=0.4)


def _labels(axes: Axes, train: pd.DataFrame) -> None:
    """Shares of the classes as stacked bars; ticks where even shares would end."""
    for position, (labels, largest) in enumerate(
        zip(train["labels"], train["largest_class"], strict=True)
    ):
        parts = [part.rpartition(":") for part in labels.split()]
        if not np.isfinite(largest):
            names = [name for name, _, _ in parts]
            text = f"numbers: {', '.join(names)}"
            text = text if len(text) < 22 else f"{len(names)} numbers"
            axes.text(0, position, text, va="center", fontsize=5.5, color=style.GREY)
            continue
        counts = np.array([int(count) for _, _, count in parts])
        shares = counts / counts.sum()
        unbalanced = largest * len(counts) > UNBALANCED
        starts = np.concatenate([[0], np.cumsum(shares)[:-1]])
        for number, (start, share) in enumerate(zip(starts, shares, strict=True)):
            is_marked = unbalanced and number == shares.argmax()
            colour = _ACCENT if is_marked else _PLAIN
            shade = 0.35 + 0.4 * (number % 2) if not is_marked else 0.85
            axes.barh(position, share, 0.62, start, color=colour, alpha=shade, lw=0)
        even = np.arange(1, len(counts)) / len(counts)
        axes.vlines(even, position - 0.42, position + 0.42, color=style.INK, lw=0.6)
    axes.set(xlim=(0, 1), xticks=[0, 0.5, 1], xticklabels=["0", "50", "100"])


def _gc(axes: Axes, by_split: dict[str, pd.DataFrame]) -> None:
    for split, marker in _MARKERS.items():
        gc = 100 * by_split[split]["gc"].to_numpy()
        size = _SIZES[split]
        axes.scatter(gc, range(len(gc)), size, _PLAIN, marker=marker, linewidths=0.9)
    axes.xaxis.set_major_locator(MaxNLocator(3, integer=True))
    axes.margins(x=0.12)
    axes.grid(axis="x", color=style.FAINT, lw=0.4)
    axes.set_axisbelow(True)


Cells = dict[str, tuple[np.ndarray, np.ndarray]]


def _duplicates(by_split: dict[str, pd.DataFrame]) -> Cells:
    """Heading of each column of cells, its counts and their shares of the rows."""
    return {
        split: (
            table["duplicates"].to_numpy(),
            (table["duplicates"] / table["rows"]).to_numpy(),
        )
        for split, table in by_split.items()
    }


def _leaks(by_split: dict[str, pd.DataFrame]) -> Cells:
    """Likewise; shares are of the rows of the later split."""
    found = {}
    for first, split in (("train", "dev"), ("train", "test"), ("dev", "test")):
        table = by_split[split]
        share = (table[f"rows_in_{first}"] / table["rows"]).to_numpy()
        found[f"{first}\n{split}"] = (table[f"in_{first}"].to_numpy(), share)
    return found


def _cells(axes: Axes, columns: Cells) -> None:
    norm = LogNorm(*SHARES, clip=True)
    for column, (heading, (counts, shares)) in enumerate(columns.items()):
        axes.text(
            column,
            -0.75,
            heading,
            ha="center",
            va="bottom",
            fontsize=5,
            color=style.GREY,
            linespacing=1,
        )
        for position, (count, share) in enumerate(zip(counts, shares, strict=True)):
            text, colour = "0", style.FAINT
            if count:
                text = f"{count:,.0f}" if count < 1e4 else _short(float(f"{count:.2g}"))
                tint = _HEAT(norm(share))
                axes.barh(position, 0.92, 0.84, column - 0.46, color=tint, lw=0)
                colour = "white" if norm(share) > 0.42 else style.INK
            axes.text(
                column,
                position,
                text,
                ha="center",
                va="center",
                fontsize=5.5,
                color=colour,
            )
    axes.set(xlim=(-0.5, len(columns) - 0.5), xticks=[])
    axes.spines["bottom"].set_visible(False)


def _key(figure: Figure) -> None:
    """What the marks are, and below it what the colour says."""
    dot = {"ls": "", "ms": 3.2}
    marks = [
        Line2D([], [], marker=marker, color=_PLAIN, label=split, **dot)
        for split, marker in _MARKERS.items()
    ]
    ring = {"marker": "o", "mfc": "none", "mec": style.GREY, "mew": 0.6}
    marks.append(Line2D([], [], label="train as published", **ring, **dot))
    even = Line2D([], [], marker="|", color=style.INK, ms=5, mew=0.6, ls="")
    even.set_label("even shares")
    accent = Line2D([], [], marker="s", color=_ACCENT, ms=4, ls="")
    accent.set_label(
        f"fewer than {SMALL:,} rows to train on; a class above {UNBALANCED:g} times its"
        " even share; repeated and shared sequences, darker for more of the rows"
    )
    for top, handles in ((0.06, [*marks, even]), (0.21, [accent])):
        figure.legend(
            handles=handles,
            ncols=len(handles),
            loc="upper left",
            bbox_to_anchor=(
                _PANELS["rows"][0] / style.TWO_COLUMNS,
                1 - top / figure.get_figheight(),
            ),
            borderaxespad=0,
            borderpad=0,
            columnspacing=1.6,
            handletextpad=0.3,
        )

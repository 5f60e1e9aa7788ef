"""Figure 5: loss curves, the phases, and what the information in them allows."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from randommask.errors import InputError
from randommask.measures import readers
from randommask.report.figures import style

WINDOW = 1 / 150  # of a run: the stretch that a point of the smoothed curve averages


def draw(history: dict[str, str], notice: str) -> tuple[Figure, pd.DataFrame]:
    """Loss against step for each role, its phases and their information bounds.

    Returns role, step, phase, max_span, loss, smoothed, bound and validation_loss.
    """
    if not history:
        raise InputError("--history: no role, expected at least one")
    tables = readers.tables(history, readers.HISTORY)
    for table in tables.values():
        table.insert(4, "smoothed", smooth(table))
    figure = style.new(style.TWO_COLUMNS, 2.95, notice)
    axes = style.place(figure, 0.42, 0.42, style.TWO_COLUMNS - 0.55, 2.1)
    for position, (role, table) in enumerate(tables.items()):
        shared = _shared(table, list(tables.values())[:position])
        _draw_run(axes, role, table, shared, position)
    last = max(table["step"].iloc[-1] for table in tables.values())
    axes.set(xlim=(0, last), ylim=(0, None), xlabel="step", ylabel="loss (nats)")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda step, _: _thousands(step)))
    _draw_phases(axes, tables)
    _draw_key(figure, axes, tables)
    return figure, pd.concat(
        [table.assign(role=role) for role, table in tables.items()]
    )[["role", *next(iter(tables.values())).columns]]


def smooth(table: pd.DataFrame) -> np.ndarray:
    """Centred running mean of the loss, never across the boundary of a phase."""
    window = max(1, round(WINDOW * len(table)))
    means = table.groupby("phase")["loss"].rolling(window, center=True, min_periods=1)
    return means.mean().droplevel(0).sort_index().to_numpy()


def _shared(table: pd.DataFrame, others: list[pd.DataFrame]) -> int:
    """Rows at the start that are another curve's too: one encoder branched from it."""
    lengths = [0]
    for other in others:
        rows = min(len(table), len(other))
        same = [table[key][:rows].eq(other[key][:rows]) for key in ("step", "loss")]
        lengths.append(int((same[0] & same[1]).cumprod().sum()))
    return max(lengths)


def _draw_run(
    axes: Axes, role: str, table: pd.DataFrame, shared: int, position: int
) -> None:
    """One run; its first `shared` rows are dashed, over the curve they belong to.

    The dashes of equal bounds stand in each other's gaps, by `position`.
    """
    colour = style.COLOURS[role]
    axes.plot(table["step"], table["loss"], color=colour, lw=0.5, alpha=0.35)
    start = 0
    for _, phase in table.groupby("phase"):
        end = phase["step"].iloc[-1]
        branched, own = phase[phase.index < shared], phase[phase.index >= shared - 1]
        for part, dashes in ((branched, (0, (4, 4))), (own, "-")):
            axes.plot(part["step"], part["smoothed"], color=colour, ls=dashes)
        bound = phase["bound"].iloc[0]
        dashes = (3 * position, (3, 6))
        axes.plot([start, end], [bound, bound], color=colour, lw=0.9, ls=dashes)
        start = end
    checked = table.dropna(subset="validation_loss")
    axes.plot(
        checked["step"],
        checked["validation_loss"],
        "o",
        color=colour,
        ms=2.2,
        mec="white",
        mew=0.3,
        clip_on=False,
    )


def _draw_phases(axes: Axes, tables: dict[str, pd.DataFrame]) -> None:
    """Lines where the longest span of a curriculum grows, and that span above."""
    curriculum = max(tables.values(), key=lambda table: table["phase"].nunique())
    if curriculum["phase"].nunique() == 1:
        return
    phases = curriculum.groupby("phase").agg({"step": "last", "max_span": "first"})
    ends = phases["step"].to_numpy()
    starts = np.concatenate([[0], ends[:-1]])
    widest = (ends - starts).argmax()  # it has room for words
    for start in starts[1:]:
        axes.axvline(start, color=style.GREY, lw=0.6, ls=(0, (1, 1.5)), zorder=0)
    for position, span in enumerate(phases["max_span"]):
        axes.text(
            (starts[position] + ends[position]) / 2,
            1.01,
            f"span up to {span}" if position == widest else f"{span}",
            transform=axes.get_xaxis_transform(),
            ha="center",
            va="bottom",
            fontsize=6,
            color=style.GREY,
        )


def _draw_key(figure: Figure, axes: Axes, tables: dict[str, pd.DataFrame]) -> None:
    handles = [style.role_handle(role) for role in tables]
    bound = Line2D([], [], color=style.GREY, lw=0.9, ls=(0, (3, 3)))
    bound.set_label("information bound")
    handles.append(bound)
    if any(table["validation_loss"].notna().any() for table in tables.values()):
        handles.append(
            Line2D(
                [], [], ls="", marker="o", ms=2.6, color=style.GREY, label="validation"
            )
        )
    figure.legend(
        handles=handles,
        ncols=len(handles),
        loc="upper left",
        bbox_to_anchor=(0.42 / style.TWO_COLUMNS, 1 - 0.06 / figure.get_figheight()),
        borderaxespad=0,
        borderpad=0,
        columnspacing=1.6,
    )


def _thousands(step: float) -> str:
    return f"{step / 1000:g}k" if step >= 1000 else f"{step:g}"

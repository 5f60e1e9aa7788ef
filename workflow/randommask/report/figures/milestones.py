"""Figure 2: how the space of the k-mers orders itself while the loss falls."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from matplotlib.ticker import MaxNLocator

from randommask.errors import InputError
from randommask.measures import readers
from randommask.measures.readers import LABELS, ROLES
from randommask.report.figures import style

LEFT, RIGHT = 0.42, 1.0  # inches beside the panels: axis labels, the key of the colours
GAP = 0.06
CURVE_TOP, CURVE = 0.32, 0.8  # inches from the panels to the curve, and its height
BLOCK_GAP = 0.45
PER_DECADE = 40  # points of the smoothed curve in a decade of steps


def draw(
    embeddings: dict[str, str],
    history: dict[str, str],
    purity: dict[str, str],
    notice: str,
    columns: int = 6,
) -> tuple[Figure, pd.DataFrame]:
    """One block for each role: t-SNE at up to `columns` milestones, the loss below.

    Points have the colour of their two central nucleotides; all panels of a block share
    their axes. Returns the loss, silhouette and purity of every milestone drawn.
    """
    missing = [role for role in embeddings if role not in history]
    if missing or not embeddings:
        raise InputError(
            f"--history: no {missing[0] if missing else ROLES[0]}, expected the "
            "roles of --embeddings"
        )
    pictures = readers.tables(embeddings, readers.PICTURE)
    losses = readers.tables(
        {role: history[role] for role in embeddings}, readers.HISTORY
    )
    measures = readers.tables(
        {role: path for role, path in purity.items() if role in embeddings},
        readers.PURITY,
    )
    numbers = pd.concat(
        [
            _numbers(role, picture, losses[role], measures.get(role), columns)
            for role, picture in pictures.items()
        ]
    )
    panel = (style.TWO_COLUMNS - LEFT - RIGHT + GAP) / columns - GAP
    block = 0.36 + panel + CURVE_TOP + CURVE
    height = len(pictures) * (block + BLOCK_GAP) - BLOCK_GAP + 0.44
    figure = style.new(style.TWO_COLUMNS, height, notice)
    highest = max(table["loss"].max() for table in losses.values())
    for position, (role, picture) in enumerate(pictures.items()):
        top = position * (block + BLOCK_GAP)
        rows = numbers[numbers["role"] == role]
        panels = _draw_panels(figure, top + 0.36, panel, picture, rows)
        curve = style.place(
            figure,
            LEFT,
            top + 0.36 + panel + CURVE_TOP,
            style.TWO_COLUMNS - LEFT - RIGHT,
            CURVE,
        )
        _draw_curve(curve, role, losses[role], rows, highest)
        _connect(figure, panels, curve, rows)
        style.panel_title(
            panels[0],
            "abcd"[position],
            LABELS[role],
            lift=15,
            colour=style.COLOURS[role],
        )
    key = style.place(figure, style.TWO_COLUMNS - RIGHT + 0.1, 0.3, 0.85, 1.05)
    style.pair_legend(key, "central\nnucleotides")
    return figure, numbers


def _numbers(
    role: str,
    picture: pd.DataFrame,
    losses: pd.DataFrame,
    measure: pd.DataFrame | None,
    columns: int,
) -> pd.DataFrame:
    """Role, step, loss, silhouette, purity and chance of the milestones to draw."""
    steps = np.unique(picture["step"])
    if len(steps) > columns:
        chosen = np.linspace(0, len(steps) - 1, columns).round().astype(int)
        steps = steps[chosen]
    # a line of the history is the mean over the stretch of steps that ends with it
    line = np.searchsorted(losses["step"], steps)
    known = (line < len(losses)) & (steps >= losses["step"].iloc[0])
    loss = losses["loss"].to_numpy()[np.minimum(line, len(losses) - 1)]
    frame = pd.DataFrame({"role": role, "step": steps})
    frame["loss"] = np.where(known, loss, np.nan)
    if measure is None:
        return frame.assign(silhouette=np.nan, purity=np.nan, chance=np.nan)
    return frame.merge(measure, on="step", how="left")


def _draw_panels(
    figure: Figure, top: float, size: float, picture: pd.DataFrame, rows: pd.DataFrame
) -> list[Axes]:
    drawn = picture[picture["step"].isin(rows["step"])]
    reach = 1.05 * max(drawn["x"].abs().max(), drawn["y"].abs().max())
    points = 3.2 if len(picture) / picture["step"].nunique() < 1000 else 0.5
    panels = []
    for column, row in enumerate(rows.itertuples()):
        axes = style.place(figure, LEFT + column * (size + GAP), top, size, size)
        scatter(axes, drawn[drawn["step"] == row.step], points)
        axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
        style.frame(axes)
        axes.set_title(f"step {row.step:,}", pad=3, fontsize=6.5)
        if not np.isnan(row.purity):
            axes.text(
                0.5,
                -0.03,
                f"purity {row.purity:.2f}",
                transform=axes.transAxes,
                ha="center",
                va="top",
                fontsize=6,
            )
        panels.append(axes)
    return panels


def scatter(axes: Axes, picture: pd.DataFrame, size: float) -> None:
    """Points in the colours of their central nucleotides, in an order that hides none.

    The order is shuffled, always the same way: drawn group by group, the last groups
    would lie over the first wherever they mix.
    """
    shuffled = picture.sample(frac=1, random_state=0)
    axes.scatter(
        shuffled["x"],
        shuffled["y"],
        s=size,
        c=[style.PAIR_COLOURS[pair] for pair in shuffled["center"]],
        linewidths=0,
        rasterized=True,
    )


def _draw_curve(
    axes: Axes, role: str, losses: pd.DataFrame, rows: pd.DataFrame, highest: float
) -> None:
    colour = style.COLOURS[role]
    axes.plot(losses["step"], losses["loss"], color=colour, lw=0.5, alpha=0.35)
    stretch = (np.log10(losses["step"].clip(lower=1)) * PER_DECADE).round()
    means = losses.groupby(stretch)[["step", "loss"]].mean()
    axes.plot(means["step"], means["loss"], color=colour)
    axes.plot(
        rows["step"], rows["loss"], "o", color=colour, ms=3.2, mec="white", mew=0.6
    )
    first = max(1, losses["step"].iloc[0])
    last = max(losses["step"].iloc[-1], rows["step"].iloc[-1])
    axes.set_xscale("symlog", linthresh=first, linscale=0.4)
    decades = 10.0 ** np.arange(np.ceil(np.log10(first)), np.log10(last) + 1e-9)
    axes.set_xticks([0, *decades])
    axes.minorticks_off()
    axes.set(xlim=(0, last * 1.06), ylim=(0, highest * 1.05))
    axes.set(xlabel="step", ylabel="loss (nats)")
    axes.xaxis.labelpad = 1
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))


def _connect(
    figure: Figure, panels: list[Axes], curve: Axes, rows: pd.DataFrame
) -> None:
    """Thin lines from each panel down to its step on the curve."""
    top = curve.get_ylim()[1]
    for axes, row in zip(panels, rows.itertuples(), strict=True):
        figure.add_artist(
            ConnectionPatch(
                (0.5, -0.13),
                (row.step, top),
                axes.transAxes,
                curve.transData,
                color=style.GREY,
                lw=0.5,
            )
        )
        curve.axvline(row.step, color=style.FAINT, lw=0.5, zorder=0)

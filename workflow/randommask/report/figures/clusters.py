"""Figure 3: the space of the k-mers at the end, whole and one cluster enlarged."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from randommask.errors import InputError
from randommask.measures import readers
from randommask.measures.readers import LABELS
from randommask.report.figures import style
from randommask.report.figures.milestones import scatter

WHOLE, LARGE = 3.95, 2.55  # inches: the sides of the two panels
INNER = 0.97  # share of a cluster that the enlarged window holds
LABEL = 0.26, 0.16  # inches: room that a label needs


def draw(
    embeddings: dict[str, str], purity: dict[str, str], notice: str
) -> tuple[Figure, pd.DataFrame]:
    """The last step of one role, and its densest cluster enlarged.

    A cluster has two central nucleotides in common. Returns the points drawn.
    """
    if len(embeddings) != 1:
        raise InputError(f"--embeddings: {len(embeddings)} roles, expected one")
    [(role, path)] = embeddings.items()
    picture = readers.table(path, readers.PICTURE)
    last = picture[picture["step"] == picture["step"].max()].reset_index(drop=True)
    if unknown := sorted(set(last["center"]) - set(style.PAIRS)):
        raise InputError(f"{path}: center {unknown[0]!r}, expected two of ACGT")
    middles = {pair: medoid(group) for pair, group in last.groupby("center")}
    cluster = min(middles, key=lambda pair: _window(last, pair, middles[pair]))

    figure = style.new(style.TWO_COLUMNS, WHOLE + 0.3, notice)
    whole = style.place(figure, 0.08, 0.22, WHOLE, WHOLE)
    large = style.place(figure, style.TWO_COLUMNS - LARGE - 0.12, 0.22, LARGE, LARGE)
    step = f"step {last['step'].iloc[0]:,}"
    measured = _purity(purity, role, last["step"].iloc[0])
    half = _window(last, cluster, middles[cluster])
    # the frame stays within the panel, wherever the cluster lies
    _draw_whole(whole, last, middles, np.abs(middles[cluster]).max() + half)
    _draw_large(large, last, cluster, middles[cluster], half)
    whole.add_patch(
        Rectangle(
            middles[cluster] - half,
            2 * half,
            2 * half,
            fill=False,
            ec=style.INK,
            lw=0.7,
        )
    )
    style.frame(whole)
    style.frame(large)
    style.panel_title(whole, "a", f"{LABELS[role]}, {step}{measured}")
    style.panel_title(large, "b", f"The k-mers {_pattern(last, cluster)}, enlarged")
    key = style.place(figure, style.TWO_COLUMNS - 1.0, LARGE + 0.4, 0.85, 1.05)
    style.pair_legend(key, "central\nnucleotides (a)")
    return figure, last


def medoid(group: pd.DataFrame) -> np.ndarray:
    """The point with the smallest sum of distances to its group: (2,) x, y."""
    points = group[["x", "y"]].to_numpy()
    apart = np.linalg.norm(points[:, None] - points, axis=-1)
    return points[apart.sum(axis=1).argmin()]


def spread(positions: np.ndarray, room: tuple[float, float]) -> np.ndarray:
    """Move labels at `positions` (n, 2) apart until each has `room` (width, height).

    Two that overlap are pushed apart along the axis where less is needed.
    """
    placed = positions.copy()
    for _ in range(500):
        moved = False
        for first in range(len(placed)):
            for second in range(first):
                apart = placed[first] - placed[second]
                overlap = np.array(room) - np.abs(apart)
                if (overlap > 1e-9).all():
                    axis = overlap.argmin()
                    push = (overlap[axis] / 2 + 1e-6) * (1 if apart[axis] >= 0 else -1)
                    placed[first, axis] += push
                    placed[second, axis] -= push
                    moved = True
        if not moved:
            break
    return placed


def _draw_whole(
    axes: Axes, points: pd.DataFrame, middles: dict[str, np.ndarray], least: float
) -> None:
    """All points and the labels, at least as far as `least` from the origin."""
    scatter(axes, points, 2.2 if len(points) > 1000 else 9)
    reach = max(1.06 * points[["x", "y"]].abs().to_numpy().max(), 1.02 * least)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach))
    inch = 2 * reach / WHOLE
    labels = spread(
        np.array(list(middles.values())), (LABEL[0] * inch, LABEL[1] * inch)
    )
    for pair, middle, position in zip(middles, middles.values(), labels, strict=True):
        if np.abs(position - middle).max() > LABEL[1] * inch:
            axes.plot(*zip(middle, position, strict=True), color=style.INK, lw=0.5)
        axes.text(
            *position,
            pair,
            ha="center",
            va="center",
            fontsize=7,
            fontweight="bold",
            bbox=dict(
                boxstyle="round,pad=0.18",
                facecolor="white",
                edgecolor=style.PAIR_COLOURS[pair],
                linewidth=0.8,
                alpha=0.9,
            ),
        )


def _window(points: pd.DataFrame, pair: str, middle: np.ndarray) -> float:
    """Half the side of a square around `middle` with `INNER` of the pair's points."""
    own = points.loc[points["center"] == pair, ["x", "y"]].to_numpy()
    return 1.15 * float(np.quantile(np.abs(own - middle).max(axis=1), INNER))


def _draw_large(
    axes: Axes, points: pd.DataFrame, pair: str, middle: np.ndarray, half: float
) -> None:
    """Colour by the nucleotide before the centre, shape by the one after it."""
    own = points["center"] == pair
    axes.scatter(
        points.loc[~own, "x"],
        points.loc[~own, "y"],
        s=6,
        color=style.FAINT,
        linewidths=0,
        rasterized=True,
    )
    for _, kmer, x, y in points.loc[own, ["kmer", "x", "y"]].itertuples():
        before = kmer[len(kmer) // 2 - 2]
        after = kmer[len(kmer) // 2 + 1]
        axes.scatter(
            x,
            y,
            s=13,
            color=style.NUCLEOTIDE_COLOURS[before],
            marker=style.NUCLEOTIDE_MARKERS[after],
            edgecolors="white",
            linewidths=0.3,
        )
    axes.set(xlim=middle[0] + np.array([-half, half]))
    axes.set(ylim=middle[1] + np.array([-half, half]))
    _draw_key(axes)


def _draw_key(axes: Axes) -> None:
    before = [
        Line2D([], [], ls="", marker="o", ms=4, color=colour, label=base)
        for base, colour in style.NUCLEOTIDE_COLOURS.items()
    ]
    after = [
        Line2D([], [], ls="", marker=marker, ms=4, color=style.GREY, label=base)
        for base, marker in style.NUCLEOTIDE_MARKERS.items()
    ]
    titles = ("nucleotide before the centre (b)", "after the centre (b)")
    for row, (handles, title) in enumerate(zip((before, after), titles, strict=True)):
        legend = axes.legend(
            handles=handles,
            title=title,
            title_fontsize=6,
            ncols=4,
            loc="upper left",
            bbox_to_anchor=(0, -0.03 - 0.15 * row),
            borderaxespad=0,
            borderpad=0.2,
            alignment="left",
            handletextpad=0.1,
            columnspacing=1.4,
        )
        axes.add_artist(legend)


def _pattern(points: pd.DataFrame, pair: str) -> str:
    """The k-mers of a cluster, any nucleotide written as N: `NNATNN`."""
    side = "N" * (len(points["kmer"].iloc[0]) // 2 - 1)
    return f"{side}{pair}{side}"


def _purity(purity: dict[str, str], role: str, step: int) -> str:
    if role not in purity:
        return ""
    measures = readers.table(purity[role], readers.PURITY).set_index("step")
    if step not in measures.index:
        raise InputError(f"{purity[role]}: no step {step}, the last of --embeddings")
    row = measures.loc[step]
    return f": purity {row['purity']:.2f} (chance {row['chance']:.2f})"

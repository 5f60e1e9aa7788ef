"""The figure of an ablation: its answer above, scores left, validation losses right.

Scores are drawn as differences from the reference's. A colour means the same in all
panels: a series where there is an axis, else a row.
"""

import math
import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation, Transform

from randommask.experiment.hparams import ComparedRow
from randommask.measures.records import Record
from randommask.report.ablations import answer
from randommask.report.ablations.measures import MEAN
from randommask.report.figures import style

COLOURS = (
    "#222222",  # the reference, then Okabe and Ito's in the order of their contrast
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#8C6D1F",
    "#767676",
    "#B9B200",
)
MARKERS = "osD^vP"
LETTERS, SMALL_LETTERS = 140, 176  # of a line above the panels, and below
LINE = 0.125  # inches of height
LETTER = 0.06  # inches of width, of a tick's label
BESIDE, POINTS_PER_INCH = 4, 72  # points from one series to the next, side by side
AROUND = 0.06  # of the axis, before the first position and after the last
LIGHTEST = 0.3  # share of a series' colour at its first position on the axis


def draw(
    rows: Sequence[ComparedRow],
    records: Sequence[Record],
    datasets: Sequence[str],
    said: Sequence[str],
    axis: str,
    notice: str,
) -> Figure:
    """Draw rows' differences, along the axis or one below the other, and their losses.

    `said` stands above the panels. The first row is the reference. Losses of another k
    or tokenization have a panel of their own, as they do not compare.
    """
    found = _differences(rows, records, datasets)
    kinds = _kinds(rows, records)
    above = [line for text in said for line in textwrap.wrap(text, LETTERS)]
    below = textwrap.wrap(_caption(rows, records, datasets, kinds, axis), SMALL_LETTERS)
    top = 0.42 + LINE * len(above)
    height = 2.2 if axis else max(1.7, 0.19 * len(rows) + 0.25)
    caption = top + height + 0.38 + (LINE if axis else 0)  # ticks may need two lines
    whole = caption + 0.04 + LINE * len(below)
    figure = style.new(style.TWO_COLUMNS, whole, notice)
    _write(figure, above, 0.1, 6.5)
    _write(figure, below, caption, 5.5)
    left, width = (0.5, 2.75) if axis else (1.55, 2.1)
    if not kinds:
        width = style.TWO_COLUMNS - left - 0.2
    scores = style.place(figure, left, top, width, height)
    if axis:
        _against(scores, rows, found, axis)
    else:
        _listed(scores, rows, found)
    style.panel_title(scores, "a", "test score less the reference's, points")
    left += width + 0.5
    columns = min(len(kinds), 2)
    for position, (tokens, curves) in enumerate(kinds.items()):
        lines = -(-len(kinds) // columns)
        wide = (style.TWO_COLUMNS - 0.1 - left - 0.4 * (columns - 1)) / columns
        high = (height - 0.5 * (lines - 1)) / lines
        down, across = divmod(position, columns)
        corner = (left + across * (wide + 0.4), top + down * (high + 0.5))
        axes = style.place(figure, *corner, wide, high)
        _losses(axes, rows, curves, bool(axis))
        title = tokens if len(kinds) > 1 else "validation loss by length of the spans"
        style.panel_title(axes, chr(ord("b") + position), title)
        if position + columns >= len(kinds):
            axes.set_xlabel("tokens of a span")
        if across == 0:
            axes.set_ylabel("nats a masked token")
    return figure


def _write(figure: Figure, lines: Sequence[str], top: float, size: float) -> None:
    """Lines of text, the first `top` inches below the figure's upper edge."""
    width, height = figure.get_size_inches()
    for position, line in enumerate(lines):
        y = 1 - (top + LINE * (position + 0.5)) / height
        figure.text(0.08 / width, y, line, va="center", fontsize=size)


def _caption(
    rows: Sequence[ComparedRow],
    records: Sequence[Record],
    datasets: Sequence[str],
    kinds: dict[str, list],
    axis: str,
) -> str:
    """What the marks are."""
    scores = _of(records, rows[0], "score")
    mean, notes = scores[MEAN], [r["note"] for r in records if r["of"] == MEAN]
    text = (
        f"a: 0 is {answer.name(rows, 0)}, the reference, with {mean['value']:.2f}"
        " per cent; large: mean over the data sets"
    )
    if mean["seeds"] > 1:
        text += f", bar: Tukey's 95 % interval over {mean['seeds']} seeds of " + (
            "pretraining" if rows[0].repeats else "fine-tuning"
        )
    if len(datasets) > 1:
        text += "; small: single data sets"
    if any(notes):
        text += "; hollow: with runs of constant or non-finite predictions"
    if kinds:
        last = chr(ord("a") + len(kinds))
        text += ". b" if len(kinds) == 1 else f". b-{last}, which do not compare"
        text += ": validation loss with all spans of one length"
        positions = [{rows[i].at for i, _ in curves} for curves in kinds.values()]
        if any(len(own) > 1 for own in positions):
            text += f", from light to dark along the axis ({axis})"
    return f"{text}."


def _of(records: Sequence[Record], row: ComparedRow, measure: str) -> dict:
    """A row's records of one measure, by what they are of."""
    key = (row.label, row.tokenization, measure)
    return {
        record["of"]: record
        for record in records
        if (record["row"], record["tokenization"], record["measure"]) == key
    }


def _differences(
    rows: Sequence[ComparedRow], records: Sequence[Record], datasets: Sequence[str]
) -> list[tuple[Record, list[Record]]]:
    """Of each row the difference of the mean, and of each data set."""
    found = [_of(records, row, "difference") for row in rows]
    return [(own[MEAN], [own[name] for name in datasets]) for own in found]


def _marks(
    axes: Axes,
    found: tuple[Record, list[Record]],
    at: float,
    order: int,
    upright: Transform | None = None,
) -> None:
    """A row's marks and its interval at a position, upright where so told."""
    colour, marker = _style(order)
    mean, single = found

    def draw_at(at: float, values: Sequence[float], **options: float | str) -> None:
        positions = [at] * len(values)
        if upright is None:
            axes.plot(values, positions, **options)
        else:
            axes.plot(positions, values, transform=upright, **options)

    for one in single if len(single) > 1 else ():
        fill = "none" if one["note"] else colour
        small = {"ms": 2.2, "mew": 0.5, "alpha": 0.45, "zorder": 1.5}
        below = at + 0.25 if upright is None else at
        draw_at(below, [one["value"]], marker="o", color=colour, mfc=fill, **small)
    if mean["low"] is not None:
        draw_at(at, [mean["low"], mean["high"]], color=colour, lw=1.3)
    fill = "white" if mean["note"] else colour
    big = {"ms": 4.5, "zorder": 3}
    draw_at(at, [mean["value"]], marker=marker, color=colour, mfc=fill, **big)


def _style(order: int) -> tuple[str, str]:
    """Colour and marker of a series or a row."""
    return COLOURS[order % len(COLOURS)], MARKERS[order % len(MARKERS)]


def _listed(axes: Axes, rows: Sequence[ComparedRow], found: Sequence[tuple]) -> None:
    """One line a row, the first row on top."""
    for position, one in enumerate(found):
        _marks(axes, one, position, position)
    names = [answer.name(rows, number).replace('"', "") for number in range(len(rows))]
    axes.axvline(0, color=style.GREY, lw=0.6, ls=(0, (1, 1.5)), zorder=0)
    axes.set(yticks=range(len(rows)), yticklabels=names, xlim=_limits(found))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _limits(found: Sequence[tuple]) -> tuple[float, float]:
    """What holds all scores; intervals that are wider than that leave the picture."""
    values = [one["value"] for mean, single in found for one in (mean, *single)]
    low, high = min(values), max(values)
    span = max(high - low, 1.0)
    ends = [end for mean, _ in found for end in (mean["low"], mean["high"])]
    ends = [end for end in ends if end is not None]
    low = min([low, *(max(end, low - span / 2) for end in ends)])
    high = max([high, *(min(end, high + span / 2) for end in ends)])
    return low - span / 20, high + span / 20


def _against(
    axes: Axes, rows: Sequence[ComparedRow], found: Sequence[tuple], axis: str
) -> None:
    """A line a series, against the axis; texts stand in their order."""
    at = [row.at for row in rows]
    if answer.is_numeric(rows):
        positions = [float(position) for position in at]
        low, high = min(positions), max(positions)
        if low > 0 and high / low > 10:
            axes.set_xscale("log")
            factor = (high / low) ** AROUND
            axes.set_xlim(low / factor, high * factor)
        else:
            around = AROUND * (high - low) or 1
            axes.set_xlim(low - around, high + around)
    else:
        ticks = list(dict.fromkeys(at))
        positions = [float(ticks.index(position)) for position in at]
        axes.set(xlim=(-0.4, len(ticks) - 0.6))
    shift = BESIDE / POINTS_PER_INCH
    for order, series in enumerate(_series(rows)):
        colour, marker = _style(order)
        aside = (order - (len(_series(rows)) - 1) / 2) * shift
        beside = axes.transData + ScaledTranslation(
            aside, 0, axes.get_figure().dpi_scale_trans
        )
        own = [i for i, row in enumerate(rows) if row.series == series]
        own.sort(key=lambda i: positions[i])
        for i in own:
            _marks(axes, found[i], positions[i], order, beside)
        line = [[positions[i] for i in own], [found[i][0]["value"] for i in own]]
        axes.plot(*line, color=colour, transform=beside)
        if series:
            axes.plot([], [], marker=marker, ms=4, color=colour, label=series)
    axes.axhline(0, color=style.GREY, lw=0.6, ls=(0, (1, 1.5)), zorder=0)
    axes.set_xticks(*_staggered(axes, dict(zip(positions, at, strict=True))))
    axes.minorticks_off()
    axes.set(xlabel=axis, ylim=_limits(found))
    if any(_series(rows)):
        axes.legend(loc="best")


def _staggered(
    axes: Axes, ticks: dict[float, float | str]
) -> tuple[list[float], list[str]]:
    """Ticks and their labels, on a second line where they would touch."""
    positions = sorted(ticks)
    axis = axes.transData + axes.transAxes.inverted()
    width = axes.get_position().width * style.TWO_COLUMNS
    labels, ends = [], [-math.inf, -math.inf]  # of what stands on each line, inches
    for position, (share, _) in zip(
        positions, axis.transform([(p, 0) for p in positions]), strict=True
    ):
        text = answer.shown(ticks[position])
        half = len(text) * LETTER / 2
        line = 0 if share * width - half > ends[0] or not labels else 1
        ends[line] = share * width + half + LETTER
        labels.append("\n" * line + text)
    return positions, labels


def _series(rows: Sequence[ComparedRow]) -> list[str]:
    return list(dict.fromkeys(row.series for row in rows))


def _kinds(rows: Sequence[ComparedRow], records: Sequence[Record]) -> dict[str, list]:
    """By what losses compare, k and tokenization: (row's position, its losses).

    Fine-tuned in two ways, an encoder was pretrained once.
    """
    kinds: dict[str, list] = {}
    drawn = set()
    for position, row in enumerate(rows):
        own = sorted(_of(records, row, "loss").items())
        losses = [(span, record["value"]) for span, record in own]
        if losses and row.encoder not in drawn:
            drawn.add(row.encoder)
            tokens = row.pretraining.tokens
            kinds.setdefault(tokens, []).append((position, losses))
    return kinds


def _losses(
    axes: Axes, rows: Sequence[ComparedRow], curves: Sequence[tuple], has_axis: bool
) -> None:
    """A line a row; along an axis in its series' colour, lighter where it begins."""
    series = _series(rows)
    for position, losses in curves:
        colour, marker = _style(position)
        if has_axis:
            row = rows[position]
            beside = [rows[i].at for i, _ in curves]
            order = list(dict.fromkeys(beside))
            if answer.is_numeric(rows):
                order.sort()
            colour, marker = _style(series.index(row.series))
            colour = _lighter(colour, order.index(row.at), len(order))
        axes.plot(
            *zip(*losses, strict=True), marker=marker, ms=2.5, lw=0.9, color=colour
        )
    spans = sorted({span for _, losses in curves for span, _ in losses})
    axes.set_xticks(spans)
    axes.set_xlim(spans[0] - 0.6, spans[-1] + 0.6)


def _lighter(colour: str, position: int, count: int) -> tuple[float, ...]:
    """A colour mixed with white, itself at the last of `count` positions."""
    share = 1 if count == 1 else LIGHTEST + (1 - LIGHTEST) * position / (count - 1)
    return tuple(share * part + (1 - share) for part in to_rgb(colour))

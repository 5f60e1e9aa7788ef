"""The figure of an ablation: its answer above, scores left, validation losses right."""

import textwrap
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from randommask.ablation.answer import shown
from randommask.ablation.measures import MEAN
from randommask.figures import style
from randommask.tables.records import Record

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
LETTERS = 132  # of a line above the figure
LINE = 0.125  # inches of height


def draw(
    rows: Sequence[Record],
    records: Sequence[Record],
    answer: Sequence[str],
    axis: str,
    notice: str,
) -> Figure:
    """Draw the scores of rows against the axis, or a line each where there is none.

    Big marks are means over the data sets with their 95 % interval over seeds, small
    ones single data sets, relative to the reference. Right: loss against the length of
    all spans, dashed what the visible tokens allow.
    """
    said = [line for text in answer for line in textwrap.wrap(text, LETTERS)]
    top = 0.12 + LINE * len(said)
    names = _names(rows)
    height = max(1.7, 0.19 * len(rows) + 0.25) if not axis else 2.2
    figure = style.new(style.TWO_COLUMNS, top + 0.3 + height + 0.42, notice)
    for place, line in enumerate(said):
        whole = figure.get_figheight()
        figure.text(
            0.08 / style.TWO_COLUMNS, 1 - (0.1 + LINE * (place + 0.5)) / whole, line,
            va="center", fontsize=6.5,
        )  # fmt: skip
    losses = any(record["measure"] == "loss" for record in records)
    left, width = (0.45, 2.7) if axis else (1.55, 1.75)
    if not losses:
        width = style.TWO_COLUMNS - left - (1.6 if axis else 0.2)
    scores = style.place(figure, left, top + 0.3, width, height)
    found = _scores(rows, records)
    if axis:
        _against(scores, rows, found, axis)
    else:
        _listed(scores, names, found)
    style.panel_title(scores, "a", "test score, per cent; small: data sets")
    if losses:
        beside = style.place(figure, left + width + 0.5, top + 0.3, 2.0, height)
        _losses(beside, rows, records)
        style.panel_title(beside, "b", "validation loss by length of the spans")
    return figure


def _names(rows: Sequence[Record]) -> list[str]:
    """What rows are called: their label, and their tokenization where it differs."""
    several = len({row["tokenization"] for row in rows}) > 1
    return [
        f"{row['label']}, {row['tokenization']}" if several else row["label"]
        for row in rows
    ]


def _scores(rows: Sequence[Record], records: Sequence[Record]) -> list[dict]:
    """Of each row its mean, the interval's ends, and where its data sets are drawn.

    A data set stands as far from the reference's mean as from the reference's score on
    it: what single data sets are like says nothing of the rows.
    """
    tables = []
    for row in rows:
        key = (row["label"], row["tokenization"])
        tables.append(
            {
                record["of"]: record
                for record in records
                if record["measure"] == "score"
                and (record["row"], record["tokenization"]) == key
            }
        )
    base = {of: record["value"] for of, record in tables[0].items()}
    return [
        {
            "mean": own[MEAN]["value"],
            "ends": (own[MEAN]["low"], own[MEAN]["high"]),
            "single": [own[of]["value"] - base[of] + base[MEAN] for of in row["sets"]],
        }
        for row, own in zip(rows, tables, strict=True)
    ]


def _listed(axes: Axes, names: Sequence[str], found: Sequence[dict]) -> None:
    """One line a row, the first row on top."""
    for place, one in enumerate(found):
        colour = COLOURS[place % len(COLOURS)]
        heights = [place] * len(one["single"])
        axes.plot(one["single"], heights, "o", ms=2, color=style.GREY, alpha=0.6)
        if one["ends"][0] is not None:
            axes.plot(one["ends"], [place, place], color=colour, lw=1.4)
        axes.plot(one["mean"], place, "o", ms=4.5, color=colour)
    axes.axvline(found[0]["mean"], color=style.GREY, lw=0.6, ls=(0, (1, 1.5)), zorder=0)
    axes.set(yticks=range(len(names)), yticklabels=names, xlim=_limits(found))
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _limits(found: Sequence[dict]) -> tuple[float, float]:
    """What holds all scores; intervals that are wider than that leave the picture."""
    values = [value for one in found for value in (one["mean"], *one["single"])]
    low, high = min(values), max(values)
    span = max(high - low, 1.0)
    ends = [end for one in found for end in one["ends"] if end is not None]
    low = min([low, *(max(end, low - span / 2) for end in ends)])
    high = max([high, *(min(end, high + span / 2) for end in ends)])
    return low - span / 20, high + span / 20


def _against(
    axes: Axes, rows: Sequence[Record], found: Sequence[dict], axis: str
) -> None:
    """A line a series, against the place on the axis, in its order where it is text."""
    at = [row["at"] for row in rows]
    is_number = all(isinstance(place, int | float) for place in at)
    ticks = list(dict.fromkeys(at))
    if is_number:
        places = [float(place) for place in at]
        spread = max(places) / min(places) if min(places) > 0 else 1
        if spread > 10:
            axes.set_xscale("log")
    else:
        places = [float(ticks.index(place)) for place in at]
        axes.set(xlim=(-0.4, len(ticks) - 0.6))
    for order, series in enumerate(dict.fromkeys(row["series"] for row in rows)):
        colour, marker = COLOURS[order], MARKERS[order % len(MARKERS)]
        own = sorted(
            (places[i], i) for i, row in enumerate(rows) if row["series"] == series
        )
        for x, i in own:
            single = found[i]["single"]
            axes.plot([x] * len(single), single, "o", ms=2, color=colour, alpha=0.25)
            if found[i]["ends"][0] is not None:
                axes.plot([x, x], found[i]["ends"], color=colour, lw=1.2)
        means = [found[i]["mean"] for _, i in own]
        label = series or None
        axes.plot(
            [x for x, _ in own], means, marker=marker, ms=4, color=colour, label=label
        )
    axes.set_xticks(sorted(set(places)), [shown(t) for t in _sorted(ticks, is_number)])
    axes.minorticks_off()
    axes.set(xlabel=axis, ylim=_limits(found))
    if any(row["series"] for row in rows):
        axes.legend(loc="best")


def _sorted(ticks: list, is_number: bool) -> list:
    return sorted(ticks) if is_number else ticks


def _losses(axes: Axes, rows: Sequence[Record], records: Sequence[Record]) -> None:
    """A line a row, in the colour that the row has at the left."""
    drawn = set()
    for place, row in enumerate(rows):
        curves = {}
        for measure in ("loss", "bound"):
            curves[measure] = sorted(
                (int(record["of"]), record["value"])
                for record in records
                if record["measure"] == measure
                and record["row"] == row["label"]
                and record["tokenization"] == row["tokenization"]
            )
        if not curves["loss"] or row["encoder"] in drawn:
            continue  # fine-tuned in two ways, it was pretrained once
        drawn.add(row["encoder"])
        colour = COLOURS[place % len(COLOURS)]
        spans, losses = zip(*curves["loss"], strict=True)
        axes.plot(spans, losses, "o-", ms=2.5, color=colour, label=row["label"])
        spans, bounds = zip(*curves["bound"], strict=True)
        axes.plot(spans, bounds, color=colour, lw=0.7, ls=(0, (3, 1.5)), zorder=0)
    axes.plot([], [], color=style.GREY, lw=0.7, ls=(0, (3, 1.5)), label="bound")
    axes.set(xlabel="tokens of a span", ylabel="nats a masked token")
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(1.01, 1.02),
        borderaxespad=0,
        fontsize=5.5,
        handlelength=1.2,
    )

"""One look for every figure: font, colours, widths, and bytes that do not change.

Encoders have one colour each, everywhere, from Okabe and Ito's palette
(https://jfly.uni-koeln.de/color/). Nucleotides have one hue each; a pair of them has
the hue of the first and a lightness by the second. These sixteen were found by a search
that kept them apart in OKLab for normal sight, deuteranopia and protanopia alike.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from randommask.files import write_aside
from randommask.measures.readers import LABELS

ONE_COLUMN, TWO_COLUMNS = 3.5, 7.2  # inches: 89 and 183 mm
DPI = 300
NOTICE_INCHES = 0.16  # strip added below a figure that carries a notice

COLOURS = {
    "baseline": "#0072B2",
    "randommask": "#D55E00",
    "nonoverlapping": "#009E73",
    "mini": "#CC79A7",
}
INK, GREY, FAINT = "#222222", "#767676", "#D4D4D4"
_OTHERS = ("#E69F00", "#56B4E9", "#000000", "#F0E442")  # the palette's rest

NUCLEOTIDES = "ATCG"  # the order of the vocabulary
_SHADES = {
    "A": ("#4A580A", "#6D9968", "#A6C89D", "#ABF051"),
    "T": ("#610E02", "#925D5B", "#F25916", "#F79F09"),
    "C": ("#021496", "#345276", "#726EF7", "#47B4FE"),
    "G": ("#51085E", "#B242B5", "#CA8DC2", "#F9C3F4"),
}
PAIRS = ["".join(pair) for pair in product(NUCLEOTIDES, repeat=2)]
PAIR_COLOURS = {pair: _SHADES[pair[0]][NUCLEOTIDES.index(pair[1])] for pair in PAIRS}
NUCLEOTIDE_COLOURS = {"A": "#6D9968", "T": "#F25916", "C": "#021496", "G": "#B242B5"}
NUCLEOTIDE_MARKERS = {"A": "o", "T": "s", "C": "^", "G": "D"}

_RC = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
    "legend.fontsize": 6,
    "legend.frameon": False,
    "lines.linewidth": 1.1,
    "pdf.fonttype": 42,
    "savefig.dpi": DPI,
}


def encoder_colours(roles: dict[str, str], encoders: Iterable[str]) -> dict[str, str]:
    """A colour for each encoder: its role's, the next of the palette, at last grey.

    `roles` gives the encoder of each role.
    """
    colours = {encoder: COLOURS[role] for role, encoder in roles.items()}
    rest = iter(_OTHERS)
    for encoder in encoders:
        if encoder not in colours:
            colours[encoder] = next(rest, GREY)
    return colours


@contextmanager
def applied() -> Iterator[None]:
    """Draw and save within this context; matplotlib's own settings come back after."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_RC)
        yield


def new(width: float, height: float, notice: str = "") -> Figure:
    """An empty figure of that many inches, not known to pyplot.

    A notice is written in small type into a strip that is added below.
    """
    strip = NOTICE_INCHES if notice else 0
    figure = Figure(figsize=(width, height + strip))
    if notice:
        middle = NOTICE_INCHES / 2 / (height + strip)
        figure.text(0.5, middle, notice, ha="center", va="center", fontsize=5.5)
    return figure


def place(figure: Figure, left: float, top: float, width: float, height: float) -> Axes:
    """Axes of that many inches, `left` and `top` inches from the upper left corner."""
    whole_width, whole_height = figure.get_size_inches()
    return figure.add_axes(
        (
            left / whole_width,
            1 - (top + height) / whole_height,
            width / whole_width,
            height / whole_height,
        )
    )


def panel_title(
    axes: Axes, letter: str, title: str, *, lift: float = 4, colour: str | None = None
) -> None:
    """Bold letter and title over the upper left corner, `lift` points above it.

    With a colour, which names an encoder, the title is bold too.
    """
    for offset, text, size in ((0, letter, 8), (10, title, 7)):
        axes.annotate(
            text,
            (0, 1),
            xytext=(offset, lift),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=size,
            fontweight="bold" if colour or not offset else "normal",
            color=colour if colour and offset else INK,
            va="baseline",
            annotation_clip=False,
        )


def pair_legend(axes: Axes, title: str) -> None:
    """The sixteen colours as a square: rows the first nucleotide, columns the second.

    `axes` is emptied of everything else.
    """
    axes.set_axis_off()
    axes.set(xlim=(-1.2, 4), ylim=(4.1, -2.2), aspect="equal")
    for row, first in enumerate(NUCLEOTIDES):
        axes.text(-0.35, row + 0.5, first, ha="center", va="center", fontsize=6)
        axes.text(row + 0.5, -0.35, first, ha="center", va="center", fontsize=6)
        for column, second in enumerate(NUCLEOTIDES):
            colour = PAIR_COLOURS[first + second]
            axes.add_patch(Rectangle((column, row), 0.9, 0.9, color=colour, lw=0))
    axes.text(1.95, -1, title, ha="center", va="bottom", fontsize=6, linespacing=1.15)


def frame(axes: Axes) -> None:
    """A faint box without ticks, around a picture whose axes have no units."""
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=FAINT)


def role_handle(role: str) -> Line2D:
    """Entry of a legend that names an encoder by its colour."""
    return Line2D([], [], color=COLOURS[role], lw=1.4, label=LABELS[role])


def save(figure: Figure, png: str | Path, pdf: str | Path) -> None:
    """Write both files, without the date that would change their bytes."""
    for form, path, undated in (("png", png, "Software"), ("pdf", pdf, "CreationDate")):
        with write_aside(path) as aside:
            figure.savefig(aside, format=form, dpi=DPI, metadata={undated: None})

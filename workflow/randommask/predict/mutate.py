"""What every single substitution of a sequence changes, as a table and a picture.

In-silico saturation mutagenesis: each base is replaced by each of the other three, and
the model asked again. In the picture the sequence's letters are as high as what the
model says falls on average when they are replaced, and hang where it rises; below, a
cell is one substitution.

Shapes: L bases, 4 letters, S scores.
"""

from collections.abc import Sized
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from randommask import files
from randommask.data.records import CHUNK, Source, Window
from randommask.errors import InputError
from randommask.predict.lines import table
from randommask.predict.model import FineTuned
from randommask.report.figures import style

BASES = "ACGT"
COLUMNS = ("position", "ref", "alt")
A_LINE = 100
"""Bases side by side; what is longer goes on below."""
UNDATED = {".png": "Software", ".svg": "Date", ".pdf": "CreationDate"}
"""Forms of the picture, and what would change the bytes of each."""
TALLEST = 200
"""Inches: at our resolution matplotlib draws no more than 65,536 pixels."""
COLOUR_MAP = "RdBu_r"
LEFT, TOP, RIGHT, LOGO, HEAT, GAP = 0.5, 0.3, 0.55, 0.55, 0.36, 0.34  # inches


def one_sequence(source: Source, model: FineTuned) -> Window:
    """The only record of a source, whole.

    Raises `InputError` where there are more, or one window does not hold it.
    """
    windows = list(source.windows(size := model.purpose.window_bases, model.config.k))
    records = {window.record for window in windows}
    if len(records) != 1:
        raise InputError(
            f"{source.path}: {len(records)} records, expected one to mutate"
        )
    [*rest, window] = windows
    if window.problem:
        raise InputError(f"{source.path}: {window.problem}")
    if rest:
        raise InputError(
            f"{source.path}: longer than the {size} bases that the model was trained "
            "on, expected a sequence to be read as a whole"
        )
    return window


def substitutions(model: FineTuned, bases: str) -> tuple[np.ndarray, np.ndarray]:
    """The scores of a sequence (S,) and of each substitution (L, 4, S).

    They are NaN where there is none: the letter itself, and in place of an N.
    """
    places = [
        (row, column)
        for row, letter in enumerate(bases)
        for column, other in enumerate(BASES)
        if letter in BASES and letter != other
    ]
    wanted = list(model.scores.values())
    own, [problem] = model.predict([bases])
    if problem:
        raise InputError(f"the sequence: {problem}")
    found = np.full((len(bases), len(BASES), len(wanted)), np.nan)
    for first in range(0, len(places), CHUNK):
        part = places[first : first + CHUNK]
        texts = [bases[:row] + BASES[col] + bases[row + 1 :] for row, col in part]
        values, problems = model.predict(texts)
        if problem := next(filter(None, problems), None):
            raise InputError(f"a substitution: {problem}")
        rows, columns = zip(*part, strict=True)
        found[rows, columns] = values[:, wanted]
    return own[0, wanted].astype(float), found


def mutate(
    model: FineTuned, source: Source, output: str | Path, picture: str | Path | None
) -> None:
    """Write a line a substitution, by position from 1, and draw them all."""
    window = one_sequence(source, model)
    if picture is not None and (tall := height(window.bases, model.scores)) > TALLEST:
        raise InputError(
            f"{picture}: {tall:.0f} inches tall for {len(model.scores)} scores, "
            f"expected at most {TALLEST}; leave --picture out"
        )
    own_S, found_L4S = substitutions(model, window.bases)
    change_L4S = found_L4S - own_S
    header = ["score", "difference"]
    if "score" not in model.scores:
        header = [name for x in model.scores for name in (x, f"{x}_difference")]
    with table(output, [*COLUMNS, *header]) as lines:
        for row, letter in enumerate(window.bases):
            for column, other in enumerate(BASES):
                pairs = np.stack([found_L4S[row, column], change_L4S[row, column]], 1)
                if np.isfinite(pairs).all():
                    cells = [f"{value:.7g}" for value in pairs.ravel()]
                    lines.writerow([row + 1, letter, other, *cells])
    if picture is not None:
        titles = [
            f"{model.purpose.dataset}: {name} {own:.3g}; what substitutions change"
            for name, own in zip(model.scores, own_S, strict=True)
        ]
        with style.applied():
            figure = draw(window.bases, np.moveaxis(change_L4S, 2, 0), titles)
            with files.write_aside(picture) as aside:
                undated = {UNDATED[Path(picture).suffix]: None}
                figure.savefig(aside, dpi=style.DPI, metadata=undated)


def height(bases: str, scores: Sized) -> float:
    """Inches of a picture of a sequence and so many scores."""
    blocks = -(-len(bases) // A_LINE)
    return len(scores) * (TOP + blocks * (LOGO + HEAT + GAP)) + 0.15


def draw(bases: str, change_SL4: np.ndarray, titles: list[str]) -> "style.Figure":
    """Letters and cells, a score below the other, `A_LINE` bases side by side."""
    blocks = range(0, len(bases), A_LINE)
    tall = height(bases, titles)
    width = style.TWO_COLUMNS - LEFT - RIGHT
    figure = style.new(style.TWO_COLUMNS, tall)
    top = 0.0
    for title, change_L4 in zip(titles, change_SL4, strict=True):
        top += TOP
        mean_L = -np.nan_to_num(change_L4).sum(axis=1) / (len(BASES) - 1)
        high = max(float(np.abs(mean_L).max()), 1e-9)
        most = max(float(np.nanmax(np.abs(change_L4), initial=0)), 1e-9)
        for first in blocks:
            part = slice(first, first + A_LINE)
            wide = width * len(bases[part]) / min(A_LINE, len(bases))
            logo = style.place(figure, LEFT, top, wide, LOGO)
            _letters(logo, bases[part], mean_L[part], high)
            if first == 0:
                logo.set_title(title, loc="left")
            heat = style.place(figure, LEFT, top + LOGO, wide, HEAT)
            shown = _cells(heat, bases[part], change_L4[part].T, most, first)
            if first == 0:
                bar = style.place(figure, LEFT + width + 0.08, top + LOGO, 0.07, HEAT)
                figure.colorbar(shown, cax=bar, ticks=[-most, 0, most], format="%.2g")
            top += LOGO + HEAT + GAP
    return figure


def _letters(axes: Axes, bases: str, heights_L: np.ndarray, high: float) -> None:
    """Each letter stretched to its height, from the line at 0 up or down."""
    font = FontProperties(family="DejaVu Sans", weight="bold")
    for row, (letter, height) in enumerate(zip(bases, heights_L, strict=True)):
        if letter not in BASES or not height:
            continue
        path = TextPath((0, 0), letter, size=1, prop=font)
        box = path.get_extents()
        stretch = Affine2D().translate(-box.x0, -box.y0)
        stretch = stretch.scale(0.9 / box.width, height / box.height)
        path = path.transformed(stretch.translate(row - 0.45, 0))
        colour = style.NUCLEOTIDE_COLOURS[letter]
        axes.add_patch(PathPatch(path, facecolor=colour, linewidth=0))
    axes.set_xlim(-0.5, len(bases) - 0.5)
    axes.set_ylim(-1.05 * high, 1.05 * high)
    axes.set_yticks([0, high], ["0", f"{high:.2g}"])
    axes.set_xticks([])
    axes.axhline(0, color=style.FAINT, linewidth=0.5, zorder=0)
    axes.spines["bottom"].set_visible(False)


def _cells(
    axes: Axes, bases: str, change_4L: np.ndarray, most: float, first: int
) -> "object":
    """A cell a substitution; the sequence's own letters are dots."""
    shown = axes.imshow(
        change_4L,
        cmap=COLOUR_MAP,
        vmin=-most,
        vmax=most,
        aspect="auto",
        interpolation="none",
    )
    own = [(row, BASES.index(x)) for row, x in enumerate(bases) if x in BASES]
    if own:
        axes.scatter(*zip(*own, strict=True), s=0.6, color=style.GREY, linewidths=0)
    axes.set_yticks(range(len(BASES)), list(BASES))
    ticks = [row for row in range(len(bases)) if (first + row + 1) % 10 == 0]
    axes.set_xticks(ticks or [0], [str(first + row + 1) for row in ticks or [0]])
    axes.tick_params(length=1.5)
    return shown

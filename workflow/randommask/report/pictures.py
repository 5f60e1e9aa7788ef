"""The figures of the report: their pictures, captions, and words for who cannot see.

Captions are those of Snakemake's own report, `workflow/report/figure.rst`; behind them
stands what `captions` finds.
"""

import base64
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment
from markdown_it import MarkdownIt
from markupsafe import Markup

from randommask.files import WORKFLOW
from randommask.report.sections import absent

CAPTIONS = WORKFLOW / "report" / "figure.rst"


@dataclass(frozen=True)
class Figure:
    """A figure; `alt` says what a reader would see. `narrow`: one column wide."""

    name: str
    title: str
    alt: str
    narrow: bool = False


FIGURES = (
    Figure(
        "fig1",
        "Figure 1. Tokens and masks",
        "A row of bases, below it its overlapping and its non-overlapping six-letter"
        " tokens, and which of them the baseline and RandomMask hide.",
    ),
    Figure(
        "fig2",
        "Figure 2. Embeddings in the course of pretraining",
        "Two rows of point clouds, one cloud a milestone, and two loss curves.",
    ),
    Figure(
        "fig3",
        "Figure 3. Embeddings at the end",
        "A point cloud of k-mers with clusters labelled by their two central"
        " nucleotides, and one cluster enlarged.",
    ),
    Figure(
        "fig4",
        "Figure 4. Attention",
        "A grid of square attention maps, a row for each encoder and a column for each"
        " layer, and curves of the attention to [CLS].",
    ),
    Figure(
        "fig5",
        "Figure 5. Loss",
        "Loss curves of the encoders against the step, marked at the boundaries of"
        " RandomMask's phases.",
    ),
)
RANKS = Figure(
    "ranks",
    "Mean ranks",
    "A line for each row of Table 3 with dots at its ranks on the data sets and a bar"
    " at its mean rank.",
    narrow=True,
)

DATASETS = Figure(
    "datasets",
    "The data sets side by side",
    "A line for each data set in six panels: the rows of its splits on a logarithmic"
    " axis, its length in bases, the shares of its labels as a bar, its share of G and"
    " C, and cells with the number of repeated rows and of sequences in two splits,"
    " darker where they are more of the rows. The table below has every number.",
)


def figures(
    folder: Path, chosen: tuple[Figure, ...], measured: dict[str, str]
) -> Markup:
    """Pictures inside the page, each with its caption and what was measured in it."""
    captions = Environment().from_string(CAPTIONS.read_text(encoding="utf-8"))
    parts = []
    for figure in chosen:
        path = folder / f"{figure.name}.png"
        picture = absent(path)
        narrow = Markup(' class="narrow"') if figure.narrow else ""
        if path.exists():
            data = base64.b64encode(path.read_bytes()).decode("ascii")
            picture = Markup(
                '<div class="plate" tabindex="0" role="region" aria-label="{}">'
                '<img{} src="data:image/png;base64,{}" alt="{}"></div>'
            ).format(figure.title, narrow, data, figure.alt)
        caption = captions.render(snakemake={"wildcards": {"figure": figure.name}})
        text = Markup(MarkdownIt("commonmark", {"html": False}).renderInline(caption))
        number = measured.get(figure.name, "")
        numbers = Markup(" <b>Measured:</b> {}").format(number) if number else ""
        parts.append(
            Markup('<figure id="{}">{}<figcaption>{}{}</figcaption></figure>').format(
                _place(figure.name), picture, text, numbers
            )
        )
    return Markup("\n").join(parts)


def _place(name: str) -> str:
    """The figure's own anchor; `datasets` and `ranks` stand in parts of that name."""
    return name if name.startswith("fig") else f"figure-{name}"

"""The figures of the report: their pictures, captions, and words for who cannot see."""

import base64
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from randommask.report.sections import absent


@dataclass(frozen=True)
class Figure:
    """A picture of the report; `alt` says what a reader would see."""

    file: str
    title: str
    caption: str
    alt: str


FIGURES = (
    Figure(
        "fig1.png",
        "Figure 1. Tokens and masks",
        "A short sequence through our own tokenizer and masker. Overlapping tokens"
        " share five of six bases with the next, so a masked token can be read off"
        " those beside it; RandomMask hides longer spans.",
        "A row of bases, below it its overlapping and its non-overlapping six-letter"
        " tokens, and which of them the baseline and RandomMask hide.",
    ),
    Figure(
        "fig2.png",
        "Figure 2. Embeddings in the course of pretraining",
        "t-SNE of the k-mer embeddings at the milestones, coloured by the two central"
        " nucleotides, and the loss; overlapping beside non-overlapping tokens.",
        "Two rows of point clouds, one cloud a milestone, and two loss curves.",
    ),
    Figure(
        "fig3.png",
        "Figure 3. Embeddings at the end",
        "The last milestone of Figure 2, large. The paper sees a cluster for each pair"
        " of central nucleotides, and the outer nucleotides ordering each cluster.",
        "A point cloud of k-mers with clusters labelled by their two central"
        " nucleotides, and one cluster enlarged.",
    ),
    Figure(
        "fig4.png",
        "Figure 4. Attention",
        "Attention maps of the layers, averaged over heads and held-out windows. A"
        " bright first column is attention to [CLS], a bright diagonal to neighbours.",
        "A grid of square attention maps, a row for each encoder and a column for each"
        " layer, and curves of the attention to [CLS].",
    ),
    Figure(
        "fig5.png",
        "Figure 5. Loss",
        "Loss of masked tokens in nats, with the boundaries of the curriculum's phases"
        " and what the overlap of the tokens alone would allow in each.",
        "Loss curves of the encoders against the step, marked at the boundaries of"
        " RandomMask's phases.",
    ),
)

DATASETS = Figure(
    "datasets.png",
    "The data sets side by side",
    "Rows of each split, length, labels, GC, repeated rows, and sequences that stand in"
    " two splits, a line a data set. Orange is where to look: little to train on,"
    " classes of unequal size, repeats and leaks. Open circles are the published number"
    " of training rows where it is another.",
    "A line for each data set in six panels: the rows of its splits on a logarithmic"
    " axis, its length in bases, the shares of its labels as a bar, its share of G and"
    " C, and cells with the number of repeated rows and of sequences in two splits,"
    " darker where they are more of the rows. The table below has every number.",
)


def figures(folder: Path) -> Markup:
    """The paper's five figures."""
    return Markup("\n").join(plate(folder, figure) for figure in FIGURES)


def plate(folder: Path, figure: Figure) -> Markup:
    """A figure with its caption, the picture inside the page."""
    path = folder / figure.file
    picture = absent(path)
    if path.exists():
        data = base64.b64encode(path.read_bytes()).decode("ascii")
        picture = Markup(
            '<div class="plate" tabindex="0" role="region" aria-label="{}">'
            '<img src="data:image/png;base64,{}" alt="{}"></div>'
        ).format(figure.title, data, figure.alt)
    caption = Markup("<figcaption><b>{}.</b> {}</figcaption>").format(
        figure.title, figure.caption
    )
    return Markup("<figure>{}{}</figure>").format(picture, caption)

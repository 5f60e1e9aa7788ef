"""Figure 1: what a token is, and what masking hides, on a short sequence.

Nothing is drawn by hand: tokens come from `kmers`, masks from `masking`, of which the
first sample with one span inside the sequence, all of it replaced by [MASK], is shown.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from randommask import kmers, masking
from randommask.errors import InputError
from randommask.report.figures import style

SAMPLES = 65536
CENTER_PROBABILITY = 0.002  # small, so that hardly a sample has two spans
TITLES = {
    "nonoverlapping": "Non-overlapping tokens, one masked",
    "baseline": "Overlapping tokens, DNABERT's span",
    "randommask": "Overlapping tokens, a span of RandomMask",
}
ROW = 0.118  # inches from a token to the next


def draw(
    notice: str, sequence: str, k: int, max_span: int, seed: int
) -> tuple[Figure, pd.DataFrame]:
    """Three maskings: of one token, of k tokens, of a span of up to `max_span`."""
    if max_span <= k:
        raise InputError(f"max_span: {max_span}, expected more than k = {k}")
    shown = {
        "nonoverlapping": mask(sequence, kmers.NON_OVERLAPPING, k, 1, 1, seed),
        "baseline": mask(sequence, kmers.OVERLAPPING, k, k, k, seed),
        "randommask": mask(sequence, kmers.OVERLAPPING, k, k + 1, max_span, seed),
    }
    rows = len(shown["baseline"])
    width, height = 2.26, ROW * (rows + 2.4)
    figure = style.new(style.TWO_COLUMNS, height + 0.3, notice)
    for column, (role, tokens) in enumerate(shown.items()):
        axes = style.place(figure, 0.08 + column * (width + 0.13), 0.22, width, height)
        axes.set(xlim=(0, len(sequence)), ylim=(rows + 2.1, -0.3))
        axes.set_axis_off()
        style.panel_title(axes, "abc"[column], TITLES[role])
        _draw_tokens(axes, sequence, k, role, tokens)
        if role == "nonoverlapping":
            _draw_key(axes, top=rows - 3)
    return figure, pd.concat(
        [tokens.assign(scheme=role) for role, tokens in shown.items()]
    )[["scheme", "tokenization", "start", "token", "state", "input"]]


def mask(
    sequence: str, tokenization: str, k: int, shortest: int, longest: int, seed: int
) -> pd.DataFrame:
    """The tokens of the sequence, each visible or masked: start, token, state, input.

    The masker draws spans of `shortest` to `longest` tokens. Raises `InputError` where
    none of many samples has a single span with visible tokens on both sides.
    """
    ids = kmers.tokenize([sequence], tokenization, k)
    if (ids[0, 1:-1] < kmers.NUM_SPECIAL).any() or ids.shape[1] < longest + 4:
        raise InputError(
            f"sequence: {sequence!r}, expected ACGT for at least {longest + 2} "
            f"{tokenization} tokens of {k}"
        )
    inputs, labels = masking.corrupt(
        np.repeat(ids, SAMPLES, axis=0),
        longest,
        seed,
        step=0,
        min_span=shortest,
        center_probability=CENTER_PROBABILITY,
        vocab_size=kmers.vocab_size(k),
    )
    masked = labels >= 0
    count = masked.sum(axis=1)
    edges = (np.diff(masked.astype(np.int8), axis=1) != 0).sum(axis=1)
    inside = ~masked[:, 1] & ~masked[:, -2] & (edges == 2)
    whole = (count >= shortest) & (count <= longest)
    hidden = np.where(masked, inputs == kmers.MASK, True).all(axis=1)
    found = np.flatnonzero(inside & whole & hidden)
    if not len(found):
        raise InputError(f"seed: {seed}, expected one that gives a single inner span")
    names = [*kmers.SPECIALS, *kmers.names(k)]
    sample = found[0]
    return pd.DataFrame(
        {
            "tokenization": tokenization,
            "start": np.arange(ids.shape[1] - 2) * kmers.stride(tokenization, k),
            "token": [names[token] for token in ids[0, 1:-1]],
            "state": np.where(masked[sample, 1:-1], "masked", "visible"),
            "input": [names[token] for token in inputs[sample, 1:-1]],
        }
    )


def _draw_tokens(
    axes: Axes, sequence: str, k: int, role: str, tokens: pd.DataFrame
) -> None:
    """The sequence on top, below it every token under its bases."""
    seen = np.zeros(len(sequence), bool)
    for start in tokens.loc[tokens["state"] == "visible", "start"]:
        seen[start : start + k] = True
    covered = np.zeros(len(sequence), bool)
    for start in tokens["start"]:
        covered[start : start + k] = True
    hidden = covered & ~seen
    for position, base in enumerate(sequence):
        if hidden[position]:
            axes.add_patch(
                Rectangle((position, -0.1), 1, 1.1, color=style.COLOURS[role], lw=0)
            )
        axes.text(
            position + 0.5,
            0.45,
            base,
            ha="center",
            va="center",
            fontsize=6,
            fontweight="bold",
            color="white" if hidden[position] else style.INK,
        )
    overlapping = tokens["tokenization"].iloc[0] == kmers.OVERLAPPING
    for row, token in enumerate(tokens.itertuples()):
        _draw_token(axes, token, 2 + row * overlapping, k, role)
    count, bases = int((tokens["state"] == "masked").sum()), int(hidden.sum())
    axes.text(
        0,
        2 + (len(tokens) - 4 if overlapping else 2.9),
        f"{count} token{'s' * (count != 1)} masked,\n"
        f"{bases} base{'s' * (bases != 1)} hidden",
        va="center",
        color=style.COLOURS[role],
        fontweight="bold",
        linespacing=1.3,
    )


def _draw_token(axes: Axes, token: tuple, row: float, k: int, role: str) -> None:
    masked = token.state == "masked"
    axes.add_patch(
        FancyBboxPatch(
            (token.start + 0.12, row + 0.08),
            k - 0.24,
            0.84,
            boxstyle="round,pad=0,rounding_size=0.2",
            facecolor=style.COLOURS[role] if masked else "#ECECEC",
            edgecolor="none",
        )
    )
    if masked:
        axes.text(
            token.start + k / 2,
            row + 0.53,
            token.input,
            ha="center",
            va="center",
            fontsize=4.8,
            color="white",
        )
        return
    for position, base in enumerate(token.input):
        axes.text(
            token.start + position + 0.5,
            row + 0.53,
            base,
            ha="center",
            va="center",
            fontsize=4.8,
        )


def _draw_key(axes: Axes, top: float) -> None:
    """What the boxes mean, in the free space below the single row of tokens."""
    lines = [
        ("#ECECEC", "", "token the encoder sees"),
        (style.GREY, "[MASK]", "token it has to name"),
        (style.GREY, "A", "base that no visible token shows"),
    ]
    for row, (colour, text, meaning) in enumerate(lines):
        width = 1 if len(text) == 1 else 5
        position = top + 1.7 * row
        axes.add_patch(Rectangle((0, position), width, 1, color=colour, lw=0))
        axes.text(
            width / 2,
            position + 0.5,
            text,
            ha="center",
            va="center",
            fontsize=4.8 if width > 1 else 6,
            fontweight="normal" if width > 1 else "bold",
            color="white",
        )
        axes.text(5.8, position + 0.5, meaning, va="center", fontsize=6)

"""Figure 4: where each layer looks, with the share of it that falls on [CLS]."""

import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from randommask.errors import InputError
from randommask.measures import readers
from randommask.measures.readers import LABELS
from randommask.report.figures import style

LEFT, RIGHT, TOP = 0.12, 0.62, 0.38  # inches around the maps
GAP, BLOCK_GAP = 0.07, 0.16  # inches between layers, and between encoders in a row
BELOW = 0.58  # inches from one row of maps to the next
COLOUR_MAP = "magma_r"  # of nothing white: dark mode turns the page and the maps alike
MEASURES = {
    "cls_mass": "attention on [CLS]",
    "entropy": "entropy (nats)",
    "distance": "distance (tokens)",
}


def draw(
    attention: dict[str, str], summary: dict[str, str], notice: str, columns: int = 6
) -> tuple[Figure, pd.DataFrame]:
    """A block of maps for each role, `columns` maps in a row, and below the numbers.

    Of an encoder with more layers, evenly chosen ones are shown, the first and the last
    among them; the numbers are those of all layers. All maps have one logarithmic
    colour scale, down to a tenth of even attention. Returns the numbers: role, layer,
    cls_mass, entropy, distance.
    """
    if not attention or set(attention) != set(summary):
        raise InputError(
            f"--summary: roles {sorted(summary)}, expected those of --attention, "
            f"{sorted(attention)}"
        )
    arrays = {role: readers.attention_map(path) for role, path in attention.items()}
    numbers = readers.tables(summary, readers.SUMMARY)
    for role, array in arrays.items():
        if list(numbers[role]["layer"]) != list(range(1, len(array) + 1)):
            raise InputError(
                f"{summary[role]}: layers {list(numbers[role]['layer'])}, expected the "
                f"{len(array)} of {attention[role]}"
            )
    layers = min(columns, max(map(len, arrays.values())))
    blocks = min(max(1, columns // layers), len(arrays))  # encoders side by side
    rows = -(-len(arrays) // blocks)
    room = style.TWO_COLUMNS - LEFT - RIGHT - (blocks - 1) * (BLOCK_GAP - GAP)
    side = min((room + GAP) / (blocks * layers) - GAP, 1.5)
    bottom = TOP + rows * (side + BELOW) - BELOW + 0.2

    figure = style.new(style.TWO_COLUMNS, bottom + 1.82, notice)
    norm = LogNorm(0.1 / max(array.shape[-1] for array in arrays.values()), 1)
    right = 0.0
    for position, (role, array) in enumerate(arrays.items()):
        row, block = divmod(position, blocks)
        left = LEFT + block * (layers * (side + GAP) - GAP + BLOCK_GAP)
        top = TOP + row * (side + BELOW)
        for column, layer in enumerate(_choose(len(array), layers)):
            start = left + column * (side + GAP)
            right = max(right, start + side)
            axes = style.place(figure, start, top, side, side)
            image = axes.imshow(array[layer], norm=norm, cmap=COLOUR_MAP)
            style.frame(axes)
            mass = numbers[role]["cls_mass"].iloc[layer]
            axes.set_title(f"layer {layer + 1}", pad=2.5, fontsize=6.5)
            axes.set_xlabel(f"[CLS] {100 * mass:.0f} %", labelpad=2, fontsize=6.5)
            if column == 0:
                label, colour = LABELS[role], style.COLOURS[role]
                style.panel_title(axes, "abcd"[position], label, lift=15, colour=colour)
    bar = style.place(figure, right + 0.12, TOP, 0.09, bottom - 0.2 - TOP)
    figure.colorbar(image, cax=bar, extend="min")
    bar.set_title("weight", pad=4, fontsize=6)
    _draw_numbers(figure, bottom + 0.3, numbers)
    return figure, pd.concat(
        [table.assign(role=role) for role, table in numbers.items()]
    )[["role", *readers.SUMMARY]]


def _choose(layers: int, count: int) -> np.ndarray:
    """Indices of up to `count` of the layers, the first and the last among them."""
    return np.linspace(0, layers - 1, min(layers, count)).round().astype(int)


def _draw_numbers(figure: Figure, top: float, numbers: dict[str, pd.DataFrame]) -> None:
    """Three small plots over the layers, one colour for each encoder."""
    left, width, gap = 0.42, 1.86, 0.56
    for column, (measure, label) in enumerate(MEASURES.items()):
        axes = style.place(figure, left + column * (width + gap), top, width, 1.1)
        # the first lines are the widest, so that those over them hide none
        for width_pt, (role, table) in zip(
            (3.2, 2.0, 0.9), numbers.items(), strict=False
        ):
            look = {"color": style.COLOURS[role], "lw": width_pt, "ms": width_pt + 1.6}
            axes.plot(table["layer"], table[measure], "o-", **look)
        highest = max(table[measure].max() for table in numbers.values())
        axes.set(xlabel="layer", ylabel=label)
        axes.set_ylim(0, 1 if measure == "cls_mass" else 1.08 * highest)
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.legend(
        handles=[style.role_handle(role) for role in numbers],
        ncols=len(numbers),
        loc="lower center",
        bbox_to_anchor=(0.5, 1 - (top - 0.06) / figure.get_figheight()),
        borderaxespad=0,
    )

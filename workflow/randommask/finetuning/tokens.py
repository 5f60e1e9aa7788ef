"""The sequences of a dataset as an encoder reads them, all in memory.

Shapes: N rows, T tokens of the longest row.
"""

from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from randommask import kmers
from randommask.encoders import families
from randommask.errors import InputError
from randommask.finetuning.examples import Examples, Split


@dataclass(frozen=True)
class Tokens:
    """The tokens of one split."""

    ids_NT: np.ndarray
    """int16, which torch indexes; the ids are small enough."""
    lengths_N: np.ndarray
    """Tokens of each row, specials among them, padding not."""

    @property
    def is_padded(self) -> bool:
        """Whether a row is shorter than the longest."""
        return bool(self.lengths_N.min() < self.ids_NT.shape[1])


def tokenize(
    data: Examples, encoder: str | Path, tokenization: str, truncate: bool = False
) -> dict[str, Tokens]:
    """The tokens of each split, by the tokenizer of the encoder's family.

    Raises `InputError` for a tokenization that the family does not read, and for a
    sequence of more tokens than the encoder has positions; with `truncate` it is cut at
    its end.
    """
    family = families.of(encoder)
    if tokenization not in family.TOKENIZATIONS:
        known = " or ".join(family.TOKENIZATIONS)
        raise InputError(f"{encoder}: tokenization is {tokenization}, expected {known}")
    config = family.read_config(encoder)
    return {
        name: _tokens(split, family, config, tokenization, truncate)
        for name, split in data.splits.items()
    }


def _tokens(
    split: Split, family: ModuleType, config: Any, tokenization: str, truncate: bool
) -> Tokens:
    step = config.k if tokenization == kmers.NON_OVERLAPPING else 1
    sequences = list(split.sequences)
    while True:
        ids, lengths = family.tokenize(sequences, tokenization, config)
        excess = lengths - config.positions
        if excess.max() <= 0:
            return Tokens(ids, lengths)
        if not truncate:
            row = int(np.argmax(excess > 0))
            raise InputError(
                f"{split.where} row {row}: {lengths[row]} tokens of "
                f"{len(sequences[row])} bases, expected at most the encoder's "
                f"{config.positions} positions (or truncate)"
            )
        # Cut by the excess as if all were k-mers; single letters, which ESM's tokenizer
        # makes of what stands around an N, may take another round.
        for row in np.flatnonzero(excess > 0):
            # Beside two specials, a token has one base at least: that many always fit.
            bases = len(sequences[row]) - excess[row] * step
            sequences[row] = sequences[row][: max(bases, config.positions - 2)]

"""A fine-tuned model's folder, loaded: sequences in, probabilities or values out."""

from pathlib import Path

import numpy as np
import torch

from randommask import kmers
from randommask.encoders import families
from randommask.finetuning import heads, purpose, tuning
from randommask.finetuning.purpose import Purpose
from randommask.training.precision import autocast


class FineTuned:
    """The model, on the device that there is."""

    def __init__(self, folder: str | Path) -> None:
        self.purpose: Purpose = purpose.read(folder)
        self.family = families.of(folder)
        self.config = self.family.read_config(folder)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.autocast = autocast(self.purpose.precision, self.device)
        self.model = heads.load(folder).to(self.device)
        self._leaves_rest = self._tokens(self.config.k) == self._tokens(
            self.config.k + 1
        )

    @property
    def scores(self) -> dict[str, int]:
        """What is compared between sequences, by name, and which output it is.

        The one value, or the probability of the class 1 of two, is `score`; of more
        outputs each is compared under its own name.
        """
        columns = self.purpose.columns
        if columns == ["p0", "p1"]:
            return {"score": 1}
        if len(columns) == 1:
            return {"score": 0}
        return {name: place for place, name in enumerate(columns)}

    def unread(self, bases: int) -> int:
        """How many bases at the end of so many no token holds."""
        is_cut = self.purpose.tokenization == kmers.NON_OVERLAPPING
        return bases % self.config.k if is_cut and self._leaves_rest else 0

    def _tokens(self, bases: int) -> int:
        told = (["A" * bases], self.purpose.tokenization, self.config)
        return int(self.family.tokenize(*told)[1][0])

    @torch.inference_mode()
    def predict(self, sequences: list[str]) -> tuple[np.ndarray, list[str | None]]:
        """Probabilities or values, (N, O) float32, and what is wrong with each row.

        The values of a sequence of more tokens than the model has positions are NaN.
        """
        ids, lengths = self.family.tokenize(
            sequences, self.purpose.tokenization, self.config
        )
        fits = lengths <= self.config.positions
        made = np.full((len(ids), len(self.purpose.columns)), np.nan, np.float32)
        if fits.any():
            made[fits] = self._outputs(ids[fits], lengths[fits])
        problems: list[str | None] = [None] * len(ids)
        for row in np.flatnonzero(~np.isfinite(made).all(1)):
            problems[row] = "the model's output is not finite"
        for row in np.flatnonzero(~fits):
            problems[row] = (
                f"{lengths[row]} tokens, expected at most the model's "
                f"{self.config.positions} positions"
            )
        return made, problems

    def _outputs(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Of rows that fit the model."""
        told = (self.config.heads, self.purpose.precision, self.device)
        parts = []
        for ids_BT, keep_BT in tuning.batches(ids, lengths, *told):
            with self.autocast:
                parts.append(self.model(ids_BT, keep_BT).float())
        # The saved head gives values in their own unit, so nothing is scaled here.
        return tuning.predictions(self.purpose.type, torch.cat(parts), 1.0, 0.0)

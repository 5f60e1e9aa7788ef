"""A dataset as the steps of a fine-tuning take it: tokens and labels on one device.

Runs of one process that learn from the same rows share them.

Shapes: N rows of a split, T tokens, O outputs.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from randommask import metrics
from randommask.experiment.hparams import Finetuning
from randommask.finetuning.examples import Examples
from randommask.finetuning.tokens import tokenize


class Inputs:
    """Of each split `ids` (N, T), `lengths` (N,), `labels`, and whether it is padded.

    The labels of a regression are standardised by train's `scale` and `shift`, (O,).
    """

    def __init__(
        self,
        folder: str | Path,
        data: Examples,
        settings: Finetuning,
        device: torch.device,
    ) -> None:
        self.data = data
        scale, shift = _standard(data)
        self.scale, self.shift = scale.to(device), shift.to(device)
        self.lengths, self.ids, self.labels, self.is_padded = {}, {}, {}, {}
        tokens = tokenize(data, folder, settings.tokenization, settings.truncate)
        for name, part in tokens.items():
            self.lengths[name] = torch.from_numpy(part.lengths_N).to(device)
            self.is_padded[name] = part.is_padded
            self.ids[name] = torch.from_numpy(part.ids_NT).to(device)
            labels = torch.from_numpy(data.splits[name].labels).to(device)
            if data.type == metrics.REGRESSION:
                labels = ((labels - self.shift) / self.scale).float()
            elif data.type == metrics.MULTILABEL:
                labels = labels.float()
            self.labels[name] = labels


def _standard(data: Examples) -> tuple[Tensor, Tensor]:
    """Spread and mean of each target on train; 1 and 0 for classes."""
    scale, shift = np.ones(data.outputs), np.zeros(data.outputs)
    if data.type == metrics.REGRESSION:
        labels = data.splits["train"].labels
        spread, shift = labels.std(0), labels.mean(0)
        scale = np.where(spread > 0, spread, 1.0)
    return torch.from_numpy(scale).float(), torch.from_numpy(shift).float()

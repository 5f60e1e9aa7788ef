"""An encoder with a head on top: what fine-tuning trains.

The head is dropout and one linear layer on the last hidden state of [CLS]; BERT's
pooler (a linear layer and tanh between them) is left out, for pretraining by masked
tokens alone never trains it.

Shapes: B sequences, T tokens, H hidden units, O outputs (classes or targets).
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from randommask import encoder
from randommask.errors import InputError
from randommask.files import read_json


class Predictor(nn.Module):
    """Encoder, dropout and a linear layer; the encoder's own head rests."""

    def __init__(self, body: encoder.Encoder, outputs: int) -> None:
        super().__init__()
        self.encoder = body
        self.head = nn.Linear(body.config.hidden, outputs)
        for part in (body.transform, body.transform_norm):
            part.requires_grad_(False)
        body.output_bias.requires_grad_(False)

    def forward(self, ids_BT: Tensor, keep_BT: Tensor | None) -> Tensor:
        """Scores (B, O) of the classes, or values of the targets."""
        first_BH = self.encoder(ids_BT, keep_BT, asked=1)[:, 0]
        dropout = self.encoder.config.dropout
        return self.head(F.dropout(first_BH, dropout, self.training))

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that fine-tuning changes, by name."""
        return {n: p for n, p in self.named_parameters() if p.requires_grad}


def read_config(folder: str | Path) -> encoder.EncoderConfig:
    """Sizes of the encoder in `folder`; `InputError` where there is none of ours."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected an encoder")
    config = read_json(folder / "config.json")
    family = config.get("model_type")
    if family != "bert" or "k" not in config:
        kind = family if family != "bert" else "bert without k"
        raise InputError(f"{folder}: the encoder family {kind} is not supported yet")
    return encoder.read_config(folder)


def build(folder: str | Path, outputs: int, dropout: float, seed: int) -> Predictor:
    """The encoder in `folder` with a new head drawn from `seed`, as BERT draws it."""
    model = Predictor(encoder.load(folder, dropout), outputs)
    generator = torch.Generator().manual_seed(seed)
    sd = encoder.INITIAL_SD
    nn.init.normal_(model.head.weight, 0.0, sd, generator=generator)
    nn.init.zeros_(model.head.bias)
    return model


def save(model: Predictor, folder: str | Path, scale: Tensor, shift: Tensor) -> None:
    """Write the encoder's files into `folder`, and head.safetensors beside them.

    The head is saved so that `weight @ hidden + bias` is a class's score or a target's
    value in its own unit: `scale` (O,) and `shift` (O,) undo the standardisation.
    """
    encoder.save(model.encoder, folder)
    weight, bias = model.head.weight.detach().cpu(), model.head.bias.detach().cpu()
    scaled = {
        "weight": weight * scale[:, None].to(weight),
        "bias": bias * scale.to(bias) + shift.to(bias),
    }
    save_file(scaled, Path(folder) / "head.safetensors")

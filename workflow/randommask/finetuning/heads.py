"""An encoder with a head on top: what fine-tuning trains.

The head is dropout and one linear layer on what the encoder's family offers as its
features: the last hidden state of the first token or the mean over the sequence's
(HyenaDNA: always the mean), as `pooling` says. The dense layer and tanh that
transformers' classes have in between are left out, for pretraining by masked tokens
alone never trains them.

Shapes: B sequences, T tokens, H hidden units, O outputs (classes or targets).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from randommask import metrics
from randommask.encoders import families
from randommask.encoders.pooling import CLS, MEAN
from randommask.encoders.weights import check_weights, read_weights, write_weights
from randommask.errors import InputError
from randommask.experiment.sections import Lora
from randommask.files import read_json, write_json
from randommask.finetuning import lora

INITIAL_SD = 0.02  # BERT's and ESM's initializer_range
HEAD = "head.safetensors"
PROBLEMS = {
    metrics.CLASSIFICATION: "single_label_classification",
    metrics.MULTILABEL: "multi_label_classification",
}
"""What transformers calls a type, where it has a name of its own."""


class Predictor(nn.Module):
    """Encoder, dropout and a linear layer."""

    def __init__(
        self, body: nn.Module, outputs: int, model_type: str, pooling: str = CLS
    ) -> None:
        super().__init__()
        self.encoder = body
        self.head = nn.Linear(body.config.hidden, outputs)
        self.model_type = model_type
        family = families.named(model_type, "model")
        # Nothing for a family that has one way: its features take no third argument.
        self.pooling = (pooling,) if pooling in getattr(family, "POOLINGS", ()) else ()

    def forward(self, ids_BT: Tensor, keep_BT: Tensor | None) -> Tensor:
        """Scores (B, O) of the classes, or values of the targets."""
        features_BH = self.encoder.features(ids_BT, keep_BT, *self.pooling)
        dropout = self.encoder.config.dropout
        return self.head(F.dropout(features_BH, dropout, self.training))

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that fine-tuning changes, by name."""
        return {n: p for n, p in self.named_parameters() if p.requires_grad}


def build(
    folder: str | Path,
    outputs: int,
    dropout: float,
    seed: int,
    adapters: Lora | None = None,
    pooling: str = CLS,
) -> Predictor:
    """The encoder in `folder` with a new head drawn from `seed`, as BERT draws it.

    With `adapters` the encoder's own weights stay as they are, and low-rank adapters,
    drawn from `seed` too, are trained with the head; `InputError` where the family has
    no layers for them.
    """
    family = families.of(folder)
    if adapters and not hasattr(family, "LORA_TARGETS"):
        kind = families.model_type(folder)
        raise InputError(f"{folder}: found lora, expected null for {kind} encoders")
    body = family.load(folder, dropout)
    model = Predictor(body, outputs, families.model_type(folder), pooling)
    generator = torch.Generator().manual_seed(seed)
    nn.init.normal_(model.head.weight, 0.0, INITIAL_SD, generator=generator)
    nn.init.zeros_(model.head.bias)
    if adapters:
        lora.adapt(body, family.LORA_TARGETS, adapters, seed)
    return model


def save(
    model: Predictor,
    folder: str | Path,
    scale: Tensor,
    shift: Tensor,
    *,
    type: str,
    targets: Sequence[str] = (),
    tokenization: str | None = None,
) -> None:
    """Write the encoder's files and head.safetensors into `folder`.

    The head is saved so that `weight @ features + bias` is a class's score or a
    target's value in its own unit: `scale` (O,) and `shift` (O,) undo the
    standardisation. Adapters are folded into the weights they adapt, in `model` too.
    Where transformers has a class for it, `AutoModelForSequenceClassification` loads
    the folder, and `AutoTokenizer` reads DNA by the `tokenization` of the fine-tuning,
    where it is given. There is no class that reads the mean over tokens, nor one that
    reads ModernBERT's [CLS] alone: such a folder holds no classifier, for it would
    answer otherwise.
    """
    lora.merge(model.encoder)
    family, folder = families.named(model.model_type, folder), Path(folder)
    family.save(model.encoder, folder)
    weight, bias = model.head.weight.detach().cpu(), model.head.bias.detach().cpu()
    weight = weight * scale[:, None].to(weight)
    bias = bias * scale.to(bias) + shift.to(bias)
    has_class = hasattr(family, "CLASSIFIER") and MEAN not in model.pooling
    if model.pooling and not has_class:
        (pooling,) = model.pooling
        named = {"architectures": [family.BODY]} if hasattr(family, "BODY") else {}
        body = {**named, "pooling": pooling}
        _rewrite(folder, family, body, {})
    elif has_class:
        problem = PROBLEMS.get(type, type)
        names = list(targets) or [str(label) for label in range(len(bias))]
        _add_classifier(folder, family, weight, bias, problem, names)
    write_weights(folder / HEAD, {"weight": weight, "bias": bias})
    if tokenization and hasattr(family, "write_tokenizer"):
        family.write_tokenizer(folder, model.encoder.config, tokenization)


def _add_classifier(
    folder: Path,
    family: Any,
    weight_OH: Tensor,
    bias_O: Tensor,
    problem: str,
    names: list[str],
) -> None:
    """Make an encoder's folder one that transformers' classifier loads."""
    config = {
        "architectures": [family.CLASSIFIER],
        "problem_type": problem,
        "id2label": {str(index): name for index, name in enumerate(names)},
        "label2id": {name: index for index, name in enumerate(names)},
    }
    _rewrite(folder, family, config, family.classifier_weights(weight_OH, bias_O))


def _rewrite(
    folder: Path, family: Any, config: dict[str, Any], weights: dict[str, Tensor]
) -> None:
    """Add keys to config.json and weights, which carry a checksum of the former.

    A head over the vocabulary is left out: it read an encoder that is another by now,
    and transformers would call it unexpected.
    """
    path = folder / "model.safetensors"
    dropped = getattr(family, "HEAD", None)
    kept = read_weights(path)
    if dropped:
        kept = {n: w for n, w in kept.items() if not n.startswith(dropped)}
    weights = kept | weights
    before = read_json(folder / "config.json")
    write_json(folder / "config.json", before | config)
    write_weights(path, weights)


def is_classifier(folder: str | Path) -> bool:
    """Whether transformers has a class that loads the saved model with its head."""
    return "problem_type" in read_json(Path(folder) / "config.json")


def has_body(folder: str | Path) -> bool:
    """Whether it has one that loads the encoder: HyenaDNA is none of its own."""
    return "architectures" in read_json(Path(folder) / "config.json")


def load(folder: str | Path) -> Predictor:
    """The model that `save` wrote, ready to predict.

    `InputError` names a file that is missing or does not fit.
    """
    folder = Path(folder)
    body = families.of(folder).load(folder, 0.0)
    head = read_weights(folder / HEAD)
    outputs = len(head.get("bias", ()))
    pooling = read_json(folder / "config.json").get("pooling", CLS)
    model = Predictor(body, outputs, families.model_type(folder), pooling)
    check_weights(model.head.state_dict(), head, folder / HEAD)
    model.head.load_state_dict(head)
    return model.eval()

"""Low-rank adapters (LoRA) on an encoder's linear layers, through peft.

DNABERT-2's comparison fine-tunes the Nucleotide Transformer so: rank 8, alpha 16,
dropout 0.05, learning rate 1e-4.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import nn

from randommask.errors import InputError


@dataclass(frozen=True)
class Lora:
    """Sizes of the adapters; raises `InputError` for what makes no sense."""

    rank: int
    alpha: float
    """An adapter's product counts alpha / rank times."""
    dropout: float
    """Of what goes into an adapter."""

    @classmethod
    def parse(cls, values: object) -> "Lora":
        """Read the value of `lora` in `--hparams`; every key is due, and no other."""
        due = [field.name for field in fields(cls)]
        if not isinstance(values, dict) or sorted(values) != sorted(due):
            raise InputError(
                f"--hparams: lora is {values!r}, expected {', '.join(due)}"
            )
        return cls(**values)

    def __post_init__(self) -> None:
        due = {
            "rank": (
                type(self.rank) is int and self.rank >= 1,
                "a whole number from 1",
            ),
            "alpha": (self.alpha > 0, "more than 0"),
            "dropout": (0 <= self.dropout < 1, "from 0 to less than 1"),
        }
        for name, (is_right, expected) in due.items():
            if not is_right:
                value = getattr(self, name)
                raise InputError(
                    f"--hparams: lora.{name} is {value!r}, expected {expected}"
                )


def adapt(model: nn.Module, targets: Sequence[str], lora: Lora, seed: int) -> None:
    """Put adapters on the layers of `model` with these names; freeze all else."""
    from peft import LoraConfig, inject_adapter_in_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(targets),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, model)


def merge(model: nn.Module) -> None:
    """Fold all adapters into their layers; do nothing where there are none."""
    if not any("lora_A" in name for name, _ in model.named_parameters()):
        return
    from peft.tuners.lora import LoraLayer

    for name, module in list(model.named_modules()):
        if isinstance(module, LoraLayer):
            module.merge()
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, module.get_base_layer())

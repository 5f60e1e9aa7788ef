"""Low-rank adapters (LoRA) on an encoder's linear layers, through peft.

DNABERT-2's comparison fine-tunes the Nucleotide Transformer so: rank 8, alpha 16,
dropout 0.05, learning rate 1e-4.
"""

from collections.abc import Sequence

import torch
from torch import nn

from randommask.experiment.sections import Lora


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

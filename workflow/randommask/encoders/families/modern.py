"""Modern encoders of k-mers: our own of `kind: modern`, saved as ModernBERT.

The head sits on the last hidden state of [CLS], or on the mean over the k-mers, after
the last norm. transformers has no class for such a head: its classifier for ModernBERT
has a norm between. Shapes: B rows, T tokens, H hidden units.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from randommask import kmers
from randommask.encoders import families, modern
from randommask.encoders.families.bert import (
    Features,
    tokenize,
    vocabulary,
    write_tokenizer,
)
from randommask.encoders.modern import read_config, save
from randommask.encoders.modern_model import GLOBAL_THETA, LOCAL_THETA
from randommask.encoders.pooling import BOTH
from randommask.encoders.weights import (
    check_values,
    check_weights,
    prefixed,
    read_weights,
)

__all__ = ["read_config", "save", "tokenize", "vocabulary", "write_tokenizer"]

TOKENIZATIONS = (kmers.OVERLAPPING, kmers.NON_OVERLAPPING)
LORA_TARGETS = ("qkv", "out", "gated", "down")
POOLINGS = BOTH
BODY = "ModernBertModel"
# The head over the vocabulary, which a fine-tuned model is saved without.
HEAD = ("head.", "decoder.")
WORD_WEIGHTS = ("model.embeddings.tok_embeddings.weight", "decoder.bias")
PARTS = ("embeddings.", "layers.", "final_norm.")
DROPPED = ("decoder.weight", "classifier.")  # a tied copy; what may stand on top
DEFAULTS = {"local_attention": 128, "global_attn_every_n_layers": 3}
DEFAULTS |= dict.fromkeys(modern.DROPOUTS, 0.0)


class FeatureEncoder(Features, modern.Encoder):
    """The encoder, with what a head sits on."""


def load(folder: str | Path, dropout: float | None = None) -> FeatureEncoder:
    """The encoder saved in `folder`, its masked-language-model head frozen.

    With `dropout` it has this rate instead of the saved one. A fine-tuned model has no
    head to freeze. `InputError` names what does not fit.
    """
    config = read_config(folder)
    path = Path(folder) / "model.safetensors"
    weights = read_weights(path)
    modern.check_extent(config, weights, path)
    if not any(name.startswith(HEAD) for name in weights):
        weights |= _silent_head(config)
    if dropout is not None:
        config = replace(config, dropout=dropout)
    model = FeatureEncoder(config)
    modern.from_modern(model, weights, path)
    model.freeze_head()
    return model


def from_released(
    weights: dict[str, Tensor], config: dict[str, Any], source: str | Path
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """config.json and weights of transformers' ModernBERT classes as `load` wants them.

    Of an encoder of k-mers; one with words of its own is of the family `hf`.
    """
    k = families.bases_of_token(config, kmers.NUM_SPECIAL, source)
    kept = DEFAULTS | {"tokenization": kmers.OVERLAPPING} | config | {"k": k}
    weights = prefixed(weights, "model.", PARTS)
    weights = {n: w for n, w in weights.items() if not n.startswith(DROPPED)}
    sizes = modern.parse(kept, f"{source}/config.json")
    check_values(config, _layout(sizes), source)
    if not any(name.startswith(HEAD) for name in weights):
        weights |= _silent_head(sizes)
    modern.check_extent(sizes, weights, source)
    with torch.device("meta"):
        expected = modern.to_modern(modern.Encoder(sizes))
    check_weights(expected, weights, source)
    return kept, weights


def _layout(sizes: modern.EncoderConfig) -> dict[str, Any]:
    """What newer versions of transformers say of the layers beside the sizes."""
    kinds = {"full_attention": GLOBAL_THETA, "sliding_attention": LOCAL_THETA}
    names = list(kinds)
    turns = {"rope_type": "default"}
    return {
        "layer_types": [names[i % sizes.global_every > 0] for i in range(sizes.layers)],
        "rope_parameters": {k: turns | {"rope_theta": v} for k, v in kinds.items()},
    }


def _silent_head(sizes: modern.EncoderConfig) -> dict[str, Tensor]:
    """A head over the vocabulary as it is before training: no bias, norm 1."""
    return {
        "head.dense.weight": torch.eye(sizes.hidden),
        "head.norm.weight": torch.ones(sizes.hidden),
        "decoder.bias": torch.zeros(sizes.vocab_size),
    }

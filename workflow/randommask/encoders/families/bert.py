"""BERT: our own encoders and the released DNABERT, of k-mer tokens between specials.

The head sits on the last hidden state of [CLS], or on the mean over the k-mers, those
that are [UNK] among them: they hold a place in the sequence. Shapes: N rows, B rows
computed at once, T tokens, H hidden units, O outputs.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from randommask import kmers
from randommask.encoders import bert, families, tokenizer
from randommask.encoders.bert import EncoderConfig, read_config, save
from randommask.encoders.pooling import BOTH, CLS, MEAN, chosen, mean
from randommask.encoders.weights import (
    check_sizes,
    check_values,
    check_weights,
    prefixed,
    read_weights,
)
from randommask.errors import InputError

__all__ = ["read_config", "save"]  # as the encoder itself has them

TOKENIZATIONS = (kmers.OVERLAPPING, kmers.NON_OVERLAPPING)
# Query, key and value are one layer here, so their adapters share the first factor.
LORA_TARGETS = ("qkv", "out", "up", "down")
POOLINGS = BOTH
BODY, CLASSIFIER = "BertModel", "BertForSequenceClassification"

# What transformers' BertConfig fills in where an old config.json says nothing.
DEFAULTS = {
    "num_hidden_layers": 12,
    "hidden_size": 768,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "hidden_dropout_prob": 0.1,
}
# What `randommask.encoders.bert` cannot do otherwise.
FIXED = {
    "hidden_act": "gelu",
    "layer_norm_eps": bert.NORM_EPS,
    "type_vocab_size": 2,
    "pad_token_id": kmers.PAD,
    "position_embedding_type": "absolute",
    "is_decoder": False,
}
# What an encoder saved alone consists of, and what may stand on top of one.
PARTS = ("embeddings.", "encoder.", "pooler.")
DROPPED = ("bert.pooler.", "classifier.", "qa_outputs.", "cls.seq_relationship.")
# The head over the vocabulary, which a fine-tuned model is saved without.
HEAD = "cls.predictions."
WORD_WEIGHTS = ("bert.embeddings.word_embeddings.weight", "cls.predictions.bias")
# Old checkpoints hold tied weights twice: the copy's name, and the name that is kept.
TIED = {
    "cls.predictions.decoder.weight": "bert.embeddings.word_embeddings.weight",
    "cls.predictions.decoder.bias": "cls.predictions.bias",
}


class Features(nn.Module):
    """What a head sits on, of an encoder that we pretrain: mixed into its class."""

    specials = (kmers.PAD, kmers.CLS, kmers.SEP)

    def states(self, ids_BT: Tensor, keep_BT: Tensor | None = None) -> Tensor:
        """Last hidden states (B, T, H); `keep_BT` is False at padding."""
        return self(ids_BT, keep_BT)

    def features(
        self, ids_BT: Tensor, keep_BT: Tensor | None = None, pooling: str = CLS
    ) -> Tensor:
        """Last hidden state of [CLS] or mean, (B, H); `keep_BT` is False at padding."""
        if pooling == MEAN:
            is_kmer_BT = chosen(ids_BT, keep_BT, *self.specials)
            return mean(self(ids_BT, keep_BT), is_kmer_BT)
        # An adapter works where its layer is called; `wanted` takes the layer apart.
        is_plain = type(self.layers[-1].qkv) is nn.Linear
        return self(ids_BT, keep_BT, wanted=1 if is_plain else None)[:, 0]

    def freeze_head(self) -> None:
        """Freeze the head over the vocabulary, which fine-tuning has no use for."""
        for part in (self.transform, self.transform_norm):
            part.requires_grad_(False)
        self.output_bias.requires_grad_(False)


class FeatureEncoder(Features, bert.Encoder):
    """The encoder, with what a head sits on."""


def tokenize(
    sequences: Sequence[str], tokenization: str, config: EncoderConfig
) -> tuple[np.ndarray, np.ndarray]:
    """`[CLS] k-mers [SEP]`, padded on the right: ids (N, T) int16, tokens (N,)."""
    ids = kmers.tokenize(sequences, tokenization, config.k).view(np.int16)
    bases = np.fromiter(map(len, sequences), np.int64, len(sequences))
    step = kmers.stride(tokenization, config.k)
    return ids, np.maximum((bases - config.k) // step + 1, 0) + 2


def write_tokenizer(
    folder: str | Path, config: EncoderConfig, tokenization: str
) -> None:
    """Write the files by which transformers reads raw DNA so."""
    tokenizer.write_bert(folder, config.k, tokenization, config.positions)


def load(folder: str | Path, dropout: float | None = None) -> FeatureEncoder:
    """The encoder saved in `folder`, its masked-language-model head frozen.

    With `dropout` it has this rate instead of the saved one. A classifier that was
    saved with it is left out, and a fine-tuned model has no head to freeze.
    `InputError` names what does not fit.
    """
    config = read_config(folder)
    path = Path(folder) / "model.safetensors"
    weights = read_weights(path)
    if "classifier.weight" in weights:
        for name in classifier_weights(torch.empty(1, config.hidden), torch.empty(1)):
            weights.pop(name, None)
    bert.check_extent(config, weights, path)
    if not any(name.startswith(HEAD) for name in weights):
        weights |= _silent_head(config)
    model = FeatureEncoder(
        config if dropout is None else replace(config, dropout=dropout)
    )
    bert.from_bert(model, weights, path)
    model.freeze_head()
    return model


def classifier_weights(weight_OH: Tensor, bias_O: Tensor) -> dict[str, Tensor]:
    """A linear head under the names of `CLASSIFIER`."""
    return families.tanh_head(weight_OH, bias_O, "bert.pooler.dense", "classifier")


def vocabulary(k: int) -> list[str]:
    """The words in the order of their ids."""
    return kmers.words(k)


def from_released(
    weights: dict[str, Tensor], config: dict[str, Any], source: str | Path
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """config.json and weights of transformers' BERT classes as `load` wants them.

    What stands on top and copies of tied weights are dropped. Where there is no head
    over the vocabulary, one that says nothing stands in its place. `InputError` names
    other weights that are missing or not expected, and values that do not fit.
    """
    check_values(config, FIXED, source)
    k = families.bases_of_token(config, kmers.NUM_SPECIAL, source)
    tokenization = config.get("tokenization", kmers.OVERLAPPING)
    kept = {"model_type": "bert", "k": k, "tokenization": tokenization}
    kept |= {key: config.get(key, value) for key, value in DEFAULTS.items()}
    check_sizes(f"{source}/config.json", kept)
    weights = prefixed(weights, "bert.", PARTS)
    weights = {n: w for n, w in weights.items() if not n.startswith(DROPPED)}
    for copy, name in TIED.items():
        if copy in weights:
            tensor = weights.pop(copy)
            if not torch.equal(weights.setdefault(name, tensor), tensor):
                raise InputError(f"{source}: {copy} differs from {name}, expected tied")
    sizes = bert.EncoderConfig(*(kept[key] for key in list(DEFAULTS)[:5]), k, "")
    if not any(name.startswith(HEAD) for name in weights):
        said = "no head over the vocabulary, which fine-tuning has no use for"
        print(f"note: {source}: {said}; an empty one is written", file=sys.stderr)
        weights |= _silent_head(sizes)
    bert.check_extent(sizes, weights, source)
    with torch.device("meta"):
        expected = bert.to_bert(bert.Encoder(sizes))
    check_weights(expected, weights, source)
    return kept, weights


def _silent_head(sizes: EncoderConfig) -> dict[str, Tensor]:
    """A head over the vocabulary as it is before training: no bias, norm 1."""
    hidden = sizes.hidden
    return {
        f"{HEAD}transform.dense.weight": torch.eye(hidden),
        f"{HEAD}transform.dense.bias": torch.zeros(hidden),
        f"{HEAD}transform.LayerNorm.weight": torch.ones(hidden),
        f"{HEAD}transform.LayerNorm.bias": torch.zeros(hidden),
        f"{HEAD}bias": torch.zeros(sizes.vocab_size),
    }

"""HyenaDNA as an encoder to fine-tune: one token a base, released files in and out.

Shapes: N rows, T tokens.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from randommask.encoders import tokenizer
from randommask.encoders.hyena import PAD, Hyena, HyenaConfig
from randommask.encoders.weights import (
    check_counts,
    check_weights,
    check_widths,
    prefixed,
    read_weights,
    write_weights,
)
from randommask.errors import InputError
from randommask.files import read_json, write_json
from randommask.genome import encode

CHARACTER = "character"
TOKENIZATIONS = (CHARACTER,)
WORDS = ("[CLS]", "[SEP]", "[BOS]", "[MASK]", "[PAD]", "[RESERVED]", "[UNK]", *"ACGTN")
VOCABULARY = len(WORDS)
PREFIX = "hyena.backbone."  # of every weight in a released checkpoint
HEADS = ("lm_head.", "score.")  # released with the encoder, and left out
WRAPPED = {"hyena.": ("backbone.",), PREFIX: ("embeddings.", "layers.", "ln_f.")}
# Ids of the codes A0 T1 C2 G3 and of all else, which the released vocabulary calls N.
_IDS = np.array([7, 10, 8, 9, 11], np.int16)

_KEYS = {
    "hidden": "d_model",
    "layers": "n_layer",
    "feed_forward": "d_inner",
    "positions": "max_seq_len",
    "vocabulary": "vocab_size",
    "position_features": "emb_dim",
    "filter_order": "filter_order",
    "filter_layers": "num_inner_mlps",
    "short_filter": "short_filter_order",
    "frequency": "activation_freq",
    "norm_eps": "layer_norm_epsilon",
}
_REALS = ("activation_freq", "layer_norm_epsilon")


def read_config(folder: str | Path) -> HyenaConfig:
    """Sizes of the encoder in `folder`; `InputError` for a key that cannot be."""
    path = Path(folder) / "config.json"
    return _parse(read_json(path), path)


def _parse(keys: dict, source: str | Path) -> HyenaConfig:
    if not isinstance(keys, dict):
        raise InputError(f"{source}: found {type(keys).__name__}, expected keys")
    keys = {"pad_vocab_size_multiple": 1, "embed_dropout": 0.0} | keys
    counts = [name for name in _KEYS.values() if name not in _REALS]
    check_counts(source, keys, [*counts, "pad_vocab_size_multiple"], ["embed_dropout"])
    for name in _REALS:
        value = keys.get(name)
        if type(value) not in (int, float) or not 0 < value < float("inf"):
            raise InputError(f"{source}: {name} is {value!r}, expected a number over 0")
    if not keys["emb_dim"] % 2 or keys["emb_dim"] < 3:
        raise InputError(
            f"{source}: emb_dim is {keys['emb_dim']}, expected an odd number over 1"
        )
    if (order := keys.get("hyena_order", 2)) != 2:
        raise InputError(f"{source}: hyena_order is {order}, expected 2")
    if keys["vocab_size"] < VOCABULARY:
        raise InputError(
            f"{source}: vocab_size is {keys['vocab_size']}, expected at least the "
            f"{VOCABULARY} tokens of HyenaDNA"
        )
    sizes = {ours: keys[theirs] for ours, theirs in _KEYS.items()}
    multiple = keys["pad_vocab_size_multiple"]
    sizes["vocabulary"] = -(-sizes["vocabulary"] // multiple) * multiple
    return HyenaConfig(**sizes, dropout=keys["embed_dropout"])


def tokenize(
    sequences: Sequence[str], tokenization: str, config: HyenaConfig
) -> tuple[np.ndarray, np.ndarray]:
    """A token a base: ids (N, T) int16, `PAD` on the right, and each row's tokens (N,).

    No special tokens: HyenaDNA's own classification leaves them out (`add_eos: false`
    in its configs/dataset, hence `add_special_tokens=False` in its datasets) and takes
    the mean over all positions. The released tokenizer pads on the left, where a causal
    model would read the padding before the bases; on the right it changes nothing.
    """
    del tokenization, config  # one way to read characters, whatever the sizes
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    ids = np.full((len(sequences), int(lengths.max(initial=0))), PAD, np.int16)
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        codes = encode("".join(sequences[row] for row in rows))
        ids[rows, :length] = _IDS[codes].reshape(len(rows), length)
    return ids, lengths


def from_released(
    weights: dict[str, Tensor], config: dict, source: str | Path
) -> tuple[dict, dict[str, Tensor]]:
    """Check a released checkpoint; return config.json and the weights `load` takes.

    The language-model head is left out; a filter's frequency, one parameter, may stand
    under all of its names or under some. Raises `InputError` naming every weight that
    is missing, unexpected or of another shape.
    """
    sizes = _parse(config, source)
    for prefix, parts in WRAPPED.items():
        weights = prefixed(weights, prefix, parts)
    widths = sizes.hidden, sizes.feed_forward, sizes.positions, sizes.filter_order
    layers = max(sizes.layers, sizes.filter_layers)
    check_widths(layers, widths, weights, source)
    with torch.device("meta"):
        expected = Hyena(sizes).state_dict()
    expected = {PREFIX + name: tensor for name, tensor in expected.items()}
    found = {n: w.float() for n, w in weights.items() if not n.startswith(HEADS)}
    _share_frequencies(found, expected, source)
    check_weights(expected, found, source)
    return _written(sizes), found


def _share_frequencies(
    found: dict[str, Tensor], expected: dict[str, Tensor], source: str | Path
) -> None:
    """Put each filter's frequency under all of its names; refuse two that differ."""
    groups: dict[str, list[str]] = {}
    for name in expected:
        if name.endswith(".freq"):
            groups.setdefault(name.split("implicit_filter")[0], []).append(name)
    for names in groups.values():
        there = [name for name in names if name in found]
        for name in there[1:]:
            if not torch.equal(found[name], found[there[0]]):
                raise InputError(f"{source}: {name} and {there[0]} differ")
        if there:
            # clones: safetensors refuses names that share their memory
            found |= {name: found[there[0]].clone() for name in names}


def _written(config: HyenaConfig) -> dict:
    """The sizes under the released names, as config.json holds them."""
    return {
        "model_type": "hyenadna",
        **{theirs: getattr(config, ours) for ours, theirs in _KEYS.items()},
        "pad_vocab_size_multiple": 1,  # vocab_size is filled up already
        "hyena_order": 2,
        "embed_dropout": config.dropout,
        "use_bias": True,
        "train_freq": True,
        "pad_token_id": PAD,
    }


def load(folder: str | Path, dropout: float | None = None) -> Hyena:
    """The encoder in `folder`, saved by us or released; `InputError` if it is neither.

    With `dropout` its embeddings have this rate instead of the saved one.
    """
    path = Path(folder) / "model.safetensors"
    config = read_config(folder)
    _, weights = from_released(read_weights(path), _written(config), path)
    model = Hyena(config if dropout is None else replace(config, dropout=dropout))
    model.load_state_dict({n.removeprefix(PREFIX): w for n, w in weights.items()})
    return model


def save(model: Hyena, folder: str | Path) -> None:
    """Write config.json and model.safetensors into `folder`, under released names."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", _written(model.config))
    # clones, as the model's frequencies share their memory
    weights = {PREFIX + name: w.clone() for name, w in model.state_dict().items()}
    write_weights(folder / "model.safetensors", weights)
    write_tokenizer(folder, model.config, CHARACTER)


def write_tokenizer(folder: str | Path, config: HyenaConfig, tokenization: str) -> None:
    """Write the files by which transformers reads raw DNA, a token a base."""
    del tokenization  # there is one
    parts = ("bos", "mask", "pad", "unk")
    tokenizer.write(
        folder,
        WORDS,
        {f"{part}_token": f"[{part.upper()}]" for part in parts},
        cut="[A-Z]",
        around=([], []),
        model_max_length=config.positions,
        model_input_names=["input_ids"],
    )

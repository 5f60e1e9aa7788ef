"""A modern encoder, saved as a Hugging Face folder: ModernBERT's names and keys.

`transformers.ModernBertForMaskedLM.from_pretrained` loads it; `modern_model` computes.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor

from randommask import kmers
from randommask.encoders import tokenizer
from randommask.encoders.modern_model import (
    GLOBAL_THETA,
    INITIAL_SD,
    LOCAL_THETA,
    NORM_EPS,
    Encoder,
    EncoderConfig,
)
from randommask.encoders.weights import (
    check_counts,
    check_sizes,
    check_values,
    check_weights,
    check_widths,
    read_weights,
    write_weights,
)
from randommask.errors import InputError
from randommask.files import read_json, write_json, write_text

FIXED = {
    "hidden_activation": "gelu",
    "classifier_activation": "gelu",
    "norm_eps": NORM_EPS,
    "norm_bias": False,
    "attention_bias": False,
    "mlp_bias": False,
    "decoder_bias": True,
    "classifier_bias": False,
    "global_rope_theta": GLOBAL_THETA,
    "local_rope_theta": LOCAL_THETA,
    "pad_token_id": kmers.PAD,
    "tie_word_embeddings": True,
}
"""What is the same in all of ours, and what else this module cannot compute."""
NO_TOKENS = ("bos_token_id", "eos_token_id")
DROPOUTS = ("embedding_dropout", "attention_dropout", "mlp_dropout")
KEYS = {
    "layers": "num_hidden_layers",
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "feed_forward": "intermediate_size",
    "positions": "max_position_embeddings",
    "dropout": "mlp_dropout",
    "local": "local_attention",
    "global_every": "global_attn_every_n_layers",
    "k": "k",
    "tokenization": "tokenization",
}

# Our name of a part, and ModernBERT's.
_NAMES = {
    "word": "model.embeddings.tok_embeddings",
    "embedding_norm": "model.embeddings.norm",
    "final_norm": "model.final_norm",
    "transform": "head.dense",
    "transform_norm": "head.norm",
    "attention_norm": "attn_norm",
    "qkv": "attn.Wqkv",
    "out": "attn.Wo",
    "norm": "mlp_norm",
    "gated": "mlp.Wi",
    "down": "mlp.Wo",
}


def _modern_name(name: str) -> str:
    """ModernBERT's name of one of our weights."""
    if name == "output_bias":
        return "decoder.bias"
    *layer, part, kind = name.split(".")
    prefix = f"model.layers.{layer[1]}." if layer else ""
    return f"{prefix}{_NAMES[part]}.{kind}"


def to_modern(model: Encoder) -> dict[str, Tensor]:
    """The weights under the names of `transformers.ModernBertForMaskedLM`."""
    return {_modern_name(name): w for name, w in model.state_dict().items()}


def from_modern(model: Encoder, weights: dict[str, Tensor], source: str | Path) -> None:
    """Fill `model` from weights under ModernBERT's names; all must fit."""
    check_weights(to_modern(model), weights, source)
    names = model.state_dict()
    model.load_state_dict({name: weights[_modern_name(name)] for name in names})


def save(model: Encoder, folder: str | Path) -> None:
    """Write config.json, model.safetensors and tokenizer files into `folder`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = model.config
    modern = {
        "architectures": ["ModernBertForMaskedLM"],
        "model_type": "modernbert",
        "vocab_size": config.vocab_size,
        "num_hidden_layers": config.layers,
        "hidden_size": config.hidden,
        "num_attention_heads": config.heads,
        "intermediate_size": config.feed_forward,
        "max_position_embeddings": config.positions,
        **dict.fromkeys(DROPOUTS, config.dropout),
        "local_attention": config.local,
        "global_attn_every_n_layers": config.global_every,
        "initializer_range": INITIAL_SD,
        **FIXED,
        "cls_token_id": kmers.CLS,
        "sep_token_id": kmers.SEP,
        **dict.fromkeys(NO_TOKENS),
        "k": config.k,
        "tokenization": config.tokenization,
    }
    write_json(folder / "config.json", modern)
    write_weights(folder / "model.safetensors", to_modern(model))
    write_text(folder / "vocab.txt", "\n".join(kmers.words(config.k)) + "\n")
    tokenizer.write_bert(folder, config.k, config.tokenization, config.positions)


def read_config(folder: str | Path) -> EncoderConfig:
    """Sizes of the encoder saved in `folder`; `InputError` where a key is missing."""
    path = Path(folder) / "config.json"
    return parse(read_json(path), path)


def parse(modern: Any, path: str | Path) -> EncoderConfig:
    """Sizes that config.json at `path` says; `InputError` for what cannot be."""
    if not isinstance(modern, dict):
        raise InputError(f"{path}: found {type(modern).__name__}, expected keys")
    for name in KEYS.values():
        if name not in modern:
            raise InputError(f"{path}: no key {name}")
    check_values(modern, FIXED, Path(path).parent)
    check_sizes(path, modern, DROPOUTS)
    check_counts(path, modern, ["local_attention", "global_attn_every_n_layers"])
    if modern["hidden_size"] // modern["num_attention_heads"] % 2:
        raise InputError(
            f"{path}: num_attention_heads is {modern['num_attention_heads']}, expected "
            "an even number of units in each head"
        )
    return EncoderConfig(**{ours: modern[name] for ours, name in KEYS.items()})


def check_extent(
    config: EncoderConfig, weights: dict[str, Tensor], source: str | Path
) -> None:
    """Raise `InputError` for sizes beyond the weights, before they are laid out."""
    widths = config.hidden, 2 * config.feed_forward
    check_widths(config.layers, widths, weights, source)


def load(folder: str | Path, dropout: float | None = None) -> Encoder:
    """The encoder saved in `folder`; `InputError` names what does not fit.

    With `dropout` it has this rate instead of the saved one.
    """
    config = read_config(folder)
    path = Path(folder) / "model.safetensors"
    weights = read_weights(path)
    check_extent(config, weights, path)
    model = Encoder(config if dropout is None else replace(config, dropout=dropout))
    from_modern(model, weights, path)
    return model

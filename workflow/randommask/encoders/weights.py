"""Weights of encoders as safetensors: read, written, held against what is expected."""

import math
import reprlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from randommask import kmers
from randommask.errors import InputError

NAMED = 3
"""Weights in a message, of all that are wrong."""


BERT_SIZES = (
    "num_hidden_layers",
    "hidden_size",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file; `InputError` where it is not readable."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path}: not readable as safetensors ({first})") from None


def write_weights(path: str | Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors by name, as transformers reads them; none may share its memory."""
    try:
        save_file(dict(weights), path, metadata={"format": "pt"})
    except SafetensorError as error:
        raise InputError(f"{path}: {error}") from None


def check_weights(
    expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], source: str | Path
) -> None:
    """Raise `InputError` where names or shapes differ; it names the first of them."""
    parts = []
    for state, names in (
        ("missing", expected.keys() - weights.keys()),
        ("unexpected", weights.keys() - expected.keys()),
    ):
        if names:
            noun = "weight" if len(names) == 1 else "weights"
            more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
            parts.append(f"{state} {noun} {', '.join(sorted(names)[:NAMED])}{more}")
    if parts:
        raise InputError(f"{source}: {'; '.join(parts)}")
    for name, tensor in expected.items():
        if weights[name].shape != tensor.shape:
            shapes = f"{tuple(weights[name].shape)}, expected {tuple(tensor.shape)}"
            raise InputError(f"{source}: {name} has shape {shapes}")


def check_values(
    config: Mapping[str, Any], expected: Mapping[str, Any], source: str | Path
) -> None:
    """Raise `InputError` where a key of config.json has another value; it may lack."""
    for key, value in expected.items():
        if (found := config.get(key, value)) != value:
            raise InputError(
                f"{source}/config.json: {key} is {found!r}, expected {value!r}"
            )


def check_counts(
    path: str | Path,
    config: Mapping[str, Any],
    counts: Iterable[str],
    rates: Iterable[str] = (),
    heads: tuple[str, str] | None = None,
) -> None:
    """Raise `InputError` for sizes that no encoder can have.

    `counts` are keys of integers from 1 on, `rates` of numbers from 0 to less than 1,
    `heads` that of the attention heads and that of the units they share out.
    """
    for key in counts:
        value = config.get(key)
        if type(value) is not int or not 1 <= value < 2**31:
            found = reprlib.repr(value)
            raise InputError(f"{path}: {key} is {found}, expected an integer over 0")
    for key in rates:
        value = config.get(key)
        is_number = type(value) in (int, float) and math.isfinite(value)
        if not is_number or not 0 <= value < 1:
            found = reprlib.repr(value)
            raise InputError(f"{path}: {key} is {found}, expected 0 to less than 1")
    if heads and config[heads[1]] % config[heads[0]]:
        raise InputError(
            f"{path}: {heads[0]} is {config[heads[0]]}, expected a divisor of the "
            f"{heads[1]} {config[heads[1]]}"
        )


def check_widths(
    layers: int,
    widths: Iterable[int],
    weights: Mapping[str, Tensor],
    source: str | Path,
) -> None:
    """Raise `InputError` for sizes beyond the weights, before they are laid out."""
    if layers > len(weights):
        raise InputError(f"{source}: {len(weights)} weights, expected {layers} layers")
    widest = max((max(w.shape, default=1) for w in weights.values()), default=0)
    for width in widths:
        if width > widest:
            raise InputError(
                f"{source}: no weight is {width} wide, as config.json says"
            )


def prefixed(
    weights: Mapping[str, Tensor], prefix: str, parts: tuple[str, ...]
) -> dict[str, Tensor]:
    """An encoder's weights under their names in a whole model, `prefix` before each.

    `parts` are what the names of an encoder saved alone start with.
    """
    if any(name.startswith(prefix) for name in weights):
        return dict(weights)
    return {
        prefix + name if name.startswith(parts) else name: tensor
        for name, tensor in weights.items()
    }


def check_sizes(path: str | Path, config: dict[str, Any]) -> None:
    """Raise `InputError` for sizes in config.json that no BERT can have."""
    heads = ("num_attention_heads", "hidden_size")
    check_counts(path, config, BERT_SIZES, ["hidden_dropout_prob"], heads)
    tokenizations = (kmers.OVERLAPPING, kmers.NON_OVERLAPPING)
    if config.get("tokenization") not in tokenizations:
        found = config.get("tokenization")
        raise InputError(f"{path}: tokenization is {found!r}, expected {tokenizations}")

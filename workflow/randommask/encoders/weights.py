"""Weights of encoders as safetensors: read, written, held against what is expected.

What is written here carries two checksums in the file's own header, where transformers
reads past them: of the tensors, and of the config.json in the same folder. So a bit
that flips on a disk, or on the way to another machine, is found by whoever loads the
folder next. A file without them, such as a published one, is read as it is.
"""

import hashlib
import json
import math
import os
import reprlib
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from randommask import files, kmers
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
TENSORS, CONFIG = "sha256", "config_sha256"


def digest(tensors: Mapping[str, Tensor], *texts: str) -> str:
    """SHA-256 of tensors, with their names, types and shapes, and of some texts."""
    found = hashlib.sha256()
    for text in texts:
        found.update(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        found.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        found.update(tensor.flatten().view(torch.uint8).numpy())
    return found.hexdigest()


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file.

    `InputError` where it is not readable, or where it or config.json beside it is not
    what was written.
    """
    try:
        with safe_open(path, "pt") as file:
            made = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path}: not readable as safetensors ({first})") from None
    if TENSORS in made and digest(weights) != made[TENSORS]:
        raise InputError(
            f"{path}: its tensors are not those that were written (checksum of its "
            "header); copy or make the folder again"
        )
    config = Path(path).with_name("config.json")
    if CONFIG in made and files.sha256(config) != made[CONFIG]:
        raise InputError(
            f"{config}: is not what was written with {Path(path).name} (checksum in "
            "the header of that file); copy or make the folder again"
        )
    return weights


def write_weights(path: str | Path, weights: Mapping[str, Tensor]) -> None:
    """Write tensors by name, as transformers reads them; none may share its memory.

    A config.json in the folder is done by then: its checksum is written too.
    """
    made = {"format": "pt", TENSORS: digest(weights)}
    config = Path(path).with_name("config.json")
    if config.exists():
        made[CONFIG] = files.sha256(config)
    Path(path).touch()
    mode = Path(path).stat().st_mode  # safetensors gives others no right to read
    try:
        save_file(dict(weights), path, metadata=made)
    except SafetensorError as error:
        raise InputError(f"{path}: {error}") from None
    os.chmod(path, stat.S_IMODE(mode))
    _order_header(path)


def _order_header(path: str | Path) -> None:
    """Sort what the header says of the file: safetensors writes it in any order.

    The same weights are the same bytes, by which Snakemake and we compare files.
    """
    with open(path, "r+b") as file:
        size = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(size))
        header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        file.seek(8)
        file.write(text.ljust(size))


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


def check_sizes(
    path: str | Path,
    config: dict[str, Any],
    rates: Iterable[str] = ("hidden_dropout_prob",),
) -> None:
    """Raise `InputError` for sizes in config.json that none of our encoders can have.

    Under BERT's names, but for those of the rates of dropout.
    """
    heads = ("num_attention_heads", "hidden_size")
    check_counts(path, config, BERT_SIZES, rates, heads)
    tokenizations = (kmers.OVERLAPPING, kmers.NON_OVERLAPPING)
    if config.get("tokenization") not in tokenizations:
        found = config.get("tokenization")
        raise InputError(f"{path}: tokenization is {found!r}, expected {tokenizations}")
    if type(config["k"]) is not int or not 1 <= config["k"] <= kmers.MAX_K:
        raise InputError(f"{path}: k is {config['k']!r}, expected 1 to {kmers.MAX_K}")

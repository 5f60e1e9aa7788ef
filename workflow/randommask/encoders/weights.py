"""Weights of encoders as safetensors: read, written, held against what is expected."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from randommask.errors import InputError


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
    """Raise `InputError`, which names every weight, where names or shapes differ."""
    parts = []
    for state, names in (
        ("missing", expected.keys() - weights.keys()),
        ("unexpected", weights.keys() - expected.keys()),
    ):
        if names:
            noun = "weight" if len(names) == 1 else "weights"
            parts.append(f"{state} {noun} {', '.join(sorted(names))}")
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

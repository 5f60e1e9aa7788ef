"""Weights of encoders as safetensors: read, and held against what is expected."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from randommask.errors import InputError


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file; `InputError` where it is not readable."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path}: not readable as safetensors ({first})") from None


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
            found, due = tuple(weights[name].shape), tuple(tensor.shape)
            raise InputError(f"{source}: {name} has shape {found}, expected {due}")


def check_values(
    config: Mapping[str, Any], due: Mapping[str, Any], source: str | Path
) -> None:
    """Raise `InputError` where a key of config.json has another value; it may lack."""
    for key, value in due.items():
        if (found := config.get(key, value)) != value:
            raise InputError(
                f"{source}/config.json: {key} is {found!r}, expected {value!r}"
            )

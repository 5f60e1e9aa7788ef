"""The tensors of a checkpoint as others publish it, and the order of its words.

One file or shards with an index, safetensors or a pickle; under today's LayerNorm
names, and without what wrapping a model puts before them. Whatever is no number that
can be trained on is refused, and so is a tensor that is larger than what was read.
"""

import pickle
import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from randommask.encoders.weights import read_weights
from randommask.errors import InputError, listing
from randommask.files import read_json

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""In the order to prefer; each may be shards with an index instead."""
INDEX = ".index.json"
WRAPPERS = ("module.", "_orig_mod.")  # of DataParallel, of torch.compile
OLD_NAMES = {".gamma": ".weight", ".beta": ".bias"}  # of a LayerNorm, before 2019
# Counters that old versions of transformers kept among the weights.
COUNTERS = ("position_ids", "token_type_ids")


def read(source: str | Path) -> dict[str, Tensor]:
    """Finite float32 tensors by name; raises `InputError` for anything else."""
    for name in WEIGHTS:
        path = Path(source) / name
        if path.exists():
            weights = _read_file(path)
        elif (index := path.with_name(name + INDEX)).exists():
            path, weights = index, _read_shards(index)
        else:
            continue
        weights = {n: w for n, w in weights.items() if not n.endswith(COUNTERS)}
        names = _unwrapped(list(weights))
        # One after the other, so that no more than one stands in memory twice.
        return {new: _number(path, old, weights.pop(old)) for old, new in names.items()}
    raise InputError(f"{source}: no {' or '.join(WEIGHTS)}, nor shards with an index")


def _unwrapped(names: list[str]) -> dict[str, str]:
    """Each name, and what it is called today without the wrappers all of them have."""
    today = {name: name for name in names}
    wrapper: str | None = ""
    while wrapper is not None:
        today = {old: new.removeprefix(wrapper) for old, new in today.items()}
        shared = (w for w in WRAPPERS if all(n.startswith(w) for n in today.values()))
        wrapper = next(shared, None) if names else None
    for old, new in today.items():
        for ending, kept in OLD_NAMES.items():
            if new.endswith(f"LayerNorm{ending}"):
                today[old] = new.removesuffix(ending) + kept
    return today


def _number(path: Path, name: str, tensor: Tensor) -> Tensor:
    """The tensor in float32; `InputError` where it is not of finite real numbers."""
    if tensor.layout != torch.strided or not tensor.is_floating_point():
        kind = str(tensor.dtype if tensor.layout == torch.strided else tensor.layout)
        kind = kind.removeprefix("torch.")
        raise InputError(f"{path}: {name} is of type {kind}, expected real numbers")
    needed = tensor.numel() * tensor.element_size()
    if tensor.is_meta or needed > tensor.untyped_storage().nbytes():
        raise InputError(f"{path}: {name} has fewer numbers than its shape says")
    tensor = tensor.float()
    if not tensor.isfinite().all():
        raise InputError(f"{path}: {name} holds NaN or infinity, expected numbers")
    return tensor


def _read_file(path: Path) -> dict[str, Tensor]:
    return read_weights(path) if path.suffix == ".safetensors" else _read_pickle(path)


def _read_shards(index: Path) -> dict[str, Tensor]:
    """The tensors of all files that an index names, each where it says."""
    found = read_json(index)
    places = found.get("weight_map") if isinstance(found, dict) else None
    if not isinstance(places, dict) or not places:
        raise InputError(f"{index}: no weight_map, expected a file for each weight")
    for name, file in places.items():
        if not isinstance(file, str) or Path(file).name != file:
            raise InputError(f"{index}: {name} is in {file!r}, expected a file's name")
    weights: dict[str, Tensor] = {}
    for file in sorted(set(places.values())):
        shard = index.with_name(file)
        if not shard.exists():
            raise InputError(f"{shard}: no such file, which {index.name} names")
        tensors = _read_file(shard)
        expected = {name for name, place in places.items() if place == file}
        if expected != tensors.keys():
            odd = sorted(expected ^ tensors.keys())
            raise InputError(f"{shard}: {listing(odd[:3])} not as {index.name} says")
        weights |= tensors
    return weights


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        found = named[1] if named else "more than tensors"
        raise InputError(f"{path}: found {found}, expected only tensors") from None
    except Exception as error:
        # Its readers raise whatever a broken byte leads them to, KeyError among it.
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not readable as a checkpoint ({first})") from None
    if not isinstance(weights, dict):
        raise InputError(
            f"{path}: found {type(weights).__name__}, expected tensors by name"
        )
    for name, value in weights.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            kind = type(value).__name__
            raise InputError(f"{path}: {name!r} is of type {kind}, expected a tensor")
    return weights


def words(path: str | Path) -> list[str]:
    """The words of a vocab.txt."""
    try:
        return Path(path).read_text(encoding="utf-8-sig").split()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason})") from None


def order(path: str | Path, expected: list[str]) -> list[int] | None:
    """Where each word of `expected` stands in vocab.txt; None where they agree.

    Raises `InputError` for the first line that is no such word or one from before.
    """
    found = words(path)
    if found == expected:
        return None
    places: dict[str, int] = {}
    known = set(expected)
    for line, word in enumerate(found, 1):
        if word in places:
            first = places[word] + 1
            raise InputError(f"{path}: line {line} is {word[:20]!r}, as line {first}")
        if word not in known:
            right = expected[line - 1] if line <= len(expected) else "the end"
            raise InputError(
                f"{path}: line {line} is {word[:20]!r}, expected {right!r} "
                f"(the words are {len(expected)})"
            )
        places[word] = line - 1
    if len(found) != len(expected):
        raise InputError(f"{path}: {len(found)} words, expected {len(expected)}")
    return [places[word] for word in expected]


def renumber(config: dict[str, Any], places: list[int]) -> dict[str, Any]:
    """A config.json whose `*_token_id` count in our order of the words."""
    ours = {theirs: index for index, theirs in enumerate(places)}
    return {
        key: ours.get(value, value)
        if key.endswith("_token_id") and type(value) is int
        else value
        for key, value in config.items()
    }

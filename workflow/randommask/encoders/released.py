r"""Bring published weights into the one folder format that fine-tuning reads.

    python -m randommask.encoders.released --source resources/encoders/nt \
        --hparams '{"family": "esm"}' --output results/encoders/nt

The source holds config.json, vocab.txt (where the family has words) and the weights as
model.safetensors or pytorch_model.bin. No code of the source is run: a pickle is read
by PyTorch's `weights_only` and may hold tensors, nothing else. What a family has no use
for (pooler, position ids, copies of tied weights, an unused head) is left out; every
other weight has to fit by name and shape, and the words have to be our tokenizer's.
"""

import argparse
import pickle
import re
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor

from randommask import files
from randommask.data import fetched
from randommask.encoders import families
from randommask.encoders.weights import check_values, read_weights, write_weights
from randommask.errors import InputError, run
from randommask.experiment.hparams import Conversion

WEIGHTS = ("model.safetensors", "pytorch_model.bin")
OLD_NAMES = {".gamma": ".weight", ".beta": ".bias"}  # of a LayerNorm, before 2019


def convert(source: str | Path, family: str, output: str | Path) -> None:
    """Write the encoder published in `source` to `output`.

    Raises `InputError` for a file that is missing, unreadable or edited after its
    download, weights or words that do not fit, and a config.json of another family.
    """
    files.check_folder(output)
    source = Path(source)
    fetched.verify(source)
    config = files.read_json(source / "config.json")
    module = _module(config, family, source)
    weights = read_published(source)
    config, weights = module.from_released(weights, config, source)
    if hasattr(module, "vocabulary"):
        check_words(source / "vocab.txt", module.vocabulary(config["k"]))
    with files.make_aside(output) as aside:
        raw = aside / "raw"
        raw.mkdir(parents=True)
        files.write_json(raw / "config.json", config)
        write_weights(raw / WEIGHTS[0], {n: t.contiguous() for n, t in weights.items()})
        del weights
        # through the family's own door, which fine-tuning will take
        model = module.load(raw, module.read_config(raw).dropout)
        module.save(model, aside)
        files.remove(raw)


def _module(config: dict, family: str, source: Path) -> ModuleType:
    """The family's module; old config.json files do not name their model_type."""
    kinds = [kind for kind, module in families.MODULES.items() if module == family]
    if not kinds:
        known = ", ".join(families.MODULES.values())
        raise InputError(f"--hparams: family is {family!r}, expected one of {known}")
    if not isinstance(config, dict):
        kind = type(config).__name__
        raise InputError(f"{source}/config.json: found {kind}, expected keys")
    check_values(config, {"model_type": kinds[0]}, source)
    return families.named(kinds[0], source)


def read_published(source: str | Path) -> dict[str, Tensor]:
    """Tensors of a published checkpoint, float32, under today's LayerNorm names."""
    paths = [Path(source) / name for name in WEIGHTS]
    if paths[0].exists():
        weights = read_weights(paths[0])
    elif paths[1].exists():
        weights = _read_pickle(paths[1])
    else:
        raise InputError(f"{source}: no {' or '.join(WEIGHTS)}")
    return {_today(name): tensor.float() for name, tensor in weights.items()}


def _today(name: str) -> str:
    for old, new in OLD_NAMES.items():
        if name.endswith(f"LayerNorm{old}"):
            return name.removesuffix(old) + new
    return name


def _read_pickle(path: Path) -> dict[str, Tensor]:
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        found = named[1] if named else "more than tensors"
        raise InputError(f"{path}: found {found}, expected only tensors") from None
    except (EOFError, OSError, RuntimeError, ValueError) as error:
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


def check_words(path: str | Path, expected: list[str]) -> None:
    """Raise `InputError` for the first line of vocab.txt that is another word."""
    found = Path(path).read_text(encoding="utf-8").split()
    for line, (word, right) in enumerate(zip(found, expected, strict=False), 1):
        if word != right:
            raise InputError(f"{path}: line {line} is {word!r}, expected {right!r}")
    if len(found) != len(expected):
        raise InputError(f"{path}: {len(found)} words, expected {len(expected)}")


def main(argv: list[str] | None = None) -> None:
    """Read the flags and convert."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--source", required=True, help="folder of published files")
    parser.add_argument("--hparams", required=True, help="JSON: see Conversion")
    parser.add_argument("--output", required=True, help="folder to write")
    flags = parser.parse_args(argv)
    convert(flags.source, Conversion.parse(flags.hparams).family, flags.output)


if __name__ == "__main__":
    run(main)

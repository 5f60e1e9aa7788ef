r"""Bring published weights into the one folder format that fine-tuning reads.

    python -m randommask.encoders.released --source resources/encoders/nt \
        --hparams '{"family": "esm"}' --output results/encoders/nt

The source holds config.json, vocab.txt (where the family has words) and the weights as
model.safetensors or pytorch_model.bin, whole or in shards. No code of the source is
run: a pickle is read by PyTorch's `weights_only` and may hold tensors, nothing else.
What a family has no use for (pooler, position ids, copies of tied weights, a classifier
on top) is left out, so that an encoder alone will do, and a fine-tuned model too; every
other weight has to fit by name and shape. The words have to be our tokenizer's; where
their order is another, the weights are put into ours.
"""

import argparse
import shutil
from pathlib import Path
from types import ModuleType

from randommask import files, kmers
from randommask.data import fetched
from randommask.encoders import families, published
from randommask.encoders.weights import check_values, write_weights
from randommask.errors import InputError, run
from randommask.experiment.hparams import Conversion


def convert(source: str | Path, family: str, output: str | Path) -> None:
    """Write the encoder published in `source` to `output`.

    Raises `InputError` for a file that is missing, unreadable or edited after its
    download, weights that are no numbers, weights, sizes or words that do not fit, and
    a config.json of another family.
    """
    files.check_folder(output)
    source = Path(source)
    fetched.verify(source)
    config = files.read_json(source / "config.json")
    module = _module(config, family, source)
    places = _word_order(module, source)
    if places:
        config = published.renumber(config, places)
    config, weights = module.from_released(published.read(source), config, source)
    if hasattr(module, "vocabulary"):
        published.order(source / "vocab.txt", module.vocabulary(config["k"]))
    for name in getattr(module, "WORD_WEIGHTS", ()) if places else ():
        weights[name] = weights[name][places]
    with files.make_aside(output) as aside:
        raw = aside / "raw"
        raw.mkdir(parents=True)
        for name in getattr(module, "FILES", ()):
            if (source / name).exists():
                shutil.copyfile(source / name, raw / name)
        files.write_json(raw / "config.json", config)
        write_weights(
            raw / "model.safetensors", {n: t.contiguous() for n, t in weights.items()}
        )
        del weights
        # through the family's own door, which fine-tuning will take
        model = module.load(raw)
        module.save(model, aside)
        files.remove(raw)


def _word_order(module: ModuleType, source: Path) -> list[int] | None:
    """Where each of our words stands in the published order; None where they agree."""
    if not hasattr(module, "vocabulary"):
        return None
    path = source / "vocab.txt"
    count = len(published.words(path))
    for words in map(module.vocabulary, range(1, kmers.MAX_K + 1)):
        if len(words) == count and (places := published.order(path, words)):
            for word in getattr(module, "FIXED_WORDS", ()):
                at = words.index(word)
                if places[at] != at:
                    raise InputError(
                        f"{path}: {word} is on line {places[at] + 1}, expected {at + 1}"
                    )
            return places
    return None


def _module(config: dict, family: str, source: Path) -> ModuleType:
    """The family's module; old config.json files do not name their model_type."""
    kinds = [kind for kind, module in families.MODULES.items() if module == family]
    if not kinds:
        known = ", ".join(families.MODULES.values())
        raise InputError(f"--hparams: family is {family!r}, expected one of {known}")
    if not isinstance(config, dict):
        kind = type(config).__name__
        raise InputError(f"{source}/config.json: found {kind}, expected keys")
    module = families.named(kinds[0], source)
    if hasattr(module, "check"):
        module.check(config, source)
    else:
        check_values(config, {"model_type": kinds[0]}, source)
    return module


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

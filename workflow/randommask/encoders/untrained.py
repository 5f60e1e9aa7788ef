r"""A control: an encoder with the random weights that pretraining would start from.

    python -m randommask.encoders.untrained \
        --hparams '{"seed": 1, "k": 6, "tokenization": "overlapping",
                    "architecture": {"layers": 12, "hidden": 768, "heads": 12,
                    "feed_forward": 3072, "positions": 512, "dropout": 0.1}}' \
        --output results/encoders/untrained

It is the control of the encoders with this architecture and seed.
"""

import argparse
from pathlib import Path

import torch

from randommask import files
from randommask.encoders import ours
from randommask.errors import run
from randommask.experiment.hparams import Initial


def write(folder: str | Path, told: Initial) -> None:
    """Write the encoder folder of one architecture, vocabulary and seed."""
    kind = ours.of(told)
    model = kind.Encoder(kind.EncoderConfig.of(told))
    model.initialise(torch.Generator().manual_seed(told.seed))
    with files.make_aside(folder) as aside:
        kind.save(model, aside)


def main(argv: list[str] | None = None) -> None:
    """Read the flags and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hparams", required=True, help="JSON: see Initial")
    parser.add_argument("--output", type=files.new_folder, required=True)
    flags = parser.parse_args(argv)
    write(flags.output, Initial.parse(flags.hparams))


if __name__ == "__main__":
    run(main)

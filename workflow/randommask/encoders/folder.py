"""The folder that an encoder lives in, and a second name for it.

As a command it gives the weights of a step folder a name of their own (hard links where
the file system has them), for milestones and for `results/encoders/`:

    python -m randommask.encoders.folder --source FOLDER --output FOLDER
"""

import argparse
import os
import shutil
from contextlib import suppress
from pathlib import Path

from randommask import files
from randommask.errors import InputError, run

ENCODER_FILES = (
    "README.md",
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
)
LATER = ("tokenizer.json",)
"""Those of them that folders of earlier versions lack."""

MILESTONES = "milestones"  # in a segment's folder: one folder for each


def names(source: Path) -> list[str]:
    """The files that the encoder's folder has to hold."""
    return [n for n in ENCODER_FILES if n not in LATER or (source / n).exists()]


def link_or_copy(source: str | Path, output: str | Path) -> None:
    """Give a file a second name; a second copy where the file system has no links."""
    try:
        os.link(source, output)
    except OSError:
        shutil.copyfile(source, output)


def copy_encoder(source: Path, output: Path) -> None:
    """Give the encoder in `source` a second name, without storing it twice."""
    with files.make_aside(output) as aside:
        aside.mkdir()
        for name in names(source):
            if not (source / name).exists():
                raise InputError(f"{source}: no {name}, expected an encoder's folder")
            link_or_copy(source / name, aside / name)


def let_go(output: Path) -> None:
    """Delete what its training kept of a finished folder or file: it was read.

    Snakemake starts a job only when those before it are done, so it will not delete
    this output and ask for it again (see `training.state`). Renamed first, and nothing
    in it is open: a kill meanwhile leaves no half of it.
    """
    for kept in output.parent.glob(f".state/{output.name}-????????"):
        if (kept / "lock").exists() or not any(kept.glob("finished-*")):
            continue
        gone = kept.with_name(f".{kept.name}.done")
        with suppress(OSError):  # another reader, or a disk that is not ours to write
            kept.rename(gone)
    for gone in output.parent.glob(f".state/.{output.name}-????????.done"):
        shutil.rmtree(gone, ignore_errors=True)
    with suppress(OSError):  # another segment of the encoder has its state there
        (output.parent / ".state").rmdir()


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and copy."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", required=True, type=Path)
    parser.add_argument("--output", type=files.new_folder, required=True)
    arguments = parser.parse_args(argv)
    copy_encoder(arguments.source, arguments.output)
    source = arguments.source
    let_go(source.parents[1] if source.parent.name == MILESTONES else source)


if __name__ == "__main__":
    run(main)

r"""Pretraining that another experiment has finished, taken by link.

    python -m randommask.experiment.finished \
        --source results/demo/pretrain/dnabert/step-3000 \
        --output results/mine/pretrain/dnabert/step-3000

`finished` in a config names folders of results. A segment there is taken if its encoder
has the same name and its card (README.md) the same settings; what is not, is said. Its
files are links: the other experiment's are neither copied nor written to.
"""

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from randommask.errors import InputError, run
from randommask.experiment import encoders
from randommask.experiment.sections import Experiment
from randommask.files import check_folder

CARD = "README.md"


def segments(experiment: Experiment) -> tuple[dict[str, Path], list[str]]:
    """The folder of each segment that can be taken; and why others cannot.

    A segment that is here already stays what it is.
    """
    found: dict[str, Path] = {}
    said = []
    own = Path(experiment.pathvars.results)
    for name in encoders.segment_names(experiment):
        here = own / "pretrain" / name
        if (here / CARD).exists() and not (here / "config.json").is_symlink():
            continue
        for folder in experiment.finished:
            place = Path(folder) / "pretrain" / name
            if not (place / CARD).exists():
                continue
            told = encoders.segment(experiment, *encoders.split(name))
            if told.settings.origin:
                said.append(f"{place}: not taken, as it went on from other weights")
                continue
            if other := differing(place / CARD, told.settings.values()):
                said.append(f"{place}: not taken, as its {other} is another")
                continue
            found[name] = place
            break
    return found, said


def differing(card: Path, settings: dict[str, Any]) -> str | None:
    """The first setting that a card says otherwise; None where all are the same."""
    lines = card.read_text(encoding="utf-8").partition("## Recipe")[2].splitlines()
    cells = [line.strip("| ").split(" | ", 1) for line in lines if " | " in line]
    recorded = {cell[0]: cell[1] for cell in cells if len(cell) == 2}
    for key, value in flat(settings):
        text = value if isinstance(value, str) else json.dumps(value)
        if recorded.get(key, "").strip() != text:
            return key
    return None


def flat(settings: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by key in alphabetical order, those of a group as `group.key`.

    >>> list(flat({"b": 1, "a": {"c": 2}}))
    [('a.c', 2), ('b', 1)]
    """
    for key, value in sorted(settings.items()):
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def link(source: Path, output: Path) -> None:
    """A folder of links to the files of another, below it too."""
    if not (source / CARD).is_file():
        raise InputError(f"{source}: no {CARD}, expected a finished segment")
    check_folder(output)
    for folder, _, names in os.walk(source.resolve()):
        there = output / Path(folder).relative_to(source.resolve())
        there.mkdir(parents=True, exist_ok=True)
        for name in names:
            if not name.startswith("."):  # Snakemake's stamp is the folder's own
                (there / name).symlink_to(Path(folder) / name)


def main(argv: list[str] | None = None) -> None:
    """Parse the flags and link."""
    parser = argparse.ArgumentParser(prog="python -m randommask.experiment.finished")
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    flags = parser.parse_args(argv)
    link(flags.source, flags.output)


if __name__ == "__main__":
    run(main)

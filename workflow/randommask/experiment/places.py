"""Refuse places that jobs could not write to, and local copies that are not there.

Apart from `check`, for a config without its data can still be read, and its results
cleaned up.
"""

import os
from pathlib import Path

from randommask.errors import InputError
from randommask.experiment import origins
from randommask.experiment.runs import benchmark, source_of
from randommask.experiment.sections import Experiment, LocalCopy, Released
from randommask.files import WORKFLOW

OF_ENCODERS = {"encoders", "pretrain", "models"}
"""Folders of `results` that hold weights, by the encoder's name."""


def check(experiment: Experiment) -> None:
    """Raise `InputError` with one line for the first place that cannot work."""
    places = experiment.pathvars
    for name in type(places).model_fields:
        _check_writable(f"pathvars.{name}", getattr(places, name))
    _check_copies(experiment)
    origins.check_folders(experiment)


def _check_writable(where: str, place: str) -> None:
    """A folder that is there and may be written to, or can be made."""
    path = Path(os.path.abspath(place))
    source = WORKFLOW.resolve()
    if path.resolve().is_relative_to(source):
        raise InputError(f"{where}: {place} is inside the workflow's own {source}")
    if path.resolve() in (Path("/"), Path.cwd(), source.parent):
        raise InputError(f"{where}: found {place}, expected a folder of its own")
    there = next(one for one in (path, *path.parents) if os.path.lexists(one))
    if not there.is_dir():
        found = "a link to nothing" if there.is_symlink() else "a file"
        raise InputError(f"{where}: {there} is {found}, expected a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        what = "written to" if there == path else f"made in {there}"
        raise InputError(f"{where}: {place} cannot be {what}: permission denied")


def _check_copies(experiment: Experiment) -> None:
    """A local copy is there, and not by this run, but for the made world.

    An encoder that is copied from what this run makes could wait for itself.
    """
    needed = {
        *experiment.genome_names,
        *(source_of(row) for row in benchmark(experiment) if not row.own_folder),
    }
    copies = {
        f"sources.{name}.path": experiment.sources[name] for name in sorted(needed)
    }
    for name, entry in experiment.encoders.items():
        if isinstance(entry, Released):
            copies[f"encoders.{name}.released.path"] = entry.released
    copies |= origins.copies(experiment)
    results = os.path.abspath(experiment.pathvars.results)
    for where, copy in copies.items():
        if not isinstance(copy, LocalCopy):
            continue
        path = Path(copy.path)
        match Path(os.path.relpath(path, results)).parts:
            case ["world", *_]:
                continue
            case [folder, made, *_] if folder in OF_ENCODERS:
                if made in experiment.encoders:
                    raise InputError(
                        f"{where}: {path}: made by this run, expected a folder of "
                        "another; an encoder of this one goes by its name"
                    )
        if not path.exists():
            raise InputError(f"{where}: {path}: no such file or folder")

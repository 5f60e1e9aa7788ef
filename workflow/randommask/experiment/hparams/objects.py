"""What a command is told about the experiment: one JSON flag, checked, and its notice.

Every table, figure and report belongs to an experiment, `{"name": ..., "notice": ...}`.
A notice that is not empty (the demo's "these are not the paper's numbers") stands on
everything that is made.
"""

import json
from collections.abc import Sequence
from typing import Any

from randommask.errors import InputError
from randommask.experiment import flags


def read_object(
    text: str, due: Sequence[str], optional: Sequence[str] = ()
) -> dict[str, Any]:
    """Parse the `--hparams` flag: every key of `due`, and no other but `optional`.

    Raises `InputError` for what is no JSON object, and a key missing or unknown.
    """
    try:
        hparams = json.loads(flags.read(text))
    except ValueError as error:
        raise InputError(f"--hparams: not JSON ({error})") from None
    if not isinstance(hparams, dict):
        raise InputError(
            f"--hparams: found {type(hparams).__name__}, expected an object"
        )
    for key in due:
        if key not in hparams:
            raise InputError(f"--hparams: no {key!r}, expected {', '.join(due)}")
    if unknown := sorted(set(hparams) - {*due, *optional}):
        known = ", ".join((*due, *optional))
        raise InputError(f"--hparams: unknown {unknown[0]!r}, expected {known}")
    return hparams


def read_hparams(
    text: str, required: tuple[str, ...], optional: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Read `--hparams` of a table, a figure or a report; `experiment` is always due.

    Raises `InputError` as `read_object` does, and for an experiment of another form.
    """
    hparams = read_object(text, ("experiment", *required), optional)
    experiment = hparams["experiment"]
    if not isinstance(experiment, dict) or set(experiment) != {"name", "notice"}:
        raise InputError("--hparams: experiment: expected an object of name and notice")
    return hparams

"""What a command says when its input is wrong: one line, and a non-zero exit."""

import difflib
import errno
import json
import sys
from collections.abc import Callable, Iterable
from typing import Any


class InputError(Exception):
    """A bad input. The message names file, row or key, what was found, what was due."""


FULL = (errno.ENOSPC, errno.EDQUOT)


def run(main: Callable[[], None]) -> None:
    """Call a command's `main`; print an `InputError` as one line and exit with 1.

    A full disk is told so too: it is no fault of the program.
    """
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        if error.errno not in FULL:
            raise
        sys.exit(f"error: {error.filename or 'disk'}: {error.strerror}")


def known(where: str, name: str, names: Iterable[str], kind: str) -> None:
    """Raise `InputError` with the nearest name where `name` is not one of `names`."""
    if name not in names:
        near = difflib.get_close_matches(name, list(names), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(
            f"{where}: no {kind} {name!r}, expected one of {listing(names)}{hint}"
        )


def listing(names: Iterable[Any]) -> str:
    """The first names, separated by commas."""
    shown = [str(name) for name in names]
    return ", ".join(shown[:12]) + (" ..." if len(shown) > 12 else "")


def differences(old: dict, new: dict, prefix: str = "") -> list[str]:
    """The keys in which two settings differ, with both values."""
    lines = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            lines += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            lines.append(f"{prefix}{key}: {json.dumps(before)} -> {json.dumps(after)}")
    return lines

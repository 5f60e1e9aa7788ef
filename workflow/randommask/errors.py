"""What a command says when its input is wrong: one line, and a non-zero exit."""

import sys
from collections.abc import Callable


class InputError(Exception):
    """A bad input. The message names file, row or key, what was found, what was due."""


def run(main: Callable[[], None]) -> None:
    """Call a command's `main`; print an `InputError` as one line and exit with 1."""
    try:
        main()
    except InputError as error:
        sys.exit(f"error: {error}")

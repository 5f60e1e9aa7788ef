"""What a command says when its input is wrong: one line, and a non-zero exit."""

import errno
import sys
from collections.abc import Callable


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

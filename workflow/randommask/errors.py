"""What a command says when it cannot go on: one line, and a non-zero exit."""

import difflib
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Any

PUBLIC = {"id", "export", "confirm", "download", "dl", "raw", "format"}
"""What may be shown of the query of an address."""
ADDRESS = re.compile(r"(\w+://)(?:[^\s/?#\"'<>]*@)?([^\s?#\"'<>]*)([?#][^\s\"'<>]*)?")


class InputError(Exception):
    """A bad input. The message names file, row or key, what was found and expected."""

    def __init__(self, message: str) -> None:
        super().__init__(shown(message))


def shown(text: str) -> str:
    """The text with no password or token in any address: logs and ledgers are read."""

    def mask(found: re.Match[str]) -> str:
        scheme, place, query = found.groups(default="")
        return scheme + place + re.sub(r"([\w.%~-]+)(=?)([^&;#:,)\]]*)", hide, query)

    def hide(found: re.Match[str]) -> str:
        key, equals, _ = found.groups()
        return found[0] if key in PUBLIC else f"{key}=***" if equals else "***"

    return ADDRESS.sub(mask, text)


def run(main: Callable[[], None]) -> None:
    """Call a command's `main`; say in one line what it cannot go on with, and exit.

    A traceback is for faults of this program. A bad input is none, and nor is whatever
    the file system refuses: a file that is missing or not ours to read, a folder where
    a file should be, a disk that is full or knows no locks. Of an interrupted command,
    and of one whose output nobody reads any more, the exit status says enough.
    """
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        # As in `... | head`. Python flushes once more when it ends, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except (InputError, OSError) as error:
        sys.exit(f"error: {reason(error)}")


def reason(error: InputError | OSError) -> str:
    """One line on an error; of the file system's, `<file>: <what>`."""
    if not isinstance(error, OSError):
        return str(error)
    # Arrow and NumPy raise an OSError of one text, which names the file or does not.
    what = error.strerror or str(error)
    if error.errno is not None and what == os.strerror(error.errno):
        what = what[:1].lower() + what[1:]
    name = error.filename2 or error.filename  # of a renamed file, what it should be
    return " ".join((f"{name}: {what}" if name is not None else what).split())


def known(where: str, name: str, names: Iterable[str], kind: str) -> None:
    """Raise `InputError` with the nearest name where `name` is not one of `names`."""
    if name not in names:
        near = difflib.get_close_matches(name, list(names), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(
            f"{where}: no {kind} {name[:60]!r}, expected one of {listing(names)}{hint}"
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

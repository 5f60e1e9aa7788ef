"""A command's flags: settings as JSON, or where that is long a file; and paths.

A command line of 20 kB cannot be read, and one of 128 kB cannot be run; and Snakemake
shows it where the command fails, with any password in it.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from randommask.errors import InputError, shown
from randommask.files import write_aside

LONGEST = 8000
"""Bytes of JSON that stand on a command line."""


def flag(settings: Any, folder: str) -> str:
    """The settings as JSON; what is long as `@file`, which is in `folder` afterwards.

    So is an address with a password or a token, in a file that its owner alone reads.
    The file is named by what it holds: other settings are another flag, so that
    Snakemake sees that they changed. They are JSON or a section of `form`.
    """
    is_json = isinstance(settings, dict | list)
    text = json.dumps(settings if is_json else settings.values())
    if len(text.encode()) <= LONGEST and shown(text) == text:
        return text
    name = hashlib.sha256(text.encode()).hexdigest()[:16]
    path = Path(folder) / f"{name}.json"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with write_aside(path) as aside:
            aside.touch(0o600)
            aside.write_text(text, encoding="utf-8")
    return f"@{path}"


def read(text: str) -> str:
    """The JSON of a flag; `InputError` where the file it names cannot be read."""
    if not text.startswith("@"):
        return text
    try:
        return Path(text[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--hparams: {text[1:]}: {error}") from None


def quoted(given: Mapping[str, str | Sequence[str]]) -> str:
    """`--name path ...` of each that has any, for a shell."""
    words: list[str] = []
    for name, paths in given.items():
        if paths:
            words += [f"--{name}", *([paths] if isinstance(paths, str) else paths)]
    return shlex.join(words)

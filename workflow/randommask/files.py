"""Files that appear whole or not at all.

Whatever a command makes is written beside its final name and renamed when it is
complete, so that a killed job leaves nothing that looks like a result.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from randommask.errors import InputError

WORKFLOW = Path(__file__).parents[1]
"""The folder `workflow`: rules, profiles, captions, plug-ins and this package."""


@contextmanager
def write_aside(path: str | Path) -> Iterator[Path]:
    """Yield a sibling of `path` to write a file or a folder at; rename it on success.

    The sibling keeps the suffix of `path`, which some writers choose a format by. An
    existing file or folder of that name is replaced. On an exception the sibling is
    removed and `path` stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".{escape(path.stem)}.*.aside{escape(path.suffix)}"):
        remove(left)  # by a process that was killed
    aside = path.with_name(f".{path.stem}.{os.getpid()}.aside{path.suffix}")
    try:
        yield aside
        if path.is_dir() and not path.is_symlink():
            remove(path)
        os.replace(aside, path)
    except BaseException:
        remove(aside)
        raise


def remove(path: Path) -> None:
    """Delete a file or a folder; do nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8 with the line ends it has."""
    with write_aside(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; raise `InputError` where it is missing or not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except ValueError as error:
        raise InputError(f"{path}: not JSON ({error})") from None


def sha256(path: str | Path) -> str:
    """Hex digest of a file's bytes, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

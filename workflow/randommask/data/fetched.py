"""Whether a fetched folder still holds what was fetched.

A hidden list in the folder has the size, the time of change and the sum of each file.
Who reads the folder calls `verify` first, which costs a look at the sizes and times; a
file is read again only where these changed. Folders without the list pass: links to
local copies and made worlds are the user's own.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from randommask import files
from randommask.data import sources
from randommask.errors import InputError, shown

LIST = ".fetched.json"
KINDS = {"file": str, "bytes": int, "mtime_ns": int, "sha256": str}
"""What the list has of each file."""


def write(folder: Path, source: str, spec: Any, sums: Mapping[str, str]) -> None:
    """Write the list: `sums` has the sha256 of each file by its path below `folder`."""
    entries = []
    for name in sorted(sums):
        state = (folder / name).stat()
        entries.append(
            {
                "file": name,
                "bytes": state.st_size,
                "mtime_ns": state.st_mtime_ns,
                "sha256": sums[name],
            }
        )
    listed = {"source": source, "spec": _shown(spec), "files": entries}
    files.write_json(folder / LIST, listed)


def _read(folder: Path) -> dict[str, Any]:
    """The list of a folder; `InputError` where it has another form."""
    listed = files.read_json(folder / LIST)
    try:
        if {"source", "spec"} <= listed.keys() and all(
            entry.keys() == KINDS.keys()
            and all(type(entry[key]) is kind for key, kind in KINDS.items())
            for entry in listed["files"]
        ):
            return listed
    except (AttributeError, LookupError, TypeError):
        pass
    raise InputError(
        f"{folder / LIST}: no list of a fetch; delete {folder} and fetch it again"
    )


def _shown(spec: Any) -> Any:
    """The spec without the passwords of its addresses."""
    return json.loads(shown(json.dumps(spec)))


def is_made(folder: Path, source: str, spec: Any) -> bool:
    """Whether `folder` is what `spec` says already, and unedited."""
    if not (folder / LIST).exists():
        return False
    try:
        listed = _read(folder)
        if listed["source"] != source:
            return False
        # One spec may be written in two ways, with its defaults or without.
        before = sources.parse(source, _shown(listed["spec"]))
        if before != sources.parse(source, _shown(spec)):
            return False
        verify(folder)
    except (InputError, OSError):
        return False
    return True


def verify(folder: str | Path) -> None:
    """Raise `InputError` where a file was changed, deleted or added since the fetch."""
    folder = Path(folder)
    if not (folder / LIST).exists():
        return
    known = {entry["file"]: entry for entry in _read(folder)["files"]}
    advice = f"delete {folder} and fetch it again"
    for name, entry in known.items():
        path = folder / name
        if not path.is_file():
            raise InputError(f"{path}: deleted since it was fetched; {advice}")
        state = path.stat()
        if (state.st_size, state.st_mtime_ns) == (entry["bytes"], entry["mtime_ns"]):
            continue
        if (found := files.sha256(path)) != entry["sha256"]:
            raise InputError(
                f"{path}: edited since it was fetched: sha256 is {found}, expected "
                f"{entry['sha256']}; {advice}"
            )
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        is_hidden = any(part.startswith(".") for part in name.parts)
        if path.is_file() and not is_hidden and name.as_posix() not in known:
            raise InputError(f"{path}: added since the rest was fetched; {advice}")

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


def _shown(spec: Any) -> Any:
    """The spec without the passwords of its addresses."""
    return json.loads(shown(json.dumps(spec)))


def is_made(folder: Path, source: str, spec: Any) -> bool:
    """Whether `folder` is what `spec` says already, and unedited."""
    if not (folder / LIST).exists():
        return False
    listed = files.read_json(folder / LIST)
    if listed.get("source") != source:
        return False
    try:
        # One spec may be written in two ways, with its defaults or without.
        before = sources.parse(source, _shown(listed.get("spec")))
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
    listed = files.read_json(folder / LIST)
    known = {entry["file"]: entry for entry in listed["files"]}
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

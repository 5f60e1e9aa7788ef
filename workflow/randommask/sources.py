"""What a source of data may be: the spec of a download, read and checked.

`{"path": "data/hg38.fa.gz"}` is a file or a folder that is already here.
`{"files": [{"name": "hg38.fa.gz", "urls": ["https://...", ...], "md5": "...",
"sha256": "...", "bytes": 983659424}, ...], "unpack": "zip"}` are published files: the
urls are mirrors in the order to try, and `{name}` in one stands for the file's name; at
least one checksum is due; `bytes` and `unpack` may be left out or null.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from randommask.errors import InputError

DIGEST_LENGTHS = {"md5": 32, "sha256": 64}


@dataclass(frozen=True)
class RemoteFile:
    """A published file: its name here, its mirrors, and how to know it."""

    name: str
    urls: tuple[str, ...]
    digests: dict[str, str]
    """Hex digest by algorithm: md5, sha256 or both."""
    bytes: int | None

    def part(self, output: Path) -> Path:
        """Where the transfer runs: beside `output`, and another for other bytes."""
        digest = next(iter(self.digests.values()))
        return output.with_name(f".{output.name}.{self.name}.{digest[:12]}.part")

    def hashers(self) -> dict[str, Any]:
        """Fresh hash objects by algorithm."""
        return {name: hashlib.new(name, usedforsecurity=False) for name in self.digests}

    def mismatch(self, hashers: dict[str, Any]) -> str | None:
        """Say which checksum is wrong, with both sums; None where all are right."""
        for name, expected in self.digests.items():
            if (found := hashers[name].hexdigest()) != expected:
                return f"{name} is {found}, expected {expected}"
        return None


@dataclass(frozen=True)
class Source:
    """A checked spec: either a path, or files to fetch."""

    path: Path | None = None
    files: tuple[RemoteFile, ...] = ()
    unpack: bool = False
    """Are the files zip archives, of which the members are wanted?"""


def parse(name: str, spec: Any) -> Source:
    """Check the spec of the source called `name`; raise `InputError` naming the key."""
    where = f"source {name}"
    if not isinstance(spec, dict):
        raise InputError(f"{where}: found {spec!r}, expected an object")
    kinds = [kind for kind in ("path", "files", "hub") if kind in spec]
    if len(kinds) != 1:
        raise InputError(
            f"{where}: found {', '.join(kinds) or 'none'} of path, files and hub, "
            "expected exactly one"
        )
    if kinds == ["hub"]:
        raise InputError(
            f"{where}: released encoder weights are not supported yet, "
            "expected path or files"
        )
    if kinds == ["path"]:
        _known_keys(where, spec, {"path"})
        if not isinstance(spec["path"], str) or not spec["path"]:
            raise InputError(
                f"{where}: path is {spec['path']!r}, expected a file or a folder"
            )
        return Source(path=Path(spec["path"]))
    _known_keys(where, spec, {"files", "unpack"})
    if spec.get("unpack") not in (None, "zip"):
        raise InputError(f"{where}: unpack is {spec['unpack']!r}, expected 'zip'")
    if not isinstance(spec["files"], list) or not spec["files"]:
        raise InputError(f"{where}: files is {spec['files']!r}, expected a list")
    remote = tuple(_parse_file(where, entry) for entry in spec["files"])
    if len({file.name for file in remote}) < len(remote):
        raise InputError(f"{where}: two files have the same name")
    return Source(files=remote, unpack=spec.get("unpack") == "zip")


def _parse_file(where: str, entry: Any) -> RemoteFile:
    """Check one entry of `files`."""
    if not isinstance(entry, dict):
        raise InputError(f"{where}: an entry of files is {entry!r}, expected an object")
    _known_keys(where, entry, {"name", "urls", "bytes", *DIGEST_LENGTHS})
    name, urls, size = entry.get("name"), entry.get("urls"), entry.get("bytes")
    if not isinstance(name, str) or not re.fullmatch(r"[\w+-][\w.+-]*", name):
        raise InputError(f"{where}: name is {name!r}, expected a file name")
    where = f"{where}: {name}"
    if (
        not isinstance(urls, list)
        or not urls
        or not all(isinstance(url, str) and re.match("https?://", url) for url in urls)
    ):
        raise InputError(f"{where}: urls is {urls!r}, expected a list of http(s) urls")
    if size is not None and (type(size) is not int or size < 1):
        raise InputError(f"{where}: bytes is {size!r}, expected a whole number or null")
    digests = {a: entry[a] for a in DIGEST_LENGTHS if entry.get(a) is not None}
    if not digests:
        raise InputError(f"{where}: found no checksum, expected md5 or sha256")
    for algorithm, digest in digests.items():
        length = DIGEST_LENGTHS[algorithm]
        if not re.fullmatch(f"[0-9a-f]{{{length}}}", str(digest)):
            raise InputError(
                f"{where}: {algorithm} is {digest!r}, expected {length} hex digits"
            )
    mirrors = tuple(url.replace("{name}", name) for url in urls)
    return RemoteFile(name, mirrors, digests, size)


def _known_keys(where: str, found: dict[str, Any], known: set[str]) -> None:
    for key in found:
        if key not in known:
            raise InputError(
                f"{where}: unknown key {key!r}, expected {', '.join(sorted(known))}"
            )

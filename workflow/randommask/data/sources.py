"""What a source of data may be: the spec of a download, read and checked.

`{"path": "data/hg38.fa.gz"}` is a file or a folder that is already here.

`{"files": [{"name": "hg38.fa.gz", "urls": ["https://...", ...], "md5": "...",
"sha256": "...", "bytes": 983659424}, ...], "unpack": "zip"}` are published files: the
urls are mirrors in the order to try, and `{name}` in one stands for the file's name.
Checksums, `bytes` and `unpack` may be left out or null.

`{"hub": {"repository": "owner/name", "revision": "...", "rename": {"GUE/emp_":
"EMP/"}}}` is a data set on the Hugging Face hub: of each file whose path starts as a
key of `rename` says, that start is replaced; other files are not fetched.

Either of these two may say `"otherwise": [...]`: sources to try in turn where it fails.

`{"encoder": {"repository": "owner/name", "revision": "...", "files": [{"name":
"config.json", "sha256": "...", "bytes": 674}]}}` are released weights on that hub;
`files` holds what is known of some of them. `{"encoder": {"path": ...}}` is a copy.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from randommask.data import archive
from randommask.errors import InputError

DIGEST_LENGTHS = {"md5": 32, "sha256": 64}
KINDS = ("path", "files", "hub", "encoder")


class RefusedError(Exception):
    """Raised where a place has not what is wanted: go to the next."""


@dataclass(frozen=True)
class RemoteFile:
    """A file to fetch: its name, the places it may come from, and how to know it."""

    name: str
    """Path below the folder that is made."""
    urls: tuple[str, ...]
    """Addresses, or paths of copies on this machine, in the order to try."""
    digests: Mapping[str, str]
    """Hex digest by algorithm (md5, sha256) that the bytes must have."""
    bytes: int | None
    is_pinned: bool
    """Do the digests stand in the config?"""
    is_archive: bool = False
    """Is it a zip archive, of which the members are wanted?"""
    is_fixed: bool = False
    """Do the urls name a commit, so that they give the same bytes for ever?"""
    origin: str | None = None
    """What to record as the place it came from; None for the url."""
    expected_by: str = ""
    """Who says what the digest is, where it is not the config."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """For the requests of this file."""

    def part(self, output: Path) -> Path:
        """Where the transfer runs: in a folder of `output`'s parts, by what is due."""
        key = hashlib.sha256("\n".join(self.urls).encode()).hexdigest()
        if self.is_pinned:
            key = next(iter(self.digests.values()))
        return parts(output) / f"{self.name.replace('/', '__')}.{key[:12]}"

    def needs(self, total: int, here: int) -> int:
        """Bytes of disk still to come, unpacked ones included, of which `here` are."""
        room = archive.USUAL_EXPANSION * total if self.is_archive else 0
        return max(total - here, 0) + room

    def mirrored(self, folders: list[str]) -> "RemoteFile":
        """The same file, to be looked for in these folders first."""
        places = tuple(f"{folder}/{self.name}" for folder in folders)
        return replace(self, urls=(*places, *self.urls))

    def hashers(self) -> dict[str, Any]:
        """Fresh hash objects by algorithm; sha256 always."""
        algorithms = {"sha256", *self.digests}
        return {name: hashlib.new(name, usedforsecurity=False) for name in algorithms}

    def mismatch(self, hashers: dict[str, Any]) -> str | None:
        """Say which checksum is wrong, with both sums; None where all are right."""
        for name, expected in self.digests.items():
            if (found := hashers[name].hexdigest()) != expected:
                by = f" ({self.expected_by})" if self.expected_by else ""
                return f"{name} is {found}, expected {expected}{by}"
        return None

    def is_whole(self, size: int, hashers: dict[str, Any]) -> bool:
        """Whether `size` bytes with these sums are all of the file."""
        if not self.digests and not (self.is_fixed and size == self.bytes):
            return False
        return self.mismatch(hashers) is None


@dataclass(frozen=True)
class Repository:
    """A repository on the Hugging Face hub, and which of its files are wanted."""

    kind: str
    """model or dataset."""
    repository: str
    revision: str
    rename: Mapping[str, str] = field(default_factory=dict)
    """Of a data set: the starts of the paths wanted, and what stands for them here."""
    known: Mapping[str, RemoteFile] = field(default_factory=dict)
    """Of a model: what is known of its files, by name."""

    def __str__(self) -> str:
        return f"{self.repository}@{self.revision}"


@dataclass(frozen=True)
class Source:
    """A checked spec: a path, files to fetch, or a repository that lists them."""

    path: Path | None = None
    files: tuple[RemoteFile, ...] = ()
    repository: Repository | None = None
    otherwise: tuple["Source", ...] = ()


def parse(name: str, spec: Any) -> Source:
    """Check the spec of the source called `name`; raise `InputError` naming the key."""
    where = f"source {name}"
    _mapping(where, spec)
    kinds = [kind for kind in KINDS if kind in spec]
    if len(kinds) != 1:
        raise InputError(
            f"{where}: found {', '.join(kinds) or 'none'} of {', '.join(KINDS)}, "
            "expected exactly one"
        )
    if kinds == ["path"]:
        _known_keys(where, spec, {"path"})
        return Source(path=_path(where, spec["path"]))
    if kinds == ["encoder"]:
        _known_keys(where, spec, {"encoder"})
        return _parse_encoder(where, spec["encoder"])
    others = spec.get("otherwise", [])
    if not isinstance(others, list):
        raise InputError(f"{where}: otherwise is {others!r}, expected a list")
    otherwise = tuple(parse(f"{name}: otherwise", other) for other in others)
    if any(other.otherwise or other.path for other in otherwise):
        raise InputError(f"{where}: otherwise holds files or hub alone")
    if kinds == ["hub"]:
        _known_keys(where, spec, {"hub", "otherwise"})
        repository = _parse_dataset(where, spec["hub"])
        return Source(repository=repository, otherwise=otherwise)
    _known_keys(where, spec, {"files", "unpack", "otherwise"})
    if spec.get("unpack") not in (None, "zip"):
        raise InputError(f"{where}: unpack is {spec['unpack']!r}, expected 'zip'")
    files = tuple(
        replace(_parse_file(where, entry), is_archive=spec.get("unpack") == "zip")
        for entry in _list(where, spec["files"])
    )
    if len({file.name for file in files}) < len(files):
        raise InputError(f"{where}: two files have the same name")
    return Source(files=files, otherwise=otherwise)


def parts(output: Path) -> Path:
    """The folder of all transfers for `output`, beside it."""
    return output.with_name(f".{output.name}.parts")


def _parse_encoder(where: str, entry: Any) -> Source:
    """Check released weights: a path, or a repository with what is known of it."""
    _mapping(where, entry)
    if "path" in entry:
        _known_keys(where, entry, {"path"})
        return Source(path=_path(where, entry["path"]))
    _known_keys(where, entry, {"repository", "revision", "files"})
    known = [
        _parse_file(where, pin, has_urls=False) for pin in entry.get("files") or []
    ]
    return Source(
        repository=Repository(
            kind="model",
            repository=_text(where, entry, "repository", "[^/]+/[^/]+"),
            revision=_text(where, entry, "revision", ".+"),
            known={file.name: file for file in known},
        )
    )


def _parse_dataset(where: str, entry: Any) -> Repository:
    """Check a data set's repository."""
    _known_keys(where, _mapping(where, entry), {"repository", "revision", "rename"})
    rename = entry.get("rename")
    if (
        not isinstance(rename, dict)
        or not rename
        or not all(isinstance(start, str) for start in rename.values())
    ):
        raise InputError(f"{where}: rename is {rename!r}, expected starts of paths")
    return Repository(
        kind="dataset",
        repository=_text(where, entry, "repository", "[^/]+/[^/]+"),
        revision=_text(where, entry, "revision", ".+"),
        rename=rename,
    )


def _parse_file(where: str, entry: Any, has_urls: bool = True) -> RemoteFile:
    """Check one entry of `files`; those of a repository have no urls."""
    if not isinstance(entry, dict):
        raise InputError(f"{where}: an entry of files is {entry!r}, expected an object")
    keys = {"name", "urls", "bytes", *DIGEST_LENGTHS}
    _known_keys(where, entry, keys if has_urls else keys - {"urls"})
    name, urls, size = entry.get("name"), entry.get("urls", []), entry.get("bytes")
    if not isinstance(name, str) or not re.fullmatch(r"[\w+-][\w.+-]*", name):
        raise InputError(f"{where}: name is {name!r}, expected a file name")
    where = f"{where}: {name}"
    if has_urls and (
        not isinstance(urls, list)
        or not urls
        or not all(isinstance(url, str) and re.match("https?://", url) for url in urls)
    ):
        raise InputError(f"{where}: urls is {urls!r}, expected a list of http(s) urls")
    if size is not None and (type(size) is not int or size < 1):
        raise InputError(f"{where}: bytes is {size!r}, expected a whole number or null")
    digests = {a: entry[a] for a in DIGEST_LENGTHS if entry.get(a) is not None}
    for algorithm, digest in digests.items():
        length = DIGEST_LENGTHS[algorithm]
        if not re.fullmatch(f"[0-9a-f]{{{length}}}", str(digest)):
            raise InputError(
                f"{where}: {algorithm} is {digest!r}, expected {length} hex digits"
            )
    mirrors = tuple(url.replace("{name}", name) for url in urls)
    return RemoteFile(name, mirrors, digests, size, is_pinned=bool(digests))


def _mapping(where: str, found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise InputError(f"{where}: found {found!r}, expected an object")
    return found


def _list(where: str, found: Any) -> list[Any]:
    if not isinstance(found, list) or not found:
        raise InputError(f"{where}: files is {found!r}, expected a list")
    return found


def _path(where: str, found: Any) -> Path:
    if not isinstance(found, str) or not found:
        raise InputError(f"{where}: path is {found!r}, expected a file or a folder")
    return Path(found)


def _text(where: str, entry: dict[str, Any], key: str, pattern: str) -> str:
    found = entry.get(key)
    if not isinstance(found, str) or not re.fullmatch(pattern, found):
        raise InputError(f"{where}: {key} is {found!r}, expected text like {pattern}")
    return found


def _known_keys(where: str, found: dict[str, Any], known: set[str]) -> None:
    for key in found:
        if key not in known:
            raise InputError(
                f"{where}: unknown key {key!r}, expected {', '.join(sorted(known))}"
            )

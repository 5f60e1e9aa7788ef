"""What a source of data may be: the spec of a download as what is to be fetched.

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
With `"plain": true` beside `encoder` one that needs code of its own is refused.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from randommask.data import archive
from randommask.experiment.form import Section, read
from randommask.experiment.hparams import Download, PublishedEncoder
from randommask.experiment.sections import Hub, LocalCopy, Weights


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
        """Where the transfer runs, in the folder of `parts`: by what is expected."""
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
        copies = tuple(f"{folder}/{self.name}" for folder in folders)
        return replace(self, urls=(*copies, *self.urls))

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
    is_plain: bool = False
    """Has an encoder to do without code of its own?"""


def parse(name: str, spec: Any) -> Source:
    """Check the spec of the source called `name`; raise `InputError` naming the key."""
    return _source(read(Download, spec, f"source {name}").root)


def _source(found: Section) -> Source:
    if isinstance(found, PublishedEncoder):
        return replace(_source(found.encoder), is_plain=found.plain)
    if isinstance(found, LocalCopy):
        return Source(path=Path(found.path))
    if isinstance(found, Weights):
        known = {pin.name: _remote_file(pin) for pin in found.files}
        repository = Repository("model", found.repository, found.revision, known=known)
        return Source(repository=repository)
    otherwise = tuple(map(_source, getattr(found, "otherwise", ())))
    if isinstance(found, Hub):
        hub = found.hub
        repository = Repository("dataset", hub.repository, hub.revision, hub.rename)
        return Source(repository=repository, otherwise=otherwise)
    files = tuple(
        replace(_remote_file(file, file.urls), is_archive=found.unpack == "zip")
        for file in found.files
    )
    return Source(files=files, otherwise=otherwise)


def _remote_file(pin: Section, urls: Sequence[str] = ()) -> RemoteFile:
    """What the config says of a file; `urls` are its mirrors."""
    known = {name: getattr(pin, name, None) for name in ("md5", "sha256")}
    digests = {name: digest for name, digest in known.items() if digest is not None}
    urls = tuple(url.replace("{name}", pin.name) for url in urls)
    return RemoteFile(pin.name, urls, digests, pin.bytes, is_pinned=bool(digests))


def parts(output: Path) -> Path:
    """The folder of all transfers for `output`, beside it."""
    return output.with_name(f".{output.name}.parts")

"""Bring one file here, whole and right, from the first place that has it.

A transfer runs into a part file, so that a broken one goes on where it stopped (HTTP
Range), now or with the next call; checksums are taken in the same pass. What may pass
by itself (a cut line, a silent or busy server) is tried again, and a server that says
when (Retry-After) is listened to, within bounds. What cannot pass (404, wrong bytes, a
server that trickles) leads to the next place. A file without a checksum has to be what
its name says, and whole (`data.formats`). Proxies are those of the usual environment
variables.
"""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from randommask.data import archive, formats, server
from randommask.data.progress import progress
from randommask.data.server import InterruptedTransferError
from randommask.data.sources import RefusedError, RemoteFile
from randommask.errors import InputError, shown

TRIES = 3
"""Tries of each place; only what may pass by itself is tried again."""
PAUSE_SECONDS = 2.0
"""Wait before the second try; twice as long before the third."""
MAX_PAUSE_SECONDS = 120.0
"""The longest wait that a server can ask for."""
TIMEOUT_SECONDS = 60.0
"""The longest silence of a server, and how long one may be too slow."""
MAX_UNTOLD_BYTES = 4 << 30
"""The most to take where neither the config nor the server says how many will come."""
CHUNK_BYTES = 1 << 20
MESSAGES = ("text/html", "text/", "application/json", "application/xml")
"""What servers call an answer to people; the first is never a file of data."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Fetched:
    """A file that is here: its size, its sum and where it came from."""

    bytes: int
    sha256: str
    origin: str


@dataclass(frozen=True)
class Answer:
    """The bytes of a file from `start` on, as a place gives them."""

    start: int
    total: int | None
    """Length of the whole file in bytes, where the place tells."""
    chunks: Iterator[bytes]
    kind: str
    """What the place calls its content."""
    version: str | None = None
    """What the place calls these very bytes (ETag, Last-Modified)."""
    tells_its_end: bool = True
    """Would a line that is cut be noticed?"""


def open_client() -> httpx2.Client:
    """A client for all transfers of a command."""
    # A server that packs on the way would change the bytes that the checksum is of.
    headers = {"Accept-Encoding": "identity", "User-Agent": "randommask"}
    return httpx2.Client(
        headers=headers,
        timeout=TIMEOUT_SECONDS,
        follow_redirects=True,
        event_hooks={"response": [server.stay_secure]},
        limits=httpx2.Limits(max_keepalive_connections=0),  # each is watched anew
    )


def persist(
    what: str, call: Callable[[], Result], size: Callable[[], int] = lambda: 0
) -> Result:
    """Call until it succeeds, or fails `TRIES` times while `size` does not grow.

    `what` is for messages. Raises `RefusedError` where it does not succeed.
    """
    attempt, reached = 0, size()
    while attempt < TRIES:
        attempt += 1
        wait = PAUSE_SECONDS * 2 ** (attempt - 1)
        try:
            return call()
        except InterruptedTransferError as error:
            failure = str(error)
            if error.wait is not None:
                wait = min(max(error.wait, wait), MAX_PAUSE_SECONDS)
        except httpx2.InvalidURL:  # which quotes parts of it
            raise RefusedError("no valid url") from None
        except httpx2.HTTPError as error:
            failure = str(error) or type(error).__name__
        if size() > reached:  # a line that is cut now and then gets there
            attempt, reached = 0, size()
        if attempt < TRIES:
            _say(f"{what}: {failure}; again in {wait:.0f} s")
            time.sleep(wait)
    raise RefusedError(failure)


def fetch(client: httpx2.Client, file: RemoteFile, part: Path) -> Fetched:
    """Bring the whole file to `part`, from the first place that has it.

    Raises `RefusedError` with what each place answered where none has, `InputError`
    where it cannot be written.
    """
    failures = []
    for url in file.urls:
        what = f"{file.name}: {url}"
        try:
            return persist(
                what,
                lambda url=url: _fetch_once(client, file, part, url),
                lambda: part.stat().st_size if part.is_file() else 0,
            )
        except RefusedError as error:
            _say(f"{what}: {error}")
            failures.append(f"{url}: {error}")
        except OSError as error:
            kept = part.stat().st_size if part.is_file() else 0
            problem = error.strerror or error
            raise InputError(
                f"{part}: {problem} ({kept} bytes are kept; the same command goes on)"
            ) from None
    raise RefusedError(f"{file.name}: no mirror gave it: {'; '.join(failures)}")


def _fetch_once(
    client: httpx2.Client, file: RemoteFile, part: Path, url: str
) -> Fetched:
    """Ask `url` for what `part` lacks, and check the whole.

    Raises `RefusedError` or `InterruptedTransferError`; `part` is kept only where it
    can be gone on with.
    """
    hashers = file.hashers()
    version = None
    if not file.digests and not file.is_fixed:
        version = _version(part, url)
        if version is None:
            _drop(part)  # the rest might be of another version
    start = _hash_existing(part, hashers)
    if start and file.is_whole(start, hashers):
        if file.digests or not formats.problem(part, file.name):
            return _fetched(file, url, start, hashers)
        _drop(part)
        start, hashers = 0, file.hashers()
    with _ask(client, file, url, start, version) as answer:
        if answer.start != start:
            _drop(part)
            if answer.start != 0:
                raise InterruptedTransferError("sent other bytes than asked for")
            start, hashers = 0, file.hashers()
        if answer.total is not None and file.bytes not in (None, answer.total):
            raise RefusedError(f"announces {answer.total} bytes, expected {file.bytes}")
        is_bounded = file.digests or file.bytes or formats.tells_its_end(file.name)
        if not is_bounded and not answer.tells_its_end:
            raise RefusedError(
                "does not say how many bytes will come: give bytes or sha256"
            )
        if answer.start == 0 and answer.version:
            _version_of(part).write_text(f"{url}\n{answer.version}", encoding="utf-8")
        done = _receive(file, part, answer, hashers)
    expected = answer.total if file.bytes is None else file.bytes
    if expected is not None and done < expected:
        raise InterruptedTransferError(f"ended after {done} of {expected} bytes")
    if not file.digests and (wrong := _unlike(file, part, answer)):
        _drop(part)
        raise RefusedError(f"{wrong} ({done} bytes of {answer.kind}; deleted)")
    if wrong := file.mismatch(hashers):
        _drop(part)
        message = f"{wrong} ({done} bytes of {answer.kind}; deleted)"
        # The first bytes may have come from elsewhere: only a whole transfer judges.
        raise (InterruptedTransferError if start else RefusedError)(message)
    return _fetched(file, url, done, hashers)


def _fetched(file: RemoteFile, url: str, size: int, hashers: dict[str, Any]) -> Fetched:
    sha256 = hashers["sha256"].hexdigest()
    return Fetched(size, sha256, file.origin or shown(url))


def _say(line: str) -> None:
    print(shown(line), file=sys.stderr, flush=True)


def _unlike(file: RemoteFile, part: Path, answer: Answer) -> str | None:
    """Why these bytes cannot be the file, of which no checksum is known."""
    name = file.name.lower()
    wrong = MESSAGES if name.endswith(".bin") else MESSAGES[:1]
    if answer.kind.startswith(wrong) and not name.endswith(formats.KNOWN):
        return "a page or a message, expected a file"
    return formats.problem(part, file.name)


def _version_of(part: Path) -> Path:
    """Where is noted which address, and which version of it, a part comes from."""
    return part.with_name(f"{part.name}.version")


def _version(part: Path, url: str) -> str | None:
    """The version that the part of a file without a checksum is of, at this address."""
    if part.is_file() and _version_of(part).is_file():
        address, _, version = _version_of(part).read_text("utf-8").partition("\n")
        return version if address == url else None
    return None


def _drop(part: Path) -> None:
    """Delete a part that cannot be gone on with."""
    part.unlink(missing_ok=True)
    _version_of(part).unlink(missing_ok=True)


def _hash_existing(part: Path, hashers: dict[str, Any]) -> int:
    """Feed what `part` holds to the hashers; return how many bytes that is."""
    if not part.exists():
        return 0
    with open(part, "rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            for hasher in hashers.values():
                hasher.update(chunk)
    return part.stat().st_size


def _receive(
    file: RemoteFile, part: Path, answer: Answer, hashers: dict[str, Any]
) -> int:
    """Write and hash what comes; return how many bytes the part then has."""
    total = answer.total or file.bytes
    if total is not None:
        archive.ask_for_space(part.parent, file.needs(total, answer.start))
    most = total or MAX_UNTOLD_BYTES
    if file.bytes is not None:
        most = file.bytes
    done = answer.start
    with (
        open(part, "ab" if done else "wb") as sink,
        progress(file.name, done, total) as report,
    ):
        for chunk in answer.chunks:
            sink.write(chunk)
            sink.flush()  # who is killed goes on from the last byte
            for hasher in hashers.values():
                hasher.update(chunk)
            done += len(chunk)
            report(len(chunk))
            if done > most:
                break
    if done > most:
        _drop(part)
        untold = "" if total else ", and tells no number: give bytes in the config"
        raise RefusedError(f"sends more than the expected {most} bytes{untold}")
    return done


@contextmanager
def _ask(
    client: httpx2.Client, file: RemoteFile, url: str, start: int, version: str | None
) -> Iterator[Answer]:
    """Open a file at a byte; the answer says where it really starts.

    With a `version` the byte is asked for of that one alone.
    """
    if not re.match("https?://", url):
        with _open_copy(Path(url)) as copy:
            size = copy.seek(0, 2)
            start = copy.seek(start if start < size else 0)
            yield Answer(start, size, _read(copy), "a copy here")
        return
    headers = dict(file.headers)
    if start:
        headers["Range"] = f"bytes={start}-"
        headers |= {"If-Range": version} if version else {}
    with server.watched(client, url, headers) as (response, chunks):
        if response.status_code == 416 and start:
            yield Answer(-1, None, iter(()), "nothing")
            return
        server.check_status(response)
        server.check_unpacked(response, file.name)
        first, total = 0, None
        if response.status_code == 206:
            if not start:
                raise RefusedError("sends a part, which nobody asked for")
            first, total = server.content_range(response)
        told = response.headers
        length = told.get("content-length", "")
        if total is None and length.isdigit():
            total = first + int(length)
        etag = told.get("etag", "W/")
        yield Answer(
            start=first,
            total=total,
            chunks=chunks,
            kind=re.sub("[^ -~]", "?", told.get("content-type", "no content type")),
            version=told.get("last-modified") if etag.startswith("W/") else etag,
            tells_its_end=total is not None or "transfer-encoding" in told,
        )


def _open_copy(path: Path) -> Any:
    """Open a copy on this machine; it may well be missing."""
    try:
        return open(path, "rb")
    except OSError as error:
        raise RefusedError(error.strerror or str(error)) from None


def _read(copy: Any) -> Iterator[bytes]:
    """The rest of an open file, in pieces."""
    try:
        while chunk := copy.read(CHUNK_BYTES):
            yield chunk
    except OSError as error:
        raise InterruptedTransferError(error.strerror or str(error)) from None

"""Bring one file here, whole and right, from the first place that has it.

A transfer runs into a part file, so that a broken one goes on where it stopped (HTTP
Range), now or with the next call; checksums are taken in the same pass. What may pass
by itself (a cut line, a silent or busy server) is tried again, and a server that says
when (Retry-After) is listened to, within bounds. What cannot pass (404, wrong bytes)
leads to the next place. Proxies are those of the usual environment variables.
"""

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from randommask.data import archive
from randommask.data.sources import RefusedError, RemoteFile
from randommask.errors import InputError

TRIES = 3
"""Tries of each place; only what may pass by itself is tried again."""
PAUSE_SECONDS = 2.0
"""Wait before the second try; twice as long before the third."""
MAX_PAUSE_SECONDS = 120.0
"""The longest wait that a server can ask for."""
TIMEOUT_SECONDS = 60.0
"""The longest silence of a server."""
REPORT_SECONDS = 10.0
"""Between two lines of progress where stderr is no terminal."""
CHUNK_BYTES = 1 << 20

Result = TypeVar("Result")


class InterruptedTransferError(Exception):
    """Raised where a transfer broke: the same place may well give the rest."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait
        """Seconds that the server asks for."""


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


def open_client() -> httpx2.Client:
    """A client for all transfers of a command."""
    # A server that packs on the way would change the bytes that the checksum is of.
    headers = {"Accept-Encoding": "identity", "User-Agent": "randommask"}
    return httpx2.Client(
        headers=headers, timeout=TIMEOUT_SECONDS, follow_redirects=True
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
        except httpx2.InvalidURL as error:
            raise RefusedError(f"no url ({error})") from None
        except httpx2.HTTPError as error:
            failure = str(error) or type(error).__name__
        if size() > reached:  # a line that is cut now and then gets there
            attempt, reached = 0, size()
        if attempt < TRIES:
            print(f"{what}: {failure}; again in {wait:.0f} s", file=sys.stderr)
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
            print(f"{what}: {error}", file=sys.stderr)
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
    if not file.digests and not file.is_fixed:
        part.unlink(missing_ok=True)  # the rest might be of another version
    start = _hash_existing(part, hashers)
    if start and file.is_whole(start, hashers):
        return _fetched(file, url, start, hashers)
    with _ask(client, file, url, start) as answer:
        if answer.start != start:
            part.unlink(missing_ok=True)
            if answer.start != 0:
                raise InterruptedTransferError("sent other bytes than asked for")
            start, hashers = 0, file.hashers()
        if answer.total is not None and file.bytes not in (None, answer.total):
            raise RefusedError(f"announces {answer.total} bytes, expected {file.bytes}")
        done = _receive(file, part, answer, hashers)
    if file.bytes is not None and done < file.bytes:
        raise InterruptedTransferError(f"ended after {done} of {file.bytes} bytes")
    if wrong := file.mismatch(hashers):
        part.unlink()
        message = f"{wrong} ({done} bytes of {answer.kind}; deleted)"
        # The first bytes may have come from elsewhere: only a whole transfer judges.
        raise (InterruptedTransferError if start else RefusedError)(message)
    return _fetched(file, url, done, hashers)


def _fetched(file: RemoteFile, url: str, size: int, hashers: dict[str, Any]) -> Fetched:
    return Fetched(size, hashers["sha256"].hexdigest(), file.origin or url)


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
    done = answer.start
    with (
        open(part, "ab" if done else "wb") as sink,
        progress(file.name, done, total) as report,
    ):
        for chunk in answer.chunks:
            sink.write(chunk)
            for hasher in hashers.values():
                hasher.update(chunk)
            done += len(chunk)
            report(len(chunk))
            if file.bytes is not None and done > file.bytes:
                break
    if file.bytes is not None and done > file.bytes:
        part.unlink()
        raise RefusedError(f"sends more than the expected {file.bytes} bytes")
    return done


@contextmanager
def _ask(
    client: httpx2.Client, file: RemoteFile, url: str, start: int
) -> Iterator[Answer]:
    """Open a file at a byte; the answer says where it really starts."""
    if not re.match("https?://", url):
        with _open_copy(Path(url)) as copy:
            size = copy.seek(0, 2)
            start = copy.seek(start if start < size else 0)
            yield Answer(start, size, _read(copy), "a copy here")
        return
    headers = dict(file.headers)
    if start:
        headers["Range"] = f"bytes={start}-"
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == 416 and start:
            yield Answer(-1, None, iter(()), "nothing")
            return
        check_status(response)
        first = _first_byte(response) if response.status_code == 206 else 0
        length = response.headers.get("content-length", "")
        yield Answer(
            start=first,
            total=first + int(length) if length.isdigit() else None,
            chunks=response.iter_raw(CHUNK_BYTES),
            kind=response.headers.get("content-type", "no content type"),
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


def check_status(response: httpx2.Response) -> None:
    """Tell an answer that holds the file from a passing and from a lasting failure."""
    code = response.status_code
    if code in (408, 425, 429) or code >= 500:
        raise InterruptedTransferError(f"HTTP {code}", wait=retry_after(response))
    if code not in (200, 206):
        raise RefusedError(f"HTTP {code}")


def retry_after(response: httpx2.Response) -> float | None:
    """Seconds that a server asks to wait: a number, or until a date; None for neither.

    RFC 9110, section 10.2.3.
    """
    value = response.headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    try:
        date = parsedate_to_datetime(value)
    except ValueError:
        return None
    return (date.astimezone(UTC) - datetime.now(UTC)).total_seconds()


def _first_byte(response: httpx2.Response) -> int:
    """Read where a partial answer starts; -1 where it does not say."""
    match = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
    return int(match[1]) if match else -1


@contextmanager
def progress(name: str, start: int, total: int | None) -> Iterator[Any]:
    """Yield a function to tell of more bytes: a bar on a terminal, else some lines."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(
            desc=name, initial=start, total=total, unit="B", unit_scale=True
        ) as bar:
            yield bar.update
        return
    done, began = start, time.monotonic()
    last = began

    def report(count: int) -> None:
        nonlocal done, last
        done += count
        now = time.monotonic()
        if now - last >= REPORT_SECONDS:
            last = now
            line = _line(name, done, total)
            if total:
                seconds = (total - done) * (now - began) / (done - start)
                line += f", {timedelta(seconds=round(seconds))} left"
            print(line, file=sys.stderr, flush=True)

    yield report
    print(_line(name, done, total), file=sys.stderr, flush=True)


def _line(name: str, done: int, total: int | None) -> str:
    of = f" of {total / 1e6:.1f}" if total else ""
    return f"{name}: {done / 1e6:.1f}{of} MB"

"""What is asked of a server, and what its answer is held to.

An answer is watched (`data.watch`), nobody is led from https to http, and what passes
by itself, so that the same place may be asked again, is told from what does not.
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import httpx2

from randommask.data import formats
from randommask.data.sources import RefusedError
from randommask.data.watch import Watch

Result = TypeVar("Result")


class InterruptedTransferError(Exception):
    """Raised where a transfer broke: the same place may well give the rest."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait
        """Seconds that the server asks for."""


def stay_secure(response: httpx2.Response) -> None:
    """Refuse to be led from https to where anybody on the way can write."""
    if response.has_redirect_location and response.url.scheme == "https":
        target = response.url.join(response.headers["location"])
        if target.scheme != "https":
            raise RefusedError(f"leads from https to {target.scheme}://{target.host}")


@contextmanager
def watched(
    client: httpx2.Client, url: str, headers: Mapping[str, str] | None = None
) -> Iterator[tuple[httpx2.Response, Iterator[bytes]]]:
    """Ask for `url`; give its answer and the pieces of it, as they come.

    Raises `RefusedError` of a server that trickles, `InterruptedTransferError` of one
    that falls silent.
    """
    with Watch(client.timeout.read) as watch:

        def judge() -> None:
            if watch.verdict:
                if watch.is_trickle:
                    raise RefusedError(f"is too slow: {watch.verdict}")
                raise InterruptedTransferError(f"timed out: {watch.verdict}")

        def pieces(response: httpx2.Response) -> Iterator[bytes]:
            for piece in response.iter_raw():
                watch.count(len(piece))
                yield piece

        extensions = {"trace": watch.trace}
        request = client.stream("GET", url, headers=headers, extensions=extensions)
        try:
            with request as response:
                yield response, pieces(response)
        except httpx2.HTTPError:
            judge()
            raise
        judge()


def within(seconds: float, call: Callable[[], Result]) -> Result:
    """What `call` returns; `InterruptedTransferError` where it takes longer.

    It is not stopped then, but nobody waits for it.
    """
    done: list[Result] = []
    failed: list[BaseException] = []

    def act() -> None:
        try:
            done.append(call())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(seconds)
    if failed:
        raise failed[0]
    if not done:
        raise InterruptedTransferError(f"timed out: no whole answer in {seconds:g} s")
    return done[0]


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


def check_unpacked(response: httpx2.Response, name: str) -> None:
    """Refuse what was packed on the way, for the bytes are not the file's then.

    Some servers say so of a file that is gzip itself.
    """
    packed = response.headers.get("content-encoding", "identity").lower()
    is_gzip = packed in ("gzip", "x-gzip") and name.lower().endswith(formats.PACKED)
    if packed not in ("", "identity") and not is_gzip:
        raise RefusedError(f"is packed ({packed[:20]!r}), which nobody asked for")


def content_range(response: httpx2.Response) -> tuple[int, int | None]:
    """Where a partial answer starts, -1 where it does not say, and the whole length."""
    said = response.headers.get("content-range", "")
    match = re.match(r"bytes (\d+)-\d+/(\d+|\*)", said)
    if match is None:
        return -1, None
    return int(match[1]), int(match[2]) if match[2] != "*" else None

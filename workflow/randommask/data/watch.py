"""An end to what a server sends too slowly, be it the file, its head or nothing.

A timeout hears any byte as a sign of life: a server that sends one now and then would
hold a transfer for ever, while the next mirror has the file.
"""

import socket
import threading
import time
from contextlib import suppress
from typing import Any

MIN_RATE = 10_000
"""Bytes a second that a server has to send."""


class Watch:
    """Looks at one request every `seconds`, and closes its connection if too slow.

    What reads from it then fails, or ends early: ask `verdict` after either.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.verdict: str | None = None
        """Why the connection was closed."""
        self.is_trickle = False
        """Was something sent to the end, so that it would go on like that?"""
        self._connection: Any = None
        self._received, self._last = 0, 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def trace(self, event: str, info: dict[str, Any]) -> None:
        """Note the connection: what httpx calls an extension `trace`."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._connection = info["return_value"]

    def count(self, received: int) -> None:
        """Note that bytes of the file came."""
        self._received += received
        self._last = time.monotonic()

    def _look(self) -> None:
        before = 0
        while not self._ended.wait(self.seconds):
            came, before = self._received - before, self._received
            if came < MIN_RATE * self.seconds:
                late = time.monotonic() - self._last
                self.is_trickle = came > 0 and late < self.seconds / 2
                self.verdict = f"sent {came} bytes in {self.seconds:g} s"
                self._close()
                return

    def _close(self) -> None:
        with suppress(OSError, AttributeError):  # closed already, or not open yet
            self._connection.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

"""What may come over a training from outside: a signal, a log that takes no more.

Neither costs more than a step. A signal is waited for until a checkpoint is written,
and what cannot be said on a full disk is left unsaid.
"""

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HEEDED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""A scheduler's, Ctrl-C's, and that of a terminal which is closed."""


class Stop:
    """Whether somebody asked this process to stop, and by which signal."""

    def __init__(self) -> None:
        self.number: int | None = None

    @property
    def status(self) -> int:
        """Exit status of a process that stops; SIGTERM's if another was asked."""
        return 128 + (self.number or signal.SIGTERM)

    @contextmanager
    def heeding(self) -> Iterator[None]:
        """Let signals set `number` meanwhile, in place of ending all."""
        before = {number: signal.getsignal(number) for number in HEEDED}
        for number, action in before.items():
            if action is not signal.SIG_IGN:  # as in `nohup`
                signal.signal(number, self._heed)
        try:
            yield
        finally:
            for number, action in before.items():
                signal.signal(number, action)

    def _heed(self, number: int, _: object) -> None:
        if number == self.number == signal.SIGINT:  # who asks twice will not wait
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        self.number = number


class _Lossy(io.RawIOBase):
    """A file that takes what it can and drops the rest without a word."""

    def __init__(self, number: int) -> None:
        self.number = number

    def fileno(self) -> int:
        return self.number

    def isatty(self) -> bool:
        return os.isatty(self.number)

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        with suppress(OSError):
            os.write(self.number, data)
        return len(data)


@contextmanager
def unfailing_stderr() -> Iterator[None]:
    """Let no write to standard error fail meanwhile: the disk of a log may be full.

    Nothing is left in a buffer either, which Python would try to write when it ends,
    and fail.
    """
    before = sys.stderr
    try:
        number = before.fileno()
    except (AttributeError, ValueError):  # no file at all, as within a test
        yield
        return
    sys.stderr = io.TextIOWrapper(
        _Lossy(number), before.encoding, "backslashreplace", write_through=True
    )
    try:
        yield
    finally:
        sys.stderr = before

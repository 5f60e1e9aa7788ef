"""How far a transfer is: a bar on a terminal, else some lines."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

REPORT_SECONDS = 10.0
"""Between two lines where stderr is no terminal."""


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

"""How numbers are written: one look for each unit, wherever a number is told."""

import math
from collections.abc import Callable

UNITS: dict[str, Callable[[float], str]] = {
    "per cent": lambda value: f"{round(value, 2) + 0.0:.2f}",
    "points": lambda value: f"{round(value, 2):+.2f}" if round(value, 2) else "0.00",
    "p": lambda value: f"{value:.3f}" if value >= 0.001 else "< 0.001",
    "nats": lambda value: f"{round(value, 2) + 0.0:.2f}",
    "purity": lambda value: f"{round(value, 2) + 0.0:.2f}",
    "share": lambda value: f"{round(100 * value, 1) + 0.0:.1f} %",
    "count": lambda value: f"{value:,.0f}",
    "bytes": lambda value: amount(value, "B") or "0 B",
    "hours": lambda value: f"{value:,.1f}",
}
"""How a value of each unit is written, everywhere."""


def amount(value: float, unit: str) -> str:
    """A number with the prefix that leaves at most three digits before the point."""
    power = min(int(math.log10(value) // 3), 7) if value >= 1 else 0
    prefix = ("", "k", "M", "G", "T", "P", "E", "Z")[power]
    return f"{value / 1000**power:.3g} {prefix}{unit}" if value else ""


def clock(seconds: float) -> str:
    """Hours, minutes and seconds, and days before them where there are any.

    >>> clock(61.4), clock(90_000)
    ('0:01:01', '1 d 1:00:00')
    """
    minutes, rest = divmod(round(seconds), 60)
    days, hours = divmod(minutes // 60, 24)
    text = f"{hours}:{minutes % 60:02}:{rest:02}"
    return f"{days} d {text}" if days else text


def progress(done: int, of: int, seconds_a_step: float) -> str:
    """How far a training is.

    >>> progress(1000, 3000, 0.5)
    'step 1,000 of 3,000, 0:16:40 left'
    """
    left = clock((of - done) * seconds_a_step)
    return f"step {done:,} of {of:,}, {left} left"


def text(value: float | None, unit: str, otherwise: str = "") -> str:
    """A value as it is written.

    >>> text(0.0016, "share"), text(-3.004, "points"), text(None, "nats", "-")
    ('0.2 %', '-3.00', '-')
    """
    return otherwise if value is None else UNITS[unit](value)

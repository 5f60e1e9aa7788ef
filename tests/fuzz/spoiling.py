"""Inputs that were sound and are spoilt, and what a reader may do with them.

It may refuse one with an error of one line, or read what a plain reading of the same
bytes gives. Anything else, a traceback or another result, is a fault.
"""

import os

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from randommask.data.sources import RefusedError
from randommask.errors import InputError, reason

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "120"))
TRIES: dict[str, list[int]] = {}
"""By reader: how often it was tried, and how often it refused."""

# A longer run draws anew each time, and prints how to draw a failure again.
fuzz = settings(
    max_examples=EXAMPLES,
    derandomize="FUZZ_EXAMPLES" not in os.environ,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)


@st.composite
def spoilt(draw, sound: bytes, tokens: tuple[bytes, ...] = ()) -> bytes:
    """Some bytes with up to four edits: flips, cuts, repeats, and odd `tokens` in."""
    data = bytearray(sound)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        size = draw(st.integers(1, 12))
        kind = draw(st.sampled_from(("flip", "cut", "repeat", "token", "byte", "end")))
        if kind == "flip" and at < len(data):
            data[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del data[at : at + size]
        elif kind == "repeat":
            data[at:at] = data[max(0, at - size) : at]
        elif kind == "token" and tokens:
            data[at:at] = draw(st.sampled_from(tokens))
        elif kind == "byte":
            data[at:at] = bytes([draw(st.integers(0, 255))])
        elif kind == "end" and draw(st.booleans()):
            del data[at:]
    return bytes(data)


def read(reader: str, call):
    """What `call` gives; None where it refuses, in one line."""
    count = TRIES.setdefault(reader, [0, 0])
    count[0] += 1
    try:
        return call()
    except (InputError, OSError, RefusedError) as error:
        count[1] += 1
        known = isinstance(error, InputError | OSError)
        message = reason(error) if known else str(error)
        assert message and "\n" not in message
        assert len(message) < 1000
        return None

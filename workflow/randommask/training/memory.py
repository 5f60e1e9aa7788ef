"""Memory that is freed stays with the process, to be used again.

A step of training on a CPU allocates the same large tensors as the step before. glibc
gets each from the kernel and gives it back when it is freed, so that every step waits
for the kernel to clear thousands of pages: a third of a second in three for the
smallest encoders. mallopt(3) tells it to keep them. What a process holds at most
stays the same; it is only given back at its end.
"""

import ctypes
import sys

# Of glibc's malloc.h. A value above its limit is refused, and nothing is changed.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MOST_TRIMMED, MOST_MAPPED = 2**31 - 1, 2**30


def keep_freed() -> None:
    """Let this process, and those it forks, keep what they free, where glibc is."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if sys.platform != "linux" or mallopt is None:  # macOS, musl
        return
    mallopt(M_MMAP_THRESHOLD, MOST_MAPPED)
    mallopt(M_TRIM_THRESHOLD, MOST_TRIMMED)

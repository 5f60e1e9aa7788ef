"""Freed memory is used again and not asked of the kernel anew."""

import ctypes
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys, torch
from randommask.training import memory

if sys.argv[1] == "kept":
    memory.keep_freed()
for step in range(20):
    if step == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(2**24)  # 64 MiB, which glibc never keeps by itself
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.sweep
@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="not glibc"
)
def test_what_is_freed_is_kept():
    faults = {}
    for what in ("given back", "kept"):
        words = [sys.executable, "-c", PROGRAM, what]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        faults[what] = int(done.stdout)
    assert faults["kept"] < 1000 < 10 * 2**14 <= faults["given back"], faults

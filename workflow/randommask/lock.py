"""One process at a time, and the others say for whom they wait."""

import fcntl
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from randommask.errors import InputError


def holder() -> str:
    """What a lock file says of this process."""
    job = os.environ.get("SLURM_JOB_ID")
    name = f"process {os.getpid()} on {socket.gethostname()}"
    return name + (f", SLURM job {job}" if job else "")


@contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, waiting for another process that holds it.

    The file holds the name of its holder and is deleted in the end; a killed process
    holds nothing. Raises `InputError` where the disk knows no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        with open(path, "a+", encoding="utf-8") as file:
            try:
                _wait_for(path, file)
            except OSError as error:
                raise InputError(f"{path}: cannot be locked ({error})") from None
            # A holder deletes the file: what was waited for may be nameless by now.
            if not _is_still(path, file):
                continue
            file.truncate(0)
            file.write(holder())
            file.flush()
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _wait_for(path: Path, file) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "another process"
        print(f"{path}: waiting for {holder}", file=sys.stderr, flush=True)
        fcntl.flock(file, fcntl.LOCK_EX)


def _is_still(path: Path, file) -> bool:
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False

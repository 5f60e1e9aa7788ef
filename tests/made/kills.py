"""Processes that are killed at any operation on files."""

import builtins
import io
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import safetensors.torch
from safetensors.torch import save_file

from randommask.encoders import weights
from randommask.training import state

OPERATIONS = (
    *("rename", "replace", "link", "unlink", "remove", "rmdir", "mkdir", "fsync"),
    "utime",
)


class Kill:
    """Counts operations on files once `begin` was called; at the n-th the process dies.

    A kill comes before the operation. Of a file that safetensors writes, half is left.
    """

    def __init__(self, number: int) -> None:
        self.number, self.count, self.counts = number, 0, False

    def begin(self) -> None:
        self.counts = True

    def _is_now(self) -> bool:
        self.count += self.counts
        return self.counts and self.count == self.number

    def _before(self, name: str) -> Callable:
        real = getattr(os, name)

        def operate(*arguments, **options):
            if self._is_now():
                die()
            return real(*arguments, **options)

        return operate

    def _open(self, file, mode="r", *arguments, **options):
        if set(mode) & set("wax+") and self._is_now():
            die()
        return self.open(file, mode, *arguments, **options)

    def _os_open(self, path, flags, *arguments, **options):
        if flags & (os.O_WRONLY | os.O_RDWR) and self._is_now():
            die()
        return self.os_open(path, flags, *arguments, **options)

    def _save(self, tensors, path, **options):
        save_file(tensors, path, **options)
        if self._is_now():
            os.truncate(path, Path(path).stat().st_size // 2)
            die()

    def install(self) -> None:
        """In a process that is to die."""
        self.open, self.os_open = builtins.open, os.open
        for name in OPERATIONS:
            setattr(os, name, self._before(name))
        builtins.open = io.open = self._open
        os.open = self._os_open
        for module in (safetensors.torch, state, weights):
            module.save_file = self._save


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def in_child(work: Callable[[], None], said: Path | None = None) -> int:
    """The exit status of a process that does `work` and says on the way what it says.

    It shares what this process has imported, so that it starts at once. Minus the
    number where a signal ended it.
    """
    if (pid := os.fork()) == 0:
        status = 0
        try:
            if said is not None:
                sys.stderr = open(said, "w", buffering=1)  # noqa: SIM115
            work()
        except SystemExit as error:
            status = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
            status = 99
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def operations(work: Callable[[Kill], None], folder: Path) -> int:
    """How many operations on files there are after `work` called `begin`."""
    counted = folder / "operations"

    def count() -> None:
        kill = Kill(-1)
        kill.install()
        work(kill)
        kill.counts = False
        counted.write_text(str(kill.count))

    assert in_child(count) == 0
    return int(counted.read_text())


def killed(work: Callable[[Kill], None], number: int) -> int:
    """Do `work` in a process that dies at that operation; its exit status."""

    def run() -> None:
        kill = Kill(number)
        kill.install()
        work(kill)

    return in_child(run)


def contents(folder):
    """All files below a folder, but for states and what no two runs share."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if ".state" in path.relative_to(folder).parts:
            continue
        if path.is_file() and path.name != "speed.csv":
            found[str(path.relative_to(folder))] = path.read_bytes()
        if path.name == "metrics.json":
            report = json.loads(path.read_text())
            del report["seconds"], report["cores"], report["peak_memory_bytes"]
            found[str(path.relative_to(folder))] = report
    return found


def begin_at(kill, holder, name):
    """Count operations from the call of `holder.name` on."""
    real = getattr(holder, name)

    def begin(*arguments, **options):
        kill.begin()
        return real(*arguments, **options)

    setattr(holder, name, begin)

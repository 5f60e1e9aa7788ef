r"""Run a command on free GPUs of this machine, which it then holds until it ends.

    python -m randommask.training.gpu --gpus 1 --share 4 -- \\
        python -m randommask.finetuning ...

With `--share 1` the GPUs are the command's alone; with k, up to k such commands share
each. The GPUs are those that $RANDOMMASK_GPUS names (0,1,...), else those in
$CUDA_VISIBLE_DEVICES, else all that nvidia-smi lists. Whoever waits longest is next.

A GPU is held by file locks in a folder of this machine ($RANDOMMASK_LOCKS, else one in
/tmp for each user). The command replaces this process and keeps the open files, so
signals and the exit status are its own, and the locks go when it goes, however it ends.
"""

import argparse
import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from randommask.errors import InputError, run
from randommask.training.launch import ON_CPU, is_fake

POLL_SECONDS = 0.5


def visible(environment: Mapping[str, str]) -> list[str]:
    """Names of the GPUs to choose from, as CUDA_VISIBLE_DEVICES has them."""
    for name in ("RANDOMMASK_GPUS", "CUDA_VISIBLE_DEVICES"):
        if name in environment:
            return [part.strip() for part in environment[name].split(",") if part]
    query = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return listed.stdout.split()


class Locks:
    """Locks on the GPUs of a machine, in a folder that its processes share.

    A lock is an open file: it is let go when the last process that has it open ends.
    It is `flock` itself and not `files.lock`, because a GPU is held by several commands
    at once, and by the command that replaces this process.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder

    def acquire(self, names: list[str], count: int, share: int) -> list[str]:
        """Hold `count` GPUs, each with at most `share` holders; wait where it must.

        Whoever comes later waits until this one has all its GPUs, so that many
        small commands cannot keep a large one waiting for ever.
        """
        turn = self._open("turn")
        fcntl.flock(turn, fcntl.LOCK_EX)
        said = False
        try:
            while (found := self._try(names, count, share)) is None:
                if not said:
                    print(f"waiting for {count} of {len(names)} GPUs", file=sys.stderr)
                    said = True
                time.sleep(POLL_SECONDS)
        finally:
            os.close(turn)
        return found

    def _try(self, names: list[str], count: int, share: int) -> list[str] | None:
        """The first `count` free GPUs, or none and nothing held."""
        found, held = [], []
        for name in names:
            if (locks := self._take(name, share)) is not None:
                found.append(name)
                held += locks
            if len(found) == count:
                for lock in held:
                    os.set_inheritable(lock, True)
                return found
        for lock in held:
            os.close(lock)
        return None

    def _take(self, name: str, share: int) -> list[int] | None:
        """Hold one GPU: alone, or beside others in one of `share` slots."""
        gpu = self._open(name)
        if self._lock(gpu, fcntl.LOCK_EX if share == 1 else fcntl.LOCK_SH):
            if share == 1:
                return [gpu]
            for number in range(share):
                slot = self._open(f"{name}.{number}")
                if self._lock(slot, fcntl.LOCK_EX):
                    return [gpu, slot]
                os.close(slot)
        os.close(gpu)
        return None

    def _open(self, name: str) -> int:
        path = self.folder / name.replace("/", "_")
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)

    @staticmethod
    def _lock(file: int, kind: int) -> bool:
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def expect(given: int) -> None:
    """Raise `InputError` in a job that was given GPUs and sees none.

    On processors it would take weeks, and say in the end that all was well. Fake GPUs,
    of a test, are let through by name.
    """
    import torch

    if not given or torch.cuda.is_available():
        return
    if is_fake(os.environ):
        print("warning: fake GPUs: training on the CPU", file=sys.stderr)
        return
    raise InputError(
        f"this job was given {given} GPUs and sees none"
        f" (CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES', 'not set')});"
        f" is torch built for CUDA, is the driver new enough? {ON_CPU}=1 trains without"
    )


def execute(count: int, share: int, command: list[str]) -> None:
    """Become the command, on `count` GPUs; `InputError` where it cannot be."""
    names = visible(os.environ)
    if len(names) < count:
        raise InputError(
            f"{len(names)} GPUs here ({', '.join(names) or 'none'}), expected {count}; "
            "set RANDOMMASK_GPUS, or gpu in the profile"
        )
    default = Path(tempfile.gettempdir()) / f"randommask-gpus-{os.getuid()}"
    locks = Locks(Path(os.environ.get("RANDOMMASK_LOCKS", default)))
    if not {"RANDOMMASK_GPUS", "CUDA_VISIBLE_DEVICES"} & os.environ.keys():
        # nvidia-smi numbers GPUs by their bus, CUDA by their speed unless told.
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(locks.acquire(names, count, share))
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise InputError(f"{command[0]}: {error.strerror}") from None


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and become the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gpus", type=int, required=True, help="how many to hold")
    parser.add_argument("--share", type=int, default=1, help="commands on each")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="after --")
    flags = parser.parse_args(argv)
    command = flags.command[1:] if flags.command[:1] == ["--"] else flags.command
    if flags.gpus < 1 or flags.share < 1 or not command:
        raise InputError(
            "expected --gpus and --share from 1 up, and a command after --"
        )
    execute(flags.gpus, flags.share, command)


if __name__ == "__main__":
    run(main)

"""The state a stretch of pretraining goes on from, and who may write it.

While a segment runs, its rolling checkpoints and milestones lie in a state folder
beside the declared outputs, since Snakemake deletes the outputs of a failed job:

    results/pretrain/<encoder>/.state/step-<end>-<hash of the settings>/
        settings.json  lock  rolling-<step>.safetensors  milestones/step-<n>/

A checkpoint is one safetensors file: weights, both Adam moments, and in its header the
step, the history so far and the sums not yet written to it.
"""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from randommask import files
from randommask.errors import InputError, differences
from randommask.lock import holder

KEPT = 2  # rolling checkpoints; the one before serves where the last is damaged
STATE_FILE = "state.safetensors"
STOPPED = 128 + signal.SIGTERM  # exit status of a run that was asked to stop


def settings_hash(settings: dict) -> str:
    """Eight hex digits that change with any setting."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def open_state(output: Path, settings: dict) -> Path:
    """The state folder of the segment that makes `output`, made where there is none.

    A folder left by the same segment with other settings is deleted, and the settings
    that differ are named in the log, unless its lock is held.
    """
    parent = output.parent / ".state"
    folder = parent / f"{output.name}-{settings_hash(settings)}"
    for other in sorted(parent.glob(f"{output.name}-????????")):
        if other != folder:
            with lock(other):
                old = other / "settings.json"
                before = files.read_json(old) if old.exists() else {}
                changed = "; ".join(differences(before, settings))
                print(f"settings changed, starting afresh: {changed}", file=sys.stderr)
                close_state(other)
    for left in parent.glob(f".{output.name}-????????.done"):
        shutil.rmtree(left, ignore_errors=True)  # by a process that was killed
    folder.mkdir(parents=True, exist_ok=True)
    files.write_json(folder / "settings.json", settings)
    return folder


def close_state(folder: Path) -> None:
    """Give up the state folder, whose lock is held: leaving the lock deletes it.

    It is renamed first, so that nobody goes on from a half of it, and deleted when
    nothing in it is open: NFS keeps what is open, and with it the folder.
    """
    shutil.rmtree(_given_up(folder), ignore_errors=True)
    folder.rename(_given_up(folder))


def _given_up(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.done")


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the state folder, and delete it in the end if `close_state` was called.

    Raises `InputError` naming the holder where it is held.
    """
    with open(folder / "lock", "a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise InputError(
                f"{folder}: being written by {file.read().strip() or 'another process'}"
                "; wait for it or stop it"
            ) from None
        file.truncate(0)
        file.write(holder())
        file.flush()
        yield
    shutil.rmtree(_given_up(folder), ignore_errors=True)
    with suppress(OSError):  # another segment of the encoder has its state there
        folder.parent.rmdir()


def copies(weights: dict[str, Tensor], moments: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies in main memory under the names that a checkpoint gives them."""
    named = {f"weights.{name}": tensor for name, tensor in weights.items()}
    named |= {f"moments.{name}": tensor for name, tensor in moments.items()}
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in named.items()
    }


def save(path: Path, tensors: dict[str, Tensor], state: dict) -> None:
    """Write one checkpoint; `state` is JSON (floats come back exactly)."""
    with files.write_aside(path) as aside:
        try:
            save_file(tensors, aside, metadata={"state": json.dumps(state)})
        except SafetensorError as error:
            raise InputError(f"{path}: {error}") from None
        with open(aside, "rb") as file:
            os.fsync(file.fileno())


class Writer:
    """Writes the rolling checkpoints of a state folder while training goes on."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.thread = ThreadPoolExecutor(1, "checkpoint")
        self.running: Future | None = None

    def save(self, step: int, tensors: dict[str, Tensor], state: dict) -> None:
        """Begin to write the checkpoint after `step` steps; the one before is done.

        Raises what went wrong with the one before.
        """
        self.wait()
        self.running = self.thread.submit(self._write, step, tensors, state)

    def wait(self) -> None:
        """Return when all is written; raise what went wrong."""
        if self.running is not None:
            self.running.result()

    def _write(self, step: int, tensors: dict[str, Tensor], state: dict) -> None:
        save(rolling(self.folder, step), tensors, state)
        thin_out(self.folder)


def load(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], dict]:
    """Weights, moments and state of a checkpoint; `InputError` where it is damaged."""
    try:
        with safe_open(path, "pt") as file:
            state = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, TypeError, KeyError, ValueError) as error:
        raise InputError(f"{path}: no checkpoint of this program ({error})") from None
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "moments": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    return parts["weights"], parts["moments"], state


def rolling(folder: Path, step: int) -> Path:
    """Name of the rolling checkpoint after `step` steps."""
    return folder / f"rolling-{step}.safetensors"


def newest(folder: Path) -> list[Path]:
    """Rolling checkpoints, the newest first."""
    found = folder.glob("rolling-*.safetensors")
    return sorted(found, key=lambda path: int(path.stem.split("-")[1]), reverse=True)


def thin_out(folder: Path) -> None:
    """Delete all rolling checkpoints but the newest `KEPT`."""
    for path in newest(folder)[KEPT:]:
        path.unlink()
    for left in folder.glob(".rolling-*.aside.safetensors"):
        left.unlink()  # by a process that was killed while it wrote

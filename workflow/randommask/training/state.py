"""Where a training keeps how far it is, so that a kill costs minutes, not days.

Pretraining and fine-tuning use it alike. The state lies in a folder beside the output,
not in it, since Snakemake deletes the outputs of a job that failed:

    results/pretrain/<encoder>/.state/step-60000-1f0c9a2e/
        settings.json  lock  rolling-41000.safetensors  rolling-46000.safetensors
    results/finetune/<...>/seed1/.state/metrics.json-77b1d4c0/
        settings.json  lock  rolling-1250.safetensors

The eight digits are a hash of all that decides the result, which settings.json spells
out. So a command that is run again finds its own state and no other; where a setting
was changed the hash differs, the old folder is deleted and the log names the setting.

A checkpoint is one safetensors file: weights, both Adam moments, and in its header, as
JSON, what else the training goes on from. An example: a segment of steps 30,000 to
60,000 is killed at step 47,211. Its last checkpoints are from steps 41,000 and 46,000.
Run again, it takes up 46,000 (41,000 if that file is damaged), draws the batches of
step 46,000 and later again, which are functions of the step, and ends with the bits it
would have had. When the output is written, the folder is deleted.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from randommask import files
from randommask.errors import InputError, differences

KEPT = 2  # checkpoints: the one before serves where the last is damaged
STATE_FILE = "state.safetensors"  # in a finished segment: what the next starts from
STOPPED = 128 + signal.SIGTERM  # exit status of a run that was asked to stop


class StateFolder:
    """The state of the run that makes `output`; a context that holds its lock.

    `identity` is all that decides the run's result. A checkpoint is due `seconds` or
    `steps` after the one before, whichever comes first, and as soon as the process is
    asked to stop. With `output` None nothing is kept: so it is in a process beside the
    first, which alone writes.
    """

    def __init__(
        self,
        output: Path | None,
        identity: dict,
        seconds: float,
        steps: int | None = None,
    ) -> None:
        self.output, self.identity = output, identity
        self.seconds, self.steps = seconds, steps
        self.folder: Path | None = None
        self.is_asked_to_stop = False
        self._saved_at, self._saved_step = time.monotonic(), 0
        self._stack = ExitStack()
        self._thread: ThreadPoolExecutor | None = None
        self._running: Future | None = None

    def __enter__(self) -> "StateFolder":
        return self

    def __exit__(self, *error: object) -> None:
        if self._thread is not None:
            self._thread.shutdown()  # waits: the lock is let go when nothing writes
        self._stack.__exit__(*error)

    def open(self) -> None:
        """Make the folder where there is none, and hold its lock until the end.

        A folder that the same output left under other settings is deleted. Raises
        `InputError` naming the holder where another process is at work in one.
        """
        if self.output is None or self.folder is not None:
            return
        parent, name = self.output.parent / ".state", self.output.name
        folder = parent / f"{name}-{settings_hash(self.identity)}"
        for other in sorted(parent.glob(f"{name}-????????")):
            if other != folder:
                self._discard(other)
        for left in parent.glob(f".{name}-????????.done"):
            shutil.rmtree(left, ignore_errors=True)  # by a process that was killed
        folder.mkdir(parents=True, exist_ok=True)
        files.write_json(folder / "settings.json", self.identity)
        self._stack.enter_context(_held(folder))
        self.folder = folder

    def _discard(self, other: Path) -> None:
        with _held(other):
            old = other / "settings.json"
            before = files.read_json(old) if old.exists() else {}
            changed = "; ".join(differences(before, self.identity))
            print(f"settings changed, starting afresh: {changed}", file=sys.stderr)
            _give_up(other)

    def resume(self, take_up: Callable[[Path], int]) -> Path | None:
        """Go on from the newest checkpoint that is whole; None where there is none.

        `take_up` reads one and returns its step, or raises `InputError`.
        """
        if self.output is None:
            return None
        if self.folder is None:
            # A short run, which never saves, is spared the folder.
            if not any((self.output.parent / ".state").glob(f"{self.output.name}-*")):
                return None
            self.open()
        for path in checkpoints(self.folder):
            try:
                step = take_up(path)
            except InputError as error:
                print(f"warning: skipped: {error}", file=sys.stderr)
                continue
            print(f"going on from {path} after {step} steps", file=sys.stderr)
            self.count_from(step)
            return path
        return None

    def count_from(self, step: int) -> None:
        """Count time and steps to the next checkpoint from here."""
        self._saved_at, self._saved_step = time.monotonic(), step

    def is_due(self, step: int) -> bool:
        """Whether to save now, after `step` steps."""
        late = time.monotonic() - self._saved_at > self.seconds
        many = self.steps is not None and step - self._saved_step >= self.steps
        return self.output is not None and (late or many or self.is_asked_to_stop)

    def save(self, step: int, tensors: dict[str, Tensor], progress: dict) -> None:
        """Begin to write the checkpoint after `step` steps; training goes on meanwhile.

        `tensors` are copies (see `copies`), as training changes its own. Raises what
        went wrong with the checkpoint before.
        """
        self.open()
        self.wait()
        self._thread = self._thread or ThreadPoolExecutor(1, "checkpoint")
        self._running = self._thread.submit(self._write, step, tensors, progress)
        self.count_from(step)

    def wait(self) -> None:
        """Return when the last checkpoint is written; raise what went wrong."""
        if self._running is not None:
            self._running.result()

    def _write(self, step: int, tensors: dict[str, Tensor], progress: dict) -> None:
        write(self.folder / f"rolling-{step}.safetensors", tensors, progress)
        thin_out(self.folder)

    def close(self) -> None:
        """Delete the folder: the run is done."""
        if self.folder is not None:
            _give_up(self.folder)

    @contextmanager
    def heeding_sigterm(self) -> Iterator[None]:
        """Let SIGTERM set `is_asked_to_stop` meanwhile, in place of ending all."""
        before = signal.signal(signal.SIGTERM, self._heed)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _heed(self, *_: object) -> None:
        self.is_asked_to_stop = True


def settings_hash(settings: dict) -> str:
    """Eight hex digits that change with any setting."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Hold a state folder; delete it in the end if it was given up.

    Only then nothing in it is open: NFS keeps a deleted file that is open under another
    name, and with it the folder.
    """
    with files.lock(folder / "lock", wait=False):
        yield
    shutil.rmtree(_given_up(folder), ignore_errors=True)
    with suppress(OSError):  # another segment of the encoder has its state there
        folder.parent.rmdir()


def _give_up(folder: Path) -> None:
    """Rename a folder whose lock is held, so that nobody goes on from half of it."""
    shutil.rmtree(_given_up(folder), ignore_errors=True)
    folder.rename(_given_up(folder))


def _given_up(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.done")


def copies(weights: dict[str, Tensor], moments: dict[str, Tensor]) -> dict[str, Tensor]:
    """Copies in main memory under the names that a checkpoint gives them."""
    named = {f"weights.{name}": tensor for name, tensor in weights.items()}
    named |= {f"moments.{name}": tensor for name, tensor in moments.items()}
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in named.items()
    }


def write(path: Path, tensors: dict[str, Tensor], progress: dict) -> None:
    """Write one checkpoint; `progress` is JSON (floats come back exactly)."""
    with files.write_aside(path) as aside:
        try:
            save_file(tensors, aside, metadata={"state": json.dumps(progress)})
        except SafetensorError as error:
            raise InputError(f"{path}: {error}") from None
        with open(aside, "rb") as file:
            os.fsync(file.fileno())


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], dict]:
    """Weights, moments, progress of a checkpoint; `InputError` where it is damaged."""
    try:
        with safe_open(path, "pt") as file:
            progress = json.loads(file.metadata()["state"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, TypeError, KeyError, ValueError) as error:
        raise InputError(f"{path}: no checkpoint of this program ({error})") from None
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "moments": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    return parts["weights"], parts["moments"], progress


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a state folder, the newest first."""
    found = folder.glob("rolling-*.safetensors")
    return sorted(found, key=lambda path: int(path.stem.split("-")[1]), reverse=True)


def thin_out(folder: Path) -> None:
    """Delete all checkpoints but the newest `KEPT`, and halves that a kill left."""
    for path in checkpoints(folder)[KEPT:]:
        path.unlink()
    for left in folder.glob(".rolling-*.aside.safetensors"):
        left.unlink()

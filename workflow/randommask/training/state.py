"""Where a training keeps how far it is, so that a kill costs minutes, not days.

Pretraining and fine-tuning use it alike. The state lies in a folder beside the output,
not in it, since Snakemake deletes the outputs of a job that failed:

    results/pretrain/<encoder>/.state/step-60000-1f0c9a2e/
        settings.json  lock  rolling-41000.safetensors  rolling-46000.safetensors
    results/finetune/<...>/seed1/.state/metrics.json-77b1d4c0/
        settings.json  lock  rolling-1250.safetensors

The eight digits are a hash of all that decides the weights, which settings.json spells
out. So a command that is run again finds its own state and no other; where a setting
was changed the hash differs, the old folder goes to `.state/aside/`, and the log names
the setting. Nothing here deletes it, and with the old setting it is gone on from.

A checkpoint is one safetensors file: weights, both Adam moments, and in its header, as
JSON, what else the training goes on from, with a checksum of it all. An example: a
segment of steps 30,000 to 60,000 is killed at step 47,211. Its last checkpoints are
from steps 41,000 and 46,000. Run again, it takes up 46,000 (41,000 if one bit of that
file is wrong), draws the batches of step 46,000 and later again, which are functions of
the step, and ends with the bits it would have had.

At the end the whole output is first written into the folder, as `finished-<hash>`, and
then given its own name, by hard links; only then the checkpoints are deleted. So a kill
at any moment leaves one of the two to go on from. What is finished stays until another
job has read the output (`encoders.folder.let_go`): Snakemake deletes the output of a
job that it has not seen end, and has the job run again, which then takes a second.
"""

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.metadata import version
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from randommask import files
from randommask.encoders.folder import link_or_copy
from randommask.encoders.weights import digest
from randommask.errors import InputError, differences, reason
from randommask.training.signals import Stop

KEPT = 2  # checkpoints: the one before serves where the last is damaged
STATE_FILE = "state.safetensors"  # in a finished segment: what the next starts from
CHECKSUM, PROGRESS = "sha256", "progress"  # keys in the header of a checkpoint
ASIDE = "aside"  # where the states of other settings go


class StateFolder:
    """The state of the run that makes `output`; a context that holds its lock.

    `identity` is all that decides the weights, `shown` what else decides the output: a
    state is gone on from whatever is shown of the training. A checkpoint is due
    `seconds` or `steps` after the one before, whichever comes first, and as soon as the
    process is asked to `stop`, which several runs of it share. With `output` None
    nothing is kept: so it is in a process beside the first, which alone writes.
    """

    def __init__(
        self,
        output: Path | None,
        identity: dict,
        seconds: float,
        steps: int | None = None,
        shown: dict | None = None,
        stop: Stop | None = None,
    ) -> None:
        self.output, self.identity, self.shown = output, identity, shown or {}
        self.seconds, self.steps = seconds, steps
        self.folder: Path | None = None
        self.stop = stop or Stop()
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

        A folder that the same output left under other settings is put aside, and taken
        back where these are its settings. Raises `InputError` naming the holder where
        another process is at work in one.
        """
        if self.output is None or self.folder is not None:
            return
        parent, name = self.output.parent / ".state", self.output.name
        folder = parent / f"{name}-{settings_hash(self.identity)}"
        for other in sorted(parent.glob(f"{name}-????????")):
            if other != folder:
                self._put_aside(other)
        if not folder.exists() and (before := parent / ASIDE / folder.name).exists():
            before.rename(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self._stack.enter_context(files.lock(folder / "lock", wait=False))
        files.write_json(folder / "settings.json", self.identity)
        self.folder = folder

    def _put_aside(self, other: Path) -> None:
        aside = other.parent / ASIDE / other.name
        with files.lock(other / "lock", wait=False):
            old = other / "settings.json"
            before = files.read_json(old) if old.exists() else {}
            changed = "; ".join(differences(before, self.identity))
            aside.parent.mkdir(exist_ok=True)
            other.rename(aside)
        (aside / "lock").unlink(missing_ok=True)
        print(
            f"settings changed, starting afresh: {changed}; the state of the others "
            f"is in {aside}",
            file=sys.stderr,
        )

    def resume(self, take_up: Callable[[Path], int]) -> Path | None:
        """Go on from the newest checkpoint that is whole; None where there is none.

        `take_up` reads one and returns its step, or raises `InputError`. The newest is
        that of a finished segment, whose output may be gone.
        """
        if not self.is_there():
            return None
        for path in [
            *self.finished.glob(STATE_FILE),
            *checkpoints(self.folder),
        ]:
            try:
                step = take_up(path)
            except InputError as error:
                print(f"warning: skipped: {error}", file=sys.stderr)
                if path.parent == self.finished:
                    files.remove(self.finished)
                continue
            print(f"going on from {path} after {step} steps", file=sys.stderr)
            self.count_from(step)
            return path
        return None

    def is_there(self) -> bool:
        """Open the folder where an earlier process left one: a short run has none."""
        if self.output is not None and self.folder is None:
            name = f"{self.output.name}-????????"
            state = self.output.parent / ".state"
            if any(state.glob(name)) or any((state / ASIDE).glob(name)):
                self.open()
        return self.folder is not None

    @property
    def finished(self) -> Path:
        """The folder that the output is complete in, as this code writes it."""
        return self.folder / f"finished-{settings_hash(self.shown | _code())}"

    def count_from(self, step: int) -> None:
        """Count time and steps to the next checkpoint from here."""
        self._saved_at, self._saved_step = time.monotonic(), step

    def is_due(self, step: int) -> bool:
        """Whether to save now, after `step` steps."""
        late = time.monotonic() - self._saved_at > self.seconds
        many = self.steps is not None and step - self._saved_step >= self.steps
        is_asked = self.stop.number is not None
        return self.output is not None and (late or many or is_asked)

    def save(self, step: int, tensors: dict[str, Tensor], progress: dict) -> None:
        """Begin to write the checkpoint after `step` steps; training goes on meanwhile.

        `tensors` are copies (see `copies`), as training changes its own. Where the disk
        refuses one the log says so, and the next is tried when it is due.
        """
        self.open()
        self.wait()
        self._thread = self._thread or ThreadPoolExecutor(1, "checkpoint")
        self._running = self._thread.submit(self._write, step, tensors, progress)
        self.count_from(step)

    def wait(self) -> None:
        """Return when the last checkpoint is written."""
        if self._running is not None:
            self._running.result()

    def _write(self, step: int, tensors: dict[str, Tensor], progress: dict) -> None:
        try:
            write(self.folder / f"rolling-{step}.safetensors", tensors, progress)
            thin_out(self.folder)
        except (OSError, InputError) as error:
            print(f"warning: no checkpoint: {reason(error)}", file=sys.stderr)

    def close(self) -> None:
        """Delete what the run went on from: it is finished, and the output written."""
        if self.folder is None:
            return
        kept = (self.finished.name, "settings.json", "lock")
        for path in sorted(self.folder.iterdir()):
            # NFS keeps a deleted file that this process still has open, as .nfs...
            if path.name not in kept and not path.name.startswith(".nfs"):
                files.remove(path)


def settings_hash(settings: dict) -> str:
    """Eight hex digits that change with any setting."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@cache
def _code() -> dict:
    """What else than settings decides an output: this package's code, and torch."""
    found = hashlib.sha256()
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        found.update(path.read_bytes())
    return {"code": found.hexdigest(), "torch": version("torch")}


def link_tree(source: Path, output: Path) -> None:
    """Give all files of a folder second names, in one that is there or not."""
    shutil.copytree(
        source,
        output,
        copy_function=link_or_copy,
        ignore=shutil.ignore_patterns(".*"),
        dirs_exist_ok=True,
    )


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
    made = digest(tensors, json.dumps(progress))
    sealed = json.dumps({CHECKSUM: made, PROGRESS: progress})
    with files.write_aside(path) as aside:
        try:
            save_file(tensors, aside, metadata={"state": sealed})
        except SafetensorError as error:
            raise InputError(f"{path}: {error}") from None
        with open(aside, "rb") as file:
            os.fsync(file.fileno())


def read(path: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], dict]:
    """Weights, moments, progress of a checkpoint; `InputError` where it is damaged."""
    parts: dict[str, dict[str, Tensor]] = {"weights": {}, "moments": {}}
    with _opened(path) as file:
        made, progress = _unsealed(file)
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        for name, tensor in tensors.items():
            part, _, rest = name.partition(".")
            parts[part][rest] = tensor
    if made is None:  # before 0.3.0
        print(f"warning: {path} has no checksum", file=sys.stderr)
    elif made != digest(tensors, json.dumps(progress)):
        raise InputError(f"{path}: damaged: its checksum is another than was written")
    return parts["weights"], parts["moments"], progress


def checksum(path: Path) -> str:
    """The checksum of a checkpoint as its header has it, or else of the whole file."""
    with _opened(path) as file:
        made, _ = _unsealed(file)
    return made or files.sha256(path)


def _unsealed(file: safe_open) -> tuple[str | None, dict]:
    """Checksum and progress in a header; no checksum where there never was one."""
    found = json.loads(file.metadata()["state"])
    if CHECKSUM in found or PROGRESS in found:
        return found[CHECKSUM], found[PROGRESS]
    return None, found


@contextmanager
def _opened(path: Path) -> Iterator[safe_open]:
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (OSError, SafetensorError, TypeError, KeyError, ValueError) as error:
        what = " ".join(str(error).split())
        raise InputError(f"{path}: no checkpoint of this program ({what})") from None


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

"""Where a fine-tuning keeps how far it is, so that a kill costs minutes, not days.

The state lies beside the first output, not in it, since Snakemake deletes the outputs
of a failed job:

    results/finetune/<...>/seed1/.state/metrics.json-<hash of all that decides the run>/
        settings.json  lock  state.safetensors

Nothing is written or locked before a run has lasted `seconds`, or is asked to stop: a
short run pays nothing.
"""

import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from torch import Tensor

from randommask.errors import InputError
from randommask.training import state as checkpoint


class StateFile:
    """The state of the run that makes `output`; a context in which SIGTERM is heeded.

    `identity` is all that decides the run's results: a state of another is deleted, and
    what differs is named. `output` None keeps nothing.
    """

    def __init__(self, output: Path | None, identity: dict, seconds: float) -> None:
        self.output, self.identity, self.seconds = output, identity, seconds
        self.folder: Path | None = None
        self.is_asked_to_stop = False
        self._stack = ExitStack()
        self._saved = time.monotonic()

    def __enter__(self) -> "StateFile":
        before = signal.signal(signal.SIGTERM, self._heed)
        self._stack.callback(signal.signal, signal.SIGTERM, before)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def load(self) -> tuple[dict[str, Tensor], dict[str, Tensor], dict] | None:
        """What `save` was last given; None where there is nothing that fits."""
        if self.output is None:
            return None
        states = self.output.parent / ".state"
        if not any(states.glob(f"{self.output.name}-????????")):
            return None
        self._open()
        path = self.folder / checkpoint.STATE_FILE
        if not path.exists():
            return None
        try:
            found = checkpoint.load(path)
        except InputError as error:
            print(f"warning: starting afresh: {error}", file=sys.stderr)
            return None
        print(f"going on from {path}", file=sys.stderr)
        return found

    def is_due(self) -> bool:
        """Whether to save now."""
        late = time.monotonic() - self._saved > self.seconds
        return self.output is not None and (late or self.is_asked_to_stop)

    def save(
        self, weights: dict[str, Tensor], moments: dict[str, Tensor], state: dict
    ) -> None:
        """Replace what was kept; `state` is JSON."""
        if self.folder is None:
            self._open()
        tensors = checkpoint.copies(weights, moments)
        checkpoint.save(self.folder / checkpoint.STATE_FILE, tensors, state)
        self._saved = time.monotonic()

    def close(self) -> None:
        """Delete the state: the run is done."""
        if self.folder is not None:
            checkpoint.close_state(self.folder)

    def _open(self) -> None:
        self.folder = checkpoint.open_state(self.output, self.identity)
        self._stack.enter_context(checkpoint.lock(self.folder))

    def _heed(self, *_: object) -> None:
        self.is_asked_to_stop = True

"""Several runs in one process, which take their steps in turn.

The seeds of one encoder on one dataset differ in head, order and dropout alone. In one
process they import, read and tokenize once, share the tokens on the device, and one
compiled step serves all. What a step computes depends on its number and its run, not on
what others did in between (see `tuning`), so each ends with what it has alone.

On CUDA each run has a stream of its own, so that small kernels of several can overlap.
Not so where steps are CUDA graphs: the graphs of one process lie in one piece of memory
and take dropout's seed from one place, so that two must never run at once. These take
turns on one stream, and the device waits for Python between no two of them.

An example: seeds 1, 2 and 3 take step 0 each, then step 1, and so on. Seed 2 diverges
in its first epoch: it writes its files and leaves, the others go on. SIGTERM comes:
each takes one more step, saves its state and leaves; the same command goes on from
there.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch

from randommask.finetuning.outputs import Clock
from randommask.finetuning.tuning import Tuning
from randommask.training.signals import Stop


@dataclass
class Turn:
    """A run among others."""

    steps: Iterator[None]
    """Each `next` takes a step; it ends with the run, or exits where it is stopped."""
    clock: Clock = field(default_factory=Clock)
    stream: torch.cuda.Stream | None = None

    def on_stream(self) -> AbstractContextManager:
        """Issue work to the run's own stream meanwhile, if it has one."""
        return torch.cuda.stream(self.stream) if self.stream else nullcontext()


def stream(tuning: Tuning, runs: int) -> torch.cuda.Stream | None:
    """One for a run of several, where its steps may overlap with others'."""
    is_graph = tuning.compiled is not None
    if runs == 1 or tuning.device.type != "cuda" or is_graph:
        return None
    return torch.cuda.Stream()


def take(turns: Sequence[Turn], stop: Stop) -> None:
    """Let each take a step in turn until all have ended.

    SIGTERM, SIGINT and SIGHUP meanwhile set `stop`; raises the exit of those that were
    stopped, when all are.
    """
    stopped = None
    left = list(turns)
    if any(turn.stream for turn in turns):
        torch.cuda.synchronize()  # what they share was sent on another stream
    with stop.heeding():
        while left:
            for turn in tuple(left):
                try:
                    with turn.on_stream():
                        next(turn.steps)
                    continue
                except StopIteration:
                    pass
                except SystemExit as error:
                    stopped = error
                left.remove(turn)
                for other in left:
                    other.clock.share(len(left))
    if stopped is not None:
        raise stopped

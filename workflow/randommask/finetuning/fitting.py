"""The epochs of a fine-tuning: which one is best, when to stop, where to go on.

The best epoch has the highest MCC or Pearson on dev; of equals it is the first. The
test split plays no part.
"""

import math
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from randommask import metrics
from randommask.experiment.units import progress as far
from randommask.finetuning import turns
from randommask.finetuning.outputs import Clock
from randommask.finetuning.tuning import Tuning
from randommask.finetuning.turns import Turn
from randommask.training import state
from randommask.training.state import StateFolder

DIVERGED = "diverged loss"


@dataclass
class Progress:
    """How far a run is; with weights and moments, all that it goes on from."""

    step: int = 0
    """Steps taken."""
    loss: Tensor | float = 0.0
    """Sum of the losses of the running epoch's rows, on the device."""
    history: list[tuple[int, int, float, float, float]] = field(default_factory=list)
    """Of each epoch: epoch, step, train loss, dev loss, dev metric."""
    best_epoch: int | None = None
    best_score: float = -math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    """The trained weights after the best epoch."""
    dev: np.ndarray | None = None
    """The dev predictions of the best epoch, or of the last one so far."""
    seconds: float = 0.0
    """Spent by earlier processes, up to what they kept."""


@dataclass(frozen=True)
class Outcome:
    """What training came to: the model is left with the weights of the best epoch."""

    best_epoch: int | None
    """None where no epoch gave finite dev predictions."""
    dev: np.ndarray
    """The dev predictions of the best epoch, or of the last one."""
    history: list[tuple[int, int, float, float, float]]
    """See `Progress`."""
    flags: list[str]
    seconds: float
    """Spent by earlier processes on what this one went on from."""


def fit(tuning: Tuning, kept: StateFolder | None = None) -> Outcome:
    """Take all steps of one run; see `steps`."""
    kept, outcomes = kept or StateFolder(None, {}, 0.0), []

    def run() -> Iterator[None]:
        outcomes.append((yield from steps(tuning, kept, Clock())))

    turns.take([Turn(run())], kept.stop)
    return outcomes[0]


def steps(
    tuning: Tuning, kept: StateFolder, clock: Clock, name: str = ""
) -> Generator[None, None, Outcome]:
    """Train to the last step, to a loss that is no number, or until patience ends.

    Yields after each step, for others to take theirs. The model goes back to the best
    epoch. Goes on from what was `kept`; exits where that is asked to stop, after a step
    and with the state saved. `name` stands before what is said of an epoch.
    """
    start = time.perf_counter()
    progress = _go_on(tuning, kept)
    before = progress.step
    while True:
        progress.loss = progress.loss + tuning.step(progress.step)
        progress.step += 1
        if progress.step % tuning.epoch_steps == 0 or progress.step == tuning.steps:
            each = (time.perf_counter() - start) / (progress.step - before)
            _evaluate(tuning, progress, each, name)
            if _is_over(tuning, progress):
                break
        if kept.is_due(progress.step):
            _keep(tuning, kept, progress, clock.seconds())
        if kept.stop.number is not None:
            kept.wait()
            print(f"{name}stopped after {progress.step} steps", file=sys.stderr)
            sys.exit(kept.stop.status)
        yield
    tuning.model.load_state_dict(progress.best, strict=False)
    diverged = not math.isfinite(progress.history[-1][2])
    return Outcome(
        progress.best_epoch,
        progress.dev,
        progress.history,
        [DIVERGED] if diverged else [],
        progress.seconds,
    )


def _evaluate(tuning: Tuning, progress: Progress, each: float, name: str) -> None:
    """Close an epoch: its losses, its dev score, and its weights if it is the best.

    `each` is what a step took so far, in seconds.
    """
    kind, labels = tuning.data.type, tuning.data.splits["dev"].labels
    train_loss = float(progress.loss) / tuning.epoch_rows(progress.step)
    predictions, dev_loss = tuning.predict("dev")
    score = metrics.choose(kind, labels, predictions)
    epoch = len(progress.history) + 1
    progress.history.append((epoch, progress.step, train_loss, dev_loss, score))
    progress.loss = 0.0
    shown = f"{name}{far(progress.step, tuning.steps, each)}: epoch {epoch}, train loss"
    print(
        f"{shown} {train_loss:.4f}, dev loss {dev_loss:.4f}, "
        f"dev {metrics.CHOSEN_BY[kind]} {score:.4f}",
        file=sys.stderr,
    )
    if score > progress.best_score and np.isfinite(predictions).all():
        progress.best_epoch, progress.best_score = epoch, score
        progress.best = {n: p.detach().clone() for n, p in tuning.trained.items()}
        progress.dev = predictions
    elif progress.best_epoch is None:
        progress.dev = predictions


def _is_over(tuning: Tuning, progress: Progress) -> bool:
    patience = tuning.settings.patience
    waited = len(progress.history) - (progress.best_epoch or 0)
    return (
        progress.step == tuning.steps
        or not math.isfinite(progress.history[-1][2])
        or (patience is not None and waited >= patience)
    )


def _keep(
    tuning: Tuning, kept: StateFolder, progress: Progress, seconds: float
) -> None:
    weights = {f"now.{name}": tensor for name, tensor in tuning.trained.items()}
    weights |= {f"best.{name}": tensor for name, tensor in progress.best.items()}
    weights["loss"] = torch.as_tensor(progress.loss, dtype=torch.float64)
    if progress.dev is not None:
        weights["dev"] = torch.from_numpy(progress.dev)
    numbers = {
        name: getattr(progress, name) for name in ("step", "best_epoch", "best_score")
    }
    # A copy, as it is written while training goes on.
    numbers["history"] = list(progress.history)
    numbers["seconds"] = progress.seconds + seconds
    kept.save(progress.step, state.copies(weights, tuning.moments()), numbers)


def _go_on(tuning: Tuning, kept: StateFolder) -> Progress:
    """The progress that was kept, with weights and moments put back; else a new one."""
    progress = Progress()

    def take_up(path: Path) -> int:
        nonlocal progress
        weights, moments, numbers = state.read(path)
        parts: dict[str, dict[str, Tensor]] = {"now": {}, "best": {}}
        for name, tensor in weights.items():
            part, _, rest = name.partition(".")
            if part in parts:
                parts[part][rest] = tensor
        tuning.restore(parts["now"], moments, numbers["step"])
        dev = weights.get("dev")
        progress = Progress(
            **{**numbers, "history": [tuple(row) for row in numbers["history"]]},
            loss=weights["loss"].to(tuning.device),
            best={name: part.to(tuning.device) for name, part in parts["best"].items()},
            dev=None if dev is None else dev.numpy(),
        )
        return progress.step

    kept.resume(take_up)
    return progress

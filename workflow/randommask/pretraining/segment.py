"""One segment of an encoder's pretraining: its steps, its history, its outputs.

A segment is what one job does: the steps from `start` to `end` of an encoder whose
schedule is longer. Learning rate and phase follow from the step and the encoder's
total, so cutting 120,000 steps into two segments of 60,000 changes no bit. An example:
segment 60,000 to 120,000 starts from the state that step-60000 holds, or, where it was
killed after 74,118 steps, from its own checkpoint of step 70,000 (see
`training.state`). It saves every 10 minutes or 5,000 steps, logs every 500 steps and
at milestones, phase ends and its own end, and leaves step-120000: the encoder, the
state that a next segment would start from, and the history of all 120,000 steps.

Of its settings some decide no weights: what is logged and validated, and which
milestones are kept. Changed in the middle, they hold from there on.
"""

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

import torch.distributed as dist
from tqdm import tqdm

from randommask import files, masking
from randommask.encoders.folder import ENCODER_FILES, MILESTONES, let_go
from randommask.errors import InputError
from randommask.experiment.hparams import Pretraining, Settings, SpanMasking
from randommask.experiment.sections import Phase
from randommask.experiment.units import progress as far
from randommask.pretraining import card, curriculum
from randommask.pretraining.history import History
from randommask.pretraining.monitor import Monitor
from randommask.pretraining.trainer import Trainer
from randommask.training import state
from randommask.training.state import STATE_FILE, StateFolder

# Steps that are given to a GPU before anything waits for it: the GPU computes while
# Python prepares the next, and a SIGTERM is noticed after 8 steps at the latest.
STEPS_AHEAD = 8


class Segment:
    """Steps `start` to `end` of an encoder's pretraining, which may stop anywhere.

    `name` and `sources` (genome, file, sha256) are for the model card. `state` keeps
    checkpoints, and milestones until the end.
    """

    def __init__(
        self,
        trainer: Trainer,
        hparams: Pretraining,
        name: str,
        sources: list[tuple[str, str, str]],
        state: StateFolder,
    ) -> None:
        self.trainer, self.name, self.sources = trainer, name, sources
        self.state = state
        self.settings = trainer.settings
        self.hparams, self.end = hparams, hparams.end
        self.milestones = [
            step for step in hparams.milestones if hparams.start <= step < hparams.end
        ]
        self.history = History([], [])
        self.done = hparams.start
        self.bounds: dict[str, float] = {}

    def resume(self, start: Path | None, origin: Path | None = None) -> None:
        """Take up the newest whole checkpoint, else the state in folder `start`.

        Without any, begin with the weights in folder `origin`.
        """
        taken = self.state.resume(self.take_up)
        if self.trainer.world > 1:  # all take up what the first process could read
            box = [taken]
            dist.broadcast_object_list(box)
            if box[0] is not None and taken is None:
                self.take_up(box[0])
            taken = box[0]
        if taken is None and start is not None:
            if self.take_up(start / STATE_FILE) != self.hparams.start:
                raise InputError(
                    f"{start}: state after {self.done} steps, "
                    f"expected {self.hparams.start}"
                )
            print(f"going on from {start} after {self.done} steps", file=sys.stderr)
        if taken is None and origin is not None:
            self.trainer.begin(origin)
            head = "" if self.trainer.origin.has_head else ", with a fresh head"
            print(f"starting with the weights of {origin}{head}", file=sys.stderr)
        is_kept = self.state.folder is not None and taken is not None
        if is_kept and taken.parent != self.state.finished:
            self.check_milestones()

    def take_up(self, path: Path) -> int:
        """Put back what one checkpoint holds; return the number of steps done."""
        progress = self.trainer.restore(path)
        self.done = progress.pop("step")
        self.history = History(**progress)
        return self.done

    def train(self, monitor: Monitor | None) -> bool:
        """Run to the end; False where a signal came first (a checkpoint is written)."""
        self.state.count_from(self.done)
        if self.done == self.hparams.start:
            self.keep_milestone()
        for step in self.steps():
            self.trainer.step(step, self.state.stop.number is not None)
            self.done = step + 1
            if self.is_pause() and self.pause(monitor):
                break
        self.state.wait()
        return self.done == self.end

    def steps(self) -> Iterable[int]:
        """The steps that are left, with a progress bar where somebody watches."""
        watched = self.state.folder is not None and sys.stderr.isatty()
        return tqdm(
            range(self.done, self.end),
            unit="step",
            initial=self.done,
            total=self.end,
            disable=not watched,
        )

    def pause(self, monitor: Monitor | None) -> bool:
        """Collect, log and save where it is time to; return whether to stop here."""
        sums, stop = self.trainer.collect()
        for part in sums:
            self.history.add(part)
        if monitor and self.is_due(self.hparams.log_every):
            self.log(monitor)
        if self.done < self.end:
            self.keep_milestone()
        if self.state.output is not None and (stop or self.state.is_due(self.done)):
            self.state.save(self.done, self.trainer.snapshot(), self.progress())
        return stop

    def is_pause(self) -> bool:
        """Whether to wait for the device after this step: the same in all processes."""
        ahead = STEPS_AHEAD if self.trainer.device.type == "cuda" else 1
        return (
            self.done % ahead == 0
            or self.is_due(self.hparams.log_every)
            or self.done in self.milestones
        )

    def is_due(self, every: int) -> bool:
        """Every so many steps, at milestones, at a phase's end and at the segment's."""
        phases = [phase.until for phase in self.settings.curriculum]
        named = (*phases, *self.milestones, self.end)
        return self.done % every == 0 or self.done in named

    def log(self, monitor: Monitor) -> None:
        """Close a row of the history, with a validation where it is time for one."""
        number = curriculum.phase_at(self.settings.curriculum, self.done - 1)
        phase = self.settings.curriculum[number]
        validation, spans = None, {}
        if self.is_due(self.hparams.validate_every):
            validation = self.trainer.validate(self.settings, phase)
            for span in self.hparams.validation_spans:
                alike, whole = self.alike(span), Phase(until=self.end, max_span=span)
                spans[span] = self.trainer.validate(alike, whole)
                self.history.spans.append(
                    {
                        "step": self.done,
                        "span": span,
                        "validation_loss": spans[span],
                        "bound": self.bound(alike, whole),
                    }
                )
        bound = self.bound(self.settings, phase)
        row = self.history.close_row(self.settings, self.done, bound, validation)
        drawn = row | {f"validation_loss/span {m}": v for m, v in spans.items()}
        rate = monitor.tell(self.done, self.trainer.loader.waited, drawn)
        each = monitor.tokens / rate if rate else 0.0
        shown = f"{far(self.done, self.end, each)}: loss {row['loss']:.3f}"
        tqdm.write(
            f"{shown}, max span {phase.max_span}, {rate:.0f} tokens/s", file=sys.stderr
        )

    def alike(self, span: int) -> Settings:
        """The settings, but for masks that compare encoders: spans of one length."""
        shared = self.hparams.span_masking or self.settings
        alike = {name: getattr(shared, name) for name in SpanMasking.model_fields}
        return self.settings.model_copy(update={**alike, "min_span": span})

    def bound(self, settings: Settings, phase: Phase) -> float:
        """The information bound of a way to mask, simulated once."""
        key = f"{phase.max_span} {masking.options(settings, phase)}"
        if key not in self.bounds:
            ranks = self.trainer.ranks
            self.bounds[key] = curriculum.information_bound(settings, phase, ranks)
        return self.bounds[key]

    def keep_milestone(self) -> None:
        """Save the encoder where the step is a milestone."""
        if self.state.folder is not None and self.done in self.milestones:
            with files.make_aside(self.milestone(self.done), *ENCODER_FILES) as aside:
                self.save_encoder(aside)

    def milestone(self, step: int) -> Path:
        """Where the encoder after `step` steps is kept until the segment ends."""
        return self.state.folder / MILESTONES / f"step-{step}"

    def check_milestones(self) -> None:
        """Raise `InputError` where one of those that were passed was not kept."""
        for step in self.milestones:
            if step <= self.done and not self.milestone(step).exists():
                raise InputError(
                    f"milestones: step {step} was not kept, and {self.done} steps are "
                    f"done; leave it out, or delete {self.state.folder} to begin anew"
                )

    def save_encoder(self, folder: Path) -> None:
        """Write the encoder with its model card."""
        self.trainer.save_encoder(folder)
        card.write(
            folder,
            encoder=self.name,
            settings=self.settings,
            step=self.done,
            sources=self.sources,
            origin=self.trainer.origin,
        )

    def progress(self) -> dict:
        """What a checkpoint holds beside the tensors."""
        begun = self.trainer.origin
        known = {"origin": begun._asdict()} if begun else {}
        return {"step": self.done, **known, **self.history.state()}

    def finish(self, output: Path, start: Path | None) -> None:
        """Write the segment's folder, and delete the state that it went on from.

        A kill before the first rename leaves the checkpoints, one after it the whole
        output, which the same command then gives its name (see `training.state`).
        """
        finished = self.state.finished
        if not finished.exists():
            with files.make_aside(finished) as aside:
                self.write(aside)
        with files.make_aside(output) as aside:
            state.link_tree(finished, aside)
        self.state.close()
        if start is not None:
            let_go(start)

    def write(self, folder: Path) -> None:
        """Write encoder, state, history and milestones."""
        kept = self.state.folder
        self.save_encoder(folder)
        state.write(folder / STATE_FILE, self.trainer.snapshot(), self.progress())
        files.write_text(folder / "history.csv", self.history.csv())
        files.write_text(folder / "spans.csv", self.history.spans_csv())
        if (kept / "speed.csv").exists():  # a full disk does not stop the training
            shutil.copyfile(kept / "speed.csv", folder / "speed.csv")
        self.check_milestones()
        for step in self.milestones:
            name = f"step-{step}"
            state.link_tree(self.milestone(step), folder / MILESTONES / name)

"""Pretrain an encoder by masked k-mer prediction: one segment of its steps.

    torchrun --standalone --nproc-per-node 8 -m randommask.pretraining \
        --corpus results/corpus/hg38/manifest.json \
        --from results/pretrain/randommask/step-30000 \
        --hparams '<json>' --output results/pretrain/randommask/step-60000

runs on one process too (`python -m randommask.pretraining`). A segment that was killed,
run again with the same command, goes on from its last checkpoint and ends with the bits
it would have had (see `trainer` and `checkpoint`).
"""

import argparse
import json
import os
import shutil
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import torch
import torch.distributed as dist
from tqdm import tqdm

from randommask import files, masking
from randommask.encoders.folder import ENCODER_FILES, link_or_copy
from randommask.errors import InputError, run
from randommask.pretraining import card, curriculum
from randommask.pretraining.history import History
from randommask.pretraining.monitor import Monitor
from randommask.pretraining.trainer import Trainer
from randommask.training import state as checkpoint
from randommask.training.state import STOPPED

SAVE_SECONDS, SAVE_STEPS = 600.0, 5000  # between checkpoints, whichever comes first
STEPS_AHEAD = 8  # steps that are given to a GPU before anything waits for it


class Segment:
    """Steps `start` to `end` of an encoder's pretraining, which may stop anywhere.

    `name` and `sources` (genome, file, sha256) are for the model card. `state` is the
    state folder, None on all processes but the first, which alone writes.
    """

    def __init__(
        self,
        trainer: Trainer,
        hparams: dict,
        name: str,
        sources: list[tuple[str, str, str]],
        state: Path | None,
    ) -> None:
        self.trainer, self.name, self.sources = trainer, name, sources
        self.state = state
        self.settings = trainer.settings
        self.start, self.end = hparams["start"], hparams["end"]
        self.milestones = set(hparams["milestones"])
        self.log_every = hparams["log_every"]
        self.validate_every = hparams["validate_every"]
        self.spans = hparams["validation_spans"]
        self.span_masking = {**self.settings, **hparams["span_masking"]}
        self.history = History([], [])
        self.done = self.start
        self.bounds: dict[str, float] = {}

    def resume(self, start: Path | None) -> None:
        """Take up the newest whole checkpoint, else the state in folder `start`."""
        taken = None
        for path in checkpoint.newest(self.state) if self.state else []:
            try:
                self.take_up(path)
                taken = path
                break
            except InputError as error:
                print(f"warning: skipped: {error}", file=sys.stderr)
        if self.trainer.world > 1:  # all take up what the first process could read
            box = [taken]
            dist.broadcast_object_list(box)
            taken = box[0]
            if taken and self.state is None:
                self.take_up(taken)
        if taken is None and start is not None:
            self.take_up(start / checkpoint.STATE_FILE)
            if self.done != self.start:
                raise InputError(
                    f"{start}: state after {self.done} steps, expected {self.start}"
                )

    def take_up(self, path: Path) -> None:
        """Go on from one checkpoint."""
        state = self.trainer.restore(path)
        self.done = state.pop("step")
        self.history = History(**state)
        print(f"going on from {path} after {self.done} steps", file=sys.stderr)

    def train(
        self, monitor: Monitor | None, save_seconds: float, save_steps: int
    ) -> bool:
        """Run to the end; False where SIGTERM came first (a checkpoint is written)."""
        stopped: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
        writer = checkpoint.Writer(self.state) if self.state else None
        saved, saved_step = time.monotonic(), self.done
        if self.done == 0:
            self.keep_milestone()
        steps = range(self.done, self.end)
        watched = self.state is not None and sys.stderr.isatty()
        for step in tqdm(
            steps, unit="step", initial=self.done, total=self.end, disable=not watched
        ):
            self.trainer.step(step, bool(stopped))
            self.done = step + 1
            if not self.is_pause():
                continue
            sums, stop = self.trainer.collect()
            for part in sums:
                self.history.add(part)
            if monitor and self.is_due(self.log_every):
                self.log(monitor)
            if self.done < self.end:
                self.keep_milestone()
            seconds = time.monotonic() - saved
            old = seconds > save_seconds or self.done - saved_step >= save_steps
            if writer and (stop or old):
                writer.save(self.done, self.trainer.snapshot(), self.snapshot())
                saved, saved_step = time.monotonic(), self.done
            if stop:
                break
        if writer:
            writer.wait()
        return self.done == self.end

    def is_pause(self) -> bool:
        """Whether to wait for the device after this step: the same in all processes."""
        ahead = STEPS_AHEAD if self.trainer.device.type == "cuda" else 1
        return (
            self.done % ahead == 0
            or self.is_due(self.log_every)
            or self.done in self.milestones
        )

    def is_due(self, every: int) -> bool:
        """Every so many steps, at milestones, at a phase's end and at the segment's."""
        phases = [phase["until"] for phase in self.settings["curriculum"]]
        named = (*phases, *self.milestones, self.end)
        return self.done % every == 0 or self.done in named

    def log(self, monitor: Monitor) -> None:
        """Close a row of the history, with a validation where one is due."""
        phase = curriculum.phase_at(self.settings["curriculum"], self.done - 1)
        max_span = self.settings["curriculum"][phase]["max_span"]
        validation, spans = None, {}
        if self.is_due(self.validate_every):
            validation = self.trainer.validate(self.settings, max_span)
            for span in self.spans:
                alike = {**self.span_masking, "min_span": span}
                spans[span] = self.trainer.validate(alike, span)
                self.history.spans.append(
                    {
                        "step": self.done,
                        "span": span,
                        "validation_loss": spans[span],
                        "bound": self.bound(alike, span),
                    }
                )
        bound = self.bound(self.settings, max_span)
        row = self.history.close_row(self.settings, self.done, bound, validation)
        drawn = row | {f"validation_loss/span {m}": v for m, v in spans.items()}
        rate = monitor.tell(self.done, self.trainer.loader.waited, drawn)
        shown = f"step {self.done} loss {row['loss']:.3f} max span {max_span}"
        tqdm.write(f"{shown} {rate:.0f} tokens/s", file=sys.stderr)

    def bound(self, settings: dict, max_span: int) -> float:
        """The information bound of a way to mask, simulated once."""
        key = f"{max_span} {masking.options(settings, max_span)}"
        if key not in self.bounds:
            self.bounds[key] = curriculum.information_bound(settings, max_span)
        return self.bounds[key]

    def keep_milestone(self) -> None:
        """Save the encoder where the step is a milestone."""
        if self.state is not None and self.done in self.milestones:
            folder = self.state / "milestones" / f"step-{self.done}"
            with files.make_aside(folder, *ENCODER_FILES) as aside:
                self.save_encoder(aside)

    def save_encoder(self, folder: Path) -> None:
        """Write the encoder with its model card."""
        self.trainer.save_encoder(folder)
        card.write(
            folder,
            encoder=self.name,
            settings=self.settings,
            step=self.done,
            sources=self.sources,
        )

    def snapshot(self) -> dict:
        """What a checkpoint holds beside the tensors."""
        return {"step": self.done, **self.history.state()}

    def finish(self, output: Path) -> None:
        """Write the segment's folder: encoder, state, history, milestones."""
        with files.make_aside(output) as aside:
            self.save_encoder(aside)
            checkpoint.save(
                aside / checkpoint.STATE_FILE, self.trainer.snapshot(), self.snapshot()
            )
            files.write_text(aside / "history.csv", self.history.csv())
            files.write_text(aside / "spans.csv", self.history.spans_csv())
            shutil.copyfile(self.state / "speed.csv", aside / "speed.csv")
            if (self.state / "milestones").exists():
                shutil.copytree(
                    self.state / "milestones",
                    aside / "milestones",
                    copy_function=link_or_copy,
                    ignore=shutil.ignore_patterns(".*"),
                )


def pretrain(
    manifests: list[str],
    start: Path | None,
    hparams: dict,
    output: Path,
    *,
    save_seconds: float = SAVE_SECONDS,
    save_steps: int = SAVE_STEPS,
    tensorboard: Path | None = None,
    compiled: bool | None = None,
) -> None:
    """Train one segment from `start` (None: from random weights) into `output`."""
    with ExitStack() as stack:
        state = monitor = None
        if int(os.environ.get("RANK", 0)) == 0:
            files.check_folder(output)
            state = checkpoint.open_state(output, identity(manifests, start, hparams))
            stack.enter_context(checkpoint.lock(state))
        trainer = Trainer(hparams["settings"], manifests, compiled)
        stack.callback(trainer.close)
        segment = Segment(
            trainer, hparams, output.parent.name, sources_of(manifests), state
        )
        segment.resume(start)
        if state:
            monitor = Monitor(
                state / "speed.csv",
                trainer.device,
                trainer.settings["batch"] * trainer.settings["tokens"],
                trainer.flops_per_token(),
                trainer.world,
                tensorboard,
                f"{output.parent.name}/{state.name}",
                segment.done,
            )
            stack.callback(monitor.close)
        finished = segment.train(monitor, save_seconds, save_steps)
        if finished and state:
            segment.finish(output)
            checkpoint.close_state(state)
        if trainer.world > 1:
            dist.destroy_process_group()
    if not finished:
        sys.exit(STOPPED)


def sources_of(manifests: list[str]) -> list[tuple[str, str, str]]:
    """Genome, file and sha256 of all that the corpus was made of."""
    return [
        (manifest["genome"], source["file"], source["sha256"])
        for manifest in map(files.read_json, manifests)
        for source in manifest["sources"]
    ]


def check_processes(asked: int) -> None:
    """Raise `InputError` where other processes were started than asked for.

    Also where a process finds no GPU of its own while there are GPUs: hours would be
    spent on a part of them.
    """
    started = int(os.environ.get("WORLD_SIZE", 1))
    if started != asked:
        raise InputError(f"{started} processes were started, expected {asked}")
    here, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", 1)), torch.cuda.device_count()
    if 0 < gpus < here:
        raise InputError(f"{here} processes on this node see {gpus} GPUs")


def identity(manifests: list[str], start: Path | None, hparams: dict) -> dict:
    """All that decides the weights: a checkpoint of anything else is not gone on from.

    The settings, and the checksums of the corpus and of the state to start from.
    """
    inputs = {path: files.sha256(path) for path in manifests}
    if start is not None:
        inputs["start"] = files.sha256(start / checkpoint.STATE_FILE)
    return {**hparams, "inputs": inputs}


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", required=True, nargs="+", help="manifest.json")
    # not --start: torchrun would take it for an abbreviation of its own
    parser.add_argument("--from", dest="start", type=Path, help="folder to go on from")
    parser.add_argument("--hparams", required=True, type=json.loads)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--save-seconds", type=float, default=SAVE_SECONDS)
    parser.add_argument("--save-steps", type=int, default=SAVE_STEPS)
    parser.add_argument("--processes", type=int, default=1, help="expected in all")
    parser.add_argument("--gpus", type=int, default=0, help="expected on each node")
    parser.add_argument("--tensorboard", type=Path, help="folder for its event files")
    parser.add_argument(
        "--compile",
        action=argparse.BooleanOptionalAction,
        help="compile the forward pass (left out: on a GPU)",
    )
    arguments = parser.parse_args(argv)
    check_processes(arguments.processes)
    if arguments.gpus and not torch.cuda.is_available():
        print("warning: no GPU is to be seen: training on the CPU", file=sys.stderr)
    pretrain(
        arguments.corpus,
        arguments.start,
        arguments.hparams,
        arguments.output,
        save_seconds=arguments.save_seconds,
        save_steps=arguments.save_steps,
        tensorboard=arguments.tensorboard,
        compiled=arguments.compile,
    )


if __name__ == "__main__":
    run(main)

"""Pretrain an encoder by masked k-mer prediction: one segment of its steps.

    torchrun --standalone --nproc-per-node 8 -m randommask.pretrain \
        --corpus results/corpus/hg38/manifest.json \
        --start results/pretrain/randommask/step-30000 \
        --hparams '<json>' --output results/pretrain/randommask/step-60000

runs on one process too (`python -m randommask.pretrain`). A segment that was killed,
run again with the same command, goes on from its last checkpoint and ends with the bits
it would have had (see `trainer` and `checkpoint`).
"""

import argparse
import csv
import json
import os
import shutil
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import torch.distributed as dist
from tqdm import tqdm

from randommask import checkpoint, curriculum, files
from randommask.errors import InputError, run
from randommask.history import History
from randommask.trainer import Trainer

STOPPED = 128 + signal.SIGTERM  # exit status of a run that was asked to stop


class Segment:
    """Steps `start` to `end` of an encoder's pretraining, which may stop anywhere.

    `state` is the state folder, None on all processes but the first, which alone
    writes.
    """

    def __init__(self, trainer: Trainer, hparams: dict, state: Path | None) -> None:
        self.trainer, self.state = trainer, state
        self.settings = trainer.settings
        self.start, self.end = hparams["start"], hparams["end"]
        self.milestones = set(hparams["milestones"])
        self.log_every = hparams["log_every"]
        self.validate_every = hparams["validate_every"]
        self.history = History([])
        self.done = self.start
        self.bounds: dict[int, float] = {}

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
        self.done = state["step"]
        self.history = History(state["rows"], state["sums"])
        print(f"going on from {path} after {self.done} steps", file=sys.stderr)

    def train(self, save_seconds: float) -> bool:
        """Run to the end; False where SIGTERM came first (a checkpoint is written)."""
        stopped: list[int] = []
        signal.signal(signal.SIGTERM, lambda number, _: stopped.append(number))
        saved = logged = time.monotonic()
        if self.done == 0:
            self.keep_milestone()
        steps = range(self.done, self.end)
        watched = self.state is not None and sys.stderr.isatty()
        for step in tqdm(steps, unit="step", disable=not watched):
            sums, stop = self.trainer.step(step, bool(stopped))
            self.history.add(sums)
            self.done = step + 1
            if self.is_due(self.log_every):
                now = time.monotonic()
                self.log(now - logged)
                logged = now
            if self.done < self.end:
                self.keep_milestone()
            if self.state and (stop or time.monotonic() - saved > save_seconds):
                self.trainer.save(
                    checkpoint.rolling(self.state, self.done), self.snapshot()
                )
                checkpoint.thin_out(self.state)
                saved = time.monotonic()
            if stop:
                return False
        return True

    def is_due(self, every: int) -> bool:
        """Every so many steps, at a phase's end and at the segment's."""
        ends = [phase["until"] for phase in self.settings["curriculum"]]
        return self.done % every == 0 or self.done in (*ends, self.end)

    def log(self, seconds: float) -> None:
        """Close a row of the history, with a validation where one is due."""
        if self.state is None:
            return
        phase = curriculum.phase_at(self.settings["curriculum"], self.done - 1)
        max_span = self.settings["curriculum"][phase]["max_span"]
        if max_span not in self.bounds:
            bound = curriculum.information_bound(self.settings, max_span)
            self.bounds[max_span] = bound
        validation = None
        if self.is_due(self.validate_every):
            validation = self.trainer.validate(max_span)
        tokens = self.history.sums["tokens"]
        row = self.history.close_row(
            self.settings, self.done, self.bounds[max_span], validation
        )
        rate = round(tokens / seconds) if seconds else 0
        with open(self.state / "speed.csv", "a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(
                [self.done, round(seconds, 3), rate]
            )
        shown = f"step {self.done} loss {row['loss']:.3f} max span {max_span}"
        tqdm.write(f"{shown} {rate} tokens/s", file=sys.stderr)

    def keep_milestone(self) -> None:
        """Save the encoder where the step is a milestone."""
        if self.state is not None and self.done in self.milestones:
            folder = self.state / "milestones" / f"step-{self.done}"
            with files.write_aside(folder) as aside:
                self.trainer.save_encoder(aside)

    def snapshot(self) -> dict:
        """What a checkpoint holds beside the tensors."""
        history = self.history
        return {"step": self.done, "rows": history.rows, "sums": history.sums}

    def finish(self, output: Path) -> None:
        """Write the segment's folder: encoder, state, history, milestones."""
        with files.write_aside(output) as aside:
            self.trainer.save_encoder(aside)
            self.trainer.save(aside / checkpoint.STATE_FILE, self.snapshot())
            files.write_text(aside / "history.csv", self.history.csv())
            speed = (self.state / "speed.csv").read_text()
            files.write_text(aside / "speed.csv", "step,seconds,tokens_per_s\n" + speed)
            if (self.state / "milestones").exists():
                shutil.copytree(
                    self.state / "milestones",
                    aside / "milestones",
                    copy_function=checkpoint.link_or_copy,
                    ignore=shutil.ignore_patterns(".*"),
                )


def pretrain(
    manifests: list[str],
    start: Path | None,
    hparams: dict,
    output: Path,
    save_seconds: float,
) -> None:
    """Train one segment from `start` (None: from random weights) into `output`."""
    with ExitStack() as stack:
        state = None
        if int(os.environ.get("RANK", 0)) == 0:
            state = checkpoint.open_state(output, identity(manifests, start, hparams))
            stack.enter_context(checkpoint.lock(state))
        trainer = Trainer(hparams["settings"], manifests)
        segment = Segment(trainer, hparams, state)
        segment.resume(start)
        finished = segment.train(save_seconds)
        if finished and state:
            segment.finish(output)
            checkpoint.close_state(state)
        if trainer.world > 1:
            dist.destroy_process_group()
    if not finished:
        sys.exit(STOPPED)


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
    parser.add_argument("--start", type=Path, help="folder to go on from")
    parser.add_argument("--hparams", required=True, type=json.loads)
    parser.add_argument("--output", required=True, type=Path)
    parser.add_argument("--save-seconds", type=float, default=600.0)
    arguments = parser.parse_args(argv)
    pretrain(
        arguments.corpus,
        arguments.start,
        arguments.hparams,
        arguments.output,
        arguments.save_seconds,
    )


if __name__ == "__main__":
    run(main)

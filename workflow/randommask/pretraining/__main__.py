"""Pretrain an encoder by masked k-mer prediction: one segment of its steps.

    torchrun --standalone --nproc-per-node 8 -m randommask.pretraining \
        --corpus results/corpus/hg38/manifest.json \
        --from results/pretrain/randommask/step-30000 \
        --hparams '<json>' --output results/pretrain/randommask/step-60000

runs on one process too (`python -m randommask.pretraining`). A segment that was killed,
run again with the same command, goes on from its last checkpoint and ends with the bits
it would have had (see `segment`).
"""

import argparse
import os
import sys
from contextlib import ExitStack
from pathlib import Path

import torch
import torch.distributed as dist

from randommask import files
from randommask.data import manifest, pmi
from randommask.errors import InputError, run
from randommask.experiment.hparams import Pretraining
from randommask.experiment.sections import RANKED
from randommask.pretraining.monitor import Monitor
from randommask.pretraining.origin import WEIGHTS
from randommask.pretraining.origin import check as check_origin
from randommask.pretraining.segment import Segment
from randommask.pretraining.trainer import Trainer
from randommask.training import gpu, memory
from randommask.training.precision import chosen
from randommask.training.signals import unfailing_stderr
from randommask.training.state import STATE_FILE, StateFolder, checksum

# Between two checkpoints, whichever comes first: a kill costs ten minutes at most. One
# of BERT-base is 1.1 GB, which a thread writes while training goes on.
SAVE_SECONDS, SAVE_STEPS = 600.0, 5000
# These say what is looked at while the weights become what they would anyway.
WATCHING = (
    "log_every",
    "validate_every",
    "validation_spans",
    "span_masking",
    "milestones",
)


def pretrain(
    manifests: list[str],
    start: Path | None,
    hparams: Pretraining,
    output: Path,
    *,
    ranks: Path | None = None,
    save_seconds: float = SAVE_SECONDS,
    save_steps: int = SAVE_STEPS,
    tensorboard: Path | None = None,
    compiled: bool | None = None,
    origin: Path | None = None,
) -> None:
    """Train one segment into `output`.

    It goes on from the state in `start`, or begins: with the weights of the encoder in
    `origin`, else with random ones. `ranks` is the csv of `data.pmi`, where a phase
    masks by it.
    """
    is_first = int(os.environ.get("RANK", 0)) == 0
    if is_first:
        files.check_folder(output)
    check_origin(origin, hparams.settings, start is None)
    if is_first:
        for path in manifests:
            manifest.verify(path)
    kept = output if is_first else None
    identity = identity_of(manifests, start, hparams, origin, ranks)
    ranked = pmi.read(ranks, hparams.settings.k) if ranks else None
    needing = [p.masking for p in hparams.settings.curriculum if p.masking in RANKED]
    if needing and ranked is None:
        raise InputError(f"masking {needing[0]}: no --ranks, the csv of data.pmi")
    shown = {name: hparams.values()[name] for name in WATCHING}
    with ExitStack() as stack:
        state = StateFolder(kept, identity, save_seconds, save_steps, shown)
        stack.enter_context(state).open()
        trainer = Trainer(
            hparams.settings, manifests, compiled, hparams.verify_every, ranked
        )
        stack.callback(trainer.close)
        segment = Segment(
            trainer, hparams, output.parent.name, sources_of(manifests), state
        )
        segment.resume(start, origin)
        monitor = None
        if state.folder is not None:
            monitor = Monitor(
                state.folder / "speed.csv",
                trainer.device,
                trainer.settings.batch * trainer.settings.tokens,
                trainer.flops_per_token(),
                trainer.world,
                tensorboard,
                f"{output.parent.name}/{state.folder.name}",
                segment.done,
            )
            stack.callback(monitor.close)
        # Not only while it trains: who asks it to stop while it writes its first
        # milestone or its output gets a whole one, in seconds.
        with state.stop.heeding():
            finished = segment.train(monitor)
            if finished and state.folder is not None:
                segment.finish(output, start)
        if trainer.world > 1:
            dist.destroy_process_group()
    if not finished:
        print(f"stopped after {segment.done} steps", file=sys.stderr)
        sys.exit(state.stop.status)


def sources_of(manifests: list[str]) -> list[tuple[str, str, str]]:
    """Genome, file and sha256 of all that the corpus was made of."""
    return [
        (made.genome, source.file, source.sha256)
        for made in map(manifest.load, manifests)
        for source in made.sources
    ]


def check_processes(expected: int) -> None:
    """Raise `InputError` where another number of processes was started than told.

    Also where a process finds no GPU of its own while there are GPUs: hours would be
    spent on a part of them.
    """
    started = int(os.environ.get("WORLD_SIZE", 1))
    if started != expected:
        raise InputError(f"{started} processes were started, expected {expected}")
    here, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", 1)), torch.cuda.device_count()
    if 0 < gpus < here:
        raise InputError(f"{here} processes on this node see {gpus} GPUs")


def identity_of(
    manifests: list[str],
    start: Path | None,
    hparams: Pretraining,
    origin: Path | None = None,
    ranks: Path | None = None,
) -> dict:
    """All that decides the weights: a checkpoint of anything else is not gone on from.

    The settings but for those that only watch, what `auto` is here, and the checksums
    of the corpus, of the ranks and of the state or the weights to start from. Not the
    number of processes: a training goes on with fewer or more.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    idle = (*WATCHING, "verify_every")
    begun = None if origin is None else files.sha256(origin / WEIGHTS)
    return {
        **{name: value for name, value in hparams.values().items() if name not in idle},
        "device": device,
        "precision": chosen(hparams.settings.precision, device),
        "corpus": [files.sha256(path) for path in manifests],
        "from": begun if start is None else checksum(start / STATE_FILE),
        **({} if ranks is None else {"ranks": files.sha256(ranks)}),
    }


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", required=True, nargs="+", help="manifest.json")
    # Not --start: torchrun would take that for an abbreviation of a flag of its own.
    parser.add_argument("--from", dest="start", type=Path, help="folder to go on from")
    parser.add_argument("--origin", type=Path, help="an encoder to begin with")
    parser.add_argument("--ranks", type=Path, help="csv of randommask.data.pmi")
    parser.add_argument("--hparams", required=True, help="JSON: see Pretraining")
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
    gpu.expect(arguments.gpus)
    memory.keep_freed()
    with unfailing_stderr():
        pretrain(
            arguments.corpus,
            arguments.start,
            Pretraining.parse(arguments.hparams),
            arguments.output,
            ranks=arguments.ranks,
            save_seconds=arguments.save_seconds,
            save_steps=arguments.save_steps,
            tensorboard=arguments.tensorboard,
            compiled=arguments.compile,
            origin=arguments.origin,
        )


if __name__ == "__main__":
    run(main)

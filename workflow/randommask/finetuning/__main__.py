"""Fine-tune an encoder on one dataset and predict its test split.

    python -m randommask.finetuning --encoder results/encoders/randommask \
        --data results/benchmark/EMP-H3 \
        --hparams '{"encoder": "randommask", "tokenization": "overlapping",
                    "dataset": "EMP-H3", "task": "EMP", "metric": "mcc", "seed": 0,
                    "epochs": 100, "batch_size": 32, "learning_rate": 3e-5,
                    "warmup_steps": 50, "weight_decay": 0.0, "betas": [0.9, 0.999],
                    "eps": 1e-8, "clip": 1.0, "dropout": 0.1, "precision": "bf16"}' \
        --metrics metrics.json --predictions predictions.parquet --history history.csv

The epoch with the best dev MCC (Pearson for a regression) gives the weights that
predict the test split; of equals the earlier one. It runs on CUDA where there is a
device, else on OMP_NUM_THREADS threads. The same seed on the same CPU gives the same
predictions (on a GPU, but for their last bits); so does a run that was killed and is
started again with the same command, which goes on from the state it kept (see
`training.state`). Each output is written if its flag is given; `--model` is a folder
for the fine-tuned weights, which `randommask.predict` reads. Where the loss is not
finite, the scores are recorded and flagged, but no model is written: that is an error.

Several seeds in one process take their steps in turn and end with the same results:

    ... --seeds 1 2 3 --metrics seed1.json seed2.json seed3.json
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
import torch

from randommask import files
from randommask.errors import InputError, run
from randommask.experiment.hparams import Finetuning
from randommask.finetuning import examples, outputs, results, turns
from randommask.finetuning.fitting import steps
from randommask.finetuning.tuning import Tuning
from randommask.finetuning.turns import Turn
from randommask.training import gpu, memory
from randommask.training.signals import Stop, unfailing_stderr
from randommask.training.state import StateFolder

WEIGHTS = ("config.json", "model.safetensors")
OUTPUTS = ("model", "metrics", "predictions", "history")  # the first names the state
# Between two checkpoints: a kill costs ten minutes at most, and runs that are shorter
# write none.
SAVE_SECONDS = 600.0


@dataclass(frozen=True)
class Job:
    """A run, and where its outputs go by their names (see `OUTPUTS`)."""

    settings: Finetuning
    paths: dict[str, Path]


def finetune(
    encoder: str | Path,
    source: str | Path,
    settings: Finetuning,
    *,
    metrics_path: str | Path | None = None,
    predictions_path: str | Path | None = None,
    history_path: str | Path | None = None,
    model_path: str | Path | None = None,
    save_seconds: float = SAVE_SECONDS,
) -> None:
    """Fine-tune the encoder of one folder on the dataset of another; write results.

    Raises `InputError` for an encoder or a dataset that is not as it should be, and in
    the end where a model was asked for and its loss was not finite: it is not written.
    """
    given = (model_path, metrics_path, predictions_path, history_path)
    paths = {n: Path(path) for n, path in zip(OUTPUTS, given, strict=True) if path}
    finetune_each(encoder, source, [Job(settings, paths)], save_seconds=save_seconds)


def finetune_each(
    encoder: str | Path,
    source: str | Path,
    jobs: Sequence[Job],
    *,
    keep: bool = False,
    save_seconds: float = SAVE_SECONDS,
) -> None:
    """The same for runs that differ in their seeds alone, which take turns.

    With `keep` a run is left alone whose outputs are there already, made with the same
    settings, encoder and data; what is finished stays in the state, so that it can be
    given again where the process or another run fails.
    """
    clocks = [outputs.Clock(len(jobs)) for _ in jobs]
    for job in jobs:
        files.check_folder(job.paths.get("model"))
        for name in OUTPUTS[1:]:
            files.check_file(job.paths.get(name))
    if torch.cuda.is_available():
        _make_deterministic()
    each = examples.read_each(source, [job.settings for job in jobs])
    sums = cache(partial(_encoder_sums, encoder))  # read once
    todo = [*zip(jobs, each, clocks, strict=True)]
    if keep:
        todo = [one for one in todo if not _is_made(sums, *one[:2])]
    stop, begun = Stop(), []
    with ExitStack() as stack:
        inputs = None
        for job, data, clock in todo:
            clock.share(len(todo))
            same = inputs if inputs is not None and inputs.data is data else None
            tuning = Tuning(encoder, data, job.settings, inputs=same)
            inputs = tuning.inputs
            output = next((path.absolute() for path in job.paths.values()), None)
            shown = {"for": [*job.paths]}
            identity = _identity(sums(), tuning)
            kept = StateFolder(output, identity, save_seconds, shown=shown, stop=stop)
            stack.enter_context(kept)
            if keep:
                kept.open()
            name = f"seed {job.settings.seed}: " if len(todo) > 1 else ""
            run = _run(encoder, tuning, job.paths, kept, clock, name)
            begun.append(Turn(run, clock, turns.stream(tuning, len(todo))))
            del tuning  # it goes with its run
        turns.take(begun, stop)
    for job in jobs:
        if (model := job.paths.get("model")) and not model.exists():
            raise InputError(
                f"{model}: not written, as the loss was not finite; lower learning_rate"
            )


def _run(
    encoder: str | Path,
    tuning: Tuning,
    paths: dict[str, Path],
    kept: StateFolder,
    clock: outputs.Clock,
    name: str,
) -> Iterator[None]:
    """Take the steps of a run, then write its outputs."""
    if kept.is_there() and kept.finished.exists():
        print(f"finished before: {kept.finished}", file=sys.stderr)
    else:
        outcome = yield from steps(tuning, kept, clock, name)
        test, _ = tuning.predict("test")
        report = results.report(
            tuning, outcome, test, kept.identity["encoder_sha256"], clock
        )
        is_sound = not outcome.flags and bool(np.isfinite(test).all())
        named = {n: path for n, path in paths.items() if n != "model" or is_sound}
        write = partial(results.write, tuning, encoder, outcome, test, report)
        if kept.folder is None:  # a short run
            write(named)
        else:
            with files.make_aside(kept.finished) as aside:
                aside.mkdir()
                write({name: aside / name for name in named})
    if kept.folder is not None:
        for name, path in paths.items():
            if (kept.finished / name).exists():
                results.give(kept.finished / name, path)
        kept.close()


def _is_made(
    sums: Callable[[], dict[str, str]], job: Job, data: examples.Examples
) -> bool:
    """Whether a run's outputs are there, by its settings from this encoder and data.

    Not asked is what Snakemake does not ask either of a run that it leaves alone: by
    which version of the code, on which device.
    """
    if "metrics" not in job.paths or not all(map(Path.exists, job.paths.values())):
        return False
    try:
        made = files.read_json(job.paths["metrics"])
    except InputError:
        return False
    expected = {
        "settings": job.settings.values(),
        "encoder_sha256": sums(),
        "data_sha256": data.checksums,
    }
    is_made = expected.items() <= made.items() if isinstance(made, dict) else False
    if is_made:
        print(f"made before: {job.paths['metrics']}", file=sys.stderr)
    return is_made


def _identity(encoder_sha256: dict[str, str], tuning: Tuning) -> dict:
    """All that decides a run's results; a state of another run is not gone on from."""
    return {
        "settings": tuning.settings.values(),
        "encoder_sha256": encoder_sha256,
        "data_sha256": tuning.data.checksums,
        "precision": tuning.precision,
        "device": tuning.device.type,
        "compiled": tuning.compiled is not None,
    }


def _encoder_sums(encoder: str | Path) -> dict[str, str]:
    return {name: files.sha256(Path(encoder) / name) for name in WEIGHTS}


def _make_deterministic() -> None:
    """Ask CUDA for kernels that repeat themselves, where it has them.

    A CPU's do, and the call imports torch's compiler: seconds, for a short run. Where
    there are none, attention's gradient among them, it goes on with others.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads memory that it has not written, so filling it only costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False


def read_jobs(flags: argparse.Namespace) -> list[Job]:
    """The runs that the flags name: of each of `--seeds`, or that of `--hparams`."""
    parse, seeds = partial(Finetuning.parse, flags.hparams), flags.seeds
    settings = [parse(seed=seed) for seed in seeds] if seeds else [parse()]
    if seeds and len({*seeds}) < len(seeds):
        raise InputError(f"--seeds: found {seeds}, expected no seed twice")
    jobs = [Job(one, {}) for one in settings]
    for name in OUTPUTS:
        paths = getattr(flags, name) or []
        if paths and len({*paths}) != len(jobs):
            raise InputError(
                f"--{name}: found {len({*paths})} paths, expected {len(jobs)}, one for "
                "each seed"
            )
        for job, path in zip(jobs, paths, strict=False):
            job.paths[name] = Path(path)
    return jobs


def main(argv: list[str] | None = None) -> None:
    """Read the flags and fine-tune."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", required=True, help="folder of the encoder")
    parser.add_argument("--data", required=True, help="folder of the dataset")
    parser.add_argument("--hparams", required=True, help="JSON: see Finetuning")
    parser.add_argument(
        "--seeds",
        type=int,
        nargs="+",
        help="in place of the seed in --hparams: runs that take turns in this process, "
        "each of the following flags with a path for each",
    )
    parser.add_argument("--metrics", nargs="+", help="JSON to write")
    parser.add_argument("--predictions", nargs="+", help="parquet to write")
    parser.add_argument("--history", nargs="+", help="csv to write, a line an epoch")
    parser.add_argument("--model", nargs="+", help="folder to write")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="leave alone what the same settings, encoder and data made already",
    )
    parser.add_argument(
        "--save-seconds",
        type=float,
        default=SAVE_SECONDS,
        help="time between two states kept for a run that is killed",
    )
    parser.add_argument("--gpus", type=int, default=0, help="expected here")
    flags = parser.parse_args(argv)
    jobs = read_jobs(flags)
    gpu.expect(flags.gpus)
    memory.keep_freed()
    with unfailing_stderr():
        finetune_each(
            flags.encoder,
            flags.data,
            jobs,
            keep=flags.keep,
            save_seconds=flags.save_seconds,
        )


if __name__ == "__main__":
    run(main)

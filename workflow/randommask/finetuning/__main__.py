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
"""

import argparse
import os
import shutil
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch

from randommask import files
from randommask.encoders import families
from randommask.encoders.folder import link_or_copy
from randommask.errors import InputError, run
from randommask.experiment.hparams import Finetuning
from randommask.finetuning import card, examples, heads, outputs, purpose
from randommask.finetuning.fitting import Outcome, fit
from randommask.finetuning.tuning import Tuning
from randommask.training import gpu, memory
from randommask.training.signals import unfailing_stderr
from randommask.training.state import StateFolder, link_tree

VERSIONED = ("torch", "numpy", "pyarrow", "safetensors")
WEIGHTS = ("config.json", "model.safetensors")
HISTORY = ("epoch", "step", "train_loss", "dev_loss")
# Between two checkpoints: a kill costs ten minutes at most, and runs that are shorter
# write none.
SAVE_SECONDS = 600.0


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
    clock = outputs.Clock()
    files.check_folder(model_path)
    for path in (metrics_path, predictions_path, history_path):
        files.check_file(path)
    if torch.cuda.is_available():
        _make_deterministic()
    data = examples.read(source, settings)
    tuning = Tuning(encoder, data, settings)
    identity = _identity(encoder, tuning)
    wanted = {
        "model": model_path,
        "metrics": metrics_path,
        "predictions": predictions_path,
        "history": history_path,
    }
    paths = {name: Path(path) for name, path in wanted.items() if path}
    output = next((path.absolute() for path in paths.values()), None)
    with StateFolder(output, identity, save_seconds, shown={"for": [*paths]}) as kept:
        if kept.is_there() and kept.finished.exists():
            print(f"finished before: {kept.finished}", file=sys.stderr)
        else:
            outcome = fit(tuning, kept)
            test, _ = tuning.predict("test")
            report = outputs.report(
                data,
                settings,
                outcome.dev,
                test,
                VERSIONED,
                **_facts(tuning, outcome),
                encoder_sha256=identity["encoder_sha256"],
                **clock.spent(outcome.seconds) | _on_gpu(),
            )
            is_sound = not outcome.flags and bool(np.isfinite(test).all())
            named = {n: path for n, path in paths.items() if n != "model" or is_sound}
            write = partial(_write, tuning, encoder, outcome, test, report)
            if kept.folder is None:  # a short run
                write(named)
            else:
                with files.make_aside(kept.finished) as aside:
                    aside.mkdir()
                    write({name: aside / name for name in named})
        if kept.folder is not None:
            for name, path in paths.items():
                if (kept.finished / name).exists():
                    _give(kept.finished / name, path)
            kept.close()
    if model_path and not Path(model_path).exists():
        raise InputError(
            f"{model_path}: not written, as the loss was not finite; "
            "lower learning_rate"
        )


def _write(
    tuning: Tuning,
    encoder: str | Path,
    outcome: Outcome,
    test: np.ndarray,
    report: dict,
    paths: dict[str, Path],
) -> None:
    """Write the outputs that have a path; the metrics last, which stand for all."""
    if "model" in paths:
        with files.make_aside(paths["model"]) as aside:
            _write_model(aside, tuning, encoder, report)
    if "predictions" in paths:
        outputs.write_predictions(paths["predictions"], tuning.data, test)
    if "history" in paths:
        names = (*HISTORY, f"dev_{tuning.settings.metric}")
        outputs.write_history(paths["history"], names, outcome.history)
    if "metrics" in paths:
        files.write_json(paths["metrics"], report)


def _give(kept: Path, path: Path) -> None:
    """Give a finished output its own name too."""
    if kept.is_dir():
        with files.make_aside(path) as aside:
            link_tree(kept, aside)
        return
    with files.write_aside(path) as aside:
        if not aside.exists():
            link_or_copy(kept, aside)
            return
        with open(kept, "rb") as made, open(aside, "wb") as file:  # a pipe, a device
            shutil.copyfileobj(made, file)


def _identity(encoder: str | Path, tuning: Tuning) -> dict:
    """All that decides a run's results; a state of another run is not gone on from."""
    return {
        "settings": tuning.settings.values(),
        "encoder_sha256": {
            name: files.sha256(Path(encoder) / name) for name in WEIGHTS
        },
        "data_sha256": tuning.data.checksums,
        "precision": tuning.precision,
        "device": tuning.device.type,
        "compiled": tuning.compiled is not None,
    }


def _facts(tuning: Tuning, outcome: Outcome) -> dict:
    """What metrics.json says of this kind of run beside what `outputs.report` does."""
    is_cuda = tuning.device.type == "cuda"
    return {
        "best_epoch": outcome.best_epoch,
        "epochs": len(outcome.history),
        "flags": outcome.flags,
        "architecture": asdict(tuning.config),
        "device": torch.cuda.get_device_name(tuning.device) if is_cuda else "cpu",
        "precision": tuning.precision,
        "compiled": tuning.compiled is not None,
        "threads": torch.get_num_threads(),
    }


def _write_model(
    folder: Path, tuning: Tuning, encoder: str | Path, report: dict
) -> None:
    """Write the fine-tuned weights, and what they are for, into `folder`."""
    data, tokenization = tuning.data, tuning.settings.tokenization
    named = {"type": data.type, "targets": data.targets, "tokenization": tokenization}
    heads.save(tuning.model, folder, tuning.scale, tuning.shift, **named)
    bases = max(map(len, data.splits["train"].sequences))
    family = families.of(encoder)
    made_for = purpose.Purpose(
        dataset=data.dataset,
        tokenization=tokenization,
        type=data.type,
        classes=data.classes,
        targets=list(data.targets),
        window_bases=purpose.window(family, tokenization, tuning.config, bases),
        precision=tuning.precision,
    )
    purpose.write(folder, made_for)
    card.write(folder, made_for, report, is_classifier=heads.is_classifier(folder))


def _on_gpu() -> dict:
    """The most memory that a GPU has held at once, where there is one."""
    if not torch.cuda.is_available():
        return {}
    return {"peak_memory_bytes": torch.cuda.max_memory_allocated()}


def _make_deterministic() -> None:
    """Ask CUDA for kernels that repeat themselves, where it has them.

    A CPU's do, and the call imports torch's compiler: seconds, for a short run. Where
    there are none, attention's gradient among them, it goes on with others.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # Nothing here reads memory that it has not written, so filling it only costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False


def main(argv: list[str] | None = None) -> None:
    """Read the flags and fine-tune."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", required=True, help="folder of the encoder")
    parser.add_argument("--data", required=True, help="folder of the dataset")
    parser.add_argument("--hparams", required=True, help="JSON: see Finetuning")
    parser.add_argument("--metrics", help="JSON to write")
    parser.add_argument("--predictions", help="parquet to write")
    parser.add_argument("--history", help="csv to write, a line an epoch")
    parser.add_argument("--model", help="folder to write")
    parser.add_argument(
        "--save-seconds",
        type=float,
        default=SAVE_SECONDS,
        help="time between two states kept for a run that is killed",
    )
    parser.add_argument("--gpus", type=int, default=0, help="expected here")
    flags = parser.parse_args(argv)
    gpu.expect(flags.gpus)
    memory.keep_freed()
    with unfailing_stderr():
        finetune(
            flags.encoder,
            flags.data,
            Finetuning.parse(flags.hparams),
            metrics_path=flags.metrics,
            predictions_path=flags.predictions,
            history_path=flags.history,
            model_path=flags.model,
            save_seconds=flags.save_seconds,
        )


if __name__ == "__main__":
    run(main)

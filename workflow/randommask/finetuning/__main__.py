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
for the fine-tuned weights, which `randommask.predict` reads.
"""

import argparse
import os
import platform
import resource
import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

import randommask
from randommask import files, metrics
from randommask.encoders import families
from randommask.errors import InputError, run
from randommask.finetuning import examples, heads, task
from randommask.finetuning.examples import Examples
from randommask.finetuning.fitting import Outcome, fit
from randommask.finetuning.settings import Settings
from randommask.finetuning.task import Task
from randommask.finetuning.tuning import Tuning
from randommask.training.state import StateFolder

VERSIONED = ("torch", "numpy", "pyarrow", "safetensors")
WEIGHTS = ("config.json", "model.safetensors")
SAVE_SECONDS = 600.0  # between two states kept; writing one takes a second or two


def finetune(
    encoder: str | Path,
    source: str | Path,
    settings: Settings,
    *,
    metrics_path: str | Path | None = None,
    predictions_path: str | Path | None = None,
    history_path: str | Path | None = None,
    model_path: str | Path | None = None,
    save_seconds: float = SAVE_SECONDS,
) -> None:
    """Fine-tune the encoder of one folder on the dataset of another; write results.

    Raises `InputError` for an encoder or a dataset that is not as it should be.
    """
    start = time.perf_counter()
    files.check_folder(model_path)
    for path in (metrics_path, predictions_path, history_path):
        files.check_file(path)
    if torch.cuda.is_available():
        _make_deterministic()
    data = examples.read(source, settings.tokenization, encoder, settings.truncate)
    _check(data, settings, source)
    tuning = Tuning(encoder, data, settings)
    identity = _identity(encoder, tuning)
    outputs = (model_path, metrics_path, predictions_path, history_path)
    output = next((Path(path).absolute() for path in outputs if path), None)
    with StateFolder(output, identity, save_seconds) as kept:
        outcome = fit(tuning, kept)
        test, _ = tuning.predict("test")
        if model_path:
            with files.make_aside(model_path) as aside:
                _write_model(aside, tuning, encoder, source)
        if predictions_path:
            _write_predictions(predictions_path, data, test)
        if history_path:
            _write_history(history_path, settings.metric, outcome)
        if metrics_path:
            seconds = outcome.seconds + time.perf_counter() - start
            report = _report(tuning, outcome, test) | {
                "encoder_sha256": identity["encoder_sha256"],
                "seconds": round(seconds, 2),
                "peak_memory_bytes": _peak_memory(),
            }
            files.write_json(metrics_path, report)
        kept.close()


def _identity(encoder: str | Path, tuning: Tuning) -> dict:
    """All that decides a run's results; a state of another run is not gone on from."""
    return {
        "settings": asdict(tuning.settings),
        "encoder_sha256": {
            name: files.sha256(Path(encoder) / name) for name in WEIGHTS
        },
        "data_sha256": _checksums(tuning.data),
        "precision": tuning.precision,
        "device": tuning.device.type,
        "compiled": tuning.compiled is not None,
    }


def _checksums(data: Examples) -> dict[str, str]:
    return {name: split.sha256 for name, split in data.splits.items()}


def _write_model(
    folder: Path, tuning: Tuning, encoder: str | Path, source: str | Path
) -> None:
    """Write the fine-tuned weights, and what they are for, into `folder`."""
    data, tokenization = tuning.data, tuning.settings.tokenization
    named = {"type": data.type, "targets": data.targets}
    heads.save(tuning.model, folder, tuning.scale, tuning.shift, **named)
    rows = pq.ParquetFile(Path(source) / "train.parquet").read(["sequence"])
    bases = max(map(len, rows["sequence"].to_pylist()))
    family = families.of(encoder)
    made_for = Task(
        dataset=data.dataset,
        tokenization=tokenization,
        type=data.type,
        classes=data.classes,
        targets=list(data.targets),
        window_bases=task.window(family, tokenization, tuning.config, bases),
        precision=tuning.precision,
    )
    task.write(folder, made_for)


def _peak_memory() -> int:
    """The most that the process has held at once: on the GPU if it used one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _make_deterministic() -> None:
    """Ask CUDA for kernels that repeat themselves, where it has them.

    A CPU's do, and the call imports torch's compiler: seconds, for a short run. Where
    there are none, attention's gradient among them, it goes on with others.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # only costs time


def _check(data: Examples, settings: Settings, source: str | Path) -> None:
    """Raise `InputError` where the settings speak of another dataset."""
    due = {"dataset": data.dataset, "metric": metrics.CHOSEN_BY[data.type]}
    for key, value in due.items():
        if getattr(settings, key) != value:
            raise InputError(
                f"--hparams: {key} is {getattr(settings, key)}, expected {value} "
                f"({source}/summary.json)"
            )


def _report(tuning: Tuning, outcome: Outcome, test: np.ndarray) -> dict:
    """What metrics.json says of the settings, the scores and where they come from."""
    data, settings = tuning.data, tuning.settings
    labels = {name: split.labels for name, split in data.splits.items()}
    scores = metrics.score(data.type, labels["test"], test)
    is_cuda = tuning.device.type == "cuda"
    named = ("encoder", "tokenization", "dataset", "task", "seed", "metric")
    return {
        **{name: getattr(settings, name) for name in named},
        "score": scores[settings.metric],
        "best_epoch": outcome.best_epoch,
        "epochs": len(outcome.history),
        "dev": metrics.score(data.type, labels["dev"], outcome.dev),
        "test": scores,
        "flags": outcome.flags + metrics.flags(data.type, test),
        "settings": asdict(settings),
        "architecture": asdict(tuning.config),
        "rows": {name: len(values) for name, values in labels.items()},
        "data_sha256": _checksums(data),
        "versions": {
            "randommask": randommask.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in VERSIONED},
        },
        "device": torch.cuda.get_device_name(tuning.device) if is_cuda else "cpu",
        "precision": tuning.precision,
        "compiled": tuning.compiled is not None,
        "threads": torch.get_num_threads(),
    }


def _write_predictions(path: str | Path, data: Examples, test_NO: np.ndarray) -> None:
    """Write row (from 0), labels and predictions of the test split."""
    labels = data.splits["test"].labels
    columns = {"row": np.arange(len(labels))}
    if data.type == metrics.CLASSIFICATION:
        columns["label"] = labels
    else:
        for target, values in zip(data.targets, labels.T, strict=True):
            columns[f"label_{target}"] = values
    names = task.columns(data.type, data.classes, data.targets)
    columns |= dict(zip(names, test_NO.T, strict=True))
    arrays = [_column(values) for values in columns.values()]
    with files.write_aside(path) as aside:
        pq.write_table(pa.Table.from_arrays(arrays, list(columns)), aside)


def _column(values: np.ndarray) -> pa.Array:
    """Numbers as arrow holds them; `pyarrow.array` would import pandas."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(values))]
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), buffers)


def _write_history(path: str | Path, metric: str, outcome: Outcome) -> None:
    lines = [f"epoch,step,train_loss,dev_loss,dev_{metric}"]
    lines += [",".join(map(repr, row)) for row in outcome.history]
    files.write_text(path, "\n".join(lines) + "\n")


def main(argv: list[str] | None = None) -> None:
    """Read the flags and fine-tune."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoder", required=True, help="folder of the encoder")
    parser.add_argument("--data", required=True, help="folder of the dataset")
    parser.add_argument("--hparams", required=True, help="JSON: see Settings")
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
    flags = parser.parse_args(argv)
    finetune(
        flags.encoder,
        flags.data,
        Settings.parse(flags.hparams),
        metrics_path=flags.metrics,
        predictions_path=flags.predictions,
        history_path=flags.history,
        model_path=flags.model,
        save_seconds=flags.save_seconds,
    )


if __name__ == "__main__":
    run(main)

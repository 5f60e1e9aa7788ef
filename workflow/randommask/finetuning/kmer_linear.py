"""The control without a network: a linear model of k-mer counts, on one dataset.

    python -m randommask.finetuning.kmer_linear --data results/benchmark/EMP-H3 \
        --hparams '{"encoder": "kmer-linear", "tokenization": "overlapping",
                    "dataset": "EMP-H3", "task": "EMP", "metric": "mcc", "seed": 1,
                    "k": [3, 4, 5, 6], "strength": [10, 1, 0.1, 0.01]}' \
        --metrics metrics.json --predictions predictions.parquet --history history.csv

Logistic regression for classes, ridge regression for numbers, on the counts of all
overlapping k-mers (one with a letter that is no nucleotide is not counted), each count
standardised on train. k and strength are those with the best dev MCC (Pearson for a
regression); of equals the one that was tried first.

Nothing is drawn at random: the seed only names the run, and all seeds are equal.
The files are those of `randommask.finetuning`; history.csv has a line a model tried.

Shapes: n rows, b bases of the longest, O outputs (classes or targets).
"""

import argparse
import os
import platform
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import randommask
from randommask import files, kmers, metrics
from randommask.errors import InputError, run
from randommask.experiment.datasets import SPLITS
from randommask.experiment.hparams import read_object
from randommask.finetuning import linear
from randommask.genome import OTHER, encode

VERSIONED = ("numpy", "pyarrow", "scikit-learn", "scipy")


@dataclass(frozen=True)
class Settings:
    """What a run has to know; raises `InputError` for what makes no sense."""

    encoder: str
    tokenization: str
    dataset: str
    task: str
    metric: str
    """`mcc` or `pearson`, as the dataset's type asks: on dev it chooses the model."""
    seed: int
    """Names the run."""
    k: tuple[int, ...]
    """Lengths of k-mers to try."""
    strength: tuple[float, ...]
    """Of the penalty, to try in this order: each fit begins at the one before."""

    def __post_init__(self) -> None:
        if self.tokenization != kmers.OVERLAPPING:
            raise InputError(
                f"--hparams: found {self.tokenization!r}, expected overlapping"
            )
        if not self.k or not all(type(k) is int and 1 <= k <= 7 for k in self.k):
            raise InputError(f"--hparams: k is {list(self.k)}, expected some of 1 to 7")
        if not self.strength or not all(value > 0 for value in self.strength):
            raise InputError(
                f"--hparams: strength is {list(self.strength)}, expected numbers over 0"
            )

    @classmethod
    def parse(cls, text: str) -> "Settings":
        """Read the `--hparams` flag; every key is due, and no other."""
        values = read_object(text, [field.name for field in fields(cls)])
        grid = {name: tuple(values[name]) for name in ("k", "strength")}
        return cls(**values | grid)


@dataclass(frozen=True)
class Split:
    """Nucleotide codes (n, longest) uint8, filled up with `OTHER`, and labels."""

    codes: np.ndarray
    labels: np.ndarray
    """int64 (n,) classes, or float64 (n, O) values."""
    sha256: str


def read(folder: Path) -> tuple[dict, dict[str, Split]]:
    """What `randommask.data.prepare` wrote into `folder`; `InputError` without it."""
    summary = files.read_json(folder / "summary.json")
    columns = [f"label_{target}" for target in summary["targets"]] or ["label"]
    splits = {}
    for name in SPLITS:
        path = folder / f"{name}.parquet"
        try:
            table = pq.ParquetFile(path).read(["sequence", *columns])
            labels = [table[column].to_pylist() for column in columns]
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except (pa.ArrowInvalid, OSError, KeyError) as error:
            raise InputError(f"{path}: not a prepared split ({error})") from None
        labels = np.array(labels, np.float64).T
        if summary["type"] == metrics.CLASSIFICATION:
            labels = labels[:, 0].astype(np.int64)
            wrong = (labels < 0) | (labels >= summary["classes"])
        else:
            wrong = ~np.isfinite(labels).all(1)
        if wrong.any():
            row = int(np.argmax(wrong))
            raise InputError(f"{path}: row {row}: label {labels[row]} cannot be")
        codes = _padded(table["sequence"].to_pylist())
        splits[name] = Split(codes, labels, files.sha256(path))
    return summary, splits


def _padded(sequences: Sequence[str]) -> np.ndarray:
    """Codes of all sequences, `OTHER` behind the shorter ones: no k-mer is there."""
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    codes = np.full((len(sequences), int(lengths.max(initial=0))), OTHER, np.uint8)
    codes[np.arange(codes.shape[1]) < lengths[:, None]] = encode("".join(sequences))
    return codes


def choose(
    summary: dict, splits: dict[str, Split], settings: Settings
) -> tuple[linear.Model, np.ndarray, list[tuple[int, float, float]]]:
    """The best model on dev, its dev predictions, and k, strength, score of each."""
    kind, train, dev = summary["type"], splits["train"], splits["dev"]
    best, best_score, chosen, tried = None, -np.inf, None, []
    rows, strengths = (train.codes, train.labels), settings.strength
    for k in settings.k:
        if kind == metrics.CLASSIFICATION:
            models = linear.classifiers(*rows, summary["classes"], k, strengths)
        else:
            models = linear.regressions(*rows, k, strengths)
        predictions = linear.predict(models, dev.codes, kind)
        for model, values in zip(models, predictions, strict=True):
            score = metrics.choose(kind, dev.labels, values)
            tried.append((k, model.strength, score))
            if score > best_score:
                best, best_score, chosen = model, score, values
    return best, chosen, tried


def fit(
    folder: str | Path,
    settings: Settings,
    *,
    metrics_path: str | Path | None = None,
    predictions_path: str | Path | None = None,
    history_path: str | Path | None = None,
) -> None:
    """Choose, predict and write; `InputError` for a dataset that is not as due."""
    start = time.perf_counter()
    summary, splits = read(Path(folder))
    due = {"dataset": summary["dataset"], "metric": metrics.CHOSEN_BY[summary["type"]]}
    for key, value in due.items():
        if getattr(settings, key) != value:
            raise InputError(
                f"--hparams: {key} is {getattr(settings, key)}, expected {value} "
                f"({folder}/summary.json)"
            )
    model, dev, tried = choose(summary, splits, settings)
    [test] = linear.predict([model], splits["test"].codes, summary["type"])
    if predictions_path:
        _write_predictions(predictions_path, summary, splits["test"].labels, test)
    if history_path:
        lines = [f"k,strength,dev_{settings.metric}"]
        lines += [",".join(map(repr, line)) for line in tried]
        files.write_text(history_path, "\n".join(lines) + "\n")
    if metrics_path:
        report = _report(summary, splits, settings, model, dev, test)
        seconds = round(time.perf_counter() - start, 2)
        files.write_json(metrics_path, report | {"seconds": seconds})


def _report(
    summary: dict,
    splits: dict[str, Split],
    settings: Settings,
    model: linear.Model,
    dev: np.ndarray,
    test: np.ndarray,
) -> dict:
    """What metrics.json holds, but for the seconds: the keys of a fine-tuning."""
    kind = summary["type"]
    scores = metrics.score(kind, splits["test"].labels, test)
    named = ("encoder", "tokenization", "dataset", "task", "seed", "metric")
    return {
        **{name: getattr(settings, name) for name in named},
        "score": scores[settings.metric],
        "best_epoch": None,
        "dev": metrics.score(kind, splits["dev"].labels, dev),
        "test": scores,
        "flags": metrics.flags(kind, test),
        "settings": asdict(settings),
        "architecture": {"k": model.k, "strength": model.strength},
        "rows": {name: len(split.labels) for name, split in splits.items()},
        "data_sha256": {name: split.sha256 for name, split in splits.items()},
        "versions": {
            "randommask": randommask.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in VERSIONED},
        },
        "device": "cpu",
        "precision": "fp32",
        "threads": int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count()),
    }


def _write_predictions(
    path: str | Path, summary: dict, labels: np.ndarray, test_nO: np.ndarray
) -> None:
    """Write row (from 0), labels and predictions, in the columns of a fine-tuning."""
    columns = {"row": np.arange(len(labels))}
    if targets := summary["targets"]:
        columns |= {f"label_{t}": labels[:, i] for i, t in enumerate(targets)}
        columns |= {f"y_{t}": test_nO[:, i] for i, t in enumerate(targets)}
    else:
        columns["label"] = labels
        columns |= {f"p{label}": values for label, values in enumerate(test_nO.T)}
    # from lists: from arrays, pyarrow would import pandas
    arrays = {
        name: pa.array(values.tolist(), pa.from_numpy_dtype(values.dtype))
        for name, values in columns.items()
    }
    with files.write_aside(path) as aside:
        pq.write_table(pa.table(arrays), aside)


def main(argv: list[str] | None = None) -> None:
    """Read the flags and fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, help="folder of the dataset")
    parser.add_argument("--hparams", required=True, help="JSON: see Settings")
    parser.add_argument("--metrics", help="JSON to write")
    parser.add_argument("--predictions", help="parquet to write")
    parser.add_argument("--history", help="csv to write, a line a model")
    flags = parser.parse_args(argv)
    fit(
        flags.data,
        Settings.parse(flags.hparams),
        metrics_path=flags.metrics,
        predictions_path=flags.predictions,
        history_path=flags.history,
    )


if __name__ == "__main__":
    run(main)

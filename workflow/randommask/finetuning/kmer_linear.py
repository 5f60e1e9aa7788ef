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

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from randommask import metrics
from randommask.errors import run
from randommask.experiment.hparams import Counting
from randommask.finetuning import control, examples, linear
from randommask.finetuning.examples import Examples
from randommask.finetuning.outputs import Clock
from randommask.genome import OTHER, encode

VERSIONED = ("numpy", "pyarrow", "scikit-learn", "scipy")


def _padded(sequences: Sequence[str]) -> np.ndarray:
    """Codes of all sequences, `OTHER` behind the shorter ones: no k-mer is there."""
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    codes = np.full((len(sequences), int(lengths.max(initial=0))), OTHER, np.uint8)
    codes[np.arange(codes.shape[1]) < lengths[:, None]] = encode("".join(sequences))
    return codes


def choose(
    data: Examples, settings: Counting
) -> tuple[linear.LinearModel, np.ndarray, list[tuple[int, float, float]]]:
    """The best model on dev, its dev predictions, and k, strength, score of each."""
    train, dev = data.splits["train"], data.splits["dev"]
    rows, seen = (_padded(train.sequences), train.labels), _padded(dev.sequences)
    best, best_score, chosen, tried = None, -np.inf, None, []
    for k in settings.k:
        if data.type == metrics.CLASSIFICATION:
            models = linear.classifiers(*rows, data.classes, k, settings.strength)
        elif data.type == metrics.MULTILABEL:
            models = linear.labellers(*rows, k, settings.strength)
        else:
            models = linear.regressions(*rows, k, settings.strength)
        predictions = linear.predict(models, seen, data.type)
        for model, values in zip(models, predictions, strict=True):
            score = metrics.choose(data.type, dev.labels, values)
            tried.append((k, model.strength, score))
            if best is None or score > best_score:
                best, best_score, chosen = model, score, values
    return best, chosen, tried


def fit(
    folder: str | Path,
    settings: Counting,
    *,
    metrics_path: str | Path | None = None,
    predictions_path: str | Path | None = None,
    history_path: str | Path | None = None,
) -> None:
    """Choose, predict and write; `InputError` for a dataset that is not as expected."""
    clock = Clock()
    paths = {
        "metrics": metrics_path,
        "predictions": predictions_path,
        "history": history_path,
    }
    data = examples.read(folder, settings)
    model, dev, tried = choose(data, settings)
    codes = _padded(data.splits["test"].sequences)
    [test] = linear.predict([model], codes, data.type)
    control.write(
        paths,
        data,
        settings,
        dev=dev,
        test=test,
        tried=(("k", "strength", f"dev_{settings.metric}"), tried),
        packages=VERSIONED,
        clock=clock,
        architecture={"k": model.k, "strength": model.strength},
        device="cpu",
        precision="fp32",
        threads=int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count()),
    )


def main(argv: list[str] | None = None) -> None:
    """Read the flags and fit."""
    control.command(__doc__, Counting, fit, argv)


if __name__ == "__main__":
    run(main)

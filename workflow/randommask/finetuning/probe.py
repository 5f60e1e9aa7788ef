"""A linear probe: an encoder as it is, its mean embeddings, and a linear model on them.

    python -m randommask.finetuning.probe --encoder results/encoders/dnabert \
        --data results/benchmark/EMP-H3 \
        --hparams '{"encoder": "dnabert-probe", "tokenization": "overlapping",
                    "dataset": "EMP-H3", "task": "EMP", "metric": "mcc", "seed": 1,
                    "strength": [10, 1, 0.1, 0.01]}' \
        --metrics metrics.json --predictions predictions.parquet --history history.csv

No weight of the encoder is trained: what a linear model finds in its embeddings is what
pretraining has put there in plain sight. Logistic regression for classes, ridge
regression for numbers, by scikit-learn; each of the hidden units is standardised on
train. The strength of the penalty is that with the best dev MCC (Pearson for a
regression); of equals the one that was tried first.

Nothing is drawn at random: the seed names the run, and chooses `train_rows`.

Shapes: N rows, H hidden units, O outputs (classes or targets).
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from randommask import metrics
from randommask.encoders import families
from randommask.encoders.pooling import MEAN
from randommask.errors import run
from randommask.experiment.hparams import Probing
from randommask.finetuning import control, examples, tuning
from randommask.finetuning.examples import Examples
from randommask.finetuning.outputs import Clock
from randommask.finetuning.tokens import Tokens, tokenize
from randommask.training.precision import autocast

PRECISION = "fp32"
VERSIONED = ("torch", "numpy", "pyarrow", "scikit-learn")
ITERATIONS = 2000


class Frozen:
    """An encoder that is only read: the mean over a sequence's tokens."""

    def __init__(self, folder: str | Path) -> None:
        family = families.of(folder)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = family.load(folder, 0.0).eval().to(self.device)
        # HyenaDNA has one way, the mean, and takes no third argument.
        self.pooling = (MEAN,) if MEAN in getattr(family, "POOLINGS", ()) else ()

    @torch.inference_mode()
    def embed(self, tokens: Tokens) -> np.ndarray:
        """Of each row a vector: (N, H) float32."""
        told = (self.model.config.heads, PRECISION, self.device)
        parts = []
        for ids_BT, keep_BT in tuning.batches(tokens.ids_NT, tokens.lengths_N, *told):
            with autocast(PRECISION, self.device):
                features = self.model.features(ids_BT, keep_BT, *self.pooling)
            parts.append(features.float().cpu().numpy())
        return np.concatenate(parts)


def fitted(
    kind: str,
    train_NH: np.ndarray,
    labels: np.ndarray,
    outputs: int,
    strengths: Sequence[float],
    others: Sequence[np.ndarray],
) -> Iterator[list[np.ndarray]]:
    """Of each strength what its model says of the rows of `others`, (N, O) float32.

    A strength s stands for s |w|^2 beside the mean square error, s/2 |w|^2 beside the
    mean cross-entropy, as in `linear`. A class that train lacks has no chance.
    """
    if kind == metrics.MULTILABEL:
        each = [
            fitted(metrics.CLASSIFICATION, train_NH, own, 2, strengths, others)
            for own in labels.astype(int).T
        ]
        for made in zip(*each, strict=True):
            yield [np.stack([x[:, 1] for x in o], 1) for o in zip(*made, strict=True)]
        return
    mean, spread = train_NH.mean(0), train_NH.std(0)
    spread[spread == 0] = 1
    train_NH = (train_NH - mean) / spread
    others = [(rows_NH - mean) / spread for rows_NH in others]
    rows, there = len(train_NH), np.unique(labels)
    for strength in strengths:
        if kind == metrics.REGRESSION:
            model = Ridge(alpha=strength * rows).fit(train_NH, labels)
            yield [model.predict(x).reshape(-1, outputs).astype("f4") for x in others]
            continue
        found = [np.zeros((len(rows_NH), outputs), np.float32) for rows_NH in others]
        if len(there) == 1:
            for values in found:
                values[:, there] = 1
        else:
            told = {"C": 1 / (strength * rows), "max_iter": ITERATIONS}
            model = LogisticRegression(**told).fit(train_NH, labels)
            for values, rows_NH in zip(found, others, strict=True):
                values[:, there] = model.predict_proba(rows_NH)
        yield found


def choose(
    data: Examples, vectors: dict[str, np.ndarray], settings: Probing
) -> tuple[np.ndarray, np.ndarray, float, list[tuple[float, float]]]:
    """Dev and test predictions of the best strength, it, and the score of each."""
    train, dev = data.splits["train"], data.splits["dev"]
    others = [vectors["dev"], vectors["test"]]
    told = (data.type, vectors["train"], train.labels, data.outputs)
    best, best_score, tried = None, -np.inf, []
    models = fitted(*told, settings.strength, others)
    for strength, (on_dev, on_test) in zip(settings.strength, models, strict=True):
        score = metrics.choose(data.type, dev.labels, on_dev)
        tried.append((strength, score))
        if best is None or score > best_score:
            best, best_score = (on_dev, on_test, strength), score
    return *best, tried


def fit(
    encoder: str | Path,
    folder: str | Path,
    settings: Probing,
    *,
    metrics_path: str | Path | None = None,
    predictions_path: str | Path | None = None,
    history_path: str | Path | None = None,
) -> None:
    """Embed, choose, predict and write; `InputError` for what is not as expected."""
    clock = Clock()
    paths = {
        "metrics": metrics_path,
        "predictions": predictions_path,
        "history": history_path,
    }
    data = examples.read(folder, settings)
    tokens = tokenize(data, encoder, settings.tokenization, settings.truncate)
    frozen = Frozen(encoder)
    vectors = {name: frozen.embed(part) for name, part in tokens.items()}
    dev, test, strength, tried = choose(data, vectors, settings)
    control.write(
        paths,
        data,
        settings,
        dev=dev,
        test=test,
        tried=(("strength", f"dev_{settings.metric}"), tried),
        packages=VERSIONED,
        clock=clock,
        architecture={"hidden": vectors["dev"].shape[1], "strength": strength},
        device=frozen.device.type,
        precision=PRECISION,
        threads=int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count()),
    )


def main(argv: list[str] | None = None) -> None:
    """Read the flags and fit."""
    control.command(__doc__, Probing, fit, argv, reads_encoder=True)


if __name__ == "__main__":
    run(main)

"""A tiny encoder and data sets of planted motifs, for the tests of fine-tuning."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from randommask.encoders import bert
from randommask.experiment.hparams import Finetuning
from randommask.files import sha256

K, BASES = 3, 36
MOTIFS = ("TGACGT", "CCATAG")  # of class 1, of class 2
HPARAMS = {
    "encoder": "made",
    "tokenization": "overlapping",
    "dataset": "EMP-made",
    "task": "EMP",
    "metric": "mcc",
    "seed": 3,
    "epochs": 8,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "warmup_steps": 10,
    "weight_decay": 0.01,
    "betas": [0.9, 0.999],
    "eps": 1e-8,
    "clip": 1.0,
    "dropout": 0.1,
    "precision": "fp32",
}


def hparams(**changes):
    return Finetuning.parse(json.dumps(HPARAMS | changes))


def tiny_encoder(folder):
    """Random weights in the encoder's own format."""
    sizes = bert.EncoderConfig(2, 64, 4, 128, BASES + 2, K, "overlapping", 0.1)
    model = bert.Encoder(sizes)
    model.initialise(torch.Generator().manual_seed(0))
    bert.save(model, folder)
    return folder


def planted(seed, rows, classes, bases=BASES):
    """Sequences with no motif (class 0) or one of `MOTIFS`, at a multiple of 3."""
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    sequences = []
    for label in labels:
        letters = "".join(random.choice(list("ACGT"), bases))
        if label:
            motif = MOTIFS[label - 1]
            start = 3 * random.integers(0, (bases - len(motif)) // 3 + 1)
            letters = letters[:start] + motif + letters[start + len(motif) :]
        sequences.append(letters)
    return sequences, labels


def seal(folder, **keys):
    """Write summary.json with these keys, and the sums of the splits that are there."""
    path = folder / "summary.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    sums = {p.stem: {"sha256": sha256(p)} for p in folder.glob("*.parquet")}
    path.write_text(json.dumps(known | keys | {"splits": sums}))
    return folder


def write(folder, splits, kind="classification", classes=2, targets=()):
    """Lay out a dataset: each split a (sequences, labels) pair."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (sequences, labels) in splits.items():
        columns = {"sequence": sequences}
        if targets:
            columns |= {f"label_{t}": labels[:, i] for i, t in enumerate(targets)}
        else:
            columns["label"] = labels
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    summary = {
        "dataset": "EMP-made",
        "type": kind,
        "classes": None if targets else classes,
        "targets": list(targets),
    }
    return seal(folder, **summary)


def made(folder, classes=2, rows=(320, 96, 96)):
    splits = {
        name: planted(seed, rows[seed], classes)
        for seed, name in enumerate(("train", "dev", "test"))
    }
    return write(folder, splits, classes=classes)

"""A results tree made of small invented files, for tests of tables and the report."""

import hashlib
import json
import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from made import ROOT
from made.dataset import seal
from randommask import metrics

CONFIG = ROOT / "config"
EXPERIMENT = {"name": "made", "notice": "Made: invented scores. Not the paper's."}

ROWS3 = [
    {
        "label": "NT*",
        "encoder": "nt",
        "tokenization": "overlapping",
        "published": "NT*",
    },
    {
        "label": "DNABERT",
        "encoder": "dnabert",
        "tokenization": "overlapping",
        "published": "DNABERT",
    },
    {
        "label": "+RandomMask",
        "encoder": "randommask",
        "tokenization": "overlapping",
        "published": "+RandomMask",
    },
    {
        "label": "ours 14",
        "encoder": "fixed-14",
        "tokenization": "overlapping",
        "published": None,
    },
]
ROWS2 = [
    {
        "label": label,
        "pretraining": pretraining,
        "encoder": encoder,
        "tokenization": tokenization,
        "published": label,
    }
    for label, pretraining, encoder in (
        ("NT", "non-overlapping", "nt"),
        ("DNABERT", "overlapping", "dnabert"),
    )
    for tokenization in ("non-overlapping", "overlapping")
]


def score(encoder, tokenization, dataset, seed):
    """An invented score in 0.3..0.9 that any caller can make again."""
    name = f"{encoder} {tokenization} {dataset} {seed}"
    return 0.3 + 0.6 * hashlib.sha256(name.encode()).digest()[0] / 255


def metrics_path(root, encoder, tokenization, dataset, seed):
    """Where a run's metrics stand below `<results>/finetune`."""
    return root / encoder / tokenization / dataset / f"seed{seed}" / "metrics.json"


def make_run(root, encoder, tokenization, dataset, seed, /, **changes):
    """Write the metrics of one run; `changes` replace or add keys."""
    path = metrics_path(root, encoder, tokenization, dataset, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    metrics = {
        "encoder": encoder,
        "tokenization": tokenization,
        "dataset": dataset,
        "seed": seed,
        "score": score(encoder, tokenization, dataset, seed),
        "flags": [],
        "settings": {"epochs": 3, "seed": seed},
    }
    path.write_text(json.dumps(metrics | changes))
    return path


def make_runs(root, rows, datasets, seeds):
    """Write the metrics of every row, data set and seed."""
    for row in rows:
        for dataset in datasets:
            for seed in seeds:
                make_run(root, row["encoder"], row["tokenization"], dataset, seed)


def dataset_lines():
    """`config/datasets.tsv` as dictionaries of text."""
    header, *lines = (CONFIG / "datasets.tsv").read_text().splitlines()
    keys = header.split("\t")
    return [dict(zip(keys, line.split("\t"), strict=True)) for line in lines]


DATASETS = [line["dataset"] for line in dataset_lines()]


def make_summary(folder, dataset, **changes):
    """Write the `summary.json` of one prepared data set; give its path."""
    line = next(d for d in dataset_lines() if d["dataset"] == dataset)
    regression = not line["classes"]
    labels = {"dev": {"mean": 0.1, "sd": 1.2}} if regression else {"0": 60, "1": 40}
    split = {
        "rows": 100,
        "min_bases": int(line["bases"]),
        "max_bases": int(line["bases"]),
        "gc": 0.41,
        "labels": labels,
        "repeated": 1,
        "duplicates": 2,
        "sha256": "0" * 64,
    }
    summary = {
        "dataset": dataset,
        "task": line["task"],
        "type": "regression" if regression else "classification",
        "classes": None if regression else int(line["classes"]),
        "targets": [],
        "published": {s: int(line[f"{s}_rows"]) for s in ("train", "dev", "test")},
        "bases": int(line["bases"]),
        "splits": {name: split for name in ("train", "dev", "test")},
        "settings": {"max_rows": None, "drop_leaks": False},
        "leaks": {
            f"{one}-{other}": {
                "sequences": count,
                f"{one}_rows": count + 3,
                f"{other}_rows": count,
            }
            for one, other, count in (
                ("train", "dev", 3),
                ("train", "test", 4),
                ("dev", "test", 5),
            )
        },
        "warnings": [f"train: 100 rows, published {line['train_rows']}"],
    }
    path = folder / dataset / "summary.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary | changes))
    return path


def make_history(path, losses, phases=(1,), every=10):
    """Write a loss history: `losses(step, phase)`, ten lines for each of `phases`."""
    lines = ["step,phase,max_span,masked_share,loss,bound,validation_loss"]
    step = 0
    for phase in phases:
        for _ in range(10):
            step += every
            span = 4 + 2 * phase
            lines.append(f"{step},{phase},{span},0.14,{losses(step, phase)},1.5,")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def falling(start, end, scale=30.0):
    """A loss curve from `start` towards `end`."""
    return lambda step, phase: end + (start - end) * math.exp(-step / scale)


def stairs(step, phase):
    """A loss that jumps by 1 at each phase and falls by 0.5 within it."""
    return 1.0 + phase - 0.5 * ((step - 10) % 100) / 90


def make_purity(path, purity, chance=1 / 16):
    """Write the purity of the embeddings at two milestones."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        "step,silhouette,purity,chance\n"
        f"0,0.0,{chance},{chance}\n100,0.5,{purity},{chance}\n"
    )
    return path


def make_attention(path, masses):
    """Write the attention numbers of a layer each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{layer},{mass},1.0,3.0" for layer, mass in enumerate(masses, start=1)]
    path.write_text("\n".join(["layer,cls_mass,entropy,distance", *lines]) + "\n")
    return path


def make_predictions(root, benchmark, rows, dataset, seeds, rates, *, size=200):
    """Write runs with predictions, and the test split whose labels they were given.

    Each label is predicted with the probability `rates[encoder]`; an EAP prediction is
    the label and noise, the less the higher the rate. Give the path of the split.
    """
    line = next(d for d in dataset_lines() if d["dataset"] == dataset)
    classes = int(line["classes"] or 0)
    names = ["label"] if classes else [f"label_{t}" for t in line["targets"].split(",")]
    random = np.random.default_rng(list(dataset.encode()))
    labels = random.integers(classes, size=(size, 1)) if classes else None
    if labels is None:
        labels = random.normal(size=(size, len(names)))
    path = benchmark / dataset / "test.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(_table(dict(zip(names, labels.T, strict=True))), path)
    kind = "classification" if classes else "regression"
    targets = [] if classes else line["targets"].split(",")
    seal(
        path.parent,
        dataset=dataset,
        type=kind,
        classes=classes or None,
        targets=targets,
    )
    for row in rows:
        rate = rates[row["encoder"]]
        for seed in seeds:
            random = np.random.default_rng([seed, *row["label"].encode()])
            columns = {
                "row": np.arange(size),
                **dict(zip(names, labels.T, strict=True)),
            }
            if classes:
                guess = random.integers(classes, size=size)
                named = np.where(random.random(size) < rate, labels[:, 0], guess)
                values = np.eye(classes, dtype=np.float32)[named]
                columns |= {f"p{i}": values[:, i] for i in range(classes)}
                found = metrics.score("classification", labels[:, 0], values)["mcc"]
            else:
                values = labels + (1 - rate) * random.normal(size=labels.shape)
                own = zip(names, values.T, strict=True)
                columns |= {f"y{name[5:]}": column for name, column in own}
                found = metrics.score("regression", labels, values)["pearson"]
            run = (row["encoder"], row["tokenization"], dataset, seed)
            made = make_run(root, *run, score=found)
            pq.write_table(_table(columns), made.with_name("predictions.parquet"))
    return path


def _table(columns):
    return pa.table({name: pa.array(values) for name, values in columns.items()})

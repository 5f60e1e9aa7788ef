"""A results tree made of small invented files, for tests of tables and the report."""

import hashlib
import json
import math
from pathlib import Path

CONFIG = Path(__file__).parent.parent / "config"
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

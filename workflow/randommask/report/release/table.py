"""The scores of all runs of a results folder as one table, with a card for a hub.

A hub shows `scores.parquet` as the head of the card says, a line a run.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

import randommask
from randommask import files
from randommask.experiment.hparams import CratePage
from randommask.report.release.card import license_of

NAMES = ("encoder", "tokenization", "dataset", "task", "metric")
WHOLE = ("seed", "best_epoch", "epochs", "threads", "peak_memory_bytes")
NUMBERS = ("score", "seconds")
TEXTS = ("device", "precision")
MEANING = {
    "encoder, tokenization, dataset, task, seed": "what was fine-tuned on what; an"
    " encoder may be a control that learnt nothing beforehand",
    "metric, score": "`mcc` or `pearson` on the test split, a fraction",
    "dev_*, test_*": "other measures of both splits; empty where they mean nothing",
    "rows_*": "rows of each split",
    "best_epoch, epochs": "the epoch that was best on dev, and how many there were",
    "device, precision, threads, seconds, peak_memory_bytes": "what it ran on and took",
    "flags": "what is odd about the run, in words",
    "version_*": "of the program and of what it was computed with",
    "data_sha256_*, encoder_sha256": "of the rows of each split and of the weights",
    "settings": "all settings of the fine-tuning, JSON",
}


def lines(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A line a run; every line has all columns."""
    found = [_line(metrics) for metrics in runs]
    columns = dict.fromkeys(key for line in found for key in line)
    return [{key: line.get(key) for key in columns} for line in found]


def _line(metrics: dict[str, Any]) -> dict[str, Any]:
    line = {key: metrics.get(key) for key in (*NAMES, *WHOLE[:1], *NUMBERS[:1])}
    for split in ("dev", "test"):
        own = metrics.get(split) or {}
        line |= {f"{split}_{key}": value for key, value in own.items()}
    line |= {f"rows_{key}": value for key, value in metrics.get("rows", {}).items()}
    line |= {key: metrics.get(key) for key in (*WHOLE[1:], *NUMBERS[1:], *TEXTS)}
    line["flags"] = "; ".join(metrics.get("flags", ()))
    line |= {f"version_{key}": v for key, v in metrics.get("versions", {}).items()}
    sums = metrics.get("data_sha256", {})
    line |= {f"data_sha256_{split}": digest for split, digest in sums.items()}
    weights = metrics.get("encoder_sha256", {}).get("model.safetensors")
    line["encoder_sha256"] = weights
    line["settings"] = json.dumps(metrics.get("settings", {}), sort_keys=True)
    return line


def write(
    runs: list[dict[str, Any]], hparams: CratePage, parquet: Path, card: Path
) -> None:
    """Write the table and its card."""
    with files.write_aside(parquet) as aside:
        pq.write_table(pa.Table.from_pylist(lines(runs)), aside)
    files.write_text(card, describe(runs, hparams, parquet.name))


def describe(runs: list[dict[str, Any]], hparams: CratePage, name: str) -> str:
    """The card: a head for the hub, what the columns are, how many runs there are."""
    experiment = hparams.experiment
    head = {
        **license_of(hparams.license),
        "pretty_name": f"Fine-tuning scores, experiment {experiment.name}",
        "size_categories": ["n<1K" if len(runs) < 1000 else "1K<n<10K"],
        "tags": ["biology", "dna", "genomics", "benchmark", "tabular"],
        "configs": [
            {
                "config_name": "default",
                "data_files": [{"split": "test", "path": name}],
            }
        ],
    }
    front = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=1000)
    sizes = {
        key: len({metrics.get(key) for metrics in runs})
        for key in ("encoder", "dataset", "seed")
    }
    columns = "\n".join(f"| {key} | {what} |" for key, what in MEANING.items())
    notice = f"> {experiment.notice}\n\n" if experiment.notice else ""
    return f"""---
{front}---

# Fine-tuning scores, experiment {experiment.name}

{notice}{len(runs):,} fine-tunings of {sizes["encoder"]} encoders and controls on
{sizes["dataset"]} data sets, seeds: {sizes["seed"]}. Made by
{randommask.program()}.

```python
import pandas

scores = pandas.read_parquet("{name}")
```

| column | what |
| --- | --- |
{columns}
"""

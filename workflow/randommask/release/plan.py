"""What is published with an encoder: the rows of its table, and how it was made.

Snakemake imports this module while it plans, so it imports nothing heavy.
"""

from typing import Any

from randommask.ablation.plan import weights
from randommask.settings import benchmark, finetuning, settings, table_datasets


def table(config: dict[str, Any], encoder: str) -> dict[str, Any]:
    """The encoder's `rows` and their `datasets` in the first table that has any.

    Table 3 comes first, then Table 2, then the ablations. Both are empty for an encoder
    that stands in none.
    """
    tables = config["tables"]
    groups = config.get("ablations", {}).values()
    for found in (tables["table3"], tables["table2"], *groups):
        rows = [row for row in found["rows"] if row["encoder"] == encoder]
        if rows:
            return {"rows": rows, "datasets": table_datasets(config, found)}
    return {"rows": [], "datasets": []}


def page(config: dict[str, Any], encoder: str) -> dict[str, Any]:
    """What `randommask.release` has to know of an encoder."""
    return {
        "encoder": encoder,
        **table(config, encoder),
        "recipe": recipe(config, encoder),
    }


def recipe(config: dict[str, Any], encoder: str) -> dict[str, Any]:
    """Every setting of its pretraining, and of its fine-tuning on each data set."""
    owner, step = weights(config, encoder)
    shown = table(config, encoder)
    rows = benchmark(config)
    chosen = [dataset for dataset in rows if dataset.dataset in shown["datasets"]]
    tuned = {}
    for row in shown["rows"]:
        tokenization = row["tokenization"]
        tuned[tokenization] = {
            dataset.dataset: finetuning(config, encoder, tokenization, dataset, 0)
            for dataset in chosen
        }
        for keys in tuned[tokenization].values():
            del keys["seed"]
    return {
        "encoder": encoder,
        "pretrained_as": owner,
        "step": step,
        "pretraining": settings(config, owner, step),
        "finetuning": tuned,
        "seeds": config["seeds"],
    }

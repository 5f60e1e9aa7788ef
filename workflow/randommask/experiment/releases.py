"""What is published with an encoder: the rows of its table, and how it was made.

Snakemake imports this module while it plans, so it imports nothing heavy.
"""

from collections.abc import Iterable
from typing import Any

from randommask.errors import InputError, listing
from randommask.experiment.ablations import pretraining, weights
from randommask.experiment.encoders import (
    KMER_LINEAR,
    UNTRAINED,
    control,
    initial,
    settings,
)
from randommask.experiment.runs import (
    benchmark,
    counting,
    finetuning,
    preparation,
    table_datasets,
)

RUN = ("metrics.json", "predictions.parquet")
"""What is published of a run."""

Table = dict[str, Any]


def history(config: dict[str, Any], encoder: str) -> str:
    """`<encoder>/step-<n>` of the segment whose history tells how it was pretrained.

    Raises `InputError` for an encoder that was not pretrained here.
    """
    kept = pretraining(config, encoder)
    if kept is None:
        ours = [name for name in config["encoders"] if weights(config, name)]
        kind = "a control" if control(config, encoder) else "made elsewhere"
        raise InputError(
            f"{config['pathvars']['results']}/release/{encoder}: {kind}, expected an"
            f" encoder that is pretrained here: {listing(ours)}"
        )
    return kept["kept"]


def shown(config: dict[str, Any], encoder: str) -> Table:
    """The encoder's `rows` and their `datasets` in the first table that has any.

    Table 3 comes first, then Table 2, then the ablations. Both are empty for an encoder
    that stands in none.
    """
    tables = config["tables"]
    groups = config.get("ablations", {}).values()
    for table in (tables["table3"], tables["table2"], *groups):
        rows = [row for row in table["rows"] if row["encoder"] == encoder]
        if rows:
            datasets = table_datasets(config, table)
            return {"rows": _named(config, rows), "datasets": datasets}
    return {"rows": [], "datasets": []}


def controls(config: dict[str, Any], encoder: str) -> Table:
    """The controls in Table 3 that the encoder is compared with, on its data sets.

    Random weights only where they are of its architecture and k: what pretraining
    brings is the distance to them.
    """
    table = config["tables"]["table3"]
    datasets = shown(config, encoder)["datasets"]
    rows = [row for row in table["rows"] if _compares(config, row["encoder"], encoder)]
    shared = [name for name in table_datasets(config, table) if name in datasets]
    return {"rows": _named(config, rows) if shared else [], "datasets": shared}


def _compares(config: dict[str, Any], other: str, encoder: str) -> bool:
    if control(config, other) == UNTRAINED:
        sizes = (initial(config, name) for name in (other, encoder))
        return len({(str(size["architecture"]), size["k"]) for size in sizes}) == 1
    return control(config, other) == KMER_LINEAR


def _named(config: dict[str, Any], rows: Iterable[Table]) -> list[Table]:
    """Each encoder and tokenization once, under a label that says which tokens."""
    named: dict[tuple[str, str], Table] = {}
    for row in rows:
        label, tokens = row["label"], row["tokenization"]
        if control(config, row["encoder"]) != KMER_LINEAR:
            label = f"{label} ({tokens} tokens)"
        found = {"label": label, "encoder": row["encoder"], "tokenization": tokens}
        named.setdefault((row["encoder"], tokens), found | {"published": None})
    return list(named.values())


def tables(config: dict[str, Any], encoder: str) -> tuple[Table, Table]:
    """The rows with their data sets whose runs are published: its own, the controls'.

    Raises `InputError` for an encoder that was not pretrained here.
    """
    history(config, encoder)
    return shown(config, encoder), controls(config, encoder)


def page(config: dict[str, Any], encoder: str) -> dict[str, Any]:
    """What `randommask.report.release` has to know of an encoder."""
    own, others = tables(config, encoder)
    return {
        "encoder": encoder,
        "table": own,
        "controls": others,
        "license": config["experiment"].get("license"),
        "recipe": recipe(config, encoder),
    }


def recipe(config: dict[str, Any], encoder: str) -> dict[str, Any]:
    """Every setting behind the weights and the scores of what is published."""
    owner, step = weights(config, encoder)
    own, others = tables(config, encoder)
    made = settings(config, owner, step)
    tuned: dict[str, dict[str, dict]] = {}
    for table in (own, others):
        for row in table["rows"]:
            runs = _runs(config, row, table["datasets"])
            tuned.setdefault(row["encoder"], {})[row["tokenization"]] = runs
    chosen = config["genomes"]
    return {
        "encoder": encoder,
        "pretrained_as": owner,
        "step": step,
        "pretraining": made,
        "chromosomes": {
            name: chosen.get(name, {}).get("chromosomes") for name in made["genomes"]
        },
        "random_weights": {
            row["encoder"]: initial(config, row["encoder"])
            for row in others["rows"]
            if control(config, row["encoder"]) == UNTRAINED
        },
        "benchmark": preparation(config),
        "finetuning": tuned,
        "seeds": config["seeds"],
    }


def _runs(
    config: dict[str, Any], row: Table, datasets: list[str]
) -> dict[str, dict[str, Any]]:
    """The settings of a row's runs by data set; the seeds stand elsewhere."""
    is_linear = control(config, row["encoder"]) == KMER_LINEAR
    told = counting if is_linear else finetuning
    found = {}
    for dataset in benchmark(config):
        if dataset.dataset in datasets:
            keys = told(config, row["encoder"], row["tokenization"], dataset, 0)
            found[dataset.dataset] = {k: v for k, v in keys.items() if k != "seed"}
    return found

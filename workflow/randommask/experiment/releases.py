"""What is published with an encoder: the rows of its table, and how it was made.

Snakemake imports this module while it plans, so it imports nothing heavy.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from randommask.errors import InputError, listing
from randommask.experiment.ablations import pretraining, weights
from randommask.experiment.encoders import controls as all_controls
from randommask.experiment.encoders import initial, settings
from randommask.experiment.runs import (
    benchmark,
    preparation,
    table_datasets,
    tokenizing,
    told,
)
from randommask.experiment.sections import (
    Experiment,
    PublishedRow,
    Row,
    Untrained,
    WithoutEncoder,
)

RUN = ("metrics.json", "predictions.parquet")
"""What is published of a run."""


class Shown(NamedTuple):
    """Rows with their data sets, by name; both may be empty."""

    rows: list[PublishedRow]
    datasets: list[str]

    def values(self) -> dict[str, Any]:
        """The same, as JSON takes it."""
        rows = [row.values() for row in self.rows]
        return {"rows": rows, "datasets": self.datasets}


def history(experiment: Experiment, encoder: str) -> str:
    """`<encoder>/step-<n>` of the segment whose history tells how it was pretrained.

    Raises `InputError` for an encoder that was not pretrained here.
    """
    kept = pretraining(experiment, encoder)
    if kept is None:
        ours = [name for name in experiment.encoders if weights(experiment, name)]
        is_control = encoder in all_controls(experiment)
        raise InputError(
            f"{experiment.pathvars.results}/release/{encoder}: "
            f"{'a control' if is_control else 'made elsewhere'}, expected an encoder "
            f"that is pretrained here: {listing(ours)}"
        )
    return kept["kept"]


def shown(experiment: Experiment, encoder: str) -> Shown:
    """The encoder's `rows` and their `datasets` in the first table that has any.

    Table 3 comes first, then Table 2, then the ablations. Both are empty for an encoder
    that stands in none.
    """
    tables = experiment.tables
    for table in (tables.table3, tables.table2, *experiment.ablations.values()):
        rows = [row for row in table.rows if row.encoder == encoder]
        if rows:
            datasets = table_datasets(experiment, table)
            return Shown(_named(experiment, rows), datasets)
    return Shown([], [])


def controls(experiment: Experiment, encoder: str) -> Shown:
    """The controls in Table 3 that the encoder is compared with, on its data sets.

    Random weights only where they are of its architecture and k: what pretraining
    brings is the distance to them.
    """
    table = experiment.tables.table3
    datasets = shown(experiment, encoder).datasets
    rows = [row for row in table.rows if _compares(experiment, row.encoder, encoder)]
    shared = [name for name in table_datasets(experiment, table) if name in datasets]
    return Shown(_named(experiment, rows) if shared else [], shared)


def _compares(experiment: Experiment, other: str, encoder: str) -> bool:
    entry = experiment.encoders[other]
    if isinstance(entry, Untrained):
        one, two = (initial(experiment, name) for name in (other, encoder))
        return (one.architecture, one.k) == (two.architecture, two.k)
    return isinstance(entry, WithoutEncoder)


def _named(experiment: Experiment, rows: Iterable[Row]) -> list[PublishedRow]:
    """Each encoder and tokenization once, under a label that says which tokens."""
    named: dict[tuple[str, str], PublishedRow] = {}
    for row in rows:
        label, tokens = row.label, row.tokenization
        if not isinstance(experiment.encoders[row.encoder], WithoutEncoder):
            label = f"{label} ({tokens} tokens)"
        found = PublishedRow(label=label, encoder=row.encoder, tokenization=tokens)
        named.setdefault((row.encoder, tokens), found)
    return list(named.values())


def tables(experiment: Experiment, encoder: str) -> tuple[Shown, Shown]:
    """The rows with their data sets whose runs are published: its own, the controls'.

    Raises `InputError` for an encoder that was not pretrained here.
    """
    history(experiment, encoder)
    return shown(experiment, encoder), controls(experiment, encoder)


def page(experiment: Experiment, encoder: str) -> dict[str, Any]:
    """What `randommask.report.release` has to know of an encoder."""
    own, others = tables(experiment, encoder)
    license_ = experiment.experiment.license
    return {
        "encoder": encoder,
        "table": own.values(),
        "controls": others.values(),
        "license": license_.given() if license_ else None,
        "recipe": recipe(experiment, encoder),
    }


def recipe(experiment: Experiment, encoder: str) -> dict[str, Any]:
    """Every setting behind the weights and the scores of what is published."""
    owner, step = weights(experiment, encoder)
    own, others = tables(experiment, encoder)
    made = settings(experiment, owner, step)
    tuned: dict[str, dict[str, dict]] = {}
    for table in (own, others):
        for row in table.rows:
            runs = _runs(experiment, row, table.datasets)
            tuned.setdefault(row.encoder, {})[row.tokenization] = runs
    taken = {name: tokenizing(experiment, name).chromosomes for name in made.genomes}
    return {
        "encoder": encoder,
        "pretrained_as": owner,
        "step": step,
        "pretraining": made.values(),
        "chromosomes": taken,
        "random_weights": {
            row.encoder: initial(experiment, row.encoder).values()
            for row in others.rows
            if isinstance(experiment.encoders[row.encoder], Untrained)
        },
        "benchmark": preparation(experiment),
        "finetuning": tuned,
        "seeds": experiment.seeds,
    }


def _runs(
    experiment: Experiment, row: Row, datasets: list[str]
) -> dict[str, dict[str, Any]]:
    """The settings of a row's runs by data set; the seeds stand elsewhere."""
    found = {}
    for dataset in benchmark(experiment):
        if dataset.dataset in datasets:
            keys = told(experiment, row.encoder, row.tokenization, dataset, 0)
            named = keys.values().items()
            found[dataset.dataset] = {k: v for k, v in named if k != "seed"}
    return found

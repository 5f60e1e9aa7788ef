"""The benchmark's datasets and the runs of fine-tuning that tables ask for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from randommask.errors import InputError, known
from randommask.experiment import datasets, origins
from randommask.experiment.datasets import Dataset
from randommask.experiment.encoders import keys
from randommask.experiment.hparams import (
    Counting,
    Finetuning,
    NoModelRun,
    Probing,
    Shards,
)
from randommask.experiment.sections import (
    Ablation,
    Experiment,
    KmerLinear,
    LocalCopy,
    Milestone,
    NoModel,
    Ours,
    Probe,
    Released,
    Row,
    Table2,
    Table3,
    Tuning,
    repeats,
)

Table = Table2 | Table3 | Ablation


def benchmark(experiment: Experiment) -> list[Dataset]:
    """The datasets of this experiment, in the order of `datasets.tsv`.

    `include: present` takes those found in the local folders of the sources, and of
    one's own those whose three files are there.
    """
    part = experiment.benchmark
    rows = datasets.read(part.datasets)
    if part.include == "all":
        return rows
    if part.include == "present":
        rows = [row for row in rows if _is_present(experiment, row)]
        if not rows:
            raise InputError("benchmark.include: present, but no dataset was found")
        return rows
    names = [row.dataset for row in rows]
    for name in part.include:
        known("benchmark.include", name, names, "dataset")
    return [row for row in rows if row.dataset in part.include]


def source_of(dataset: Dataset) -> str:
    """The name in `sources` that the rows of a dataset not one's own come from."""
    return "deepstarr" if dataset.source == "deepstarr" else "gue"


def own_files(dataset: Dataset) -> list[str]:
    """The files that a dataset of one's own consists of; none for the paper's."""
    if dataset.own_folder is None:
        return []
    return [f"{dataset.own_folder}/{split}.csv" for split in datasets.SPLITS]


def _is_present(experiment: Experiment, dataset: Dataset) -> bool:
    if dataset.own_folder is not None:
        return all(Path(path).exists() for path in own_files(dataset))
    source = experiment.sources.get(source_of(dataset))
    if not isinstance(source, LocalCopy):
        return source is not None
    return datasets.is_there(Path(source.path), dataset)


def tokenizing(experiment: Experiment, genome: str) -> Shards:
    """What `randommask.data.shards` has to know of a genome."""
    chosen = experiment.genomes.get(genome)
    return Shards(genome=genome, chromosomes=chosen.chromosomes if chosen else None)


def trials(experiment: Experiment, table: Table) -> list[Row]:
    """The rows, each once for every pretraining that stands behind it."""
    seeds = getattr(table, "pretraining_seeds", ())
    return [
        row.model_copy(update={"encoder": encoder})
        for row in table.rows
        for encoder in pretrainings(experiment, row.encoder, seeds).values()
    ]


def pretraining_seed(experiment: Experiment, encoder: str) -> int | None:
    """The seed of an encoder's weights, or of those that a probe reads."""
    entry = experiment.encoders[encoder]
    if isinstance(entry, Probe):
        entry = experiment.encoders[entry.probe.encoder]
    return getattr(entry, "seed", None)


def pretrainings(
    experiment: Experiment, encoder: str, seeds: Sequence[int]
) -> dict[int, str]:
    """The encoders of these seeds that differ from one in nothing else, itself first.

    Without any seeds it is that one alone.
    """
    own = pretraining_seed(experiment, encoder) or 0
    others = {seed: repeats.name(encoder, seed) for seed in seeds if seed != own}
    return {own: encoder} | others


def made_rows(rows: list[Dataset]) -> list[str]:
    """What the made world takes from the list: no dataset of one's own, no task."""
    made = [row for row in rows if row.own_folder is None]
    return sorted(f"{row.source} {row.bases} {row.classes}" for row in made)


def prepared_row(row: Dataset) -> list[Any]:
    """What preparation takes from a dataset's row: another value prepares it again."""
    shape = [*row.targets, row.bases, *row.rows.values()]
    return [row.task, row.source, row.classes, *shape]


def preparation(experiment: Experiment) -> dict[str, Any]:
    """What `randommask.data.prepare` has to know."""
    part = experiment.benchmark
    return {
        "max_rows": part.max_rows,
        "drop_leaks": part.drop_leaks,
        "k": experiment.pretrain.k,
    }


def resources(experiment: Experiment) -> list[str]:
    """The fetched folders, by their place in `resources`, that `all` needs."""
    tables = (experiment.tables.table2, experiment.tables.table3)
    encoders = {row.encoder for table in tables for row in table.rows}
    encoders |= set(experiment.roles.given().values())
    places = {source_of(row) for row in benchmark(experiment) if not row.own_folder}
    for encoder in origins.behind(experiment, encoders):
        entry = experiment.encoders[encoder]
        if isinstance(entry, Released):
            places.add(f"encoders/{encoder}")
        elif isinstance(entry, Ours | Milestone):
            places |= set(keys(experiment, encoder).genomes)
    return sorted(places)


def recipe(experiment: Experiment, name: str, dataset: Dataset) -> dict[str, Any]:
    """Epochs, batch size, learning rate of a dataset, and what else a recipe sets."""
    changes = experiment.recipes[name]
    found = {
        "epochs": dataset.epochs,
        "batch_size": dataset.batch_size,
        "learning_rate": dataset.learning_rate,
    }
    for part in ("all", dataset.task, dataset.dataset):
        if part in changes:
            found |= changes[part].given()
    return found


def finetuning(
    experiment: Experiment,
    encoder: str,
    tokenization: str,
    dataset: Dataset,
    seed: int,
) -> Finetuning:
    """What `randommask.finetuning` has to know of one run."""
    shared = experiment.finetune
    own = experiment.encoders[encoder].finetune
    changed = own.given() if own else {}
    name = changed.pop("recipe", shared.recipe)
    told = {
        **_run(experiment, encoder, tokenization, dataset, seed),
        **{name: getattr(shared, name) for name in Tuning.model_fields},
        **recipe(experiment, name, dataset),
        **changed,
    }
    return Finetuning(**told)


def counting(
    experiment: Experiment,
    encoder: str,
    tokenization: str,
    dataset: Dataset,
    seed: int,
) -> Counting:
    """What `randommask.finetuning.kmer_linear` has to know of one run."""
    grid = experiment.encoders[encoder].grid
    run = _run(experiment, encoder, tokenization, dataset, seed)
    return Counting(**run, k=grid.k, strength=grid.strength)


def told(
    experiment: Experiment,
    encoder: str,
    tokenization: str,
    dataset: Dataset,
    seed: int,
) -> Finetuning | Counting | NoModelRun | Probing:
    """What the command of one run has to know, whichever it is."""
    entry = experiment.encoders[encoder]
    if isinstance(entry, NoModel):
        run = _run(experiment, encoder, tokenization, dataset, seed)
        return NoModelRun(**run)
    if isinstance(entry, Probe):
        run = _run(experiment, encoder, tokenization, dataset, seed)
        shared = experiment.finetune
        return Probing(**run, strength=entry.probe.strength, truncate=shared.truncate)
    tell = counting if isinstance(entry, KmerLinear) else finetuning
    return tell(experiment, encoder, tokenization, dataset, seed)


def _run(
    experiment: Experiment,
    encoder: str,
    tokenization: str,
    dataset: Dataset,
    seed: int,
) -> dict[str, Any]:
    """Which run it is, whatever computes it."""
    own = experiment.encoders[encoder].finetune
    given = own.given() if own else {}
    return {
        "train_rows": given.get("train_rows", experiment.finetune.train_rows),
        "encoder": encoder,
        "tokenization": tokenization,
        "dataset": dataset.dataset,
        "task": dataset.task,
        "metric": dataset.metric,
        "seed": seed,
    }


def table_datasets(experiment: Experiment, table: Table) -> list[str]:
    """The datasets of a table that this experiment has."""
    names = [dataset.dataset for dataset in benchmark(experiment)]
    if table.datasets == "all":
        return names
    return [name for name in names if name in table.datasets]


def table_rows(table: Table2 | Table3) -> Sequence[dict[str, Any]]:
    """The rows of a table as its command takes them."""
    order = ("published", "label", "pretraining", "encoder", "tokenization")
    return [
        {key: getattr(row, key) for key in order if hasattr(row, key)}
        for row in table.rows
    ]

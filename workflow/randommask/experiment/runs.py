"""The benchmark's datasets and the runs of fine-tuning that tables ask for."""

from pathlib import Path
from typing import Any

from randommask.errors import InputError, known
from randommask.experiment import datasets
from randommask.experiment.datasets import Dataset
from randommask.experiment.encoders import merged


def benchmark(config: dict[str, Any]) -> list[Dataset]:
    """The datasets of this experiment, in the order of `datasets.tsv`.

    `include: present` takes those found in the local folders of the sources, and of
    one's own those whose three files are there.
    """
    part = config["benchmark"]
    rows = datasets.read(part["datasets"])
    if part["include"] == "all":
        return rows
    if part["include"] == "present":
        rows = [row for row in rows if _is_present(config, row)]
        if not rows:
            raise InputError("benchmark.include: present, but no dataset was found")
        return rows
    names = [row.dataset for row in rows]
    for name in part["include"]:
        known("benchmark.include", name, names, "dataset")
    return [row for row in rows if row.dataset in part["include"]]


def source_of(dataset: Dataset) -> str:
    """The name in `sources` that the rows of a dataset not one's own come from."""
    return "deepstarr" if dataset.source == "deepstarr" else "gue"


def own_files(dataset: Dataset) -> list[str]:
    """The files that a dataset of one's own consists of; none for the paper's."""
    if dataset.own_folder is None:
        return []
    return [f"{dataset.own_folder}/{split}.csv" for split in datasets.SPLITS]


def _is_present(config: dict[str, Any], dataset: Dataset) -> bool:
    if dataset.own_folder is not None:
        return all(Path(path).exists() for path in own_files(dataset))
    local = config["sources"][source_of(dataset)].get("path")
    return local is None or datasets.is_there(Path(local), dataset)


def preparation(config: dict[str, Any]) -> dict[str, Any]:
    """What `randommask.data.prepare` has to know."""
    part = config["benchmark"]
    return {
        "max_rows": part["max_rows"],
        "drop_leaks": part["drop_leaks"],
        "k": config["pretrain"]["k"],
    }


def resources(config: dict[str, Any]) -> list[str]:
    """The fetched folders, by their place in `resources`, that `all` needs."""
    tables = config["tables"].values()
    encoders = {row["encoder"] for table in tables for row in table["rows"]}
    encoders |= set(config["roles"].values())
    places = {source_of(row) for row in benchmark(config) if not row.own_folder}
    for encoder in encoders:
        entry = config["encoders"][encoder]
        if "released" in entry:
            places.add(f"encoders/{encoder}")
        elif "control" not in entry:
            places |= set(merged(config, encoder)["genomes"])
    return sorted(places)


def recipe(config: dict[str, Any], name: str, dataset: Dataset) -> dict[str, Any]:
    """Epochs, batch size, learning rate of a dataset, and what else a recipe sets."""
    changes = config["recipes"][name]
    return {
        "epochs": dataset.epochs,
        "batch_size": dataset.batch_size,
        "learning_rate": dataset.learning_rate,
        **changes.get("all", {}),
        **changes.get(dataset.task, {}),
        **changes.get(dataset.dataset, {}),
    }


def finetuning(
    config: dict[str, Any], encoder: str, tokenization: str, dataset: Dataset, seed: int
) -> dict[str, Any]:
    """What `randommask.finetuning` has to know of one run."""
    shared = config["finetune"]
    return {
        **_run(encoder, tokenization, dataset, seed),
        **{key: value for key, value in shared.items() if key != "recipe"},
        **recipe(config, shared["recipe"], dataset),
        **config["encoders"][encoder].get("finetune", {}),
    }


def counting(
    config: dict[str, Any], encoder: str, tokenization: str, dataset: Dataset, seed: int
) -> dict[str, Any]:
    """What `randommask.finetuning.kmer_linear` has to know of one run."""
    return {
        **_run(encoder, tokenization, dataset, seed),
        **config["encoders"][encoder]["grid"],
    }


def _run(
    encoder: str, tokenization: str, dataset: Dataset, seed: int
) -> dict[str, Any]:
    """Which run it is, whatever computes it."""
    return {
        "encoder": encoder,
        "tokenization": tokenization,
        "dataset": dataset.dataset,
        "task": dataset.task,
        "metric": dataset.metric,
        "seed": seed,
    }


def table_datasets(config: dict[str, Any], table: dict) -> list[str]:
    """The datasets of a table that this experiment has."""
    names = [dataset.dataset for dataset in benchmark(config)]
    if table["datasets"] == "all":
        return names
    return [name for name in names if name in table["datasets"]]

"""What each rule takes from a checked config, and nothing else.

A changed setting so re-plans only what depends on it. Snakemake imports this module
while it plans, so it imports nothing heavy.
"""

import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from randommask.errors import InputError
from randommask.experiment import datasets
from randommask.experiment.datasets import Dataset

ARCHITECTURE_KEYS = (
    "layers",
    "hidden",
    "heads",
    "feed_forward",
    "positions",
    "dropout",
)
UNTRAINED, KMER_LINEAR = "untrained", "kmer-linear"
# The modules that read released weights, found without importing them.
FAMILIES = sorted(
    path.stem for path in (Path(__file__).parent / "families").glob("[a-z]*.py")
)
# Keys of an encoder that say how its training is cut and logged, not what it computes.
LOGISTICS = (
    "segments",
    "milestones",
    "log_every",
    "validate_every",
    "validation_spans",
)


def known(where: str, name: str, names: Iterable[str], kind: str) -> None:
    """Raise `InputError` with the nearest name where `name` is not one of `names`."""
    if name not in names:
        near = difflib.get_close_matches(name, list(names), 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise InputError(
            f"{where}: no {kind} {name!r}, expected one of {listing(names)}{hint}"
        )


def listing(names: Iterable[Any]) -> str:
    """The first names, separated by commas."""
    shown = [str(name) for name in names]
    return ", ".join(shown[:12]) + (" ..." if len(shown) > 12 else "")


def differences(old: dict, new: dict, prefix: str = "") -> list[str]:
    """The keys in which two settings differ, with both values."""
    lines = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if isinstance(before, dict) and isinstance(after, dict):
            lines += differences(before, after, f"{prefix}{key}.")
        elif before != after:
            lines.append(f"{prefix}{key}: {json.dumps(before)} -> {json.dumps(after)}")
    return lines


# --- Benchmark ------------------------------------------------------------------------


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
    if local is None:
        return True
    folder = Path(local)
    if dataset.source == "deepstarr":
        return (folder / "Sequences_activity_Train.txt").exists()
    places = (folder, folder / "GUE")
    return any((place / dataset.source / "train.csv").exists() for place in places)


def preparation(config: dict[str, Any]) -> dict[str, Any]:
    """What `randommask.data.prepare` has to know."""
    part = config["benchmark"]
    return {
        "max_rows": part["max_rows"],
        "drop_leaks": part["drop_leaks"],
        "k": config["pretrain"]["k"],
    }


# --- Pretraining ----------------------------------------------------------------------


def is_ours(config: dict[str, Any], encoder: str) -> bool:
    """Whether we pretrain it; else it is released, a control or a milestone."""
    others = {"released", "control", "milestone"}
    return not others & config["encoders"][encoder].keys()


def control(config: dict[str, Any], encoder: str) -> str | None:
    """Which control the encoder is, `UNTRAINED` or `KMER_LINEAR`; None: no control."""
    return config["encoders"][encoder].get("control")


def initial(config: dict[str, Any], encoder: str) -> dict[str, Any]:
    """What `randommask.encoders.untrained` has to know: all that decides random weights."""
    keys = merged(config, encoder)
    sizes = config["architectures"][keys["architecture"]]
    return {
        **{key: keys[key] for key in ("k", "tokenization", "seed")},
        "architecture": {key: sizes[key] for key in ARCHITECTURE_KEYS},
    }


def released(config: dict[str, Any], encoder: str) -> dict[str, Any]:
    """Where a released encoder comes from; how it is read is no part of that."""
    entry = config["encoders"][encoder]["released"]
    return {"encoder": {key: entry[key] for key in entry if key != "family"}}


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


def merged(config: dict[str, Any], encoder: str) -> dict[str, Any]:
    """All pretraining keys of an encoder: the shared ones under its own.

    A milestone has those of the encoder it was taken from.
    """
    entry = config["encoders"][encoder]
    if "milestone" in entry:
        return merged(config, entry["milestone"]["encoder"])
    return {**config["pretrain"], **entry}


def phases(config: dict[str, Any], encoder: str) -> list[dict[str, int]]:
    """The curriculum of an encoder, which names one or has its own."""
    curriculum = merged(config, encoder)["curriculum"]
    if isinstance(curriculum, str):
        return config["curricula"][curriculum]
    return curriculum


def phases_until(curriculum: list[dict], end: int) -> list[dict[str, int]]:
    """The phases of the first `end` steps, the last of them cut there."""
    last = next(i for i, phase in enumerate(curriculum) if phase["until"] >= end)
    return [*curriculum[:last], {**curriculum[last], "until": end}]


def segment_ends(config: dict[str, Any], encoder: str) -> list[int]:
    """The steps at which one of the encoder's jobs ends, the last one its total."""
    keys = merged(config, encoder)
    first = keys.get("from", {}).get("step", 0)
    ends = {end for end in keys["segments"] if first < end < keys["steps"]}
    return [*sorted(ends), keys["steps"]]


def settings(config: dict[str, Any], encoder: str, end: int) -> dict[str, Any]:
    """All that decides the weights after `end` steps.

    Later phases are left out: changing one leaves earlier segments as they are.
    """
    keys = merged(config, encoder)
    sizes = config["architectures"][keys["architecture"]]
    dropped = {"from", "curriculum", "architecture", "finetune", *LOGISTICS}
    return {
        **{key: value for key, value in keys.items() if key not in dropped},
        "curriculum": phases_until(phases(config, encoder), end),
        "architecture": {key: sizes[key] for key in ARCHITECTURE_KEYS},
    }


def segment(config: dict[str, Any], encoder: str, end: int) -> dict[str, Any]:
    """What `randommask.pretraining` has to know of the job that ends at `end`."""
    keys = merged(config, encoder)
    before = predecessor(config, encoder, end)
    start = before[1] if before else 0
    return {
        "start": start,
        "end": end,
        "milestones": sorted(
            step
            for step in keys["milestones"]
            if start < step < end or step == start == 0
        ),
        "log_every": keys["log_every"],
        "validate_every": keys["validate_every"],
        "validation_spans": keys["validation_spans"],
        "span_masking": span_masking(config, encoder),
        "settings": settings(config, encoder, end),
    }


def span_masking(config: dict[str, Any], encoder: str) -> dict[str, Any]:
    """How `validation_spans` mask: as `pretrain` says, whatever the encoder trained on.

    So their losses compare. Tokens of another kind are masked as the encoder says.
    """
    shared, keys = config["pretrain"], merged(config, encoder)
    alike = shared if keys["tokenization"] == shared["tokenization"] else keys
    return {
        key: alike[key] for key in ("center_probability", "target_share", "replacement")
    }


def predecessor(
    config: dict[str, Any], encoder: str, end: int
) -> tuple[str, int] | None:
    """Encoder and step that the job ending at `end` starts from; None: from nothing."""
    earlier = [step for step in segment_ends(config, encoder) if step < end]
    if earlier:
        return encoder, earlier[-1]
    branch = config["encoders"][encoder].get("from")
    return (branch["encoder"], branch["step"]) if branch else None


def segment_names(config: dict[str, Any]) -> list[str]:
    """`<encoder>/step-<end>` of all segments of all our encoders."""
    return [
        f"{encoder}/step-{end}"
        for encoder in config["encoders"]
        if is_ours(config, encoder)
        for end in segment_ends(config, encoder)
    ]


def milestone_segments(config: dict[str, Any]) -> dict[str, str]:
    """`<encoder>/step-<n>` of each milestone, and the segment that keeps it."""
    return {
        f"{name.split('/')[0]}/step-{step}": name
        for name in segment_names(config)
        for step in segment(config, *split(name))["milestones"]
    }


def split(name: str) -> tuple[str, int]:
    """`<encoder>/step-<n>` as encoder and n."""
    encoder, _, step = name.rpartition("/step-")
    return encoder, int(step)


def lineage(config: dict[str, Any], encoder: str) -> list[str]:
    """`<encoder>/step-<n>` of the weights at each milestone and at the end, by step.

    Before a branch they are the other encoder's.
    """
    kept = {*milestone_segments(config), *segment_names(config)}
    keys = merged(config, encoder)
    names = []
    for step in sorted({*keys["milestones"], keys["steps"]}):
        owner = encoder
        while step <= (branch := config["encoders"][owner].get("from", {})).get(
            "step", -1
        ):
            owner = branch["encoder"]
        if f"{owner}/step-{step}" in kept:
            names.append(f"{owner}/step-{step}")
    return names


# --- Fine-tuning and tables -----------------------------------------------------------


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

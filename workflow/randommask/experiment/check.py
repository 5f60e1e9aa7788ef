"""Refuse a bad config with one line, before anything is planned.

The closed schema in `workflow/schemas` says which keys there are and which values they
may have; here stands what a schema cannot say: names that must exist, steps that must
grow, branches that must share their beginning.
"""

import os
from itertools import pairwise
from pathlib import Path
from typing import Any

from randommask.errors import InputError, differences, known, listing
from randommask.experiment import datasets
from randommask.experiment.ablations import check_group
from randommask.experiment.datasets import TASKS, Dataset
from randommask.experiment.encoders import (
    FAMILIES,
    KMER_LINEAR,
    UNTRAINED,
    control,
    is_ours,
    merged,
    milestone_segments,
    phases,
    segment_ends,
    segment_names,
    settings,
    split,
)
from randommask.experiment.file import check_form
from randommask.experiment.runs import benchmark, own_files, source_of

BENCHMARK_SOURCES = ("gue", "deepstarr")
TAKEN_PLACES = {"encoders", "checksums.tsv"}
"""What else lies in `resources` beside a source of that name."""


def check(config: dict[str, Any], schema: str | Path) -> None:
    """Raise `InputError` with one line for what is wrong first in `config`."""
    check_form(config, schema)
    for source in BENCHMARK_SOURCES:
        known("sources", source, config["sources"], "source")
    if taken := sorted(TAKEN_PLACES & config["sources"].keys()):
        raise InputError(f"sources: {taken[0]!r} is a place of its own in resources")
    for genome in config["genomes"]:
        known("genomes", genome, _genomes(config), "genome")
    for name, curriculum in config["curricula"].items():
        _check_growth(f"curricula.{name}", curriculum)
    for name in config["encoders"]:
        _check_encoder(config, name)
    for name, entry in config["encoders"].items():
        if "from" in entry:
            _check_branch(config, name)
    for name, entry in config["encoders"].items():
        if "milestone" in entry:
            _check_milestone(config, name)
    rows = benchmark(config)
    _check_own_files(config, rows)
    _check_recipes(config)
    known("finetune.recipe", config["finetune"]["recipe"], config["recipes"], "recipe")
    for group in ("tables", "ablations"):
        for name, table in config.get(group, {}).items():
            _check_table(config, f"{group}.{name}", table, rows)
    for name, group in config.get("ablations", {}).items():
        check_group(f"ablations.{name}", group)
    for role, name in config["roles"].items():
        known(f"roles.{role}", name, config["encoders"], "encoder")
        if not is_ours(config, name):
            kind = "a control" if control(config, name) else "released"
            if "milestone" in config["encoders"][name]:
                kind = "a milestone"
            raise InputError(f"roles.{role}: {name} is {kind}, expected one of ours")
        if (k := merged(config, name)["k"]) % 2:
            raise InputError(f"roles.{role}: {name} has k {k}, expected an even number")
    baseline = config["roles"]["baseline"]
    if baseline not in [row["encoder"] for row in config["tables"]["table3"]["rows"]]:
        raise InputError(
            f"tables.table3: no row of {baseline}, which is roles.baseline"
        )


def check_copies(config: dict[str, Any]) -> None:
    """Raise `InputError` for a local copy that is neither there nor below `results`.

    Apart from `check`, for a config without its data can still be read and cleaned up.
    """
    needed = {
        *_genomes(config),
        *(source_of(row) for row in benchmark(config) if not row.own_folder),
    }
    places = {f"sources.{name}": config["sources"][name] for name in sorted(needed)}
    for name, entry in config["encoders"].items():
        places[f"encoders.{name}.released"] = entry.get("released", {})
    results = os.path.abspath(config["pathvars"]["results"])
    for where, place in places.items():
        if path := place.get("path"):
            is_made = Path(os.path.abspath(path)).is_relative_to(results)
            if not is_made and not Path(path).exists():
                raise InputError(f"{where}.path: {path}: no such file or folder")


def _genomes(config: dict[str, Any]) -> list[str]:
    return [name for name in config["sources"] if name not in BENCHMARK_SOURCES]


def _check_own_files(config: dict[str, Any], rows: list[Dataset]) -> None:
    for row in rows:
        for path in own_files(row):
            if not Path(path).is_file():
                raise InputError(
                    f"{config['benchmark']['datasets']}: {row.dataset}: {path}: "
                    "no such file"
                )


def _check_recipes(config: dict[str, Any]) -> None:
    rows = datasets.read(config["benchmark"]["datasets"])  # included or not
    tasks = dict.fromkeys(("all", *TASKS, *(row.task for row in rows)))
    names = [*tasks, *(row.dataset for row in rows)]
    for name, changes in config["recipes"].items():
        for key in changes:
            known(f"recipes.{name}", key, names, "task or dataset")


def _check_growth(where: str, curriculum: list[dict]) -> None:
    ends = [phase["until"] for phase in curriculum]
    for before, after in pairwise(ends):
        if after <= before:
            raise InputError(
                f"{where}: until {after} after {before}, expected steps that grow"
            )


def _check_encoder(config: dict[str, Any], name: str) -> None:
    """Check one encoder's references and the numbers that must fit together."""
    entry, where = config["encoders"][name], f"encoders.{name}"
    for kind, meant in (("released", "released weights"), ("milestone", "a milestone")):
        if kind in entry and (extra := sorted(set(entry) - {kind, "finetune"})):
            raise InputError(f"{where}: {extra[0]!r} has no meaning for {meant}")
    if "released" in entry:
        family = entry["released"]["family"]
        known(f"{where}.released.family", family, FAMILIES, "family")
    if "released" in entry or "milestone" in entry:
        return
    if "control" in entry:
        _check_control(config, name)
        return
    if "grid" in entry:
        raise InputError(f"{where}: 'grid' has a meaning for kmer-linear only")
    if "curriculum" not in entry:
        raise InputError(f"{where}: no key 'curriculum' (or 'released', or 'control')")
    _check_curriculum(config, name)
    keys = merged(config, name)
    architecture = keys["architecture"]
    _check_architecture(config, where, architecture)
    sizes = config["architectures"][architecture]
    if keys["tokens"] > sizes["positions"]:
        raise InputError(
            f"{where}: tokens {keys['tokens']}, expected at most positions "
            f"{sizes['positions']} of architecture {architecture}"
        )
    for genome in keys["genomes"]:
        known(f"{where}.genomes", genome, _genomes(config), "genome")
    shares = keys["replacement"]
    if shares["mask"] + shares["random"] > 1:
        raise InputError(
            f"{where}: replacement mask {shares['mask']} and random "
            f"{shares['random']}, expected a sum of at most 1"
        )
    if keys["batch"] % keys["micro_batch"]:
        raise InputError(
            f"{where}: batch {keys['batch']}, expected a multiple of micro_batch "
            f"{keys['micro_batch']}"
        )
    if keys["warmup_steps"] >= keys["steps"]:
        raise InputError(
            f"{where}: warmup_steps {keys['warmup_steps']}, expected fewer than "
            f"steps {keys['steps']}"
        )


def _check_curriculum(config: dict[str, Any], name: str) -> None:
    """The phases of an encoder end with its steps and have room for its spans."""
    named, where = config["encoders"][name]["curriculum"], f"encoders.{name}"
    keys, label = merged(config, name), "its own"
    if isinstance(named, str):
        known(f"{where}.curriculum", named, config["curricula"], "curriculum")
        label = named
    else:
        _check_growth(f"{where}.curriculum", named)
    curriculum = phases(config, name)
    if curriculum[-1]["until"] != keys["steps"]:
        raise InputError(
            f"{where}: curriculum {label} ends at step {curriculum[-1]['until']}, "
            f"expected steps {keys['steps']}"
        )
    for phase in curriculum:
        if phase["max_span"] < keys["min_span"]:
            raise InputError(
                f"{where}: max_span {phase['max_span']} in {label}, "
                f"expected at least min_span {keys['min_span']}"
            )


def _check_control(config: dict[str, Any], name: str) -> None:
    """A control has the keys that decide it, and no others."""
    entry, where = config["encoders"][name], f"encoders.{name}"
    kind = entry["control"]
    used = {
        UNTRAINED: {"architecture", "k", "tokenization", "seed"},
        KMER_LINEAR: {"grid"},
    }[kind]
    if extra := sorted(set(entry) - used - {"control"}):
        raise InputError(f"{where}: {extra[0]!r} has no meaning for control {kind}")
    if kind == KMER_LINEAR:
        if "grid" not in entry:
            raise InputError(f"{where}: no key 'grid'")
        return
    _check_architecture(config, where, merged(config, name)["architecture"])


def _check_architecture(config: dict[str, Any], where: str, name: str) -> None:
    known(f"{where}.architecture", name, config["architectures"], "architecture")
    sizes = config["architectures"][name]
    if sizes["hidden"] % sizes["heads"]:
        raise InputError(
            f"architectures.{name}: hidden {sizes['hidden']}, "
            f"expected a multiple of heads {sizes['heads']}"
        )


def _check_branch(config: dict[str, Any], name: str) -> None:
    """An encoder may branch only where all settings up to that step are equal."""
    branch, where = config["encoders"][name]["from"], f"encoders.{name}.from"
    parent, step = branch["encoder"], branch["step"]
    known(f"{where}.encoder", parent, config["encoders"], "encoder")
    if not is_ours(config, parent) or parent == name:
        raise InputError(f"{where}: {parent}, expected another of our encoders")
    seen = [name]
    while parent:
        if parent in seen:
            raise InputError(f"{where}: {' from '.join([*seen, parent])}, a circle")
        seen.append(parent)
        parent = config["encoders"][parent].get("from", {}).get("encoder")
    parent = branch["encoder"]
    if step not in (ends := segment_ends(config, parent)):
        raise InputError(
            f"{where}: step {step}, expected a segment's end: {listing(ends)}"
        )
    if step >= (steps := merged(config, name)["steps"]):
        raise InputError(f"{where}: step {step}, expected fewer than steps {steps}")
    theirs, ours = settings(config, parent, step), settings(config, name, step)
    if changed := differences(theirs, ours):
        raise InputError(f"{where}: {parent} differs before step {step}: {changed[0]}")


def _check_milestone(config: dict[str, Any], name: str) -> None:
    """A milestone names weights that another of our encoders keeps."""
    entry, where = config["encoders"][name]["milestone"], f"encoders.{name}.milestone"
    parent = entry["encoder"]
    known(f"{where}.encoder", parent, config["encoders"], "encoder")
    if not is_ours(config, parent):
        raise InputError(f"{where}: {parent}, expected an encoder that we pretrain")
    names = [*milestone_segments(config), *segment_names(config)]
    kept = [split(kept)[1] for kept in names if split(kept)[0] == parent]
    if entry["step"] not in kept:
        raise InputError(
            f"{where}: step {entry['step']} of {parent} is not kept, expected "
            f"one of {listing(sorted(kept))}"
        )


def _check_lengths(
    config: dict[str, Any], where: str, row: dict, rows: list[Dataset]
) -> None:
    """Refuse a row whose datasets have more tokens than its encoder positions."""
    own = config["encoders"][row["encoder"]].get("finetune", {})
    if own.get("truncate", config["finetune"]["truncate"]):
        return
    keys = merged(config, row["encoder"])
    positions = config["architectures"][keys["architecture"]]["positions"]
    step = 1 if row["tokenization"] == "overlapping" else keys["k"]
    longest = max(rows, key=lambda dataset: dataset.bases)
    tokens = (longest.bases - keys["k"]) // step + 3
    if tokens > positions:
        raise InputError(
            f"{where} row {row['label']!r}: {longest.dataset} has {tokens} tokens, "
            f"expected at most the {positions} positions of {row['encoder']}"
        )


def _check_table(
    config: dict[str, Any], where: str, table: dict, rows: list[Dataset]
) -> None:
    for row in table["rows"]:
        known(
            f"{where} row {row['label']!r}",
            row["encoder"],
            config["encoders"],
            "encoder",
        )
        family = config["encoders"][row["encoder"]].get("released", {}).get("family")
        is_known = family in (None, "bert", "esm", "hyena")  # others say it themselves
        if is_known and (family == "hyena") != (row["tokenization"] == "character"):
            raise InputError(
                f"{where} row {row['label']!r}: tokenization {row['tokenization']} "
                f"does not fit encoder {row['encoder']}"
            )
        is_linear = control(config, row["encoder"]) == KMER_LINEAR
        if is_linear and row["tokenization"] != "overlapping":
            raise InputError(
                f"{where} row {row['label']!r}: tokenization {row['tokenization']}, "
                f"expected overlapping: {row['encoder']} counts every k-mer"
            )
        if family is None and not is_linear:
            _check_lengths(config, where, row, rows)
    if table["datasets"] != "all":
        names = [row.dataset for row in rows]
        if config["benchmark"]["include"] == "present":  # some may lie elsewhere
            names = [
                row.dataset for row in datasets.read(config["benchmark"]["datasets"])
            ]
        for name in table["datasets"]:
            known(f"{where}.datasets", name, names, "dataset")

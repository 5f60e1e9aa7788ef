"""Read a config, or refuse it with one line before anything is planned.

`sections` says which keys there are and which values each may have; here and in `shown`
stands what a single key cannot say: names that must exist, steps that must grow,
branches that must share their beginning.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from randommask.errors import InputError, differences, known, listing
from randommask.experiment import datasets, origins, shown
from randommask.experiment.datasets import TASKS, Dataset
from randommask.experiment.encoders import (
    FAMILIES,
    is_ours,
    keys,
    kind,
    milestone_segments,
    named,
    phases,
    segment_ends,
    segment_names,
    settings,
    split,
)
from randommask.experiment.form import read
from randommask.experiment.runs import benchmark, own_files, source_of
from randommask.experiment.sections import (
    MODERN,
    Architecture,
    Experiment,
    LocalCopy,
    Milestone,
    Ours,
    Phase,
    Probe,
    Released,
    Untrained,
    WithoutEncoder,
)
from randommask.files import read_json

TAKEN_PLACES = {"encoders", "checksums.tsv"}
"""What else lies in `resources` beside a source of that name."""


def check(config: dict[str, Any]) -> Experiment:
    """The experiment; raise `InputError` with one line for what is wrong first."""
    experiment = read(Experiment, config)
    if taken := sorted(TAKEN_PLACES & experiment.sources.keys()):
        raise InputError(f"sources: {taken[0]!r} is a place of its own in resources")
    for genome in experiment.genomes:
        known("genomes", genome, experiment.genome_names, "genome")
    for name, curriculum in experiment.curricula.items():
        _check_growth(f"curricula.{name}", curriculum)
    for name, sizes in experiment.architectures.items():
        if sizes.hidden % sizes.heads:
            raise InputError(
                f"architectures.{name}: hidden {sizes.hidden}, "
                f"expected a multiple of heads {sizes.heads}"
            )
        _check_kind(f"architectures.{name}", sizes)
    _check_encoders(experiment)
    rows = benchmark(experiment)
    _check_datasets(experiment, rows)
    _check_recipes(experiment)
    shown.check(experiment, rows)
    return experiment


def _check_kind(where: str, sizes: Architecture) -> None:
    """Positions that turn pairs of units; keys that mean something for the kind."""
    if sizes.kind != MODERN:
        for key in origins.NEAR:
            if key in sizes.given():
                raise InputError(f"{where}: {key!r} has a meaning for kind modern only")
    elif sizes.hidden // sizes.heads % 2:
        raise InputError(
            f"{where}: hidden {sizes.hidden}, expected an even number of units for "
            f"each of {sizes.heads} heads"
        )


def _check_datasets(experiment: Experiment, rows: Iterable[Dataset]) -> None:
    """The rows of each dataset come from somewhere."""
    listed = experiment.benchmark.datasets
    for row in rows:
        if not row.own_folder and source_of(row) not in experiment.sources:
            raise InputError(
                f"sources: no source {source_of(row)!r}, which {row.dataset} in "
                f"{listed} comes from"
            )
        for path in own_files(row):
            if not Path(path).is_file():
                raise InputError(f"{listed}: {row.dataset}: {path}: no such file")


def _check_recipes(experiment: Experiment) -> None:
    rows = datasets.read(experiment.benchmark.datasets)  # included or not
    tasks = dict.fromkeys(("all", *TASKS, *(row.task for row in rows)))
    names = [*tasks, *(row.dataset for row in rows)]
    for name, changes in experiment.recipes.items():
        for key in changes:
            known(f"recipes.{name}", key, names, "task or dataset")
    used = {"finetune.recipe": experiment.finetune.recipe}
    for name, entry in experiment.encoders.items():
        own = entry.finetune.given() if entry.finetune else {}
        if "recipe" in own:
            used[f"encoders.{name}.finetune.recipe"] = own["recipe"]
    for where, recipe in used.items():
        known(where, recipe, experiment.recipes, "recipe")


# --- Encoders -------------------------------------------------------------------------


def _check_encoders(experiment: Experiment) -> None:
    """Names first, then the numbers that must fit, then what stands on others."""
    for name, entry in experiment.encoders.items():
        where = f"encoders.{name}"
        if isinstance(entry, Released):
            known(f"{where}.released.family", entry.released.family, FAMILIES, "family")
            _check_code(where, entry)
        if isinstance(entry, Ours | Untrained):
            architectures = experiment.architectures
            known(
                f"{where}.architecture",
                entry.architecture,
                architectures,
                "architecture",
            )
        if isinstance(entry, Ours):
            _check_ours(experiment, name)
    for name in named(experiment, Ours):
        origins.check(experiment, name)
        _check_circle(experiment, name)
        if experiment.encoders[name].branch:
            _check_branch(experiment, name)
    for name in named(experiment, Milestone):
        _check_milestone(experiment, name)
    for name in named(experiment, Probe):
        source, where = experiment.encoders[name].probe.encoder, f"encoders.{name}"
        known(f"{where}.probe.encoder", source, experiment.encoders, "encoder")
        if isinstance(experiment.encoders[source], WithoutEncoder | Probe):
            raise InputError(
                f"{where}.probe: {source} is {kind(experiment, source)}, expected an "
                "encoder with weights"
            )


def _check_code(where: str, entry: Released) -> None:
    """Refuse a copy for transformers that needs code of its own, where it lies here."""
    if entry.released.family == "hf" and isinstance(entry.released, LocalCopy):
        path = Path(entry.released.path)
        if (path / "config.json").is_file():
            origins.check_plain(
                f"{where}.released: {path}", read_json(path / "config.json")
            )


def _check_ours(experiment: Experiment, name: str) -> None:
    """Check one encoder's references and the numbers that must fit together."""
    entry, where = keys(experiment, name), f"encoders.{name}"
    _check_curriculum(experiment, name)
    positions = experiment.architectures[entry.architecture].positions
    if entry.tokens > positions:
        raise InputError(
            f"{where}: tokens {entry.tokens}, expected at most positions "
            f"{positions} of architecture {entry.architecture}"
        )
    for genome in entry.genomes:
        known(f"{where}.genomes", genome, experiment.genome_names, "genome")
    _check_held_out(experiment, name)
    shares = entry.replacement
    if shares.mask + shares.random > 1:
        raise InputError(
            f"{where}: replacement mask {shares.mask} and random "
            f"{shares.random}, expected a sum of at most 1"
        )
    if entry.batch % entry.micro_batch:
        raise InputError(
            f"{where}: batch {entry.batch}, expected a multiple of micro_batch "
            f"{entry.micro_batch}"
        )
    if entry.warmup_steps >= entry.steps:
        raise InputError(
            f"{where}: warmup_steps {entry.warmup_steps}, expected fewer than "
            f"steps {entry.steps}"
        )


def _check_held_out(experiment: Experiment, name: str) -> None:
    """What is held out is there, as far as the config names it, and leaves some."""
    entry, where = keys(experiment, name), f"encoders.{name}.held_out"
    taken: list[str] = []
    for genome in entry.genomes:
        chosen = experiment.genomes.get(genome)
        if chosen is None or chosen.chromosomes is None:
            return  # all that its files hold, which is known when they are read
        taken += chosen.chromosomes
    for chromosome in entry.held_out:
        known(where, chromosome, taken, "chromosome")
    if entry.held_out and set(taken) <= set(entry.held_out):
        raise InputError(
            f"{where}: found all {len(entry.held_out)} chromosomes, "
            "expected one that is left to train on"
        )


def _check_growth(where: str, curriculum: Sequence[Phase]) -> None:
    for before, after in pairwise(phase.until for phase in curriculum):
        if after <= before:
            raise InputError(
                f"{where}: until {after} after {before}, expected steps that grow"
            )


def _check_curriculum(experiment: Experiment, name: str) -> None:
    """The phases of an encoder end with its steps and have room for its spans."""
    entry, where = keys(experiment, name), f"encoders.{name}"
    given, label = entry.curriculum, "its own"
    if isinstance(given, str):
        known(f"{where}.curriculum", given, experiment.curricula, "curriculum")
        label = given
    else:
        _check_growth(f"{where}.curriculum", given)
    curriculum = phases(experiment, name)
    if curriculum[-1].until != entry.steps:
        raise InputError(
            f"{where}: curriculum {label} ends at step {curriculum[-1].until}, "
            f"expected steps {entry.steps}"
        )
    for phase in curriculum:
        if phase.max_span < entry.min_span:
            raise InputError(
                f"{where}: max_span {phase.max_span} in {label}, "
                f"expected at least min_span {entry.min_span}"
            )


def _check_branch(experiment: Experiment, name: str) -> None:
    """An encoder may branch only where all settings up to that step are equal."""
    branch, where = experiment.encoders[name].branch, f"encoders.{name}.from"
    parent, step = branch.encoder, branch.step
    known(f"{where}.encoder", parent, experiment.encoders, "encoder")
    if not is_ours(experiment, parent) or parent == name:
        raise InputError(f"{where}: {parent}, expected another of our encoders")
    if step not in (ends := segment_ends(experiment, parent)):
        raise InputError(
            f"{where}: step {step}, expected a segment's end: {listing(ends)}"
        )
    if step >= (steps := keys(experiment, name).steps):
        raise InputError(f"{where}: step {step}, expected fewer than steps {steps}")
    theirs, ours = (settings(experiment, one, step).values() for one in (parent, name))
    if changed := differences(theirs, ours):
        raise InputError(f"{where}: {parent} differs before step {step}: {changed[0]}")


def _check_circle(experiment: Experiment, name: str) -> None:
    seen, one = [name], origins.parent(experiment, name)
    while one in experiment.encoders:
        if one in seen:
            circle = " from ".join([*seen, one])
            raise InputError(f"encoders.{name}.from: {circle}, a circle")
        seen.append(one)
        one = origins.parent(experiment, one)


def _check_milestone(experiment: Experiment, name: str) -> None:
    """A milestone names weights that another of our encoders keeps."""
    entry, where = experiment.encoders[name].milestone, f"encoders.{name}.milestone"
    parent = entry.encoder
    known(f"{where}.encoder", parent, experiment.encoders, "encoder")
    if not is_ours(experiment, parent):
        raise InputError(f"{where}: {parent}, expected an encoder that we pretrain")
    names = [*milestone_segments(experiment), *segment_names(experiment)]
    kept = [split(kept)[1] for kept in names if split(kept)[0] == parent]
    if entry.step not in kept:
        raise InputError(
            f"{where}: step {entry.step} of {parent} is not kept, expected "
            f"one of {listing(sorted(kept))}"
        )

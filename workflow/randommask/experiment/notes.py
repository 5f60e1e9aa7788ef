"""What to say, once, while Snakemake plans: overridden settings, misspelt targets."""

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

from randommask.errors import listing
from randommask.experiment import runs
from randommask.experiment.sections import Experiment, Tokenization

LISTED = ("epochs", "batch_size", "learning_rate")
"""What the list of data sets says of fine-tuning."""
CLOSE = 0.75
ALONE = {
    *("-n", "--dry-run", "--dryrun", "-k", "--keep-going", "-p", "--printshellcmds"),
    *("-F", "--forceall", "-t", "--touch", "--ri", "--rerun-incomplete", "--nolock"),
    *("--notemp", "--keep-incomplete", "--verbose"),
}
"""Flags of Snakemake after which a target may stand; others take what follows."""


def of(experiment: Experiment) -> Iterator[str]:
    """What the recipe in use says otherwise than the list of data sets."""
    used, said = experiment.finetune.recipe, []
    for key in LISTED:
        changed: dict[str, list[str]] = {}
        for dataset in runs.benchmark(experiment):
            before = getattr(dataset, key)
            now = runs.recipe(experiment, used, dataset)[key]
            if now != before:
                changed.setdefault(f"{before:g} to {now:g}", []).append(dataset.dataset)
        if changed:
            many = sum(map(len, changed.values()))
            said.append(f"{key} of {many} data sets ({listing(changed)})")
    if said:
        yield (
            f"recipe {used} overrides {experiment.benchmark.datasets}:"
            f" {', '.join(said)}"
        )


def misspelt(
    words: Sequence[str], workflow: Any, experiment: Experiment
) -> Iterator[str]:
    """A line for each target that no rule makes, with the nearest one there is."""
    rules = [rule.name for rule in workflow.rules]
    place = experiment.pathvars.results
    for before, word in zip(["", *words], words, strict=False):
        is_target = before in {"--", *ALONE} or not before.startswith("-")
        if re.fullmatch(r"[a-z]\w+", word) and is_target:
            near = difflib.get_close_matches(word, rules, 1, CLOSE)
            if near and word not in rules and not Path(word).exists():
                yield f"{word}: no such target; did you mean {near[0]}?"
        elif word.startswith("results/") and not word.startswith(f"{place}/"):
            yield f"{word}: the results of this config are in {place}/"
        elif word.startswith(f"{place}/"):
            near = _nearest(word, place, workflow, experiment)
            yield from [f"{word}: nothing makes that; did you mean {near}?"] * bool(
                near
            )


def _is_made(word: str, workflow: Any) -> bool:
    return any(rule.is_producer(word) for rule in workflow.rules)


def _nearest(
    word: str, place: str, workflow: Any, experiment: Experiment
) -> str | None:
    """The target with each part of its path that is unknown put right, if any is."""
    if _is_made(word, workflow):
        return None
    known = {*experiment.encoders, *experiment.ablations, *get_args(Tokenization)}
    known |= {f"seed{seed}" for seed in experiment.seeds}
    known |= {dataset.dataset for dataset in runs.benchmark(experiment)}
    for rule in workflow.rules:
        for path in rule.products():
            known |= {part for part in str(path).split("/") if "{" not in part}
    known |= {f"table{n}.{form}" for n in range(1, 6) for form in ("csv", "md", "tex")}
    known |= {f"fig{n}.{form}" for n in range(1, 6) for form in ("csv", "png", "pdf")}
    parts = word.removeprefix(f"{place}/").split("/")
    right = [
        part
        if part in known
        else next(iter(difflib.get_close_matches(part, known, 1)), part)
        for part in parts
    ]
    near = "/".join([place, *right])
    return near if near != word and _is_made(near, workflow) else None

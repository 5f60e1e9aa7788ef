"""The numbers behind an ablation, read from where the jobs left them.

A record says one thing of one row: `measure` is

- `score`: test MCC (of numbers: Pearson) in per cent, `of` a data set, a task or
  `mean`, the mean over the data sets; `low` and `high` are the 95 % interval over
  seeds of fine-tuning;
- `difference`: the score less the reference's, with Tukey's interval (`margin`);
- `gain`: the score less that of random weights, with its interval over seeds and test
  rows (`measures.gains`), where the group has such a row;
- `masked`: tokens masked in pretraining, per cent, the mean over all its steps;
- `loss`: validation loss with all spans of `of` tokens, nats a masked token;
- `purity`, `silhouette`: order of the embeddings, where it is measured;
- `cls_mass`, `entropy`: attention on [CLS], and how widely it spreads, in nats: means
  over the layers;
- `hours`, `core_hours`, `gpu_hours`: of all jobs `of` pretraining or fine-tuning; see
  `hours`.

`value` is None where there is nothing to read.
"""

import math
import statistics
from collections.abc import Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

from randommask.errors import InputError
from randommask.experiment.datasets import Dataset
from randommask.experiment.hparams import ComparedRow
from randommask.measures import gains, margins, runs
from randommask.measures.margins import LEVEL
from randommask.measures.records import Record, read_csv, tasks_of

MEAN = "mean"
SCORED = ("score", "difference", "gain")
KEYS = ("row", "encoder", "tokenization", "series", "at")
Scores = dict[str, dict[int, runs.Run]]
"""A row's runs by data set and seed; their scores are per cent."""


def read_scores(
    finetuned: Path,
    row: ComparedRow,
    datasets: Sequence[Dataset],
    seeds: Sequence[int],
    problems: list[str],
) -> Scores:
    """The scores of a row's runs under `<results>/finetune`, those that can be read.

    What is wrong with the others is added to `problems`. Raises `InputError` where the
    runs of a cell were made in different ways.
    """
    cell = (finetuned, row.encoder, row.tokenization)
    return {
        dataset.dataset: runs.read_seeds(*cell, dataset.dataset, seeds, problems)
        for dataset in datasets
    }


def common(scores: Sequence[Scores], seeds: Sequence[int]) -> list[Scores | None]:
    """The runs that are compared: those of data sets and seeds that all rows have.

    A row with less than half of its runs is None, so that it costs the others nothing.
    Of several choices of seeds and data sets it is the one with the most runs. Raises
    `InputError` where nothing is left.
    """
    expected = len(scores[0]) * len(seeds)
    is_kept = [2 * sum(map(len, own.values())) >= expected for own in scores]
    kept = [own for own, here in zip(scores, is_kept, strict=True) if here]
    names: list[str] = []
    best: tuple[int, ...] = ()
    for size in range(len(seeds), 0, -1):
        for chosen in combinations(seeds, size):
            shared = [
                name
                for name in scores[0]
                if all(set(chosen) <= own[name].keys() for own in kept)
            ]
            if len(shared) * size > len(names) * len(best):
                names, best = shared, chosen
        if len(names) * len(best) >= len(scores[0]) * (size - 1):
            break  # fewer seeds cannot give more runs
    if not kept or not names:
        raise InputError("no data set and seed with runs of the rows to compare")
    return [
        {name: {seed: own[name][seed] for seed in best} for name in names}
        if here
        else None
        for own, here in zip(scores, is_kept, strict=True)
    ]


def by_seed(scores: Scores, names: Sequence[str]) -> list[float]:
    """For each seed the mean over some data sets."""
    seeds = scores[names[0]]
    return [
        statistics.fmean(scores[name][seed].score for name in names) for seed in seeds
    ]


def interval(values: Sequence[float]) -> tuple[float, float] | None:
    """Student's interval of the mean at `LEVEL`; None below two values.

    >>> interval([1.0])
    """
    from scipy.stats import t

    if len(values) < 2:
        return None
    width = t.ppf((1 + LEVEL) / 2, len(values) - 1)
    width *= statistics.stdev(values) / math.sqrt(len(values))
    middle = statistics.fmean(values)
    return middle - width, middle + width


def margin(found: Sequence[Sequence[float]]) -> float | None:
    """By how much two rows must differ to be told apart: half of Tukey's interval.

    It holds at `LEVEL` for all pairs at once, if all rows spread alike over the seeds:
    of nine equal rows with three seeds, some are called worse in 5 % of groups; by
    t-tests of each pair in 47 %. None below two rows or two seeds.
    """
    rows, seeds = len(found), len(found[0])
    if rows < 2 or seeds < 2:
        return None
    variances = [v for v in map(statistics.variance, found) if v]
    if not variances:
        return 0.0
    tukeys = margins.studentized_range(rows, len(variances) * (seeds - 1))
    return tukeys * math.sqrt(statistics.fmean(variances) / seeds)


def score_records(
    row: ComparedRow,
    own: Scores | None,
    compared: Sequence[Scores],
    datasets: Sequence[Dataset],
) -> list[Record]:
    """Score and difference for each data set, each task and their mean.

    The first of the rows `compared` is the reference. Empty for a row without runs.
    """
    lines = []
    for of, names in _groups(datasets).items():
        if not own:
            lines += [
                record(row, measure, of, []) for measure in ("score", "difference")
            ]
            continue
        values, note = by_seed(own, names), _note(own, names)
        lines.append(record(row, "score", of, values, note, interval(values)))
        found = [by_seed(other, names) for other in compared]
        gaps = [mine - base for mine, base in zip(values, found[0], strict=True)]
        half, ends = margin(found), None
        if half is not None and own is not compared[0]:
            middle = statistics.fmean(gaps)
            ends = middle - half, middle + half
        lines.append(record(row, "difference", of, gaps, note, ends))
    return lines


def _groups(datasets: Sequence[Dataset]) -> dict[str, list[str]]:
    """Each data set, each task's, and all of them."""
    groups = {dataset.dataset: [dataset.dataset] for dataset in datasets}
    for task in tasks_of(dataset.task for dataset in datasets):
        groups.setdefault(task, [d.dataset for d in datasets if d.task == task])
    return groups | {MEAN: [dataset.dataset for dataset in datasets]}


def gain_records(
    row: ComparedRow,
    own: Scores | None,
    untrained: Scores | None,
    datasets: Sequence[Dataset],
    pairs: gains.Pairs,
) -> list[Record]:
    """What a row gains over the `untrained` one; nothing where one of them is None."""
    if not own or not untrained:
        return []
    made = {name: pairs.gain(name, own[name], untrained[name]) for name in own}
    lines = []
    for of, names in _groups(datasets).items():
        gain = gains.mean_of([made[name] for name in names])
        ends = gain.mean - gain.half, gain.mean + gain.half
        lines.append(record(row, "gain", of, list(gain.by_seed.values()), "", ends))
    return lines


def _note(own: Scores, names: Sequence[str]) -> str:
    """What is odd about the runs of one data set, and of which seeds; or how many."""
    odd: dict[str, list[int]] = {}
    for name in names:
        for seed, run in own[name].items():
            for flag in run.flags:
                odd.setdefault(flag, []).append(seed)
    return "; ".join(
        f"{flag} (seed {', '.join(map(str, seeds))})"
        if len(names) == 1
        else f"{flag} in {len(seeds)} of {len(names) * len(own[names[0]])} runs"
        for flag, seeds in odd.items()
    )


def record(
    row: ComparedRow,
    measure: str,
    of: Any,
    values: Sequence[float],
    note: str = "",
    ends: tuple[float, float] | None = None,
) -> Record:
    """One line of the csv: the mean of some values, and the ends of its interval."""
    low, high = ends or (None, None)
    rounded = [
        None if number is None else round(number, 6) + 0.0
        for number in (statistics.fmean(values) if values else None, low, high)
    ]
    return {
        **{key: getattr(row, "label" if key == "row" else key) for key in KEYS},
        "measure": measure,
        "of": of,
        **dict(zip(("value", "low", "high"), rounded, strict=True)),
        "seeds": len(values) if measure in SCORED else "",
        "note": note,
    }


def pretraining_records(results: Path, row: ComparedRow, partial: bool) -> list[Record]:
    """What the row's encoder learnt, from `<results>`; nothing where not pretrained.

    If `partial`, a file that is not there leaves its numbers out.
    """
    pretraining, found = row.pretraining, []
    if pretraining is None:
        return []
    step, kept = pretraining.step, results / "pretrain" / pretraining.kept

    def lines_of(path: Path, *numbers: str) -> list[Record]:
        return [] if partial and not path.exists() else read_csv(path, (), numbers)

    for line in lines_of(
        kept / "spans.csv", "step", "span", "validation_loss", "bound"
    ):
        if line["step"] == step:
            span = int(line["span"])
            found += [
                record(row, "loss", span, [line["validation_loss"]]),
                record(row, "bound", span, [line["bound"]]),
            ]
    history = lines_of(kept / "history.csv", "step", "masked_share")
    found.append(record(row, "masked", "", _masked(history, step)))
    if row.has_order:
        path = results / "figures" / "purity" / f"{row.encoder}.csv"
        for line in lines_of(path, "purity", "silhouette")[-1:]:
            found += [record(row, key, "", [line[key]]) for key in line]
    path = results / "figures" / "attention" / f"{row.encoder}.csv"
    layers = lines_of(path, "cls_mass", "entropy")
    for key in ("cls_mass", "entropy"):
        values = [layer[key] for layer in layers]
        found.append(record(row, key, "", [statistics.fmean(values)] if values else []))
    return found


def _masked(history: Iterable[Record], last: int) -> list[float]:
    """Per cent of tokens masked up to a step; nothing where no step was taken.

    A history goes back to the first step, through all segments and branches.
    """
    done, masked = 0, 0.0
    for line in history:
        step = min(int(line["step"]), last)
        masked += 100 * line["masked_share"] * (step - done)
        done = step
    return [masked / done] if done else []

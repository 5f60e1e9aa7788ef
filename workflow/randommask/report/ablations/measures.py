"""The numbers behind an ablation, read from where the jobs left them.

A record says one thing of one row: `measure` is

- `score`: test MCC (of numbers: Pearson) in per cent, `of` a data set, a task or
  `mean`, the mean over the data sets; `low` and `high` are the 95 % interval over
  seeds of fine-tuning, or over those of pretraining where there are several;
- `difference`: the score less the reference's, with Tukey's interval (`margin`);
- `gain`: the score less that of random weights, with its interval over seeds and test
  rows (`measures.gains`), where the group has such a row;
- `reached`: steps until the loss that the reference ends with (`reached_records`);
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
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

from randommask.errors import InputError
from randommask.experiment.datasets import Dataset
from randommask.experiment.hparams import ComparedRow, Origin
from randommask.measures import gains, margins, runs
from randommask.measures.margins import LEVEL
from randommask.measures.records import Record, read_csv, tasks_of

MEAN = "mean"
SCORED = ("score", "difference", "gain")
KEYS = ("row", "encoder", "tokenization", "series", "at")


class Trial(NamedTuple):
    """Which run it is, where encoders were pretrained with several seeds."""

    pretraining: int
    """seed of it"""
    seed: int
    """of the fine-tuning"""

    def __str__(self) -> str:
        return f"{self.seed} of pretraining {self.pretraining}"


Scores = dict[str, dict[int | Trial, runs.Run]]
"""A row's runs by data set and seed; their scores are per cent."""


def read_scores(
    finetuned: Path,
    row: ComparedRow,
    datasets: Sequence[Dataset],
    seeds: Sequence[int],
    problems: list[str],
) -> Scores:
    """The scores of a row's runs under `<results>/finetune`, those that can be read.

    Of a row with repeats they are of trials, all its pretrainings' together.

    What is wrong with the others is added to `problems`. Raises `InputError` where the
    runs of a cell were made in different ways.
    """
    found: Scores = {}
    for name in (dataset.dataset for dataset in datasets):
        found[name] = {}
        for one in (row, *row.repeats):
            cell = (finetuned, one.encoder, row.tokenization, name)
            made = runs.read_seeds(*cell, seeds, problems)
            found[name] |= (
                {Trial(one.seed, seed): run for seed, run in made.items()}
                if row.repeats
                else made
            )
    return found


def trials(row: ComparedRow, seeds: Sequence[int]) -> Sequence[int | Trial]:
    """The seeds, or of a row with repeats all pairs of them."""
    if not row.repeats:
        return seeds
    return [Trial(one.seed, seed) for one in (row, *row.repeats) for seed in seeds]


def common(
    scores: Sequence[Scores], seeds: Sequence[int | Trial]
) -> list[Scores | None]:
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
    """For each seed the mean over some data sets.

    Of trials for each seed of pretraining, the mean over those of fine-tuning: means of
    pretrainings differ by both, so what is said of their spread holds for both.
    """
    found: dict[int, list[float]] = {}
    for trial in scores[names[0]]:
        seed = trial.pretraining if isinstance(trial, Trial) else trial
        mean = statistics.fmean(scores[name][trial].score for name in names)
        found.setdefault(seed, []).append(mean)
    return [statistics.fmean(own) for own in found.values()]


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

    Losses and what was masked are means over the row's repeats, and embeddings and
    attention the first one's. If `partial`, a file that is not there leaves its numbers
    out.
    """
    if row.pretraining is None:
        return []

    def lines_of(path: Path, *numbers: str) -> list[Record]:
        return [] if partial and not path.exists() else read_csv(path, (), numbers)

    numbers: dict[tuple[str, Any], list[float]] = {}
    masked = []
    for origin in origins(row):
        step, kept = origin.step, results / "pretrain" / origin.kept
        columns = ("step", "span", "validation_loss", "bound")
        for line in lines_of(kept / "spans.csv", *columns):
            if line["step"] == step:
                of = int(line["span"])
                loss = numbers.setdefault(("loss", of), [])
                loss.append(line["validation_loss"])
                numbers.setdefault(("bound", of), []).append(line["bound"])
        masked += _masked(lines_of(kept / "history.csv", "step", "masked_share"), step)
    found = [record(row, *key, values) for key, values in numbers.items()]
    found.append(record(row, "masked", "", masked))
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


def origins(row: ComparedRow) -> list[Origin]:
    """The pretrainings behind a row: one, or as many as it was repeated."""
    return [one.pretraining for one in (row, *row.repeats) if one.pretraining]


def reached_records(
    results: Path, rows: Sequence[ComparedRow], partial: bool
) -> list[Record]:
    """After how many steps each row had the loss that the reference ends with.

    The loss is that of validation with all spans of one length, the mean over the
    lengths, and compares encoders of one k and tokenization. None where a pretraining
    never had it; with repeats the mean of their steps, to the mean of theirs.
    """
    curves = [[_curve(results, one, partial) for one in origins(row)] for row in rows]
    if not curves or not curves[0] or not all(curves[0]):
        return []
    kind = rows[0].pretraining.tokens
    goal = statistics.fmean(list(own.values())[-1] for own in curves[0])
    found = []
    for row, own in zip(rows, curves, strict=True):
        if not own or not all(own) or row.pretraining.tokens != kind:
            continue
        steps = [
            next((step for step, loss in curve.items() if loss <= goal), None)
            for curve in own
        ]
        if row is rows[0]:  # a repeat may end above their mean
            steps = [max(curve) for curve in own]
        found.append(record(row, "reached", "", [] if None in steps else steps))
    return found


def _curve(results: Path, origin: Origin, partial: bool) -> Mapping[int, float]:
    """The mean validation loss over the lengths of spans, by step."""
    path = results / "pretrain" / origin.kept / "spans.csv"
    if partial and not path.exists():
        return {}
    found: dict[int, list[float]] = {}
    for line in read_csv(path, (), ("step", "validation_loss")):
        if line["step"] <= origin.step:
            found.setdefault(int(line["step"]), []).append(line["validation_loss"])
    return {step: statistics.fmean(losses) for step, losses in sorted(found.items())}


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

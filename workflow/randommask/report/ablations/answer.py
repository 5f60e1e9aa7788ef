"""What the scores of a group say, in sentences made from the numbers.

Rows are compared by their mean over the data sets. A difference is beyond the spread
of the seeds where Tukey's interval, which holds for all pairs at once, leaves out 0.
The first row is the reference.
"""

import statistics
from collections import Counter
from collections.abc import Sequence

from randommask.experiment.hparams import ComparedRow
from randommask.experiment.units import amount
from randommask.measures.records import Record
from randommask.report.ablations.measures import Scores, Trial, by_seed, margin
from randommask.report.tables.sheet import number, signed

ONE_SEED = (
    "with one seed it cannot be told whether that is beyond the spread of seeds of"
    " fine-tuning"
)


def sentences(
    rows: Sequence[ComparedRow], scores: Sequence[Scores], axis: str
) -> list[str]:
    """The answer: the best row, what changes along the axis, and between the series.

    `axis` is empty for a group whose rows have no order.
    """
    found = [by_seed(own, list(own)) for own in scores]
    spread = f"the spread of {level(scores[0])}"
    said = [" ".join([best(rows, found, len(scores[0]), spread), *odd(rows, scores)])]
    if axis:
        said += along(rows, found, axis) + between(rows, found)
    return said


def level(own: Scores) -> str:
    """Of which seeds a row's runs are, in words.

    >>> level({"SSP": dict.fromkeys([1, 2, 3])})
    '3 seeds of fine-tuning'
    >>> level({"SSP": dict.fromkeys([Trial(1, 1), Trial(2, 1)])})
    '2 seeds of pretraining and 1 of fine-tuning'
    """
    trials = list(next(iter(own.values())))
    if not isinstance(trials[0], Trial):
        return f"{len(trials)} seeds of fine-tuning"
    counts = [len(set(seeds)) for seeds in zip(*trials, strict=True)]
    return f"{counts[0]} seeds of pretraining and {counts[1]} of fine-tuning"


def speeds(rows: Sequence[ComparedRow], records: Sequence[Record]) -> list[str]:
    """When each row had the loss that the reference ends with, where optimizers differ.

    Nothing where all rows have one optimizer.
    """
    used = {row.pretraining.optimizer for row in rows if row.pretraining}
    if len(used) < 2:
        return []
    reached = {
        (record["row"], record["tokenization"]): record["value"]
        for record in records
        if record["measure"] == "reached"
    }
    said = []
    for position, row in enumerate(rows[1:], start=1):
        if (key := (row.label, row.tokenization)) not in reached:
            continue
        steps, all_steps = reached[key], row.pretraining.step
        goal = f"the loss that {name(rows, 0)} ends with"
        if steps is None:
            said.append(f"{name(rows, position)} never had {goal}.")
        else:
            when = f"after {steps:,.0f} of {all_steps:,} steps"
            said.append(f"{name(rows, position)} had {goal} {when}.")
    return said


def budgets(rows: Sequence[ComparedRow]) -> list[str]:
    """What to know where rows were pretrained for longer than others; or nothing."""
    seen = {
        position: row.pretraining.seen
        for position, row in enumerate(rows)
        if row.pretraining and row.pretraining.seen
    }
    if len(set(seen.values())) < 2:
        return []
    by_budget: dict[int, list[str]] = {}
    for position, tokens in seen.items():
        by_budget.setdefault(tokens, []).append(name(rows, position))
    listed = "; ".join(
        f"{amount(tokens, '')} tokens: {', '.join(own)}".replace("  ", " ")
        for tokens, own in sorted(by_budget.items())
    )
    return [
        f"Unequal budgets: pretraining saw {listed}. Part of a difference may be this."
    ]


def best(
    rows: Sequence[ComparedRow],
    found: Sequence[list[float]],
    datasets: int,
    spread: str,
) -> str:
    """Which row won, by how much as printed, and which rows are not told from it.

    `spread` says which seeds.
    """
    means = [round(statistics.fmean(own), 2) for own in found]
    order = sorted(range(len(rows)), key=lambda row: -means[row])
    top = [row for row in order if means[row] == means[order[0]]]
    others = order[len(top) :]
    names = [name(rows, row) for row in top]
    sets = "1 data set" if datasets == 1 else f"{datasets} data sets"
    mean = f"mean over {sets}, {number(means[top[0]])} per cent"
    if len(rows) == 1:
        return f"{names[0]} is the only row: {mean}."
    text, it = f"{names[0]} has the highest {mean}", "it"
    if len(top) > 1:
        listed = f"{', '.join(names[:-1])} and {names[-1]}"
        text, it = f"No row is best: {listed} have the same highest {mean}", "them"
    if not others:
        return f"{text}."
    half = margin(found)
    around = "" if half is None else f" \u00b1 {number(half)}"
    gaps = [
        f"{number(means[top[0]] - means[row])}{around} above {name(rows, row)}"
        + (", the reference" if row == 0 else "")
        for row in dict.fromkeys((others[0], 0))
        if row in others
    ]
    text += f", {' and '.join(gaps)}"
    if half is None:
        return f"{text}; {ONE_SEED}."
    alike = [
        name(rows, row) for row in others if difference(found, top[0], row) <= half
    ]
    if not alike:
        return f"{text}: beyond {spread} for every row below {it}."
    return f"{text}. Within {spread}, so not to be told from {it}: {', '.join(alike)}."


def odd(rows: Sequence[ComparedRow], scores: Sequence[Scores]) -> list[str]:
    """A sentence for each thing that is odd about runs: how many, and of which rows."""
    counts = Counter(
        (flag, position)
        for position, own in enumerate(scores)
        for found in own.values()
        for run in found.values()
        for flag in run.flags
    )
    said = []
    for flag in dict.fromkeys(flag for flag, _ in counts):
        parts = [
            f"{runs(count)} of {name(rows, position)}"
            for (own, position), count in counts.items()
            if own == flag
        ]
        said.append(f"{flag[0].upper()}{flag[1:]} in {', '.join(parts)}.")
    return said


def runs(count: int) -> str:
    """How many runs.

    >>> runs(1), runs(2)
    ('1 run', '2 runs')
    """
    return f"{count} run{'s' if count != 1 else ''}"


def along(
    rows: Sequence[ComparedRow], found: Sequence[list[float]], axis: str
) -> list[str]:
    """For each series, what the last position on the axis gives over the first."""
    said = []
    for series in dict.fromkeys(row.series for row in rows):
        own = [position for position, row in enumerate(rows) if row.series == series]
        if is_numeric(rows):
            own.sort(key=lambda position: rows[position].at)
        first, last = own[0], own[-1]
        start, end = (shown(rows[position].at) for position in (first, last))
        if start != end:
            subject = f"{series}, from" if series else "From"
            change = verdict(found, last, first)
            said.append(f"{subject} {start} to {end} ({axis}): {change}.")
    return said


def is_numeric(rows: Sequence[ComparedRow]) -> bool:
    """Whether all positions on the axis are numbers; texts are in the order of rows."""
    return all(isinstance(row.at, int | float) for row in rows)


def between(rows: Sequence[ComparedRow], found: Sequence[list[float]]) -> list[str]:
    """At each position that the first series shares with another, their difference."""
    reference = rows[0].series
    said = []
    for position, row in enumerate(rows):
        for other, beside in enumerate(rows):
            same = beside.at == row.at and beside.series == reference
            if same and row.series != reference:
                said.append(
                    f"{row.series} over {reference} at {shown(row.at)}: "
                    f"{verdict(found, position, other)}."
                )
    return said


def shown(at: float | str) -> str:
    """A position on the axis as printed."""
    return at if isinstance(at, str) else f"{at:,.10g}"


def verdict(found: Sequence[list[float]], row: int, other: int) -> str:
    """The difference of two rows in points, and what the seeds say of it."""
    gap, half = difference(found, row, other), margin(found)
    text = f"{signed(gap)} points"
    if half is None:
        return text
    side = "within" if abs(gap) <= half else "beyond"
    low, high = signed(gap - half), signed(gap + half)
    return f"{text}, {side} the spread of seeds (95 % interval {low} to {high})"


def difference(found: Sequence[list[float]], row: int, other: int) -> float:
    """One row's mean minus another's."""
    return statistics.fmean(found[row]) - statistics.fmean(found[other])


def gaps(
    rows: Sequence[ComparedRow],
    made: Sequence[Scores],
    scores: Sequence[Scores | None],
    seeds: Sequence[int],
) -> list[str]:
    """What a partial group leaves out: rows, and what others lack a run of.

    `made` are the runs there are, `scores` those of them that are compared.
    """
    said = []
    if None in scores:
        expected = len(made[0]) * len(seeds)
        left = [
            f"{name(rows, position)} ({sum(map(len, own.values()))} of {expected})"
            for position, own in enumerate(made)
            if scores[position] is None
        ]
        text = f"Left out, with less than half of the runs: {', '.join(left)}"
        if scores[0] is None:
            first = next(position for position, own in enumerate(scores) if own)
            text += f"; the reference is {name(rows, first)}"
        said.append(f"{text}.")
    kept = next(own for own in scores if own)
    chosen = list(next(iter(kept.values())))
    parts = []
    if dropped := [dataset for dataset in made[0] if dataset not in kept]:
        parts.append(", ".join(dropped))
    if dropped := [str(seed) for seed in seeds if seed not in chosen]:
        parts.append(f"seed {', '.join(dropped)}")
    if parts:
        said.append(f"Not compared, as not all rows have runs: {'; '.join(parts)}.")
    return said


def name(rows: Sequence[ComparedRow], position: int) -> str:
    """A row's label, with its tokenization where another row has the same."""
    label = rows[position].label
    if sum(row.label == label for row in rows) > 1:
        return f'"{label}" ({rows[position].tokenization})'
    return f'"{label}"'

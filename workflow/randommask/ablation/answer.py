"""What the scores of a group say, in sentences made from the numbers.

Rows are compared by their mean over the data sets, seed by seed: a difference is beyond
the spread of the seeds where its 95 % interval over them leaves out 0. The first row is
the reference.
"""

import statistics
from collections.abc import Sequence

from randommask.ablation.measures import Scores, by_seed, interval
from randommask.tables.records import Record
from randommask.tables.sheet import number, signed

ONE_SEED = "with one seed it cannot be told whether that is beyond the spread of seeds"


def means(scores: Sequence[Scores]) -> list[list[float]]:
    """Of each row, for each seed, the mean over the data sets."""
    return [by_seed(own, list(own)) for own in scores]


def sentences(rows: Sequence[Record], scores: Sequence[Scores], axis: str) -> list[str]:
    """The answer: the best row, what changes along the axis, and between the series.

    `axis` is empty for a group whose rows have no order.
    """
    found = means(scores)
    said = [best(rows, found, len(scores[0]))] if len(rows) > 1 else []
    if axis:
        said += along(rows, found, axis) + between(rows, found)
    return said


def best(rows: Sequence[Record], found: Sequence[list[float]], datasets: int) -> str:
    """Which row won, by how much, and whether that is beyond the spread of seeds."""
    order = sorted(range(len(rows)), key=lambda row: -statistics.fmean(found[row]))
    first, second = order[:2]
    lead = gap(found, first, second)
    sets = "1 data set" if datasets == 1 else f"{datasets} data sets"
    mean = number(statistics.fmean(found[first]))
    if lead == "0.00":
        return (
            f"No row is best: {name(rows, first)} and {name(rows, second)} have the "
            f"same highest mean over {sets}, {mean} per cent."
        )
    text = (
        f"{name(rows, first)} has the highest mean over {sets}, {mean} per cent, "
        f"{lead} above {name(rows, second)}"
    )
    if first and second:
        text += f" and {gap(found, first, 0)} above {name(rows, 0)}, the reference"
    if len(found[first]) < 2:
        return f"{text}; {ONE_SEED}."
    alike = [row for row in order[1:] if not is_beyond(found, first, row)]
    if not alike:
        return f"{text}: beyond the spread of {len(found[first])} seeds for every row."
    names = ", ".join(name(rows, row) for row in alike)
    return (
        f"{text}. Within the spread of {len(found[first])} seeds, so not to be told "
        f"from it: {names}."
    )


def along(rows: Sequence[Record], found: Sequence[list[float]], axis: str) -> list[str]:
    """For each series, what the last place on the axis gives over the first."""
    said = []
    for series in dict.fromkeys(row["series"] for row in rows):
        own = [place for place, row in enumerate(rows) if row["series"] == series]
        if len(own) > 1:
            first, last = own[0], own[-1]
            places = [shown(rows[place]["at"]) for place in (first, last)]
            ends = f"from {places[0]} to {places[1]} ({axis})"
            subject = f"{series}, {ends}" if series else ends.capitalize()
            said.append(f"{subject}: {verdict(found, last, first)}.")
    return said


def between(rows: Sequence[Record], found: Sequence[list[float]]) -> list[str]:
    """At each place that the first series shares with another, their difference."""
    reference = rows[0]["series"]
    said = []
    for place, row in enumerate(rows):
        for other, beside in enumerate(rows):
            same = beside["at"] == row["at"] and beside["series"] == reference
            if same and row["series"] != reference:
                said.append(
                    f"{row['series']} over {reference} at {shown(row['at'])}: "
                    f"{verdict(found, place, other)}."
                )
    return said


def shown(at: float | str) -> str:
    """A place on the axis as printed."""
    return at if isinstance(at, str) else f"{at:,.10g}"


def verdict(found: Sequence[list[float]], row: int, other: int) -> str:
    """The difference of two rows in points, and what the seeds say of it."""
    text = f"{signed(gap_of(found, row, other))} points"
    ends = interval(differences(found, row, other))
    if ends is None:
        return text
    side = "beyond" if is_beyond(found, row, other) else "within"
    low, high = map(signed, ends)
    return f"{text}, {side} the spread of seeds (95 % interval {low} to {high})"


def differences(found: Sequence[list[float]], row: int, other: int) -> list[float]:
    """One row's mean minus another's, for each seed."""
    return [
        mine - theirs for mine, theirs in zip(found[row], found[other], strict=True)
    ]


def gap_of(found: Sequence[list[float]], row: int, other: int) -> float:
    """The mean difference over the seeds."""
    return statistics.fmean(differences(found, row, other))


def gap(found: Sequence[list[float]], row: int, other: int) -> str:
    """The same as printed."""
    return number(gap_of(found, row, other))


def is_beyond(found: Sequence[list[float]], row: int, other: int) -> bool:
    """Whether the interval of the difference leaves out 0; not with one seed."""
    ends = interval(differences(found, row, other))
    return ends is not None and (ends[0] > 0 or ends[1] < 0)


def name(rows: Sequence[Record], place: int) -> str:
    """A row's label, with its tokenization where another row has the same."""
    label = rows[place]["label"]
    if sum(row["label"] == label for row in rows) > 1:
        return f'"{label}" ({rows[place]["tokenization"]})'
    return f'"{label}"'

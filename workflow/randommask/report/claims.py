"""The claims of the paper, one card each: what came out, and the paper's own number.

Numbers are those of the registry (`measures.quantities`), so that a card says what the
tables and the captions say. The paper prints no number for observations 2 and 3: they
are read off its figures, and the card says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from randommask.experiment.units import text
from randommask.measures import audit, observations, statistics
from randommask.measures.observations import FAILS, HOLDS, UNMEASURED
from randommask.measures.quantities import DIFFERENCE, Quantity, Registry
from randommask.measures.readers import LABELS
from randommask.measures.records import Record, read_csv

UNTOLD = "not told apart"
"""The verdict where the interval of the difference holds 0."""

Said = tuple[str | Quantity, ...]
"""A sentence of words and quantities."""


@dataclass(frozen=True)
class Claim:
    """A card: `ours` and `printed` are sentences, `evidence` the parts to look at."""

    id: str
    title: str
    verdict: str
    ours: tuple[Said, ...]
    printed: str
    evidence: tuple[tuple[str, str], ...]


def claims(
    tables: Path, known: Registry, labels: dict[str, str], published: Path
) -> list[Claim]:
    """RandomMask against the baseline, then the three observations.

    `labels` has the row of Table 3 of each role, `published` the paper's numbers.
    """
    return [_randommask(known, labels, published), *_observed(tables, known, published)]


def headline(made: Sequence[Claim]) -> str:
    """What came out, in one line: the title of the page."""
    first, *others = made
    said = {
        HOLDS: "RandomMask beats the baseline",
        FAILS: "RandomMask falls behind the baseline",
        UNTOLD: "RandomMask is not told apart from the baseline",
        UNMEASURED: "RandomMask against the baseline is not measured",
    }[first.verdict]
    for part in first.ours[:1]:
        if isinstance(part[0], Quantity) and part[0].value is not None:
            said += f" ({part[0]} points)"
    by_verdict: dict[str, list[str]] = {}
    for claim in others:
        by_verdict.setdefault(claim.verdict, []).append(claim.id[-1])
    verbs = {HOLDS: ("holds", "hold"), FAILS: ("does not hold", "do not hold")}
    verbs[UNMEASURED] = ("is not measured", "are not measured")
    parts = [
        f"observation{'s' * (len(own) > 1)} {_listed(own)} {verbs[v][len(own) > 1]}"
        for v, own in by_verdict.items()
    ]
    return "; ".join([said, *parts])


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _randommask(known: Registry, labels: dict[str, str], published: Path) -> Claim:
    row, baseline = labels.get("randommask"), labels.get("baseline")
    own = {key: known.get(f"{key}/{row}") for key in _KEYS}
    verdict, ours = UNMEASURED, ()
    if own["difference"] and own["difference"].value is not None:
        verdict = _verdict(own["low"].value, own["high"].value)
        ours = (
            _difference(own),
            (own["wins"], " of ", own["pairs"], " sets won, ", own["ties"], " tied"),
            (f'"{row}" minus "{baseline}", mean over the sets scored by MCC',),
        )
    return Claim(
        "claim-randommask",
        "RandomMask is better than the baseline",
        verdict,
        ours,
        _printed_difference(published),
        (("statistics", "statistics"), ("table3", "Table 3")),
    )


_KEYS = tuple(key.removesuffix("_value") for key in DIFFERENCE)


def _difference(own: dict[str, Quantity]) -> Said:
    """Difference, interval, p."""
    said: Said = (own["difference"], " points")
    if own["low"].value is not None:
        said += (", 95 % interval ", own["low"], " to ", own["high"])
    return (*said, ", p ", own["p"])


def _verdict(low: float | None, high: float | None) -> str:
    if low is None:
        return UNMEASURED
    return HOLDS if low > 0 else FAILS if high < 0 else UNTOLD


def _printed_difference(published: Path) -> str:
    """The same comparison of the printed rows; and how often the paper says it wins."""
    printed = audit.read(published)
    lines: list[Record] = [
        {"row": row, "task": task, "dataset": name, "mean": float(values[name])}
        | {"metric": "pearson" if task == "EAP" else "mcc"}
        for row, values in printed.table3.items()
        if row in (audit.OURS, audit.BASELINE)
        for task, names in printed.tasks.items()
        for name in names
    ]
    [line] = [
        line
        for line in statistics.over_datasets(lines, audit.BASELINE)
        if line["group"] == statistics.MCC_SETS
    ]
    own = {
        key.removesuffix("_value"): Quantity(key, line[key], unit)
        for key, unit in DIFFERENCE.items()
    }
    own["ties"] = Quantity("ties", line["ties"], "count")
    [best] = [value for name, _, value in printed.claims if name == "wins"]
    return (
        "".join(map(str, _difference(own)))
        + f"; {own['wins']} of {own['pairs']} sets won"
        + f" (it says: best of all rows on {best} of 28)"
    )


def _observed(tables: Path, known: Registry, published: Path) -> list[Claim]:
    path = tables / "observations.csv"
    checks: list[Record] = []
    if path.exists():
        checks = read_csv(path, ("observation", "verdict"))
    verdicts = observations.verdicts(checks)
    printed = {
        name.removeprefix("t2-gain-"): float(value)
        for name, _, value in audit.read(published).claims
        if name.startswith("t2-gain-")
    }
    gains = ", ".join(f"{k} {text(v, 'points')}" for k, v in printed.items())
    gained = [name for name in known if name.startswith("overlap gain/")]
    made = {
        1: (
            tuple(
                (f'"{name.partition("/")[2]}" ', known[name], " points")
                for name in gained
            ),
            f"{gains} points",
            (("table2", "Table 2"),),
        ),
        2: (
            (
                *_of_roles("last loss", "Last loss", " nats", known),
                *_of_roles("purity", "Purity of the embeddings", "", known),
            ),
            "no number; in its figures the loss is low at once with overlapping"
            " tokens and falls on without",
            (("fig5", "Figure 5"), ("fig2", "Figure 2")),
        ),
        3: (
            _of_roles("[CLS] middle", "Middle layers on [CLS]", "", known)
            or (("no encoder here has layers between its first and its last",),),
            "no number; in its maps the middle layers look at [CLS] with"
            " overlapping tokens",
            (("fig4", "Figure 4"),),
        ),
    }
    return [
        Claim(
            f"observation-{n}",
            f"Observation {n}. {observations.TITLES[n]}",
            verdicts[n],
            ours,
            paper,
            (*evidence, ("observations", "every check")),
        )
        for n, (ours, paper, evidence) in made.items()
    ]


def _of_roles(kind: str, words: str, unit: str, known: Registry) -> tuple[Said, ...]:
    """A sentence with this quantity of each encoder that has it; or none."""
    said: list[str | Quantity] = []
    for role, label in LABELS.items():
        quantity = known.get(f"{kind}/{role}")
        if quantity and quantity.value is not None:
            said += [", " if said else f"{words}: ", quantity, f'{unit} "{label}"']
    return (tuple(said),) if said else ()


def to_html(quantity: Quantity) -> Markup:
    """A quantity as the page has it: its text, and which it is."""
    return Markup('<data value="{}" data-quantity="{}">{}</data>').format(
        "" if quantity.value is None else quantity.value,
        quantity.name,
        str(quantity).replace("-", "\u2212") if quantity.value else str(quantity),
    )


def spoken(said: Said) -> Markup:
    """A sentence as the page has it."""
    return Markup("").join(
        to_html(part) if isinstance(part, Quantity) else part for part in said
    )

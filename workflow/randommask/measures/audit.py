"""What the paper's printed numbers say about each other, in decimal arithmetic.

Where they disagree, our differences to them have to be read with that in mind.

Nothing of ours enters, and nothing is typed: every number comes from the transcribed
`table2.csv`, `table3.csv` and `claims.csv`; only the share of BERT-mini comes from the
sizes of both encoders, which the paper and its source fix.
"""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from randommask import kmers
from randommask.encoders import cost
from randommask.errors import InputError
from randommask.experiment.datasets import TASKS

OURS = "+RandomMask"
BASELINE = "DNABERT"
SAME_RUNS = {
    ("NT", "non-overlapping"): "NT",
    ("NT", "overlapping"): "NT*",
    ("DNABERT", "overlapping"): "DNABERT",
}
"""Lines of Table 2 that are rows of Table 3: same weights, same tokens."""

BASE = cost.Sizes(layers=12, hidden=768, feed_forward=3072, positions=512)
"""The encoder of the paper's section 5.1, with DNABERT's feed-forward width."""

MINI = cost.Sizes(layers=4, hidden=256, feed_forward=1024, positions=512)
"""BERT-mini (Turc et al. 2019) with the same vocabulary."""

CENT = Decimal("0.01")
"""The unit of the last digit printed."""

PROMOTERS = ("PD", "CPD")

Row = dict[str, Decimal]


@dataclass(frozen=True)
class Printed:
    """The printed numbers in per cent.

    `table3`: row -> data set -> value; `tasks`: task -> its data sets; `table2`:
    (encoder, tokenization) -> task -> value; `claims`: (name, where, value).
    """

    table2: dict[tuple[str, str], Row]
    table3: dict[str, Row]
    tasks: dict[str, list[str]]
    claims: list[tuple[str, str, Decimal]]

    def average(self, row: str, task: str) -> Decimal:
        """Mean of a row's numbers on the data sets of a task."""
        values = [self.table3[row][dataset] for dataset in self.tasks[task]]
        return sum(values) / len(values)

    def others(self) -> list[str]:
        """The rows that are not RandomMask's."""
        return [row for row in self.table3 if row != OURS]


def read(folder: str | Path) -> Printed:
    """Read the three csv files; raise `InputError` for what is missing or no number."""
    folder = Path(folder)
    table3: dict[str, Row] = {}
    tasks: dict[str, dict[str, None]] = {task: {} for task in TASKS}
    path = folder / "table3.csv"
    for line in _lines(path, ("row", "task", "dataset", "value_percent")):
        if line["task"] not in tasks:
            raise InputError(f"{path}: found task {line['task']!r}")
        tasks[line["task"]][line["dataset"]] = None
        row = table3.setdefault(line["row"], {})
        row[line["dataset"]] = _decimal(path, line["value_percent"])
    datasets = {dataset for names in tasks.values() for dataset in names}
    for name, row in table3.items():
        if missing := datasets - set(row):
            raise InputError(f"{path}: {name}: no {min(missing)}")
    path = folder / "table2.csv"
    keys = ("pretrained", "finetune_tokenization")
    table2 = {
        (line[keys[0]], line[keys[1]]): {t: _decimal(path, line[t]) for t in TASKS}
        for line in _lines(path, (*keys, *TASKS))
    }
    path = folder / "claims.csv"
    claims = [
        (line["claim"], line["where"], _decimal(path, line["printed"]))
        for line in _lines(path, ("claim", "where", "printed"))
    ]
    for name in (OURS, BASELINE):
        if name not in table3:
            raise InputError(f"{folder / 'table3.csv'}: no row {name!r}")
    return Printed(table2, table3, {t: list(d) for t, d in tasks.items()}, claims)


def _lines(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    lines = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    for column in columns:
        if not lines or lines[0].get(column) is None:
            raise InputError(f"{path}: no column {column!r}, or no line")
    return lines


def _decimal(path: Path, text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:
        raise InputError(f"{path}: found {text!r}, expected a number") from None


# What the claims say, computed


def swapped(printed: Printed) -> tuple[list[str], Printed]:
    """The doubtful rows of Promoter Detection, and the numbers with them put right.

    Doubtful is a row whose number under `tata` is above the one under `notata`, against
    the order of our baseline's: it reads as if printed in the order tata, notata, all.
    """
    order = ("PD-tata", "PD-notata")
    tata, notata = (printed.table3[BASELINE][dataset] for dataset in order)
    doubtful = [
        row
        for row, values in printed.table3.items()
        if (values[order[0]] > values[order[1]]) != (tata > notata)
    ]
    table3 = {
        row: values | dict(zip(order, (values[d] for d in order[::-1]), strict=True))
        if row in doubtful
        else values
        for row, values in printed.table3.items()
    }
    return doubtful, Printed(printed.table2, table3, printed.tasks, printed.claims)


def losses(printed: Printed, tasks: Sequence[str]) -> dict[str, tuple[str, Decimal]]:
    """Data sets on which RandomMask is not best: the best other row and its number."""
    lost = {}
    for task in tasks:
        for dataset in printed.tasks[task]:
            best = max(printed.others(), key=lambda row: printed.table3[row][dataset])
            value = printed.table3[best][dataset]
            if value >= printed.table3[OURS][dataset]:
                lost[dataset] = (best, value)
    return lost


def wins(printed: Printed, tasks: Sequence[str] = TASKS) -> int:
    """Number of data sets on which RandomMask is strictly best."""
    return sum(len(printed.tasks[t]) for t in tasks) - len(losses(printed, tasks))


def best_other(printed: Printed, task: str) -> tuple[str, Decimal]:
    """The best mean over a task's data sets among the other rows."""
    best = max(printed.others(), key=lambda row: printed.average(row, task))
    return best, printed.average(best, task)


def tasks_lost(printed: Printed) -> dict[str, tuple[str, Decimal]]:
    """Tasks whose best mean is another row's."""
    best = {task: best_other(printed, task) for task in TASKS}
    return {
        task: (row, value)
        for task, (row, value) in best.items()
        if value >= printed.average(OURS, task)
    }


def gain(printed: Printed, encoder: str) -> Decimal:
    """Mean over the tasks of overlapping minus non-overlapping in Table 2."""
    pairs = [printed.table2[encoder, t] for t in ("overlapping", "non-overlapping")]
    return sum(pairs[0][task] - pairs[1][task] for task in TASKS) / len(TASKS)


def parameters(sizes: cost.Sizes) -> int:
    """Weights with DNABERT's vocabulary of 6-mers."""
    return cost.parameters(sizes, kmers.vocab_size(6))


def recompute(printed: Printed, claim: str) -> Decimal:
    """The value that the tables, or the encoders' sizes, give for a claim's name.

    Raises `InputError` for a claim that nothing is known about.
    """
    if claim.startswith("t3-avg-"):
        for task in TASKS:
            row = claim.removeprefix(f"t3-avg-{task}-")
            row = OURS if row == OURS.lstrip("+") else row
            if row in printed.table3:
                return printed.average(row, task)
    if claim.startswith("t2-gain-"):
        encoder = claim.removeprefix("t2-gain-")
        if (encoder, "overlapping") in printed.table2:
            return gain(printed, encoder)

    def lead(task: str) -> Decimal:
        return printed.average(OURS, task) - best_other(printed, task)[1]

    checks: dict[str, Callable[[], Decimal]] = {
        "emp-over-baseline": lambda: (
            printed.average(OURS, "EMP") - printed.average(BASELINE, "EMP")
        ),
        "emp-over-sota-abstract": lambda: lead("EMP"),
        "emp-over-sota-text": lambda: lead("EMP"),
        "wins": lambda: Decimal(wins(printed)),
        "tasks-won": lambda: Decimal(len(TASKS) - len(tasks_lost(printed))),
        "promoter-wins": lambda: Decimal(wins(printed, PROMOTERS)),
        "tf-m-gain": lambda: lead("TF-M"),
        "tf-h-gain": lambda: lead("TF-H"),
        "mini-share": lambda: Decimal(parameters(MINI)) / parameters(BASE),
    }
    if claim not in checks:
        raise InputError(f"claims.csv: no check is known for {claim!r}")
    return checks[claim]()


def verdict(found: Decimal, printed: Decimal) -> str:
    """`agrees`, `rounding` or `disagrees`.

    Numbers printed with two decimals stand for anything within half a unit of the last,
    so a mean of them and a printed mean may honestly differ by up to one unit.
    """
    apart = abs(found - printed)
    count = printed == printed.to_integral_value() and found == int(found)
    if apart == 0 or (not count and apart < CENT / 2):
        return "agrees"
    return "disagrees" if count or apart > CENT else "rounding"


def table2_lines(printed: Printed) -> list[tuple[str, str, str, Decimal, Row]]:
    """Cells of Table 2 that Table 3 holds too, with what they may be compared with.

    (encoder, tokenization, task, printed in Table 2, {"mean": ..., "all": ...}); `all`
    is there for the tasks that have such a data set, the promoters.
    """
    lines = []
    for (encoder, tokenization), row in SAME_RUNS.items():
        for task in TASKS:
            candidates = {"mean": printed.average(row, task)}
            if f"{task}-all" in printed.tasks[task]:
                candidates["all"] = printed.table3[row][f"{task}-all"]
            value = printed.table2[encoder, tokenization][task]
            lines.append((encoder, tokenization, task, value, candidates))
    return lines

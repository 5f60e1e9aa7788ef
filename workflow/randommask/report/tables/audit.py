r"""Write the audit of the paper's printed numbers as one Markdown page.

python -m randommask.report.tables.audit --published config/published \
        --hparams '{"experiment": {"name": "paper", "notice": ""},
"encoders": {"base": {...}, "mini": {...}}}' \
        --output results/tables/audit.md
"""

import argparse
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from randommask import files
from randommask.errors import run
from randommask.experiment.datasets import TASKS
from randommask.experiment.hparams import Page
from randommask.measures import audit
from randommask.measures.audit import BASELINE, CENT, OURS, PROMOTERS, Printed, verdict
from randommask.report.tables.sheet import markdown_rows

_WORDS = {
    "agrees": "agrees",
    "rounding": "agrees within rounding",
    "disagrees": "**disagrees**",
}


def text(printed: Printed) -> str:
    """The whole page."""
    base, mini = map(audit.parameters, (audit.BASE, audit.MINI))
    parts = (
        "# Audit of the printed numbers",
        "Recomputed from the paper's own Tables 2 and 3 and the claims of its text;"
        " none of these numbers is ours. *Within rounding* means that both can be true:"
        " each number was rounded before it was printed.",
        _claims(printed),
        f"BERT-mini has {mini / 1e6:.1f} of the base encoder's {base / 1e6:.1f} million"
        f" parameters, {100 * mini / base:.1f} %; the paper says one tenth.",
        _wins(printed),
        _columns(printed),
        _tasks(printed),
        _table2(printed),
        _leads(printed),
    )
    return "\n\n".join(parts) + "\n"


def _claims(printed: Printed) -> str:
    lines, counts = [], dict.fromkeys(_WORDS, 0)
    for claim, where, value in printed.claims:
        found = audit.recompute(printed, claim)
        word = verdict(found, value)
        counts[word] += 1
        lines.append((claim, where, value, _three(found), _WORDS[word]))
    total = (
        f"{len(lines)} claims: {counts['agrees']} agree, {counts['rounding']} agree"
        f" within rounding, {counts['disagrees']} disagree."
    )
    header = ("claim", "where", "printed", "recomputed", "")
    return f"## Every claim\n\n{total}\n\n{_table(header, lines)}"


def _wins(printed: Printed) -> str:
    lost = audit.losses(printed, TASKS)
    total = sum(map(len, printed.tasks.values()))
    lines = [
        (dataset, printed.table3[OURS][dataset], f"{value} ({row})")
        for dataset, (row, value) in lost.items()
    ]
    promoters = sum(len(printed.tasks[task]) for task in PROMOTERS)
    return (
        "## Data sets won\n\n"
        f"As printed, RandomMask is best on {audit.wins(printed)} of {total} data"
        f" sets, and on {audit.wins(printed, PROMOTERS)} of the {promoters} promoter"
        f" sets. It is not best on:\n\n"
        f"{_table(('data set', OURS, 'best other'), lines)}"
    )


def _columns(printed: Printed) -> str:
    doubtful, put_right = audit.swapped(printed)
    if not doubtful:
        return "## Promoter columns\n\nAll rows agree on which set is the harder one."
    total = sum(map(len, printed.tasks.values()))
    names = ("PD-notata", "PD-tata", "PD-all")
    lines = [(row, *map(own.get, names)) for row, own in printed.table3.items()]
    lost = ", ".join(audit.losses(put_right, TASKS))
    promoters = sum(len(printed.tasks[task]) for task in PROMOTERS)
    tasks = len(TASKS) - len(audit.tasks_lost(put_right))
    table = _table(("row", *names), lines)
    return (
        "## Promoter columns\n\n"
        f"Under Promoter Detection, {' and '.join(doubtful)} have more on tata than on"
        f" notata, unlike {BASELINE}: as if printed in the order tata, notata,"
        f" all.\n\n{table}\n\n"
        f"Read so, RandomMask is best on {audit.wins(put_right)} of {total} data sets"
        f" (not on {lost}) and on {audit.wins(put_right, PROMOTERS)} of the"
        f" {promoters} promoter sets, and by the mean over a task's data sets on"
        f" {tasks} of {len(TASKS)} tasks."
    )


def _tasks(printed: Printed) -> str:
    lost = audit.tasks_lost(printed)
    lines = [
        (task, _three(printed.average(OURS, task)), f"{_three(value)} ({row})")
        for task in TASKS
        for row, value in [audit.best_other(printed, task)]
    ]
    names = ", ".join(lost) or "none"
    return (
        "## Tasks won\n\n"
        f"By the mean over a task's data sets RandomMask is best on"
        f" {len(TASKS) - len(lost)} of {len(TASKS)} tasks; not best: {names}.\n\n"
        + _table(("task", OURS, "best other"), lines)
    )


def _table2(printed: Printed) -> str:
    lines = []
    for encoder, tokenization, task, value, candidates in audit.table2_lines(printed):
        words = {name: verdict(found, value) for name, found in candidates.items()}
        same = [name for name, word in words.items() if word != "disagrees"]
        outcome = f"equals {same[0]}" if same else "**neither**"
        if same == ["mean"] or (not same and list(words) == ["mean"]):
            outcome = _WORDS[words["mean"]]
        shown = [_three(candidates[n]) if n in candidates else "" for n in _KINDS]
        lines.append((f"{encoder}, {tokenization}", task, value, *shown, outcome))
    apart = sum("**" in line[-1] for line in lines)
    gains = "; ".join(
        f"{encoder} {audit.gain(printed, encoder):+.2f}"
        for encoder in dict.fromkeys(encoder for encoder, _ in printed.table2)
    )
    header = ("line of Table 2", "task", "Table 2", "mean", "all", "")
    return (
        "## Table 2 against Table 3\n\n"
        f"The same weights and tokens stand in both tables; {apart} of {len(lines)}"
        " numbers cannot be found again. Mean and all are Table 3's.\n\n"
        f"{_table(header, lines)}\n\n"
        f"Mean gain of overlapping tokens in Table 2: {gains}."
    )


_KINDS = ("mean", "all")


def _leads(printed: Printed) -> str:
    values: dict[str, dict[str, Decimal]] = {}
    for claim, where, value in printed.claims:
        if claim.startswith("emp-over-sota"):
            values.setdefault("EMP", {})[where] = value
    lines = [
        f"The lead over the previous best on {task} is printed as "
        + " and as ".join(f"{value} ({where})" for where, value in found.items())
        + f"; the averages give {_two(printed.average(OURS, task))} -"
        f" {_two(audit.best_other(printed, task)[1])} ="
        f" {_two(printed.average(OURS, task) - audit.best_other(printed, task)[1])}."
        for task, found in values.items()
        if len(set(found.values())) > 1
    ]
    return "\n\n".join(["## One number, printed twice", *(lines or ["None differs."])])


def _table(header: Sequence[str], lines: Iterable[Sequence[object]]) -> str:
    rows = [[str(cell).replace("NT*", r"NT\*") for cell in line] for line in lines]
    columns = list(zip(*rows, strict=True)) or [()] * len(header)
    sides = ["---:" if any(map(_is_number, column)) else "---" for column in columns]
    return markdown_rows([header, sides, *rows])


def _is_number(text: str) -> bool:
    return text.replace(".", "").isdigit()


def _two(value: Decimal) -> Decimal:
    return value.quantize(CENT, ROUND_HALF_UP)


def _three(value: Decimal) -> str:
    """As it is, or three decimals, so that one sees which way it was rounded."""
    short = value.as_tuple().exponent >= CENT.as_tuple().exponent
    return str(value if short else value.quantize(CENT / 10, ROUND_HALF_UP))


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the flags and write the page."""
    parser = argparse.ArgumentParser(prog="python -m randommask.report.tables.audit")
    parser.add_argument("--published", type=Path, required=True)
    parser.add_argument("--hparams", required=True)
    parser.add_argument("--output", type=files.new_file, required=True)
    flags = parser.parse_args(argv)
    Page.parse(flags.hparams)
    files.write_text(flags.output, text(audit.read(flags.published)))


if __name__ == "__main__":
    run(main)

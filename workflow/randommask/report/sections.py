"""The parts of the report, each made from the files of one results folder.

Tables are set from their csv, texts (the audit, the data page) from their Markdown. A
part whose file was not made says so, and the page stays whole.
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from markdown_it import MarkdownIt
from markupsafe import Markup

from randommask.measures import leaks, observations, statistics
from randommask.measures.gains import COLUMNS
from randommask.measures.records import Record, percent, read_csv, tasks_of
from randommask.measures.statistics import MCC_SETS
from randommask.report import provenance as found
from randommask.report.tables import (
    gained,
    leaky,
    marks,
    recipes,
    scores,
    sheet,
    tested,
)
from randommask.report.tables.observations import sheet as observations_sheet
from randommask.report.tables.sheet import Cell, Column, Grid, Sheet

NOTHING: Record = {"datasets": 0, "mean": None, "delta": None}


def answer(tables: Path) -> Markup:
    """The first thing to read: who is best, by how much, and how far from the paper."""
    path = tables / "table3.csv"
    if not path.exists():
        return absent(path)
    records, lines = _table3(path), _averages(tables)
    rows = tuple(dict.fromkeys(record["row"] for record in records))
    by_task = {(line["row"], line["task"]): line for line in lines}
    means = {row: by_task.get((row, MCC_SETS), NOTHING) for row in rows}
    won, compared = _wins(records, "mean")
    sentences = []
    measured = [row for row in means if means[row]["mean"] is not None]
    if measured:
        best = max(measured, key=lambda row: means[row]["mean"])
        sentences.append(
            f"{best} has the highest mean over the {int(means[best]['datasets'])}"
            f" classification sets, {sheet.number(means[best]['mean'])}"
            + _to_printed(means[best]["delta"])
        )
        others = [means[row]["mean"] for row in measured if row != best]
        least = gained.smallest(records, "metric", "mcc", list(means.values()))
        lead = means[best]["mean"] - max(others, default=0)
        if others and least and lead < least:
            sentences.append(
                f"Its lead over the next, {sheet.number(lead)}, is below the smallest"
                f" difference that can be told, {sheet.number(least)}."
            )
    if compared:
        first = _first(won)
        verb = "are each" if " and " in first else "is"
        most, told = max(won.values()), _told(records)
        sentences.append(
            f"{first} {verb} highest on {most} of {compared} data sets; a lead that is"
            f" large enough to call a row the best is there on {told}."
        )
    printed, total = _wins(records, "published")
    if total:
        sentences.append(
            f"Of the same rows the paper prints {_first(printed)} as best on"
            f" {max(printed.values())} of {total}."
        )
    text = " ".join(sentences) or "No row of Table 3 has all its runs yet."
    table = sheet.to_html(_answer_sheet(records, lines, means, won, compared))
    told = Markup('<p class="answer">{}</p>\n').format(text)
    if (found := tables / "leaks.csv").exists():
        meaning = leaks.meaning(read_csv(found, leaks.TEXTS, leaks.NUMBERS))
        told += Markup('<p class="answer">{}</p>\n').format(meaning)
    return told + Markup(table)


def _table3(path: Path) -> list[Record]:
    texts = ("row", "encoder", "task", "dataset", "metric", "note")
    numbers = ("mean", "sd", "seeds", "published", "delta", *COLUMNS)
    return read_csv(path, texts, numbers)


def _averages(tables: Path) -> list[Record]:
    numbers = ("datasets", "mean", "published", "delta", *COLUMNS)
    return read_csv(tables / "table3_averages.csv", ("row", "task"), numbers)


def _wins(records: list[Record], key: str) -> tuple[dict[str, int], int]:
    """How often each row is highest, and on how many data sets rows can be compared.

    Rows without any value are left out; a data set counts where no other lacks one.
    """
    by_dataset: dict[str, dict[str, float | None]] = {}
    rows = {record["row"] for record in records if record[key] is not None}
    for record in records:
        if record["row"] in rows:
            by_dataset.setdefault(record["dataset"], {})[record["row"]] = record[key]
    won = dict.fromkeys((record["row"] for record in records), 0)
    compared = 0
    for values in by_dataset.values():
        if len(values) > 1 and None not in values.values():
            compared += 1
            ranks = marks.ranks(list(values.values()))
            for row, rank in zip(values, ranks, strict=True):
                won[row] += rank == 1
    return won, compared


def _told(records: list[Record]) -> int:
    """On how many data sets a row is above all others by more than chance makes."""
    told = 0
    for name in dict.fromkeys(record["dataset"] for record in records):
        shown = [record for record in records if record["dataset"] == name]
        least = gained.smallest(records, "dataset", name, shown)
        told += 1 in marks.ranks([record["mean"] for record in shown], least)
    return told


def _first(won: dict[str, int]) -> str:
    """The row, or the rows, that won most often."""
    return " and ".join(row for row, n in won.items() if n == max(won.values()))


def _to_printed(delta: float | None) -> str:
    if delta is None:
        return "."
    side = "above" if delta > 0 else "below"
    return f", {sheet.number(abs(delta))} {side} the printed numbers."


def _answer_sheet(
    records: list[Record],
    averaged: list[Record],
    means: dict[str, Record],
    won: dict[str, int],
    compared: int,
) -> Sheet:
    """Means over all classification sets and over each task, and the data sets won."""
    tasks = tasks_of(record["task"] for record in records)
    by_task = {(line["row"], line["task"]): line for line in averaged}
    lines, values, shown = [], [], []
    for row in means:
        found = [means[row], *(by_task[row, task] for task in tasks)]
        shown.append(found)
        cells = [
            Cell(sheet.number(line["mean"]), delta=sheet.signed(line["delta"]))
            for line in found
        ]
        lines.append(cells)
        values.append([percent(line["mean"]) for line in found])
    least = [
        gained.smallest(records, *of, [found[place] for found in shown])
        for place, of in enumerate([("metric", "mcc"), *(("task", x) for x in tasks)])
    ]
    ranked = marks.rank_cells(lines, values, least)
    best = [Cell(f"{won[row]} of {compared}" if compared else "") for row in means]
    pairs = tuple(
        ((row,), (*cells, cell))
        for row, cells, cell in zip(means, ranked, best, strict=True)
    )
    columns = (*map(Column, ("MCC mean", *tasks)), Column("highest on", text=True))
    remark = "Means over data sets, per cent"
    if any(cell.delta for line in lines for cell in line):
        remark += (
            "; beside them the difference to the mean of the numbers that the paper"
            " prints for the same data sets"
        )
    grid = Grid(("Row",), columns, pairs)
    return Sheet("answer", "Means over data sets", "", (grid,), (f"{remark}.",))


def verdicts(tables: Path) -> list[tuple[int, str, str]]:
    """The observations as (number, title, verdict); empty where none was made."""
    path = tables / "observations.csv"
    if not path.exists():
        return []
    found = observations.verdicts(_observations(path))
    return [(n, observations.TITLES[n], verdict) for n, verdict in found.items()]


def _observations(path: Path) -> list[Record]:
    texts = ("observation", "check", "threshold", "verdict", "detail")
    return read_csv(path, texts, ("value", "reference"))


def table(tables: Path, name: str, controls: Sequence[str] = ()) -> Markup:
    """One of the tables, or the observations, set from its csv.

    Below Table 3 stands the distance to the encoders that are `controls`.
    """
    path = tables / f"{name}.csv"
    if not path.exists():
        return absent(path)
    if name == "observations":
        made = observations_sheet(_observations(path), "")
    elif name == "statistics":
        lines = read_csv(path, statistics.TEXTS, statistics.NUMBERS)
        made = tested.sheet_of(lines, _table3(tables / "table3.csv"), "")
    elif name == "leaks":
        made = leaky.sheet_of(read_csv(path, leaks.TEXTS, leaks.NUMBERS), "")
    elif name == "table1":
        made = recipes.table1_sheet(read_csv(path, recipes.TABLE1), "")
    elif name == "table2":
        texts = ("label", "pretraining", "tokenization", "task", "note")
        numbers = ("mean", "sd", "seeds", "published", "delta")
        made = scores.table2_sheet(read_csv(path, texts, numbers), "")
    elif name == "table3":
        made = scores.table3_sheet(_table3(path), "", controls, _averages(tables))
    else:
        made = recipes.recipe_sheet(read_csv(path, recipes.RECIPE), "")
    return Markup(sheet.to_html(made))


def text(tables: Path, name: str) -> Markup:
    """A Markdown file, headings one level down, tables in boxes.

    Its title and the notice below it are left out: the page has them already.
    """
    path = tables / f"{name}.md"
    if not path.exists():
        return absent(path)
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("table_open", _open_table)
    parser.add_render_rule("table_close", _close_table)
    tokens = parser.parse(path.read_text(encoding="utf-8"))
    if [token.tag for token in tokens[:3:2]] == ["h1", "h1"]:
        tokens = tokens[3:]
    if tokens and tokens[0].type == "blockquote_open":
        closing = next(i for i, t in enumerate(tokens) if t.type == "blockquote_close")
        tokens = tokens[closing + 1 :]
    for token in tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{int(token.tag[1]) + 1}"
    return Markup(parser.renderer.render(tokens, parser.options, {}))


def _open_table(*_: Any) -> str:
    box = '<div class="scroll" tabindex="0" role="region" aria-label="table">'
    return f'{box}<table class="words">'


def _close_table(*_: Any) -> str:
    return "</table></div>"


def settings(config: dict[str, Any]) -> Markup:
    """The configuration as YAML."""
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=88)
    return Markup('<pre class="scroll" tabindex="0">{}</pre>').format(text)


def provenance(paths: dict[str, Path]) -> Markup:
    """Commit, versions, hardware, checksums and hours; see the module `provenance`.

    `paths`: repository, runs, benchmarks, checksums.
    """
    runs = found.read_runs(paths["runs"])
    spent = found.hours(paths["benchmarks"], runs)
    grids = [found.origin(paths["repository"], runs), *([spent] if spent else [])]
    remarks = (
        (
            "Hours are those of each job's last try, from Snakemake's benchmarks; GPU-"
            " and core-hours are what it reserved for as long.",
        )
        if spent
        else ("No benchmarks of Snakemake were found, so no hours.",)
    )
    text = sheet.to_html(Sheet("provenance", "Provenance", "", tuple(grids), remarks))
    sums = found.checksums(paths["checksums"], runs)
    if not sums:
        return Markup(text)
    listed = sheet.to_html(Sheet("checksums", "Checksums", "", tuple(sums)))
    return Markup(f"{text}<details><summary>Checksums</summary>{listed}</details>")


def warnings(tables: Path, pretrained: Path) -> Markup:
    """What is odd about the runs and the data, gathered from the tables.

    And about the encoders of `<results>/pretrain`, from the history of their last step.
    """
    lines = list(_outliers(pretrained))
    for name, row, column in (
        ("table3", "row", "dataset"),
        ("table2", "label", "task"),
    ):
        path = tables / f"{name}.csv"
        if path.exists():
            for record in read_csv(path, (row, column, "note")):
                if record["note"]:
                    lines.append(
                        " ".join((record[row], record[column], record["note"]))
                    )
    path = tables / "datasets.md"
    if path.exists():
        texts = path.read_text(encoding="utf-8").splitlines()
        lines += [text[2:] for text in texts if text.startswith("- Warning")]
    if not lines:
        return Markup("<p>None: no run is missing or flagged, no data set is odd.</p>")
    items = Markup("").join(Markup("<li>{}</li>").format(line) for line in lines)
    return Markup('<ul class="remarks">{}</ul>').format(items)


def _outliers(pretrained: Path) -> Iterator[str]:
    """Of each encoder the steps that are beside the others, where there are any."""
    for encoder in sorted(pretrained.glob("[!.]*")):
        histories = encoder.glob("step-*/history.csv")
        last = {int(path.parent.name[5:]): path for path in histories}
        if not last:
            continue
        with open(last[max(last)], newline="", encoding="utf-8") as file:
            # a history from before there were outliers has none
            odd = [row for row in csv.DictReader(file) if int(row.get("outliers") or 0)]
        if odd:
            yield (
                f"pretraining of {encoder.name}: "
                f"{sum(int(row['outliers']) for row in odd)} steps whose loss or norm "
                f"of the gradient is far from those before, the first by step "
                f"{odd[0]['step']} (outliers in history.csv)"
            )


def absent(path: Path) -> Markup:
    """What stands in the place of a part whose file was not made."""
    return Markup('<p class="absent">Not made in this experiment: {}</p>').format(
        path.name
    )

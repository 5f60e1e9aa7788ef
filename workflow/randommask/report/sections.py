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

from randommask.measures import leaks, statistics
from randommask.measures.quantities import Registry
from randommask.measures.records import Record, read_csv
from randommask.report import answer
from randommask.report import provenance as found
from randommask.report.tables import leaky, recipes, scores, sheet, tested
from randommask.report.tables.observations import sheet as observations_sheet
from randommask.report.tables.sheet import Sheet


def whole_answer(tables: Path, known: Registry) -> Markup:
    """Who is best, where Table 3 was made."""
    path = tables / "table3.csv"
    return answer.answer(tables, known) if path.exists() else absent(path)


def _observations(path: Path) -> list[Record]:
    texts = ("observation", "check", "unit", "threshold", "verdict", "detail")
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
        made = tested.sheet_of(lines, answer.table3(tables / "table3.csv"), "")
    elif name == "leaks":
        made = leaky.sheet_of(read_csv(path, leaks.TEXTS, leaks.NUMBERS), "")
    elif name == "table1":
        made = recipes.table1_sheet(read_csv(path, recipes.TABLE1), "")
    elif name == "table2":
        texts = ("label", "pretraining", "tokenization", "task", "sets", "note")
        numbers = ("mean", "sd", "seeds", "published", "delta")
        made = scores.table2_sheet(read_csv(path, texts, numbers), "")
    elif name == "table3":
        means = answer.averages(tables)
        made = scores.table3_sheet(answer.table3(path), "", controls, means, True)
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
    """The configuration as YAML, folded."""
    text = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=88)
    return Markup(
        "<details><summary>All settings of this experiment</summary>"
        '<pre class="scroll" tabindex="0">{}</pre></details>'
    ).format(text)


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
                    lines.append(f'"{record[row]}", {record[column]}: {record["note"]}')
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

r"""Write one of the paper's tables.

    python -m randommask.report.tables table3 --runs results/finetune \
        --datasets config/datasets.tsv --published config/published/table3.csv \
        --hparams '{"experiment": {"name": "demo", "notice": ""}, "rows": [...], ...}' \
        --csv table3.csv --averages table3_averages.csv --md table3.md --tex table3.tex

and likewise table1, table2, table4, table5, datasets and statistics. To encoders that
are `controls`, the distance of the other rows is told below the table. A run that is
missing or cannot be read leaves its cell empty; the table is written, and the command
fails unless `--partial`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from randommask import files
from randommask.errors import InputError, run
from randommask.experiment.hparams import read_hparams
from randommask.measures import runs
from randommask.measures.records import (
    read_csv,
    read_datasets,
    read_table2,
    read_table3,
    write_csv,
)
from randommask.measures.scores import averages, table2, table3
from randommask.report.tables import datapage, recipes, scores, sheet, tested

_ROW = ("label", "encoder", "tokenization", "published")


def _table1(paths: argparse.Namespace) -> sheet.Sheet:
    hparams = read_hparams(paths.hparams, ("datasets",))
    datasets = read_datasets(paths.datasets, hparams["datasets"])
    records = recipes.table1(datasets)
    write_csv(paths.csv, records)
    return recipes.table1_sheet(records, hparams["experiment"]["notice"])


def _table2(paths: argparse.Namespace) -> sheet.Sheet:
    hparams = read_hparams(paths.hparams, ("rows", "datasets", "seeds"))
    _check_rows(hparams["rows"], (*_ROW, "pretraining"))
    records = table2(
        paths.runs,
        hparams["rows"],
        read_datasets(paths.datasets, hparams["datasets"]),
        hparams["seeds"],
        read_table2(paths.published),
        paths.problems,
    )
    write_csv(paths.csv, records)
    return scores.table2_sheet(records, hparams["experiment"]["notice"])


def _table3(paths: argparse.Namespace) -> sheet.Sheet:
    due, options = ("rows", "datasets", "seeds"), ("controls",)
    hparams = read_hparams(paths.hparams, due, options)
    _check_rows(hparams["rows"], _ROW)
    records = table3(
        paths.runs,
        hparams["rows"],
        read_datasets(paths.datasets, hparams["datasets"]),
        hparams["seeds"],
        read_table3(paths.published),
        paths.problems,
    )
    write_csv(paths.csv, records)
    write_csv(paths.averages, averages(records))
    notice, controls = hparams["experiment"]["notice"], hparams.get("controls", ())
    return scores.table3_sheet(records, notice, controls)


def _recipe(paths: argparse.Namespace) -> sheet.Sheet:
    hparams = read_hparams(paths.hparams, ("recipe", "settings", "datasets", "used"))
    name = hparams["recipe"]
    if name != paths.table:
        raise InputError(f"--hparams: recipe: found {name!r}, expected {paths.table!r}")
    datasets = read_datasets(paths.datasets, list(hparams["datasets"]))
    records = recipes.recipe(
        name, hparams["used"], hparams["settings"], hparams["datasets"], datasets
    )
    write_csv(paths.csv, records)
    return recipes.recipe_sheet(records, hparams["experiment"]["notice"])


def _datasets(paths: argparse.Namespace) -> sheet.Sheet:
    hparams = read_hparams(paths.hparams, ())
    summaries = datapage.read(paths.summaries)
    records = datapage.records(summaries)
    write_csv(paths.csv, records)
    return datapage.page(summaries, records, hparams["experiment"]["notice"])


def _statistics(paths: argparse.Namespace) -> sheet.Sheet:
    from randommask.measures import statistics

    hparams = read_hparams(paths.hparams, ("rows", "datasets", "seeds", "baseline"))
    _check_rows(hparams["rows"], _ROW)
    baseline = statistics.find_baseline(hparams["rows"], hparams["baseline"])
    table3 = read_csv(paths.table3, ("row", "task", "dataset", "metric"), ("mean",))
    records = statistics.over_datasets(table3, baseline) + statistics.over_rows(
        table3,
        paths.runs,
        paths.benchmark,
        hparams["rows"],
        hparams["seeds"],
        baseline,
        paths.problems,
    )
    write_csv(paths.csv, records)
    return tested.page(records, table3, hparams["experiment"]["notice"])


def _check_rows(rows: list[dict[str, Any]], keys: Sequence[str]) -> None:
    """Refuse a row without one of `keys`, and two that a reader cannot tell apart.

    Table 2 says how each row's input is tokenized; elsewhere the label stands alone.
    """
    says_tokenization = "pretraining" in keys
    seen = set()
    for number, row in enumerate(rows, start=1):
        for key in keys:
            if key not in row:
                raise InputError(f"--hparams: row {number}: no {key!r}")
        name = (row["label"], row["tokenization"] if says_tokenization else "")
        if name in seen:
            raise InputError(
                f"--hparams: row {number}: a second {' '.join(name).strip()}"
            )
        seen.add(name)


_TABLES = {
    "table1": (_table1, ("datasets",)),
    "table2": (_table2, ("runs", "datasets", "published")),
    "table3": (_table3, ("runs", "datasets", "published", "averages")),
    "statistics": (_statistics, ("table3", "runs", "benchmark")),
    "table4": (_recipe, ("datasets",)),
    "table5": (_recipe, ("datasets",)),
    "datasets": (_datasets, ("summaries",)),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the flags, write the csv and then the printed forms of one table."""
    parser = argparse.ArgumentParser(
        prog="python -m randommask.report.tables", description="Write one table."
    )
    commands = parser.add_subparsers(dest="table", required=True)
    for name, (make, inputs) in _TABLES.items():
        command = commands.add_parser(name)
        command.set_defaults(make=make)
        for flag in inputs:
            many = {"nargs": "+"} if flag == "summaries" else {}
            command.add_argument(f"--{flag}", type=Path, required=True, **many)
        command.add_argument("--partial", action="store_true")
        command.set_defaults(problems=[])
        command.add_argument("--hparams", required=True)
        command.add_argument("--csv", type=Path, required=True)
        command.add_argument("--md", type=Path, required=True)
        command.add_argument("--tex", type=Path, required=True)
    paths = parser.parse_args(argv)
    printed = paths.make(paths)
    files.write_text(paths.md, sheet.markdown(printed))
    files.write_text(paths.tex, sheet.latex(printed))
    if "runs" in paths and not paths.partial:
        runs.check_complete(paths.problems)


if __name__ == "__main__":
    run(main)

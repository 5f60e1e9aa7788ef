r"""Write one of the paper's tables.

    python -m randommask.report.tables table3 --runs results/finetune \
        --datasets config/datasets.tsv --published config/published/table3.csv \
        --hparams '{"experiment": {"name": "demo", "notice": ""}, "rows": [...], ...}' \
        --csv table3.csv --averages table3_averages.csv --md table3.md --tex table3.tex

and likewise table1, table2, table4, table5, datasets, leaks and statistics. To encoders
that are `controls`, the distance of the other rows is told below the table; to those
that are `untrained` each cell's gain is told, from the predictions for the test rows in
`--benchmark`. A run that is missing or cannot be read leaves its cell empty; the table
is written, and the command fails unless `--partial`.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from randommask import files
from randommask.errors import InputError, run
from randommask.experiment.hparams import (
    Page,
    RecipePage,
    Scores,
    Statistics,
    Table2Scores,
    Table3Scores,
    Tasks,
)
from randommask.measures import leaks, runs
from randommask.measures.gains import over_untrained
from randommask.measures.records import (
    read_csv,
    read_datasets,
    read_table2,
    read_table3,
    write_csv,
)
from randommask.measures.scores import averages, table2, table3
from randommask.report.tables import datapage, leaky, recipes, scores, sheet, tested


def _table1(paths: argparse.Namespace) -> sheet.Sheet:
    hparams = Tasks.parse(paths.hparams)
    records = recipes.table1(read_datasets(paths.datasets, hparams.datasets))
    write_csv(paths.csv, records)
    return recipes.table1_sheet(records, hparams.experiment.notice)


def _table2(paths: argparse.Namespace) -> sheet.Sheet:
    hparams = Table2Scores.parse(paths.hparams)
    records = table2(
        paths.runs,
        hparams.rows,
        read_datasets(paths.datasets, hparams.datasets),
        hparams.seeds,
        read_table2(paths.published),
        paths.problems,
    )
    write_csv(paths.csv, records)
    return scores.table2_sheet(records, hparams.experiment.notice)


def _table3(paths: argparse.Namespace) -> sheet.Sheet:
    hparams = Table3Scores.parse(paths.hparams)
    datasets = read_datasets(paths.datasets, hparams.datasets)
    gained = over_untrained(
        paths.runs,
        paths.benchmark,
        hparams.rows,
        hparams.untrained if paths.benchmark else (),
        datasets,
        hparams.seeds,
    )
    records = table3(
        paths.runs,
        hparams.rows,
        datasets,
        hparams.seeds,
        read_table3(paths.published),
        paths.problems,
        gained,
    )
    means = averages(records, gained)
    write_csv(paths.csv, records)
    write_csv(paths.averages, means)
    notice = hparams.experiment.notice
    return scores.table3_sheet(records, notice, hparams.controls, means)


def _recipe(paths: argparse.Namespace) -> sheet.Sheet:
    hparams = RecipePage.parse(paths.hparams)
    name, settings = hparams.recipe, hparams.values()
    if name != paths.table:
        raise InputError(f"--hparams: recipe: found {name!r}, expected {paths.table!r}")
    datasets = read_datasets(paths.datasets, list(hparams.datasets))
    records = recipes.recipe(
        name,
        hparams.used,
        settings["settings"],
        settings["datasets"],
        datasets,
        recipes.read_printed(paths.published, name),
    )
    write_csv(paths.csv, records)
    return recipes.recipe_sheet(records, hparams.experiment.notice)


def _datasets(paths: argparse.Namespace) -> sheet.Sheet:
    hparams = Page.parse(paths.hparams)
    summaries = datapage.read(paths.summaries)
    records = datapage.records(summaries)
    write_csv(paths.csv, records)
    found = [line for path in paths.leaks or () for line in leaks.of_file(path)]
    return datapage.sheet_of(summaries, records, hparams.experiment.notice, found)


def _leaks(paths: argparse.Namespace) -> sheet.Sheet:
    hparams = Scores.parse(paths.hparams)
    order = (hparams.rows, hparams.datasets, hparams.seeds)
    records = leaks.over_rows(paths.runs, paths.benchmark, *order, paths.problems)
    write_csv(paths.csv, records)
    return leaky.sheet_of(records, hparams.experiment.notice)


def _statistics(paths: argparse.Namespace) -> sheet.Sheet:
    from randommask.measures import statistics

    hparams = Statistics.parse(paths.hparams)
    baseline = statistics.find_baseline(hparams.rows, hparams.baseline)
    table3 = read_csv(paths.table3, ("row", "task", "dataset", "metric"), ("mean",))
    records = statistics.over_datasets(table3, baseline) + statistics.over_rows(
        table3,
        paths.runs,
        paths.benchmark,
        hparams.rows,
        hparams.seeds,
        baseline,
        paths.problems,
    )
    write_csv(paths.csv, records)
    return tested.sheet_of(records, table3, hparams.experiment.notice)


_TABLES = {
    "table1": (_table1, ("datasets",)),
    "table2": (_table2, ("runs", "datasets", "published")),
    "table3": (_table3, ("runs", "datasets", "published", "averages")),
    "statistics": (_statistics, ("table3", "runs", "benchmark")),
    "table4": (_recipe, ("datasets", "published")),
    "table5": (_recipe, ("datasets", "published")),
    "datasets": (_datasets, ("summaries", "leaks")),
    "leaks": (_leaks, ("runs", "benchmark")),
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
            many = {"nargs": "+"} if flag in ("summaries", "leaks") else {}
            needed = flag != "leaks"
            kind = files.new_file if flag == "averages" else Path
            command.add_argument(f"--{flag}", type=kind, required=needed, **many)
        if name == "table3":
            command.add_argument("--benchmark", type=Path)
        command.add_argument("--partial", action="store_true")
        command.set_defaults(problems=[])
        command.add_argument("--hparams", required=True)
        command.add_argument("--csv", type=files.new_file, required=True)
        command.add_argument("--md", type=files.new_file, required=True)
        command.add_argument("--tex", type=files.new_file, required=True)
    paths = parser.parse_args(argv)
    printed = paths.make(paths)
    files.write_text(paths.md, sheet.markdown(printed))
    files.write_text(paths.tex, sheet.latex(printed))
    if "runs" in paths and not paths.partial:
        runs.check_complete(paths.problems)


if __name__ == "__main__":
    run(main)

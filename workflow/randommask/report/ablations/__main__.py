r"""Answer one ablation's question: a table, a figure, and a sentence made from them.

    python -m randommask.report.ablations --results results --logs logs \
        --datasets config/datasets.tsv \
        --hparams '{"experiment": ..., "name": "curriculum", "question": "...",
                    "axis": "", "rows": [...], "datasets": [...], "seeds": [1, 2, 3]}' \
        --csv curriculum.csv --md curriculum.md --tex curriculum.tex \
        --png curriculum.png --pdf curriculum.pdf

A run or a measurement that is missing stops it, unless `--partial`: the rows are then
compared by the runs that they have in common, and what was left out is told.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from randommask import files
from randommask.errors import InputError, run
from randommask.experiment.hparams import AblationPage, ComparedRow
from randommask.measures import gains, runs
from randommask.measures.records import Record, read_datasets, write_csv
from randommask.report.ablations import answer, hours, measures, page, picture
from randommask.report.figures import style
from randommask.report.tables import sheet


def read_rows(hparams: AblationPage) -> list[ComparedRow]:
    """The rows; beside rows on a line, one that is on none is a line of its own."""
    has_series = any(row.series for row in hparams.rows)
    return [
        row.model_copy(
            update={
                "series": row.series or (row.label if has_series else ""),
                "at": "" if row.at is None else row.at,
            }
        )
        for row in hparams.rows
    ]


def ablate(
    results: Path,
    logs: Path,
    listed: Path,
    hparams: AblationPage,
    partial: bool,
    outputs: Record,
) -> None:
    """Write the five files of a group from what its jobs left under `results`.

    Raises `InputError` for a run or a measurement that is missing, if not `partial`.
    """
    datasets = read_datasets(listed, hparams.datasets)
    if not datasets:
        raise InputError(f"ablation {hparams.name}: none of its data sets is here")
    rows, seeds = read_rows(hparams), hparams.seeds
    finetuned, problems = results / "finetune", []
    made = [
        measures.read_scores(finetuned, row, datasets, seeds, problems) for row in rows
    ]
    if not partial:
        runs.check_complete(problems)
    seeds = measures.trials(rows[0], seeds)
    scores = measures.common(made, seeds)
    kept = [row for row, own in zip(rows, scores, strict=True) if own]
    compared = [own for own in scores if own]
    shared = [dataset for dataset in datasets if dataset.dataset in compared[0]]
    records, pairs = [], gains.Pairs(results / "benchmark")
    for row, own in zip(rows, scores, strict=True):
        records += measures.score_records(row, own, compared, shared)
        base = gains.reference(row, kept, hparams.untrained)
        untrained = None if base is None else scores[rows.index(base)]
        records += measures.gain_records(row, own, untrained, shared, pairs)
        records += measures.pretraining_records(results, row, partial)
        records += hours.hours_records(results, logs, row, own)
    records += measures.reached_records(results, rows, partial)
    said = answer.sentences(kept, compared, hparams.axis) + answer.budgets(kept)
    said += answer.speeds(kept, records)
    gaps = answer.gaps(rows, made, scores, seeds)
    notice = hparams.experiment.notice
    printed = page.sheet_of(hparams, said, gaps, records, shared)
    write_csv(outputs["csv"], records)
    files.write_text(outputs["md"], sheet.markdown(printed))
    files.write_text(outputs["tex"], sheet.latex(printed))
    with style.applied():
        names = list(compared[0])
        drawn = (kept, records, names, [*said, *gaps], hparams.axis, notice)
        figure = picture.draw(*drawn)
        style.save(figure, outputs["png"], outputs["pdf"])


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the flags and answer."""
    parser = argparse.ArgumentParser(
        prog="python -m randommask.report.ablations",
        description=__doc__.splitlines()[0],
    )
    for flag in ("--results", "--logs", "--datasets"):
        parser.add_argument(flag, type=Path, required=True)
    parser.add_argument("--hparams", required=True)
    parser.add_argument("--partial", action="store_true")
    for flag in ("--csv", "--md", "--tex", "--png", "--pdf"):
        parser.add_argument(flag, type=files.new_file, required=True)
    flags = parser.parse_args(argv)
    ablate(
        flags.results,
        flags.logs,
        flags.datasets,
        AblationPage.parse(flags.hparams),
        flags.partial,
        vars(flags),
    )


if __name__ == "__main__":
    run(main)

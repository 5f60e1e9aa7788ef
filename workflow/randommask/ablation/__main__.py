r"""Answer one ablation's question: a table, a figure, and a sentence made from them.

    python -m randommask.ablation --results results --logs logs \
        --datasets config/datasets.tsv \
        --hparams '{"experiment": ..., "name": "curriculum", "question": "...",
                    "axis": "", "rows": [...], "datasets": [...], "seeds": [1, 2, 3]}' \
        --csv curriculum.csv --md curriculum.md --tex curriculum.tex \
        --png curriculum.png --pdf curriculum.pdf

A run or a measurement that is missing stops it.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from randommask import files
from randommask.ablation import answer, measures, page, picture
from randommask.datasets import Dataset
from randommask.errors import InputError, run
from randommask.experiment import read_hparams
from randommask.figures import style
from randommask.tables import sheet
from randommask.tables.records import Record, read_datasets, write_csv

KEYS = ("name", "question", "axis", "rows", "datasets", "seeds")
ROW = ("label", "encoder", "tokenization", "pretraining", "has_order")


def read_rows(hparams: dict[str, Any], datasets: Sequence[Dataset]) -> list[Record]:
    """The rows, each with every key; `InputError` for one that a reader cannot tell."""
    seen, rows = set(), []
    for number, row in enumerate(hparams["rows"], start=1):
        if missing := [key for key in ROW if key not in row]:
            raise InputError(f"--hparams: row {number}: no {missing[0]!r}")
        name = (row["label"], row["tokenization"])
        if name in seen:
            raise InputError(f"--hparams: row {number}: a second {' '.join(name)}")
        seen.add(name)
        sets = [dataset.dataset for dataset in datasets]
        rows.append({"series": "", "at": "", **row, "sets": sets})
    return rows


def ablate(
    results: Path, logs: Path, listed: Path, hparams: dict[str, Any], outputs: Record
) -> None:
    """Write the five files of a group from what its jobs left under `results`.

    Raises `InputError` for a run or a measurement that is missing.
    """
    datasets = read_datasets(listed, hparams["datasets"])
    if not datasets:
        raise InputError(f"ablation {hparams['name']}: none of its data sets is here")
    rows, seeds = read_rows(hparams, datasets), hparams["seeds"]
    records, scores = [], []
    for row in rows:
        found = measures.read_scores(results / "finetune", row, datasets, seeds)
        scores.append(found)
        records += measures.score_records(row, found, datasets)
        records += measures.pretraining_records(results, row)
        records += measures.time_records(results, logs, row, datasets, seeds)
    said = answer.sentences(rows, scores, hparams["axis"])
    notice = hparams["experiment"]["notice"]
    printed = page.sheet_of(hparams["name"], hparams, said, records, datasets, notice)
    write_csv(outputs["csv"], records)
    files.write_text(outputs["md"], sheet.markdown(printed))
    files.write_text(outputs["tex"], sheet.latex(printed))
    with style.applied():
        figure = picture.draw(rows, records, said, hparams["axis"], notice)
        style.save(figure, outputs["png"], outputs["pdf"])


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the flags and answer."""
    parser = argparse.ArgumentParser(
        prog="python -m randommask.ablation", description=__doc__.splitlines()[0]
    )
    for flag in ("--results", "--logs", "--datasets"):
        parser.add_argument(flag, type=Path, required=True)
    parser.add_argument("--hparams", required=True)
    for flag in ("--csv", "--md", "--tex", "--png", "--pdf"):
        parser.add_argument(flag, type=Path, required=True)
    flags = parser.parse_args(argv)
    ablate(
        flags.results,
        flags.logs,
        flags.datasets,
        read_hparams(flags.hparams, KEYS),
        vars(flags),
    )


if __name__ == "__main__":
    run(main)

"""The paper's three observations, measured: a table of checks and verdicts.

python -m randommask.report.tables.observations --table2 results/tables/table2.csv \
        --history baseline=results/pretrain/dnabert/step-480000/history.csv ... \
        --purity baseline=results/figures/embeddings/dnabert.purity.csv ... \
        --attention baseline=results/figures/attention/dnabert.csv ... \
        --hparams '{"experiment": ..., "k": 6}' \
        --csv results/tables/observations.csv --md results/tables/observations.md
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from randommask import kmers
from randommask.errors import run
from randommask.experiment.hparams import Observations
from randommask.experiment.units import text
from randommask.files import new_file, write_text
from randommask.measures import readers
from randommask.measures.observations import (
    TITLES,
    Lines,
    attention,
    finetuning,
    losses,
    phases,
    purities,
    verdicts,
)
from randommask.measures.records import Record, read_csv, write_csv
from randommask.report.tables.sheet import Cell, Column, Grid, Sheet, markdown


def sheet(checks: Sequence[Record], notice: str) -> Sheet:
    """The verdicts, and below them every check."""
    summary = tuple(
        ((f"{number}. {TITLES[number]}",), (Cell(verdict),))
        for number, verdict in verdicts(checks).items()
    )
    lines = tuple(
        (
            (f"{int(line['observation'])}", line["check"]),
            (
                *(
                    Cell(text(line[key], line["unit"], "-"))
                    for key in ("value", "reference")
                ),
                *(Cell(line[key]) for key in ("threshold", "verdict", "detail")),
            ),
        )
        for line in checks
    )
    texts = (Column(name, text=True) for name in ("expected", "verdict", "more"))
    return Sheet(
        label="observations",
        title="The paper's observations, measured",
        notice=notice,
        grids=(
            Grid(("Observation",), (Column("verdict", text=True),), summary),
            Grid(("", "Check"), (Column("value"), Column("against"), *texts), lines),
        ),
        remarks=(
            "The thresholds are ours; the paper gives none. An observation holds if all"
            " its checks hold, does not hold if one fails, and else is not measured.",
        ),
    )


def _read(paths: dict[str, str], *columns: str) -> dict[str, Lines]:
    """The lines of each role's file, these columns as numbers."""
    kinds = dict.fromkeys(columns, "number")
    return {
        role: readers.table(path, kinds).to_dict("records")
        for role, path in paths.items()
    }


def observe(
    table2: Path,
    history: dict[str, str],
    purity: dict[str, str],
    attending: dict[str, str],
    vocab_size: int,
) -> list[Record]:
    """Every check, from the files there are; what has no file is not measured.

    Raises `InputError` for a file that is missing or holds what is no number.
    """
    histories = _read(history, "step", "phase", "loss")
    texts, numbers = ("label", "tokenization", "task"), ("mean", "published")
    return [
        *finetuning(read_csv(table2, texts, numbers)),
        *losses(histories, vocab_size),
        *purities(_read(purity, "step", "silhouette", "purity", "chance")),
        *phases(histories.get("randommask", [])),
        *attention(_read(attending, "layer", "cls_mass")),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the flags; write the checks as csv and as Markdown."""
    parser = argparse.ArgumentParser(
        prog="python -m randommask.report.tables.observations"
    )
    parser.add_argument("--table2", type=Path, required=True)
    for flag in ("--history", "--purity", "--attention"):
        parser.add_argument(flag, nargs="*", default=[], metavar="ROLE=PATH")
    parser.add_argument("--hparams", required=True)
    for flag in ("--csv", "--md"):
        parser.add_argument(flag, type=new_file, required=True)
    flags = parser.parse_args(argv)
    hparams = Observations.parse(flags.hparams)
    checks = observe(
        flags.table2,
        readers.by_role("--history", flags.history),
        readers.by_role("--purity", flags.purity),
        readers.by_role("--attention", flags.attention),
        kmers.vocab_size(hparams.k),
    )
    write_csv(flags.csv, checks)
    write_text(flags.md, markdown(sheet(checks, hparams.experiment.notice)))


if __name__ == "__main__":
    run(main)

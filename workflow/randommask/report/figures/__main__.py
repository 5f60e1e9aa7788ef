r"""Draw one figure: its picture in two formats and the numbers behind it.

    python -m randommask.report.figures fig1 \
        --hparams '{"experiment": {"name": "demo", "notice": ""}, "k": 6,
                    "max_span": 14, "sequence": "ATTGC...", "seed": 0}' \
        --png fig1.png --pdf fig1.pdf --csv fig1.csv

Figures 2 to 5 read files, each given as `role=path` with one of the roles of
`figures.style`; a role that is not given is not drawn:

    fig2 --embeddings ... --history ... --purity ...
    fig3 --embeddings role=path --purity role=path
    fig4 --attention ... --summary ...
    fig5 --history ...

The data page's figure reads one file, the page's csv, the rank plot Table 3's:

    datasets --table datasets.csv
    ranks --table table3.csv
"""

import argparse
import inspect

from randommask.errors import run
from randommask.experiment.hparams import Drawing, Masks, Ranks
from randommask.files import new_file, write_aside
from randommask.measures import readers
from randommask.report.figures import (
    clusters,
    curves,
    maps,
    milestones,
    prepared,
    ranking,
    style,
    tokens,
)

FIGURES = {
    "fig1": (tokens.draw, (), Masks),
    "fig2": (milestones.draw, ("embeddings", "history", "purity"), Drawing),
    "fig3": (clusters.draw, ("embeddings", "purity"), Drawing),
    "fig4": (maps.draw, ("attention", "summary"), Drawing),
    "fig5": (curves.draw, ("history",), Drawing),
    "datasets": (prepared.draw, ("table",), Drawing),
    "ranks": (ranking.draw, ("table",), Ranks),
}
"""What draws a figure, the files that it reads, and what it is told."""
OPTIONAL = ("purity",)
SINGLE = ("table",)
"""Flags that take one path and no role."""


def main(argv: list[str] | None = None) -> None:
    """Read the flags and draw the figure they name."""
    parser = argparse.ArgumentParser(
        prog="python -m randommask.report.figures", description=__doc__.splitlines()[0]
    )
    figures = parser.add_subparsers(dest="figure", required=True)
    for name, (draw, flags, told) in FIGURES.items():
        figure = figures.add_parser(name, description=inspect.getdoc(draw))
        for flag in flags:
            many = {"nargs": "+", "metavar": "role=path"} if flag not in SINGLE else {}
            figure.add_argument(f"--{flag}", required=flag not in OPTIONAL, **many)
        figure.add_argument(
            "--hparams", required=True, help=f"JSON: see {told.__name__}"
        )
        figure.add_argument("--png", type=new_file, required=True)
        figure.add_argument("--pdf", type=new_file, required=True)
        figure.add_argument("--csv", type=new_file, required=True)
    given = parser.parse_args(argv)
    draw, flags, told = FIGURES[given.figure]
    paths = {
        flag: getattr(given, flag)
        if flag in SINGLE
        else readers.by_role(f"--{flag}", getattr(given, flag) or [])
        for flag in flags
    }
    hparams = told.parse(given.hparams)
    words = {name: getattr(hparams, name) for name in told.model_fields}
    notice = words.pop("experiment").notice
    with style.applied():
        picture, numbers = draw(**paths, notice=notice, **words)
        style.save(picture, given.png, given.pdf)
    with write_aside(given.csv) as aside:
        numbers.to_csv(aside, index=False, lineterminator="\n")


if __name__ == "__main__":
    run(main)

r"""Write the report: one HTML file with everything in it.

    python -m randommask.report --tables results/tables --figures results/figures \
        --runs results/finetune --benchmarks logs/benchmarks \
        --checksums resources/checksums.tsv --repository . \
        --hparams '{"experiment": {"name": "paper", "notice": ""}, "config": {...}}' \
        --output results/report.html

The page loads nothing: style, pictures and the one script are inside. Nothing need be
at the four places in the second and third line; what is there is told as provenance.
`controls`, the encoders that are controls, and `roles` may be left out of the last;
`--published` has the paper's numbers.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from randommask.errors import run
from randommask.experiment.hparams import ReportPage
from randommask.files import at_hand, new_file, write_text
from randommask.measures import quantities
from randommask.measures.records import read_csv
from randommask.report import captions, claims, pictures, sections, views

_HERE = Path(__file__).parent


def html(
    tables: Path, figures: Path, hparams: ReportPage, paths: dict[str, Path]
) -> str:
    """The whole page, from the tables' csv and Markdown and the figures' PNG files.

    `paths` are those of `sections.provenance`.
    """
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.from_string((_HERE / "page.html").read_text("utf-8"))

    known = quantities.read(tables, figures)
    labels = _labels(tables / "table3.csv", hparams.roles)
    made = claims.claims(tables, known, labels, paths["published"])
    measured = captions.measured(figures, hparams.config, known)

    def table(name: str) -> Markup:
        return sections.table(tables, name, hparams.controls)

    def drawn(*chosen: pictures.Figure) -> Markup:
        return pictures.figures(figures, chosen, measured)

    looked_into = {
        "fig3": views.embeddings(figures, hparams.roles),
        "fig4": views.attention(figures, hparams.roles),
    }
    five = Markup("").join(
        drawn(figure) + looked_into.get(figure.name, "") for figure in pictures.FIGURES
    )
    pretrained = paths["runs"].parent / "pretrain"
    parts = [
        ("table3", "Table 3. Every data set", table("table3")),
        ("table2", "Table 2. Overlapping against non-overlapping", table("table2")),
        ("statistics", "Statistics", drawn(pictures.RANKS) + table("statistics")),
        ("figures", "Figures 1 to 5", five),
        ("observations", "The three observations", table("observations")),
        (
            "data",
            "The data as prepared",
            drawn(pictures.DATASETS) + sections.text(tables, "datasets"),
        ),
        ("leaks", "What leaks, and the scores without it", table("leaks")),
        ("table1", "Table 1. The tasks", table("table1")),
        ("table4", "Table 4. Fine-tuning, first recipe", table("table4")),
        ("table5", "Table 5. Fine-tuning, second recipe", table("table5")),
        ("audit", "Audit of the printed numbers", sections.text(tables, "audit")),
        ("settings", "Settings", sections.settings(hparams.config)),
        ("provenance", "Provenance", sections.provenance(paths)),
        ("warnings", "Warnings", sections.warnings(tables, pretrained)),
    ]
    return template.render(
        style=Markup((_HERE / "style.css").read_text("utf-8")),
        name=hparams.experiment.name,
        notice=hparams.experiment.notice,
        headline=claims.headline(made),
        claims=made,
        spoken=claims.spoken,
        answer=sections.whole_answer(tables, known),
        parts=parts,
        script=Markup(views.SCRIPT),
        policy=Markup(views.POLICY),
    )


def _labels(table3: Path, roles: dict[str, str]) -> dict[str, str]:
    """The row of Table 3 that shows each role's encoder with overlapping tokens."""
    if not table3.exists():
        return {}
    lines = read_csv(table3, ("row", "encoder", "tokenization"))
    rows = {
        line["encoder"]: line["row"]
        for line in reversed(lines)
        if line["tokenization"] == "overlapping"
    }
    return {role: rows[encoder] for role, encoder in roles.items() if encoder in rows}


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the flags and write the page."""
    parser = argparse.ArgumentParser(prog="python -m randommask.report")
    sources = ("runs", "benchmarks", "checksums", "repository")
    for flag in ("tables", "figures", *sources):
        parser.add_argument(f"--{flag}", type=Path, required=True)
    published = Path(at_hand("config/published/claims.csv")).parent
    parser.add_argument("--published", type=Path, default=published)
    parser.add_argument("--output", type=new_file, required=True)
    parser.add_argument("--hparams", required=True)
    flags = parser.parse_args(argv)
    hparams = ReportPage.parse(flags.hparams)
    paths = {name: getattr(flags, name) for name in (*sources, "published")}
    write_text(flags.output, html(flags.tables, flags.figures, hparams, paths))


if __name__ == "__main__":
    run(main)

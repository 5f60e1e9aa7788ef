r"""Write the report: one HTML file with everything in it.

    python -m randommask.report --tables results/tables --figures results/figures \
        --hparams '{"experiment": {"name": "paper", "notice": ""}, "config": {...},
                    "provenance": {"python": "3.12.4", ...}}' \
        --output results/report.html

The page loads nothing: style and pictures are inside. `provenance` and `controls`, the
encoders that are controls, may be left out.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from randommask.errors import run
from randommask.experiment import read_hparams
from randommask.files import write_text
from randommask.report import pictures, sections

_HERE = Path(__file__).parent


def page(tables: Path, figures: Path, hparams: dict[str, Any]) -> str:
    """The whole page, from the tables' csv and Markdown and the figures' PNG files."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    template = environment.from_string((_HERE / "page.html").read_text("utf-8"))

    def table(name: str) -> Markup:
        return sections.table(tables, name, hparams.get("controls", ()))

    parts = [
        ("table3", "Table 3. Every data set", table("table3")),
        ("table2", "Table 2. Overlapping against non-overlapping", table("table2")),
        ("figures", "Figures 1 to 5", pictures.figures(figures)),
        ("observations", "The three observations", table("observations")),
        (
            "data",
            "The data as prepared",
            pictures.plate(figures, pictures.DATASETS)
            + sections.text(tables, "datasets"),
        ),
        ("table1", "Table 1. The tasks", table("table1")),
        ("table4", "Table 4. Fine-tuning, first recipe", table("table4")),
        ("table5", "Table 5. Fine-tuning, second recipe", table("table5")),
        ("audit", "Audit of the printed numbers", sections.text(tables, "audit")),
        ("settings", "Settings", sections.settings(hparams["config"])),
    ]
    if "provenance" in hparams:
        versions = sections.provenance(hparams["provenance"])
        parts.append(("versions", "Versions", versions))
    return template.render(
        style=Markup((_HERE / "style.css").read_text("utf-8")),
        name=hparams["experiment"]["name"],
        notice=hparams["experiment"]["notice"],
        answer=sections.answer(tables),
        verdicts=sections.verdicts(tables),
        parts=parts,
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Parse the flags and write the page."""
    parser = argparse.ArgumentParser(prog="python -m randommask.report")
    for flag in ("--tables", "--figures", "--output"):
        parser.add_argument(flag, type=Path, required=True)
    parser.add_argument("--hparams", required=True)
    flags = parser.parse_args(argv)
    hparams = read_hparams(flags.hparams, ("config",), ("provenance", "controls"))
    write_text(flags.output, page(flags.tables, flags.figures, hparams))


if __name__ == "__main__":
    run(main)

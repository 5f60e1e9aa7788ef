"""The tables of keys in `config/README.md`, from what `sections` says of each key.

    python -m randommask.experiment.readme config/README.md

writes each table between the marks `<!-- keys: Pretrain -->` and `<!-- end -->`. A test
keeps the page true.
"""

import ast
import json
import re
import sys
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel

from randommask.errors import run
from randommask.experiment import sections
from randommask.files import write_text

MARKED = re.compile(
    r"(?P<mark><!-- keys: (?P<name>\w+)(?: beside (?P<other>\w+))? -->)\n"
    r".*?<!-- end -->",
    re.DOTALL,
)
FILLED_IN = ("pretrain", "recipes", "genomes")
"""Keys that `Experiment` has completed before a section asks for them."""


def documented(model: type[BaseModel]) -> dict[str, str]:
    """The line below each key of a model, those of its bases first."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if not issubclass(base, BaseModel) or base.__module__.startswith("pydantic"):
            continue
        source = Path(sys.modules[base.__module__].__file__).read_text("utf-8")
        body = next(
            node.body
            for node in ast.parse(source).body
            if isinstance(node, ast.ClassDef) and node.name == base.__name__
        )
        for key, line in pairwise(body):
            match key, line:
                case (
                    ast.AnnAssign(ast.Name(name)),
                    ast.Expr(ast.Constant(str(text))),
                ):
                    found[name] = " ".join(text.split())
    return found


def default(model: type[BaseModel], name: str) -> str:
    """What a key is where a config does not have it, as YAML says it."""
    field = model.model_fields[name]
    if field.is_required():
        return "" if name in FILLED_IN else "needed"
    value = field.default
    if field.default_factory is not None:
        if field.default_factory_takes_validated_data:
            return ""  # its line says what it follows from
        value = field.default_factory()
    if value == "" or isinstance(value, BaseModel | dict):
        return ""
    shown = value if isinstance(value, str) else json.dumps(value)
    if isinstance(value, float) and "e" in shown and "." not in shown:
        shown = shown.replace("e", ".0e")  # YAML takes 1e-06 for text
    return f"`{shown}`"


def table(model: type[BaseModel], beside: type[BaseModel] = BaseModel) -> str:
    """The keys of a section, a line each, but for those that it shares with another."""
    lines = ["| key | without it | what |", "|---|---|---|"]
    said = documented(model)
    for name, field in model.model_fields.items():
        if name not in beside.model_fields:
            key = field.alias or name
            lines.append(f"| `{key}` | {default(model, name)} | {said[name]} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with its tables as the sections are now."""

    def filled(match: re.Match) -> str:
        model = getattr(sections, match["name"])
        other = getattr(sections, match["other"] or "", BaseModel)
        return f"{match['mark']}\n{table(model, other)}\n<!-- end -->"

    return MARKED.sub(filled, text)


def main(argv: list[str] | None = None) -> None:
    """Write the tables into the page that is named."""
    [path] = (Path(word) for word in (argv or sys.argv[1:]))
    write_text(path, page(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    run(main)

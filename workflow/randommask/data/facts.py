r"""Write the page on the inputs: what is downloaded, and how far each figure is known.

    python -m randommask.data.facts --config config/config.yaml \
        --datasets config/datasets.tsv --facts config/inputs.tsv --output docs/inputs.md

Sizes, checksums, addresses and counts are the config's; the facts say where each of
them comes from. A fact is a row `input, file, fact, value, standing, origin`, of which
the first that fits is taken: `file` and `fact` are patterns, and a `value` must be the
config's own, so that a changed figure loses its standing. Where the config has no size,
the fact's stands instead. What no fact speaks of counts as unverified.
"""

import argparse
import csv
from collections.abc import Iterator
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

from randommask import files
from randommask.errors import InputError, run
from randommask.experiment import datasets
from randommask.experiment.datasets import SPLITS, Dataset
from randommask.experiment.runs import source_of

STANDINGS = {"verified": "V", "one source": "1", "unverified": "U"}
NOWHERE = "this config alone says so"

HEAD = """\
# Inputs

<!-- made by `python -m randommask.data.facts`; a test compares it with the config -->

Every figure that the downloads and the preparation rely on, as `config/config.yaml` and
`config/datasets.tsv` have it, and how far it is known:

- **[V]** verified: on the bytes themselves, or in two independent public sources
- **[1]** one public source says so
- **[U]** unverified: inferred, or nobody but this configuration says so
"""


@dataclass(frozen=True)
class Fact:
    """Where a figure comes from."""

    input: str
    """A name in `sources` or `encoders`."""
    file: str
    fact: str
    """`bytes`, `md5`, `sha256`, `revision`, `licence`, `train_rows`, ..."""
    value: str
    standing: str
    """One of `STANDINGS`."""
    origin: str


COLUMNS = tuple(field.name for field in fields(Fact))


class Facts:
    """The facts, and those among them that a figure rests on."""

    def __init__(self, rows: list[Fact]):
        self.rows = rows
        self._used: set[Fact] = set()

    @property
    def used(self) -> list[Fact]:
        """Those that were found so far, in the order of the table."""
        return [row for row in self.rows if row in self._used]

    def find(self, name: str, file: str, fact: str, value: Any = None) -> Fact:
        """The first fact that fits; without a `value`, whatever its value is."""
        for row in self.rows:
            if (
                row.input == name
                and fnmatchcase(file, row.file)
                and fnmatchcase(fact, row.fact)
                and (value is None or row.value in ("", str(value)))
            ):
                self._used.add(row)
                return row
        return Fact(name, file, fact, "", "unverified", NOWHERE)


def read_facts(path: str | Path) -> Facts:
    """Read the table; raise `InputError` naming the line that is wrong."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    lines = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    if (header := tuple(next(lines, ()))) != COLUMNS:
        raise InputError(
            f"{path}: line 1: found {', '.join(header)}, expected {', '.join(COLUMNS)}"
        )
    rows = []
    for cells in lines:
        where = f"{path}: line {lines.line_num}"
        if len(cells) != len(COLUMNS):
            raise InputError(
                f"{where}: found {len(cells)} columns, expected {len(COLUMNS)}"
            )
        rows.append(Fact(*cells))
        if rows[-1].standing not in STANDINGS:
            raise InputError(
                f"{where}: standing is {rows[-1].standing!r}, expected one of "
                f"{', '.join(STANDINGS)}"
            )
    return Facts(rows)


def page(config: dict[str, Any], listed: list[Dataset], facts: Facts) -> str:
    """The page as Markdown."""
    encoders = {
        name: entry["released"]
        for name, entry in config["encoders"].items()
        if "released" in entry
    }
    inputs = {**config["sources"], **encoders}
    parts = [
        HEAD,
        "## Files\n",
        _table(
            ("source", "file", "bytes", "checksum", "licence"),
            [line for name in inputs for line in _files(name, inputs[name], facts)],
        ),
        "Addresses, as the configuration lists them:\n",
        "".join(
            f"- {name}: {address}\n"
            for name, spec in inputs.items()
            for address in dict.fromkeys(_addresses(spec))
        ),
        "## Datasets\n",
        _table(
            ("dataset", "task", "from", "species", "bases", "labels", *SPLITS),
            [_dataset(dataset, facts) for dataset in listed],
        ),
        "Rows of each split. A prepared dataset that has others is reported with both"
        " numbers.\n",
        "## Where the figures come from\n",
        _table(
            ("source", "what", "standing", "from"),
            [
                (
                    row.input,
                    f"{row.file}: {row.fact}" if row.file != "*" else row.fact,
                    row.standing,
                    row.origin,
                )
                for row in facts.used
            ],
        ),
    ]
    return "\n".join(parts)


def _files(name: str, spec: dict[str, Any], facts: Facts) -> Iterator[tuple[str, ...]]:
    """A line a file of a source or of released weights."""
    licence = facts.find(name, "*", "licence")
    said = _marked(licence.value or "not found", licence)
    entries = list(_entries(spec))
    if revision := spec.get("revision"):
        pinned = facts.find(name, "*", "revision", revision)
        where = f"{spec['repository']} at {_marked(revision, pinned)}"
        yield name, where, "", "", said
    for file, entry in entries:
        size = entry.get("bytes")
        known = facts.find(name, file, "bytes", size)
        text = f"{size:,}" if size else f"about {known.value}" if known.value else "?"
        sums = [
            f"{kind} {_marked(f'`{digest}`', facts.find(name, file, kind, digest))}"
            for kind in ("md5", "sha256")
            if (digest := entry.get(kind))
        ]
        yield name, file, _marked(text, known), ", ".join(sums) or "none known", said
    if not entries and not revision:
        yield name, spec.get("path", "?"), "", "", said


def _entries(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Name and entry of each file, whether they stand in a list or in a mapping."""
    found = spec.get("files") or {}
    if isinstance(found, dict):
        found = [
            {"name": name, **(entry if isinstance(entry, dict) else {"sha256": entry})}
            for name, entry in found.items()
        ]
    for entry in found:
        entry = {"name": entry} if isinstance(entry, str) else entry
        yield entry["name"], entry


def _addresses(spec: Any) -> Iterator[str]:
    """All addresses inside a source, wherever they stand, as they stand."""
    if isinstance(spec, dict):
        if "repository" in spec:
            revision = spec.get("revision", "main")
            yield f"Hugging Face, {spec['repository']} at {revision}"
        for value in spec.values():
            yield from _addresses(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from _addresses(value)
    elif isinstance(spec, str) and spec.startswith(("http://", "https://")):
        yield f"<{spec}>" if "{" not in spec else f"`{spec}`"


def _dataset(dataset: Dataset, facts: Facts) -> tuple[str, ...]:
    """The line of a dataset; one of one's own has no fact and needs none."""
    labels = ", ".join(dataset.targets) or f"{dataset.classes} classes"
    own = dataset.own_folder is not None
    counts = []
    for split, rows in dataset.rows.items():
        if own:
            counts.append(f"{rows:,}" if rows else "")
            continue
        fact = facts.find(source_of(dataset), dataset.source, f"{split}_rows", rows)
        counts.append(_marked(f"{rows:,}", fact))
    return (
        dataset.dataset,
        dataset.task,
        dataset.source,
        dataset.species,
        str(dataset.bases),
        labels,
        *counts,
    )


def _marked(text: str, fact: Fact) -> str:
    return f"{text} [{STANDINGS[fact.standing]}]"


def _table(header: tuple[str, ...], lines: list[tuple[str, ...]]) -> str:
    rows = [header, ("---",) * len(header), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def main(argv: list[str] | None = None) -> None:
    """Read the flags and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for flag in ("--config", "--datasets", "--facts", "--output"):
        parser.add_argument(flag, type=Path, required=True)
    flags = parser.parse_args(argv)
    with open(flags.config, encoding="utf-8") as file:
        config = yaml.safe_load(file)
    text = page(config, datasets.read(flags.datasets), read_facts(flags.facts))
    files.write_text(flags.output, text)


if __name__ == "__main__":
    run(main)

"""The csv side of the tables: lines as dictionaries, an empty cell as None.

Also the two kinds of input all tables share: `config/datasets.tsv` and the numbers
the paper printed, `config/published/table{2,3}.csv`.
"""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from randommask import files
from randommask.errors import InputError
from randommask.experiment import datasets
from randommask.experiment.datasets import TASKS, Dataset

Record = dict[str, Any]


def percent(value: float | None) -> float | None:
    """Round a value in per cent to the four decimals a csv keeps."""
    return None if value is None else round(value, 4) + 0.0


def mean(values: Sequence[float | None]) -> float | None:
    """Mean, or None where there is nothing or something is missing."""
    if not values or None in values:
        return None
    return sum(values) / len(values)


def difference(left: float | None, right: float | None) -> float | None:
    """`left - right`, or None where either is missing."""
    return None if left is None or right is None else left - right


def write_csv(path: str | Path, records: list[Record]) -> None:
    """Write `records`, whose keys are the columns; None becomes an empty cell."""
    if not records:
        raise InputError(f"{path}: nothing to write, expected a row and a data set")
    text = io.StringIO()
    writer = csv.DictWriter(text, list(records[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    files.write_text(path, text.getvalue())


def read_csv(
    path: str | Path, texts: Iterable[str], numbers: Iterable[str] = ()
) -> list[Record]:
    """Read these columns of a csv file; numbers as float, an empty one as None.

    Raises `InputError` for a missing file, column or cell, and for a number that is
    none.
    """
    lines = list(csv.DictReader(io.StringIO(Path(path).read_text("utf-8"))))
    texts, numbers = tuple(texts), tuple(numbers)
    records = []
    for number, line in enumerate(lines, start=2):
        for name in (*texts, *numbers):
            if line.get(name) is None:
                raise InputError(f"{path}: line {number}: no column {name!r}")
        record = {name: line[name] for name in texts}
        for name in numbers:
            try:
                record[name] = float(line[name]) if line[name] else None
            except ValueError:
                raise InputError(
                    f"{path}: line {number}: {name}: found {line[name]!r},"
                    " expected a number"
                ) from None
        records.append(record)
    return records


def read_datasets(path: str | Path, names: Sequence[str]) -> list[Dataset]:
    """The datasets called `names`, by task as in print, then as in the file.

    Raises `InputError` for a name that the file does not have.
    """
    known = datasets.read(path)
    chosen = {name: datasets.find(known, name, path) for name in names}
    return sorted(
        (dataset for dataset in known if dataset.dataset in chosen),
        key=lambda dataset: datasets.rank(dataset.task),
    )


def tasks_of(tasks: Iterable[str]) -> list[str]:
    """The tasks once each: the paper's in its order, then others as they come.

    >>> tasks_of(["enhancers", "SSP", "EMP", "SSP"])
    ['EMP', 'SSP', 'enhancers']
    """
    return sorted(dict.fromkeys(tasks), key=datasets.rank)


def read_table3(path: str | Path) -> dict[str, dict[str, float]]:
    """The printed Table 3 in per cent: row -> dataset -> value."""
    printed: dict[str, dict[str, float]] = {}
    for line in read_csv(path, ("row", "dataset"), ("value_percent",)):
        printed.setdefault(line["row"], {})[line["dataset"]] = line["value_percent"]
    return printed


def read_table2(path: str | Path) -> dict[tuple[str, str], dict[str, float]]:
    """The printed Table 2 in per cent: (encoder, tokenization) -> task -> value."""
    keys = ("pretrained", "finetune_tokenization")
    return {
        (line[keys[0]], line[keys[1]]): {task: line[task] for task in TASKS}
        for line in read_csv(path, keys, TASKS)
    }

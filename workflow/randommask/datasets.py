"""The list of benchmark datasets: `config/datasets.tsv`, read and checked.

A row a dataset, and with it all that fine-tuning has to know: where the rows lie,
what is predicted, how it is scored, the paper's hyperparameters, and the counts as
published. Snakemake imports this module while it plans, so it imports nothing heavy.
"""

import csv
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from randommask.errors import InputError

TASKS = ("EMP", "TF-M", "TF-H", "PD", "CPD", "SSP", "EAP")
"""The seven tasks in the order in which tables print them."""

SPLITS = ("train", "dev", "test")

METRICS = ("mcc", "pearson")
"""Matthews correlation for classification, Pearson correlation for regression."""


@dataclass(frozen=True)
class Dataset:
    """One row of `datasets.tsv`; the fields are its columns, in its order."""

    dataset: str
    """The name that paths carry, such as `EMP-H3`."""
    task: str
    """One of `TASKS`."""
    source: str
    """The folder in the GUE layout, such as `prom/prom_core_all`, or `deepstarr`."""
    species: str
    bases: int
    """Sequence length as published, in bases."""
    classes: int | None
    """Number of labels; None for regression."""
    targets: tuple[str, ...]
    """The numbers to predict; empty for classification."""
    metric: str
    """One of `METRICS`; it says whether this is classification or regression."""
    epochs: int
    batch_size: int
    learning_rate: float
    single_nucleotide: bool
    """The paper's Table 1: does a single base decide?"""
    regional: bool
    """The paper's Table 1: does a whole region decide?"""
    train_rows: int
    """Rows as published; likewise the next two."""
    dev_rows: int
    test_rows: int

    @property
    def type(self) -> str:
        """`classification` or `regression`."""
        return "regression" if self.metric == "pearson" else "classification"

    @property
    def rows(self) -> dict[str, int]:
        """Published rows of each split."""
        return dict(
            zip(SPLITS, (self.train_rows, self.dev_rows, self.test_rows), strict=True)
        )


COLUMNS = tuple(field.name for field in fields(Dataset))


def read(path: str | Path) -> list[Dataset]:
    """Read the datasets in the order of the file.

    Raises `InputError` naming file, line (the header is line 1), dataset and column
    where anything is not as it should be.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error.reason})") from None
    lines = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    header = next(lines, [])
    _check_header(path, header)
    datasets: dict[str, Dataset] = {}
    for cells in lines:
        if not cells:
            continue
        where = f"{path}: line {lines.line_num}"
        if len(cells) != len(header):
            raise InputError(
                f"{where}: found {len(cells)} columns, expected {len(header)}"
            )
        dataset = _parse(where, dict(zip(header, map(str.strip, cells), strict=True)))
        if dataset.dataset in datasets:
            raise InputError(f"{where}: dataset {dataset.dataset} is listed twice")
        datasets[dataset.dataset] = dataset
    if not datasets:
        raise InputError(f"{path}: found no dataset, expected at least one row")
    return list(datasets.values())


def find(datasets: list[Dataset], name: str, path: str | Path) -> Dataset:
    """Pick the dataset called `name`; raise `InputError` naming `path` without it."""
    for dataset in datasets:
        if dataset.dataset == name:
            return dataset
    known = ", ".join(dataset.dataset for dataset in datasets)
    raise InputError(f"{path}: found no dataset {name}, expected one of {known}")


def _check_header(path: Path, header: list[str]) -> None:
    """Refuse columns that are missing, unknown or there twice."""
    for column in COLUMNS:
        if header.count(column) != 1:
            found = "no" if column not in header else "more than one"
            raise InputError(f"{path}: line 1: found {found} column {column}")
    for column in header:
        if column not in COLUMNS:
            raise InputError(
                f"{path}: line 1: unknown column {column!r}, "
                f"expected {', '.join(COLUMNS)}"
            )


def _parse(where: str, cells: dict[str, str]) -> Dataset:
    """Turn the cells of a row into a `Dataset`."""
    name = cells["dataset"]
    # The name becomes a folder and a Snakemake wildcard.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise InputError(
            f"{where}: dataset is {name!r}, expected letters, digits, '-', '.' or '_'"
        )
    where = f"{where} ({name})"

    def parse(column: str, kind: Callable[[str], Any], expected: str) -> Any:
        try:
            return kind(cells[column])
        except ValueError:
            raise InputError(
                f"{where}: {column} is {cells[column]!r}, expected {expected}"
            ) from None

    counts = ("bases", "epochs", "batch_size", "train_rows", "dev_rows", "test_rows")
    dataset = Dataset(
        dataset=name,
        task=parse("task", _one_of(TASKS), f"one of {', '.join(TASKS)}"),
        source=parse("source", _relative_path, "a relative path without '..'"),
        species=parse("species", _non_empty, "a species"),
        classes=parse("classes", _optional_count, "2, 3, ... or nothing"),
        targets=parse("targets", _names, "different names with ',' between them"),
        metric=parse("metric", _one_of(METRICS), f"one of {', '.join(METRICS)}"),
        learning_rate=parse("learning_rate", _positive, "a positive number"),
        single_nucleotide=parse("single_nucleotide", _mark, "yes or no"),
        regional=parse("regional", _mark, "yes or no"),
        **{column: parse(column, _count, "a positive number") for column in counts},
    )
    _check_labels(where, dataset)
    return dataset


def _check_labels(where: str, dataset: Dataset) -> None:
    """Refuse classes, targets and metric that do not go together."""
    if dataset.type == "regression":
        if not dataset.targets:
            raise InputError(f"{where}: metric pearson, but targets is empty")
        if dataset.classes is not None:
            raise InputError(
                f"{where}: metric pearson, but classes is {dataset.classes}, "
                "expected nothing"
            )
        return
    if dataset.targets:
        raise InputError(
            f"{where}: metric mcc, but targets is {','.join(dataset.targets)!r}, "
            "expected nothing"
        )
    if dataset.classes is None or dataset.classes < 2:
        found = "empty" if dataset.classes is None else dataset.classes
        raise InputError(f"{where}: classes is {found}, expected at least 2")


def _one_of(words: tuple[str, ...]) -> Callable[[str], str]:
    def parse(cell: str) -> str:
        if cell not in words:
            raise ValueError
        return cell

    return parse


def _non_empty(cell: str) -> str:
    if not cell:
        raise ValueError
    return cell


def _relative_path(cell: str) -> str:
    if not cell or cell.startswith("/") or ".." in cell.split("/"):
        raise ValueError
    return cell


def _count(cell: str) -> int:
    # int() alone would also take '1_000' and digits of other scripts.
    if not re.fullmatch(r"[0-9]+", cell) or int(cell) == 0:
        raise ValueError
    return int(cell)


def _optional_count(cell: str) -> int | None:
    return _count(cell) if cell else None


def _names(cell: str) -> tuple[str, ...]:
    names = tuple(cell.split(",")) if cell else ()
    if len(set(names)) < len(names) or not all(
        re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name) for name in names
    ):
        raise ValueError
    return names


def _positive(cell: str) -> float:
    value = float(cell)
    if not 0 < value < math.inf:
        raise ValueError
    return value


def _mark(cell: str) -> bool:
    return {"yes": True, "no": False}[_one_of(("yes", "no"))(cell)]

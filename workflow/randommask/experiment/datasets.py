"""The list of benchmark datasets: `config/datasets.tsv`, read and checked.

A row a dataset, and with it all that fine-tuning has to know: where the rows lie,
what is predicted, how it is scored, the paper's hyperparameters, and the counts as
published. A `source` that starts with `.` or `/` is a folder of one's own, and only
its row may name a task that the paper does not have and leave the counts open.
Snakemake imports this module while it plans, so it imports nothing heavy.
"""

import csv
import math
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from randommask.errors import InputError
from randommask.files import at_hand

TASKS = ("EMP", "TF-M", "TF-H", "PD", "CPD", "SSP", "EAP")
"""The paper's seven tasks in the order in which tables print them."""

SPLITS = ("train", "dev", "test")

METRICS = ("mcc", "pearson")
"""Matthews correlation for classification, Pearson correlation for regression."""


@dataclass(frozen=True)
class Dataset:
    """One row of `datasets.tsv`; the fields are its columns, in its order."""

    dataset: str
    """The name that paths carry, such as `EMP-H3`."""
    task: str
    """One of `TASKS`, or any name for a dataset of one's own."""
    source: str
    """A folder of GUE, such as `prom/prom_core_all`; `deepstarr`; or one's own."""
    species: str
    bases: int
    """Length of the longest sequence as published, in bases."""
    classes: int | None
    """Number of classes; None for regression and several labels."""
    targets: tuple[str, ...]
    """The numbers to predict, or the labels that are each 0 or 1; else empty."""
    metric: str
    """One of `METRICS`; with `targets` it says what is predicted."""
    epochs: int
    batch_size: int
    learning_rate: float
    single_nucleotide: bool
    """The paper's Table 1: does a single base decide?"""
    regional: bool
    """The paper's Table 1: does a whole region decide?"""
    train_rows: int | None
    """Rows as published, None where nobody did; likewise the next two."""
    dev_rows: int | None
    test_rows: int | None

    @property
    def type(self) -> str:
        """`classification`, `multilabel` or `regression`."""
        if self.metric == "pearson":
            return "regression"
        return "multilabel" if self.targets else "classification"

    @property
    def own_folder(self) -> str | None:
        """The folder of a dataset of one's own, as short as it goes; else None."""
        return os.path.normpath(self.source) if _is_own(self.source) else None

    @property
    def rows(self) -> dict[str, int | None]:
        """Published rows of each split."""
        return dict(
            zip(SPLITS, (self.train_rows, self.dev_rows, self.test_rows), strict=True)
        )


COLUMNS = tuple(field.name for field in fields(Dataset))
MAY_BE_EMPTY = frozenset(("classes", "targets", *(f"{split}_rows" for split in SPLITS)))


def read(path: str | Path) -> list[Dataset]:
    """Read the datasets in the order of the file.

    Raises `InputError` naming file, line (the header is line 1), dataset and column
    where anything is not as it should be.
    """
    path = Path(at_hand(path))
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, IsADirectoryError):
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
        # An editor that trims the ends of lines takes the tabs before empty cells.
        if MAY_BE_EMPTY.issuperset(cut := header[len(cells) :]):
            cells += [""] * len(cut)
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


def gue_folder(source: Path, inside: str) -> Path:
    """The folder of a GUE dataset; the official archive keeps all of them in `GUE/`.

    Raises `InputError` where there is none.
    """
    folders = [source / inside, source / "GUE" / inside]
    for folder in folders:
        if folder.is_dir():
            return folder
    raise InputError(f"{folders[0]}: no such folder, nor {folders[1]}")


def is_there(source: Path, dataset: Dataset) -> bool:
    """Whether a local copy of `gue` or `deepstarr` has the dataset."""
    if dataset.source == "deepstarr":
        return (source / "Sequences_activity_Train.txt").exists()
    try:
        return (gue_folder(source, dataset.source) / "train.csv").exists()
    except InputError:
        return False


def rank(task: str) -> int:
    """The place of a task in the paper's order; all others come after, alike."""
    return TASKS.index(task) if task in TASKS else len(TASKS)


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
    try:
        _name(name)
    except ValueError:
        raise InputError(
            f"{where}: dataset is {name!r}, expected letters, digits, '-', '.' or '_'"
        ) from None
    where = f"{where} ({name})"
    own = _is_own(cells["source"])
    # what only a dataset of one's own may say
    open_to_own = () if own else ("task", *(f"{split}_rows" for split in SPLITS))

    def parse(column: str, kind: Callable[[str], Any], expected: str) -> Any:
        try:
            return kind(cells[column])
        except ValueError:
            hint = ""
            if column in open_to_own:
                hint = (
                    f" (source is {cells['source']!r}; a folder of one's own starts "
                    "with ./, ../ or /)"
                )
            raise InputError(
                f"{where}: {column} is {cells[column]!r}, expected {expected}{hint}"
            ) from None

    tasks = (_name, "a name") if own else (_one_of(TASKS), f"one of {', '.join(TASKS)}")
    counts = dict.fromkeys(("bases", "epochs", "batch_size"), _count)
    for split in SPLITS:
        counts[f"{split}_rows"] = _optional_count if own else _count
    dataset = Dataset(
        dataset=name,
        task=parse("task", *tasks),
        source=parse("source", _source, "a folder of GUE, deepstarr, ./ or / and more"),
        species=parse("species", _non_empty, "a species"),
        classes=parse("classes", _optional_count, "2, 3, ... or nothing"),
        targets=parse("targets", _names, "different names with ',' between them"),
        metric=parse("metric", _one_of(METRICS), f"one of {', '.join(METRICS)}"),
        learning_rate=parse("learning_rate", _positive, "a positive number"),
        single_nucleotide=parse("single_nucleotide", _mark, "yes or no"),
        regional=parse("regional", _mark, "yes or no"),
        **{
            name: parse(name, kind, "a positive number")
            for name, kind in counts.items()
        },
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
        if dataset.own_folder is None or dataset.classes is not None:
            found = ",".join(dataset.targets)
            also = "" if dataset.own_folder is None else ", or no classes"
            raise InputError(
                f"{where}: metric mcc, but targets is {found!r}, expected nothing{also}"
            )
        return
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


def _name(cell: str) -> str:
    # It becomes a folder, a Snakemake wildcard, or a word of a table.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", cell):
        raise ValueError
    return cell


def _is_own(source: str) -> bool:
    return source.startswith((".", "/"))


def _source(cell: str) -> str:
    # '.' alone would make the whole working directory an input.
    if not cell.strip("./") or (".." in cell.split("/") and not _is_own(cell)):
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

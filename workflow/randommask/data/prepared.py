"""A prepared data set read back: what `data.prepare` wrote, byte for byte.

`summary.json` holds the sha256 of each split, and no row is used before it is compared.
"""

import hashlib
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from randommask import files, metrics
from randommask.errors import InputError
from randommask.experiment.datasets import SPLITS

SUMMARY = "summary.json"


@dataclass(frozen=True)
class Summary:
    """What is to be predicted, and how the splits are known."""

    dataset: str
    task: str | None
    type: str
    """`classification`, `multilabel` or `regression`."""
    classes: int | None
    targets: tuple[str, ...]
    sha256: dict[str, str | None]
    """Of each split's file; None where the summary has none."""

    @property
    def columns(self) -> list[str]:
        """The labels: one column of classes, or one a target."""
        return [f"label_{target}" for target in self.targets] or ["label"]


def summary(folder: str | Path) -> Summary:
    """Read summary.json; `InputError` where it is not what `data.prepare` writes."""
    path = Path(folder) / SUMMARY
    found = files.read_json(path)

    def wrong(key: str, value: object, expected: str) -> InputError:
        shown = reprlib.repr(value)
        return InputError(f"{path}: {key} is {shown}, expected {expected}")

    if not isinstance(found, dict):
        raise wrong("all of it", found, "keys with values")
    for key in ("dataset", "type", "classes", "targets", "splits"):
        if key not in found:
            raise InputError(f"{path}: no key {key!r}, expected what prepare writes")
    kind, classes, targets = found["type"], found["classes"], found["targets"]
    if not isinstance(found["dataset"], str):
        raise wrong("dataset", found["dataset"], "a name")
    if kind not in metrics.CHOSEN_BY:
        raise wrong("type", kind, " or ".join(metrics.CHOSEN_BY))
    is_many = kind != metrics.CLASSIFICATION
    if not (classes is None if is_many else type(classes) is int and classes > 1):
        raise wrong("classes", classes, "null" if is_many else "2 or more")
    is_names = isinstance(targets, list) and all(isinstance(t, str) for t in targets)
    if not is_names or bool(targets) != is_many:
        raise wrong("targets", targets, "names" if is_many else "none")
    if not isinstance(found["splits"], dict):
        raise wrong("splits", found["splits"], "keys with values")
    sums = {}
    for split in SPLITS:
        part = found["splits"].get(split)
        sums[split] = part.get("sha256") if isinstance(part, dict) else None
    name, task = found["dataset"], found.get("task")
    return Summary(name, task, kind, classes, tuple(targets), sums)


def table(
    folder: str | Path, split: str, known: Summary, sequences: bool = True
) -> pa.Table:
    """The rows of a split; `InputError` where its file is not the one that was made.

    The sequences may be left out.
    """
    path = Path(folder) / f"{split}.parquet"
    content = path.read_bytes()  # once: what is checked is what is read
    digest = hashlib.sha256(content).hexdigest()
    if digest != known.sha256[split]:
        raise InputError(
            f"{path}: sha256 is {digest}, expected {known.sha256[split]} ({SUMMARY}); "
            "delete the folder, it is prepared again"
        )
    columns = [*(("sequence",) if sequences else ()), *known.columns]
    made = parquet(path, content, columns)
    if not made.num_rows:
        raise InputError(f"{path}: 0 rows, expected at least 1")
    return made


def parquet(
    path: str | Path, content: bytes, columns: Sequence[str] | None = None
) -> pa.Table:
    """The columns of a parquet file; `InputError` where it cannot be read."""
    try:
        # read_table would import the machinery for datasets of many files
        file = pq.ParquetFile(pa.BufferReader(content))
        for column in columns or ():
            if column not in file.schema_arrow.names:
                raise InputError(f"{path}: no column {column}")
        # Arrow's threads may still hold the bytes when Python ends, and then abort it.
        return file.read(columns, use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"{path}: not readable as parquet ({first})") from None

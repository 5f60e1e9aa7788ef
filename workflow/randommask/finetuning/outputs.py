"""The three files that a run writes, whether an encoder made it or counts of k-mers."""

import platform
import resource
import sys
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import randommask
from randommask import files, metrics
from randommask.experiment.hparams import Run
from randommask.finetuning import purpose
from randommask.finetuning.examples import Examples


class Clock:
    """What a run takes, from now on, as metrics.json has it.

    Of a process that several runs share, each has taken an equal part: the times of
    all are that of the process. Snakemake's benchmark of a job does not see a command
    that is forked elsewhere.
    """

    def __init__(self, sharers: int = 1) -> None:
        self.sharers, self.wall, self.processor = sharers, 0.0, 0.0
        self._before = time.perf_counter(), time.process_time()

    def share(self, sharers: int) -> None:
        """Count what was taken until now; from now on so many runs share."""
        before, self._before = self._before, (time.perf_counter(), time.process_time())
        self.wall += (self._before[0] - before[0]) / self.sharers
        self.processor += (self._before[1] - before[1]) / self.sharers
        self.sharers = sharers

    def seconds(self) -> float:
        """Of wall time, so far."""
        self.share(self.sharers)
        return self.wall

    def spent(self, before: float = 0.0) -> dict[str, float | int]:
        """Seconds with those of earlier processes; this one's cores and memory."""
        wall = self.seconds()
        unit = 1 if sys.platform == "darwin" else 1024
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return {
            "seconds": round(before + wall, 2),
            "cores": round(self.processor / wall, 2),
            "peak_memory_bytes": memory,
        }


def report(
    data: Examples,
    run: Run,
    dev: np.ndarray,
    test: np.ndarray,
    packages: Sequence[str],
    **own: Any,
) -> dict[str, Any]:
    """What metrics.json holds of the settings, the scores and where they come from.

    `own` is what only this kind of run has; its `flags` stand before ours.
    """
    labels = {name: split.labels for name, split in data.splits.items()}
    scores = metrics.score(data.type, labels["test"], test)
    told = run.values()
    return {
        **{name: told[name] for name in Run.model_fields if name in told},
        "score": scores[run.metric],
        "dev": metrics.score(data.type, labels["dev"], dev),
        "test": scores,
        "settings": told,
        "rows": {name: len(values) for name, values in labels.items()},
        "data_sha256": data.checksums,
        "versions": {
            "randommask": randommask.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
        **own,
        "flags": [
            *own.get("flags", ()),
            *metrics.flags(data.type, test),
            *_undefined(run.metric, labels),
        ],
    }


def _undefined(metric: str, labels: dict[str, np.ndarray]) -> list[str]:
    """Flags for the splits of which no score is defined."""
    found = {name: metrics.undefined(labels[name]) for name in ("dev", "test")}
    return [
        f"{metric} {metrics.UNDEFINED}: {why} in {name}"
        for name, why in found.items()
        if why
    ]


def write_predictions(path: str | Path, data: Examples, test_NO: np.ndarray) -> None:
    """Write row (from 0), labels and predictions of the test split."""
    labels = data.splits["test"].labels
    columns = {"row": np.arange(len(labels))}
    if data.type == metrics.CLASSIFICATION:
        columns["label"] = labels
    else:
        for target, values in zip(data.targets, labels.T, strict=True):
            columns[f"label_{target}"] = values
    names = purpose.columns(data.type, data.classes, data.targets)
    columns |= dict(zip(names, test_NO.T, strict=True))
    arrays = [_column(values) for values in columns.values()]
    with files.write_aside(path) as aside:
        pq.write_table(pa.Table.from_arrays(arrays, list(columns)), aside)


def _column(values: np.ndarray) -> pa.Array:
    """Numbers as arrow holds them; `pyarrow.array` would import pandas."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(values))]
    kind = pa.from_numpy_dtype(values.dtype)
    return pa.Array.from_buffers(kind, len(values), buffers)


def _cell(value: float | str) -> str:
    """Empty where a score is undefined."""
    is_nan = not isinstance(value, str) and np.isnan(value)
    return "" if is_nan else str(value)


def write_history(
    path: str | Path, columns: Sequence[str], rows: Iterable[Sequence[float | str]]
) -> None:
    """Write a line for each epoch, or for each model that was tried."""
    lines = [",".join(columns), *(",".join(map(_cell, row)) for row in rows)]
    files.write_text(path, "\n".join(lines) + "\n")

"""What a model says of records and regions: a line a window."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from randommask import files
from randommask.data.records import CHUNK, Source, Window
from randommask.predict.model import FineTuned

OK = "ok"


@contextmanager
def table(path: str | Path, header: list[str]) -> Iterator[Any]:
    """A writer of tab-separated lines below a header; the file appears when whole."""
    with (
        files.write_aside(path, streams=True) as aside,
        open(aside, "w", encoding="utf-8", newline="") as file,
    ):
        lines = csv.writer(file, delimiter="\t", lineterminator="\n")
        lines.writerow(header)
        yield lines


def unknown(bases: str) -> str:
    """The share of a sequence that is not A, C, G or T."""
    return f"{bases.count('N') / max(1, len(bases)):.4g}"


def predict(model: FineTuned, source: Source, output: str | Path) -> int:
    """Write what the model says of all records; return how many have no prediction.

    Those that have some, but not of all their windows, count too.
    """
    columns, quality = model.purpose.columns, ["windows", "unknown", "unread"]
    header = ["record", "id", *source.columns, "start", "end", *columns, *quality]
    windows = source.windows(model.purpose.window_bases, model.config.k)
    with table(output, [*header, "status"]) as lines:
        while chunk := list(islice(windows, CHUNK)):
            for window, values, problem in _predicted(model, chunk):
                cells = [f"{value:.7g}" for value in values]
                place, bases = [window.start, window.end], window.bases
                made = [window.windows, unknown(bases), model.unread(len(bases))]
                if problem:
                    source.miss(window.record, problem)
                    cells = [""] * len(columns)
                if not bases:
                    place, made = ["", ""], [""] * len(quality)
                record = (window.record, window.name, *window.more, *place)
                lines.writerow([*record, *cells, *made, problem or OK])
    return source.say("prediction (see status)")


def _predicted(
    model: FineTuned, chunk: list[Window]
) -> Iterator[tuple[Window, np.ndarray, str | None]]:
    """Each window with its values and what is wrong with it."""
    sound = [window.bases for window in chunk if not window.problem]
    values, problems = model.predict(sound) if sound else ((), ())
    made = iter(zip(values, problems, strict=True))
    for window in chunk:
        if window.problem:
            yield window, (), window.problem
        else:
            yield window, *next(made)

"""The history of a pretraining: one row a stretch of steps, exact across stops.

`history.csv` holds only what the settings determine (speeds go to `speed.csv`), so that
a run that was killed and one that was not write the same bytes. Losses are in nats a
masked token; `phase` counts from 1; `bound` is `curriculum.information_bound`.
`outliers` counts the row's steps whose loss or gradient norm lies more than six robust
standard deviations from the median of the last hundreds of steps of the same phase:
where a bit flipped, a batch was odd or training diverges.
`spans.csv` has the validation loss with all spans of one length, which compares
encoders in different phases.
"""

import csv
import io

import numpy as np

from randommask.experiment.hparams import Settings
from randommask.pretraining import curriculum
from randommask.training import optimizer

COLUMNS = (
    "step",
    "phase",
    "max_span",
    "masked_share",
    "loss",
    "bound",
    "validation_loss",
    "learning_rate",
    "gradient_norm",
    "outliers",
)
SPAN_COLUMNS = ("step", "span", "validation_loss", "bound")
SUMS = ("steps", "loss", "masked", "tokens", "gradient_norm", "outliers")
# Of the steps that one is held against: how many at most, and how many at least.
RECENT, ENOUGH = 300, 100
FAR = 6.0  # robust standard deviations


class History:
    """The rows of both files, and the sums of the row that is not finished."""

    def __init__(
        self,
        rows: list[dict],
        spans: list[dict],
        sums: dict[str, float] | None = None,
        recent: dict[str, list[float]] | None = None,
    ) -> None:
        self.rows, self.spans = rows, spans
        self.sums = dict.fromkeys(SUMS, 0.0) | (sums or {})
        self.recent = recent or {}

    def add(self, sums: dict[str, float]) -> None:
        """Add what one step gave."""
        values = {
            "loss": sums["loss"] / max(sums["masked"], 1.0),
            "gradient_norm": sums["gradient_norm"],
        }
        before = {name: self.recent.get(name, []) for name in values}
        is_outlier = any(is_far(values[name], before[name]) for name in values)
        self.recent = {
            name: [*before[name], value][-RECENT:] for name, value in values.items()
        }
        for name, value in {**sums, "outliers": is_outlier}.items():
            self.sums[name] += value

    def close_row(
        self, settings: Settings, step: int, bound: float, validation: float | None
    ) -> dict:
        """Finish the row that ends with `step` steps done."""
        phase = curriculum.phase_at(settings.curriculum, step - 1)
        sums = self.sums
        row = {
            "step": step,
            "phase": phase + 1,
            "max_span": settings.curriculum[phase].max_span,
            "masked_share": sums["masked"] / sums["tokens"],
            "loss": sums["loss"] / max(sums["masked"], 1.0),
            "bound": bound,
            "validation_loss": "" if validation is None else validation,
            "learning_rate": optimizer.learning_rate(
                settings.learning_rate, settings.warmup_steps, settings.steps, step - 1
            ),
            "gradient_norm": sums["gradient_norm"] / sums["steps"],
            "outliers": int(sums["outliers"]),
        }
        self.rows.append(row)
        self.sums = dict.fromkeys(SUMS, 0.0)
        if step in [phase.until for phase in settings.curriculum]:
            self.recent = {}  # another phase has another loss
        return row

    def state(self) -> dict:
        """A copy of all of it as JSON, to go on from: `History(**state)`."""
        return {
            "rows": list(self.rows),
            "spans": list(self.spans),
            "sums": dict(self.sums),
            "recent": dict(self.recent),
        }

    def csv(self) -> str:
        """The rows of history.csv as text; floats read back exactly."""
        return _csv(COLUMNS, self.rows)

    def spans_csv(self) -> str:
        """The rows of spans.csv as text."""
        return _csv(SPAN_COLUMNS, self.spans)


def is_far(value: float, others: list[float]) -> bool:
    """Whether a value is an outlier beside the others; not told of a few.

    The median of their distances from their median, times 1.4826, is the standard
    deviation where they are normal, and some wild ones among them do not change it.
    """
    if len(others) < ENOUGH:
        return False
    median = np.median(others)
    spread = 1.4826 * np.median(np.abs(np.asarray(others) - median))
    return bool(abs(value - median) > FAR * spread)


def _csv(columns: tuple[str, ...], rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()

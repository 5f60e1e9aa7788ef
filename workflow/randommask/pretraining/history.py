"""The history of a pretraining: one row a stretch of steps, exact across stops.

`history.csv` holds only what the settings determine (speeds go to `speed.csv`), so that
a run that was killed and one that was not write the same bytes. Losses are in nats a
masked token; `phase` counts from 1; `bound` is `curriculum.information_bound`.
`spans.csv` has the validation loss with all spans of one length, which compares
encoders in different phases.
"""

import csv
import io

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
)
SPAN_COLUMNS = ("step", "span", "validation_loss", "bound")
SUMS = ("steps", "loss", "masked", "tokens", "gradient_norm")


class History:
    """The rows of both files, and the sums of the row that is not finished."""

    def __init__(
        self,
        rows: list[dict],
        spans: list[dict],
        sums: dict[str, float] | None = None,
    ) -> None:
        self.rows, self.spans = rows, spans
        self.sums = sums or dict.fromkeys(SUMS, 0.0)

    def add(self, sums: dict[str, float]) -> None:
        """Add what one step gave."""
        for name in SUMS:
            self.sums[name] += sums[name]

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
        }
        self.rows.append(row)
        self.sums = dict.fromkeys(SUMS, 0.0)
        return row

    def state(self) -> dict:
        """A copy of all of it as JSON, to go on from: `History(**state)`."""
        return {
            "rows": list(self.rows),
            "spans": list(self.spans),
            "sums": dict(self.sums),
        }

    def csv(self) -> str:
        """The rows of history.csv as text; floats read back exactly."""
        return _csv(COLUMNS, self.rows)

    def spans_csv(self) -> str:
        """The rows of spans.csv as text."""
        return _csv(SPAN_COLUMNS, self.spans)


def _csv(columns: tuple[str, ...], rows: list[dict]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()

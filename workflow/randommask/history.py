"""The history of a pretraining: one row a stretch of steps, exact across stops.

`history.csv` holds only what the settings determine (speeds go to `speed.csv`), so that
a run that was killed and one that was not write the same bytes. Losses are in nats a
masked token; `phase` counts from 1; `bound` is `curriculum.information_bound`.
"""

import csv
import io

from randommask import curriculum

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
SUMS = ("steps", "loss", "asked", "tokens", "gradient_norm")


class History:
    """The rows of history.csv, and the sums of the row that is not finished."""

    def __init__(self, rows: list[dict], sums: dict[str, float] | None = None) -> None:
        self.rows = rows
        self.sums = sums or dict.fromkeys(SUMS, 0.0)

    def add(self, sums: dict[str, float]) -> None:
        """Add what one step gave."""
        for name in SUMS:
            self.sums[name] += sums[name]

    def close_row(
        self, settings: dict, step: int, bound: float, validation: float | None
    ) -> dict:
        """Finish the row that ends with `step` steps done."""
        phase = curriculum.phase_at(settings["curriculum"], step - 1)
        sums = self.sums
        row = {
            "step": step,
            "phase": phase + 1,
            "max_span": settings["curriculum"][phase]["max_span"],
            "masked_share": sums["asked"] / sums["tokens"],
            "loss": sums["loss"] / max(sums["asked"], 1.0),
            "bound": bound,
            "validation_loss": "" if validation is None else validation,
            "learning_rate": curriculum.learning_rate(settings, step - 1),
            "gradient_norm": sums["gradient_norm"] / sums["steps"],
        }
        self.rows.append(row)
        self.sums = dict.fromkeys(SUMS, 0.0)
        return row

    def csv(self) -> str:
        """The rows as text; floats are written so that they read back exactly."""
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        return text.getvalue()

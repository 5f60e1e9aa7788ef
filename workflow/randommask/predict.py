"""Apply a fine-tuned model to sequences of one's own.

    python -m randommask.predict --model results/models/randommask/overlapping/EMP-H3 \
        --fasta my.fa --output predictions.tsv

`--csv FILE` takes a table, parted by commas or tabs, with a column `sequence` and, if
it has one, `id` (else the id is the row from 0). `docs/inputs.md` says how files are
read. The model's folder is what `snakemake results/models/<encoder>/<tokenization>/
<dataset>` makes.

The output is tab-separated, in the order of the input: `record` (its number, from 1),
`id`, `start`, `end` (bases from 0, the end not included), then `p0`, `p1`, ... the
probabilities of the classes, or `y_<target>` in the target's own unit, and `status`,
which is `ok`, or why there is no prediction: the numbers are then left out. A record
that cannot be predicted does not lose the others; there being some is said on stderr,
and the exit status is 3.

A model is shown what it was trained on: a sequence longer than the longest
training sequence is cut into windows of that length, each starting half a window after
the one before, the last one ending with the sequence; each window is a line. A shorter
sequence is one line. U is read as T, other letters than A, C, G and T count as N.

Memory is bounded by the longest record, a byte a base, and by the names.
"""

import argparse
import csv
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from randommask import files
from randommask.data import records
from randommask.data.records import CHUNK, INCOMPLETE, Window
from randommask.encoders import families
from randommask.errors import run
from randommask.finetuning import heads, purpose, tuning
from randommask.finetuning.purpose import Purpose
from randommask.training.precision import autocast

OK = "ok"


class FineTuned:
    """A model's folder, loaded: sequences in, probabilities or values out."""

    def __init__(self, folder: str | Path) -> None:
        self.purpose: Purpose = purpose.read(folder)
        self.family = families.of(folder)
        self.config = self.family.read_config(folder)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.autocast = autocast(self.purpose.precision, self.device)
        self.model = heads.load(folder).to(self.device)

    @torch.inference_mode()
    def predict(self, sequences: list[str]) -> tuple[np.ndarray, list[str | None]]:
        """Probabilities or values, (N, O) float32, and what is wrong with each row.

        The values of a sequence of more tokens than the model has positions are NaN.
        """
        ids, lengths = self.family.tokenize(
            sequences, self.purpose.tokenization, self.config
        )
        fits = lengths <= self.config.positions
        made = np.full((len(ids), len(self.purpose.columns)), np.nan, np.float32)
        if fits.any():
            made[fits] = self._outputs(ids[fits], lengths[fits])
        problems: list[str | None] = [None] * len(ids)
        for row in np.flatnonzero(~np.isfinite(made).all(1)):
            problems[row] = "the model's output is not finite"
        for row in np.flatnonzero(~fits):
            problems[row] = (
                f"{lengths[row]} tokens, expected at most the model's "
                f"{self.config.positions} positions"
            )
        return made, problems

    def _outputs(self, ids: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Of rows that fit the model."""
        told = (self.config.heads, self.purpose.precision, self.device)
        parts = []
        for ids_BT, keep_BT in tuning.batches(ids, lengths, *told):
            with self.autocast:
                parts.append(self.model(ids_BT, keep_BT).float())
        # The saved head gives values in their own unit, so nothing is scaled here.
        return tuning.predictions(self.purpose.type, torch.cat(parts), 1.0, 0.0)


def predict(
    folder: str | Path,
    output: str | Path,
    *,
    fasta: str | Path | None = None,
    table: str | Path | None = None,
) -> int:
    """Write what the model in `folder` says of all sequences of a FASTA or csv file.

    Returns how many records have no prediction, or not of all their windows. Raises
    `InputError` for a model or a file that is not as it should be as a whole.
    """
    files.check_file(output, fasta, table, *Path(folder).glob("*"))
    model = FineTuned(folder)
    source = records.Source(fasta, table)
    windows = source.windows(model.purpose.window_bases, model.config.k)
    with (
        files.write_aside(output, streams=True) as aside,
        open(aside, "w", encoding="utf-8", newline="") as file,
    ):
        lines = csv.writer(file, delimiter="\t", lineterminator="\n")
        columns = model.purpose.columns
        lines.writerow(["record", "id", "start", "end", *columns, "status"])
        while chunk := list(islice(windows, CHUNK)):
            for window, values, problem in _predicted(model, chunk):
                cells = [f"{value:.7g}" for value in values]
                place = [window.start, window.end]
                if problem:
                    source.miss(window.record, problem)
                    cells = [""] * len(columns)
                    place = place if window.bases else ["", ""]
                record = (window.record, window.name, *place)
                lines.writerow([*record, *cells, problem or OK])
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


def main(argv: list[str] | None = None) -> None:
    """Read the flags and predict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder of a fine-tuned model")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--fasta", help="FASTA, plain or gzip")
    source.add_argument("--csv", help="table with a column `sequence`, plain or gzip")
    parser.add_argument("--output", required=True, help="tab-separated table to write")
    flags = parser.parse_args(argv)
    if predict(flags.model, flags.output, fasta=flags.fasta, table=flags.csv):
        sys.exit(INCOMPLETE)


if __name__ == "__main__":
    run(main)

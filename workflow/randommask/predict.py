"""Apply a fine-tuned model to sequences of one's own.

    python -m randommask.predict --model results/models/randommask/overlapping/EMP-H3 \
        --fasta my.fa --output predictions.tsv

`--csv FILE` takes a table with a column `sequence` and, if it has one, `id` (else the
id is the row from 0). Both may be gzip. The model's folder is what `snakemake
results/models/<encoder>/<tokenization>/<dataset>` makes.

The output is tab-separated: `id`, `start`, `end` (bases from 0, the end not included),
then `p0`, `p1`, ... the probabilities of the classes, or `y_<target>` in the target's
own unit.

A model is shown what it was trained on: a sequence longer than the longest
training sequence is cut into windows of that length, each starting half a window after
the one before, the last one ending with the sequence; each window is a line. A shorter
sequence is one line. Letters other than A, C, G and T count as N.

Memory is bounded by the longest FASTA record, a byte a base, whatever the file's size.
"""

import argparse
import csv
import gzip
import sys
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from randommask import files, genome
from randommask.encoders import families
from randommask.errors import InputError, run
from randommask.finetuning import heads, purpose, tuning
from randommask.finetuning.purpose import Purpose
from randommask.training.precision import autocast

# Windows tokenized together: enough to keep the tokenizer's cost a window low, and
# few enough that a genome is never in memory as text.
CHUNK = 1024
# What reading a table raises that is cut off, packed badly, or no text.
BROKEN = (EOFError, gzip.BadGzipFile, zlib.error, csv.Error, UnicodeDecodeError)
_LETTERS = str.maketrans("", "", genome.IUPAC + genome.IUPAC.lower())

Window = tuple[str, int, int, str]
"""Id, start, end, bases."""


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
    def predict(self, windows: list[Window]) -> np.ndarray:
        """Probabilities or values of the windows, (N, O) float32."""
        ids, lengths = self.family.tokenize(
            [bases for *_, bases in windows], self.purpose.tokenization, self.config
        )
        if (tokens := int(lengths.max())) > self.config.positions:
            name, start, end, _ = windows[int(lengths.argmax())]
            raise InputError(
                f"{name} from {start} to {end}: {tokens} tokens, expected at most the "
                f"model's {self.config.positions} positions"
            )
        lengths_N, most = torch.from_numpy(lengths), tuning.PREDICTED_ROWS
        if self.device.type == "cpu":
            most = tuning.rows_at_once(
                self.config.heads, tokens, self.purpose.precision
            )
        parts = []
        for first in range(0, len(ids), most):
            lengths_B = lengths_N[first : first + most]
            longest = int(lengths_B.max())
            keep_BT = tuning.keep_mask(lengths_B, longest)
            if keep_BT is not None:
                keep_BT = keep_BT.to(self.device)
            ids_BT = torch.from_numpy(ids[first : first + most, :longest])
            with self.autocast:
                parts.append(self.model(ids_BT.to(self.device).long(), keep_BT).float())
        # The saved head gives values in their own unit, so nothing is scaled here.
        return tuning.predictions(self.purpose.type, torch.cat(parts), 1.0, 0.0)


def predict(
    folder: str | Path,
    output: str | Path,
    *,
    fasta: str | Path | None = None,
    table: str | Path | None = None,
) -> None:
    """Write what the model in `folder` says of all sequences of a FASTA or csv file.

    Raises `InputError` for a model or a file that is not as it should be.
    """
    files.check_file(output, fasta, table, *Path(folder).glob("*"))
    model = FineTuned(folder)
    if fasta is not None:
        windows = fasta_windows(fasta, model.purpose.window_bases, model.config.k)
    else:
        windows = table_windows(table, model.purpose.window_bases, model.config.k)
    with (
        files.write_aside(output, streams=True) as aside,
        open(aside, "w", encoding="utf-8", newline="") as file,
    ):
        lines = csv.writer(file, delimiter="\t", lineterminator="\n")
        lines.writerow(["id", "start", "end", *model.purpose.columns])
        while chunk := list(islice(windows, CHUNK)):
            found = model.predict(chunk)
            for (name, start, end, _), values in zip(chunk, found, strict=True):
                lines.writerow(
                    [name, start, end, *(f"{value:.7g}" for value in values)]
                )


def starts(length: int, window: int) -> Iterator[int]:
    """Where the windows of a sequence start; see the head of this module.

    >>> list(starts(10, 4)), list(starts(11, 4)), list(starts(3, 4))
    ([0, 2, 4, 6], [0, 2, 4, 6, 7], [0])
    """
    last = max(0, length - window)
    yield from range(0, last, max(1, window // 2))
    yield last


def fasta_windows(path: str | Path, window: int, least: int) -> Iterator[Window]:
    """Cut the records of a FASTA file; each has at least `least` bases."""
    if not Path(path).is_file():
        raise InputError(f"{path}: no such file")
    for name, codes in genome.read_fasta(path):
        _check_length(f"{path}: record {name}", len(codes), least)
        for start in starts(len(codes), window):
            end = min(start + window, len(codes))
            yield name, start, end, genome.decode(codes[start:end])


def table_windows(path: str | Path, window: int, least: int) -> Iterator[Window]:
    """Cut the sequences of a csv file, each of at least `least` bases."""
    row = -1
    for row, cells in enumerate(_rows(Path(path))):
        sequence = cells["sequence"] or ""
        where = f"{path}: row {row}"
        if strange := sequence.translate(_LETTERS):
            raise InputError(
                f"{where}: found {strange[0]!a}, "
                f"expected IUPAC letters ({genome.IUPAC})"
            )
        _check_length(where, len(sequence), least)
        for start in starts(len(sequence), window):
            end = min(start + window, len(sequence))
            yield cells.get("id", str(row)), start, end, sequence[start:end].upper()
    if row < 0:
        raise InputError(f"{path}: 0 rows, expected at least 1")


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a csv file, plain or gzip, that has a column `sequence`."""
    csv.field_size_limit(sys.maxsize)  # else a field ends at 131,072 bases
    try:
        with open(path, "rb") as raw:
            is_gzip = raw.peek(len(genome.GZIP_MAGIC)).startswith(genome.GZIP_MAGIC)
        with (gzip.open if is_gzip else open)(
            path, "rt", encoding="utf-8-sig", newline=""
        ) as file:
            rows = csv.DictReader(file)
            if "sequence" not in (rows.fieldnames or []):
                found = ", ".join(rows.fieldnames or []) or "an empty file"
                raise InputError(f"{path}: no column sequence, found {found[:60]!a}")
            yield from rows
    except BROKEN as error:
        raise InputError(f"{path}: not readable as csv ({error})") from None


def _check_length(where: str, found: int, least: int) -> None:
    if found < least:
        raise InputError(f"{where}: {found} bases, expected at least {least}")


def main(argv: list[str] | None = None) -> None:
    """Read the flags and predict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="folder of a fine-tuned model")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--fasta", help="FASTA, plain or gzip")
    source.add_argument("--csv", help="csv with a column `sequence`, plain or gzip")
    parser.add_argument("--output", required=True, help="tab-separated table to write")
    flags = parser.parse_args(argv)
    predict(flags.model, flags.output, fasta=flags.fasta, table=flags.csv)


if __name__ == "__main__":
    run(main)

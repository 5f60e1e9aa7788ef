"""Vectors of one's own sequences, by any encoder that the workflow knows.

    python -m randommask.embed --encoder results/encoders/randommask \
        --fasta my.fa --output vectors.parquet

`--csv FILE` takes a table, as `randommask.predict` does. The encoder may be one of
ours, a released one that was converted, or a fine-tuned model. `--pooling` says what a
vector is: the `mean` over the sequence's tokens, `cls`, the state of the token before
it, or `tokens`, one for each token. `--layer` counts from 1; without it, it is the
last, after the last norm, which is what heads read.

A sequence of more tokens than the encoder has positions, or longer than `--window`
bases, is cut into windows, each starting half a window after the one before. U is read
as T, other letters than A, C, G and T count as N.

The output has a row a window, or a token: `record` (from 1), `id`, `start`, `end`
(bases from 0, the end not included), `status` and `vector`, H numbers. A name that ends
in `.parquet` makes a table, written piece by piece; one in `.npz` makes NumPy's archive
of six arrays, all in memory before. The status is `ok`, or why a record or window has
no vector (too short, or not DNA): in its place stand nulls in a table, NaN in an
archive; it is told on stderr too, and the exit status is then 3.

Shapes: B rows, T tokens, H hidden units.
"""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from randommask import files, kmers
from randommask.data import records
from randommask.data.records import CHUNK, INCOMPLETE, Window
from randommask.encoders import families, pooling
from randommask.errors import InputError, run
from randommask.experiment.sections import OWN
from randommask.finetuning import tuning
from randommask.training import memory
from randommask.training.precision import autocast

TOKENS = "tokens"
POOLINGS = (pooling.MEAN, pooling.CLS, TOKENS)
COLUMNS = ("record", "id", "start", "end", "status")
OK = "ok"
Rows = tuple[list[tuple[int, str, int, int, str]], np.ndarray]
"""What each vector is of, by `COLUMNS`, and the vectors: (rows, H) float32.

Of what has none it is NaN.
"""


class Embedder:
    """An encoder, loaded: windows in, vectors out."""

    def __init__(
        self,
        folder: str | Path,
        pooled: str = pooling.MEAN,
        layer: int | None = None,
        tokenization: str | None = None,
        precision: str = "fp32",
    ) -> None:
        self.family = families.of(folder)
        self.config = self.family.read_config(folder)
        known = self.family.TOKENIZATIONS
        own = getattr(self.config, "tokenization", known[-1])  # NT's is the last
        self.tokenization = tokenization or own
        if self.tokenization not in known:
            raise InputError(
                f"{folder}: tokenization is {tokenization}, "
                f"expected {' or '.join(known)}"
            )
        self.model = self.family.load(folder, 0.0).eval()
        layers = len(self.model.layers)
        if layer is not None and not 1 <= layer <= layers:
            raise InputError(f"{folder}: layer is {layer}, expected 1 to {layers}")
        if pooled == pooling.CLS and not self.model.specials:
            raise InputError(f"{folder}: pooling is cls, but its sequences have none")
        if pooled == TOKENS and self.tokenization in (kmers.NON_OVERLAPPING, OWN):
            # which may have single letters at their ends or around an N, or any length
            raise InputError(f"{folder}: pooling is tokens, expected overlapping ones")
        # What the last norm follows is what heads read.
        self.layer = None if layer == layers else layer
        self.pooled, self.precision = pooled, precision
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(self.device)
        self.autocast = autocast(precision, self.device)

    @property
    def window(self) -> int:
        """Bases that always fit the encoder's positions."""
        _, [least] = self.family.tokenize(
            ["A" * self.config.k], self.tokenization, self.config
        )
        tokens = self.config.positions - int(least - 1)  # without the specials
        if self.tokenization == kmers.NON_OVERLAPPING:
            return tokens * self.config.k
        return tokens + self.config.k - 1

    @torch.inference_mode()
    def embed(self, windows: list[Window]) -> Rows:
        """The vectors of windows, in their order.

        Around an N some tokenizers make a token of every letter, so that a window may
        have more of them than the encoder has positions.
        """
        problems = [window.problem for window in windows]
        sound = [row for row, problem in enumerate(problems) if not problem]
        vectors = self._sound(windows, sound, problems) if sound else {}
        nothing = np.full((1, self.config.hidden), np.nan, np.float32)
        places: list[tuple[int, str, int, int, str]] = []
        for row, window in enumerate(windows):
            named = (window.record, window.name)
            if row in vectors and self.pooled == TOKENS:
                first = range(window.start, window.start + len(vectors[row]))
                places += [(*named, s, s + self.config.k, OK) for s in first]
            else:
                places.append((*named, window.start, window.end, problems[row] or OK))
        parts = [vectors.get(row, nothing) for row in range(len(windows))]
        return places, np.concatenate(parts)

    def _sound(
        self, windows: list[Window], sound: list[int], problems: list[str | None]
    ) -> dict[int, np.ndarray]:
        """The vectors of windows without problems; of those too long a problem."""
        sequences = [windows[row].bases for row in sound]
        ids, lengths = self.family.tokenize(sequences, self.tokenization, self.config)
        fits = lengths <= self.config.positions
        for place in np.flatnonzero(~fits):
            problems[sound[place]] = (
                f"{lengths[place]} tokens, expected at most the encoder's "
                f"{self.config.positions} positions; lower --window"
            )
        made: list[np.ndarray] = []
        told = (self.config.heads, self.precision, self.device)
        for ids_BT, keep_BT in tuning.batches(ids[fits], lengths[fits], *told):
            made += self._vectors(ids_BT, keep_BT)
        rows = (sound[place] for place in np.flatnonzero(fits))
        return dict(zip(rows, made, strict=True))

    def _vectors(self, ids_BT: Tensor, keep_BT: Tensor | None) -> list[np.ndarray]:
        """Of each row its vectors, one or many: (1 or tokens, H) float32."""
        with self.autocast, after(self.model, self.layer) as kept:
            states_BTH = self.model.states(ids_BT, keep_BT)
        states_BTH = kept.get("states", states_BTH).float()
        if self.pooled == pooling.CLS:
            return list(states_BTH[:, :1].cpu().numpy())
        own_BT = pooling.chosen(ids_BT, keep_BT, *self.model.specials)
        if self.pooled == pooling.MEAN:
            return list(pooling.mean(states_BTH, own_BT)[:, None].cpu().numpy())
        pairs = zip(states_BTH, own_BT, strict=True)
        return [states[own].cpu().numpy() for states, own in pairs]


@contextmanager
def after(model: nn.Module, layer: int | None) -> Iterator[dict[str, Tensor]]:
    """Keep what a layer (from 1) puts out while the model runs; None: nothing."""
    kept: dict[str, Tensor] = {}
    if layer is None:
        yield kept
        return

    def keep(_: nn.Module, __: Any, out: Any) -> None:
        kept["states"] = out[0] if isinstance(out, tuple) else out

    handle = model.layers[layer - 1].register_forward_hook(keep)
    try:
        yield kept
    finally:
        handle.remove()


def embed(
    embedder: Embedder,
    output: str | Path,
    *,
    fasta: str | Path | None = None,
    table: str | Path | None = None,
    window: int | None = None,
) -> int:
    """Write the vectors of all sequences of a file; return how many records have none.

    Raises `InputError` for a file that is not as it should be as a whole.
    """
    files.check_file(output, fasta, table)
    if window is not None and window < embedder.config.k:
        raise InputError(
            f"--window: found {window}, expected at least {embedder.config.k}, "
            "the bases of a token"
        )
    source = records.Source(fasta, table)
    size = min(window or embedder.window, embedder.window)
    windows = source.windows(size, embedder.config.k)

    def made() -> Iterator[Rows]:
        while chunk := list(islice(windows, CHUNK)):
            rows = embedder.embed(chunk)
            for record, *_, status in rows[0]:
                if status != OK:
                    source.miss(record, status)
            yield rows

    with files.write_aside(output) as aside:
        WRITERS[Path(output).suffix](aside, made(), embedder.config.hidden)
    return source.say("vector (see status)")


def _write_table(path: Path, made: Iterator[Rows], hidden: int) -> None:
    kinds = (pa.int64(), pa.string(), pa.int64(), pa.int64(), pa.string())
    columns = list(zip(COLUMNS, kinds, strict=True))
    schema = pa.schema([*columns, ("vector", pa.list_(pa.float32(), hidden))])
    with pq.ParquetWriter(path, schema) as writer:
        for places, vectors in made:
            values = pa.array(vectors.ravel(), pa.float32())
            missing = pa.array([status != OK for *_, status in places])
            vectors = pa.FixedSizeListArray.from_arrays(values, hidden, mask=missing)
            cells = [
                pa.array(column, kind)
                for column, kind in zip(zip(*places, strict=True), kinds, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays([*cells, vectors], schema=schema))


def _write_archive(path: Path, made: Iterator[Rows], hidden: int) -> None:
    places, parts = [], [np.empty((0, hidden), np.float32)]
    for own, vectors in made:
        places += own
        parts.append(vectors)
    columns = zip(*places, strict=True) if places else ((),) * len(COLUMNS)
    arrays = dict(zip(COLUMNS, map(np.array, columns), strict=True))
    with open(path, "wb") as file:
        np.savez(file, **arrays, vector=np.concatenate(parts))


WRITERS = {".parquet": _write_table, ".npz": _write_archive}


def main(argv: list[str] | None = None) -> None:
    """Read the flags and embed."""
    parser = argparse.ArgumentParser(
        prog="python -m randommask.embed", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--encoder", required=True, help="folder of an encoder")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--fasta", help="FASTA, plain or gzip")
    source.add_argument("--csv", help="table with a column `sequence`, plain or gzip")
    parser.add_argument(
        "--output",
        required=True,
        type=files.new_file,
        help="name.parquet or name.npz",
    )
    parser.add_argument("--pooling", choices=POOLINGS, default=pooling.MEAN)
    parser.add_argument("--layer", type=int, help="from 1; the last without it")
    parser.add_argument("--tokenization", help="as the encoder was trained, without it")
    parser.add_argument("--window", type=int, help="bases; what fits without it")
    parser.add_argument("--precision", choices=("fp32", "bf16", "auto"), default="fp32")
    flags = parser.parse_args(argv)
    memory.keep_freed()
    if Path(flags.output).suffix not in WRITERS:
        kinds = " or ".join(WRITERS)
        raise InputError(f"{flags.output}: expected a name that ends in {kinds}")
    embedder = Embedder(
        flags.encoder, flags.pooling, flags.layer, flags.tokenization, flags.precision
    )
    told = {"fasta": flags.fasta, "table": flags.csv, "window": flags.window}
    if embed(embedder, flags.output, **told):
        sys.exit(INCOMPLETE)


if __name__ == "__main__":
    run(main)

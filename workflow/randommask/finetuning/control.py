"""What runs that train no encoder share: their flags, and the files they write."""

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from randommask import files
from randommask.experiment.hparams import Run
from randommask.finetuning import outputs
from randommask.finetuning.examples import Examples

FILES = ("metrics", "predictions", "history")


def write(
    paths: dict[str, str | Path | None],
    data: Examples,
    settings: Run,
    *,
    dev: np.ndarray,
    test: np.ndarray,
    tried: tuple[Sequence[str], Iterable[Sequence[float | str]]],
    packages: Sequence[str],
    clock: outputs.Clock,
    **own: Any,
) -> None:
    """Write those of `FILES` that `paths` names.

    `tried` is the head of history.csv and its lines, `clock` from when the work began,
    and `own` what only this control says in metrics.json.
    """
    if paths["predictions"]:
        outputs.write_predictions(paths["predictions"], data, test)
    if paths["history"]:
        outputs.write_history(paths["history"], *tried)
    if paths["metrics"]:
        own = {"best_epoch": None, **own, **clock.spent()}
        report = outputs.report(data, settings, dev, test, packages, **own)
        files.write_json(paths["metrics"], report)


def command(
    description: str,
    form: type[Run],
    fit: Callable[..., None],
    argv: list[str] | None = None,
    *,
    reads_encoder: bool = False,
) -> None:
    """Read the flags of a control, or of a probe, which reads an encoder, and fit."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    if reads_encoder:
        parser.add_argument("--encoder", required=True, help="folder of an encoder")
    parser.add_argument("--data", required=True, help="folder of the data set")
    parser.add_argument("--hparams", required=True, help=f"JSON: see {form.__name__}")
    parser.add_argument("--metrics", type=files.new_file, help="JSON to write")
    parser.add_argument("--predictions", type=files.new_file, help="parquet to write")
    parser.add_argument(
        "--history", type=files.new_file, help="csv to write, a line for each one tried"
    )
    flags = parser.parse_args(argv)
    paths = {f"{name}_path": getattr(flags, name) for name in FILES}
    read = (flags.encoder, flags.data) if reads_encoder else (flags.data,)
    fit(*read, form.parse(flags.hparams), **paths)

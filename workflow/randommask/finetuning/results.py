"""What a fine-tuning leaves: metrics, predictions, history, and the weights."""

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from randommask import files
from randommask.encoders import families
from randommask.encoders.folder import link_or_copy
from randommask.finetuning import card, heads, outputs, purpose
from randommask.finetuning.fitting import Outcome
from randommask.finetuning.tuning import Tuning
from randommask.training.state import link_tree

VERSIONED = ("torch", "numpy", "pyarrow", "safetensors")
HISTORY = ("epoch", "step", "train_loss", "dev_loss")


def report(
    tuning: Tuning,
    outcome: Outcome,
    test: np.ndarray,
    encoder_sha256: dict[str, str],
    clock: outputs.Clock,
) -> dict:
    """What metrics.json says of a run that has ended."""
    is_cuda = tuning.device.type == "cuda"
    # Of all runs of this process together, as they were there at once.
    memory = {"peak_memory_bytes": torch.cuda.max_memory_allocated()} if is_cuda else {}
    return outputs.report(
        tuning.data,
        tuning.settings,
        outcome.dev,
        test,
        VERSIONED,
        best_epoch=outcome.best_epoch,
        epochs=len(outcome.history),
        flags=outcome.flags,
        architecture=asdict(tuning.config),
        device=torch.cuda.get_device_name(tuning.device) if is_cuda else "cpu",
        precision=tuning.precision,
        compiled=tuning.compiled is not None,
        threads=torch.get_num_threads(),
        encoder_sha256=encoder_sha256,
        **clock.spent(outcome.seconds) | memory,
    )


def write(
    tuning: Tuning,
    encoder: str | Path,
    outcome: Outcome,
    test: np.ndarray,
    report: dict,
    paths: dict[str, Path],
) -> None:
    """Write the outputs that have a path; the metrics last, which stand for all."""
    if "model" in paths:
        with files.make_aside(paths["model"]) as aside:
            write_model(aside, tuning, encoder, report)
    if "predictions" in paths:
        outputs.write_predictions(paths["predictions"], tuning.data, test)
    if "history" in paths:
        names = (*HISTORY, f"dev_{tuning.settings.metric}")
        outputs.write_history(paths["history"], names, outcome.history)
    if "metrics" in paths:
        files.write_json(paths["metrics"], report)


def write_model(
    folder: Path, tuning: Tuning, encoder: str | Path, report: dict
) -> None:
    """Write the fine-tuned weights, and what they are for, into `folder`."""
    data, tokenization = tuning.data, tuning.settings.tokenization
    named = {"type": data.type, "targets": data.targets, "tokenization": tokenization}
    heads.save(tuning.model, folder, tuning.scale, tuning.shift, **named)
    bases = max(map(len, data.splits["train"].sequences))
    family = families.of(encoder)
    made_for = purpose.Purpose(
        dataset=data.dataset,
        tokenization=tokenization,
        type=data.type,
        classes=data.classes,
        targets=list(data.targets),
        window_bases=purpose.window(family, tokenization, tuning.config, bases),
        precision=tuning.precision,
    )
    purpose.write(folder, made_for)
    loads = {
        "is_classifier": heads.is_classifier(folder),
        "has_body": heads.has_body(folder),
    }
    card.write(folder, made_for, report, **loads)


def give(kept: Path, path: Path) -> None:
    """Give a finished output its own name too, unless it has it.

    A file that is renamed to another name of itself would keep both names.
    """
    if path.exists() and path.samefile(kept):
        return
    if kept.is_dir():
        with files.make_aside(path) as aside:
            link_tree(kept, aside)
        return
    with files.write_aside(path) as aside:
        if not aside.exists():
            link_or_copy(kept, aside)
            return
        with open(kept, "rb") as made, open(aside, "wb") as file:  # a pipe, a device
            shutil.copyfileobj(made, file)

"""Small genomes and pretraining settings that several tests start from."""

from pathlib import Path

import numpy as np

from randommask.data import shards
from randommask.experiment.hparams import Pretraining


def make_corpus(folder: Path, sequences: dict[str, str]) -> str:
    """Shards and manifest of some sequences; the manifest's path."""
    fasta = folder.parent / f"{folder.name}.fa"
    fasta.write_text("".join(f">{name}\n{seq}\n" for name, seq in sequences.items()))
    shards.tokenize(fasta, folder, "made", None)
    return str(folder / "manifest.json")


def random_corpus(folder: Path, bases: int = 20_000) -> str:
    """A corpus of two random chromosomes."""
    letters = np.array(list("ACGT"))
    draws = np.random.default_rng(0).integers(0, 4, (2, bases))
    rows = ["".join(letters[row]) for row in draws]
    return make_corpus(folder, {"chr1": rows[0], "chr2": rows[1]})


MODERN = {
    **{"kind": "modern", "layers": 2, "hidden": 16, "heads": 2, "feed_forward": 24},
    **{"positions": 40, "dropout": 0.1, "local": 4},
}
"""Its second layer attends to near tokens, block by block."""


def segment(start: int = 0, end: int = 12, steps: int = 24, **changes) -> Pretraining:
    """What one small pretraining job has to know."""
    settings = {
        "architecture": {
            "layers": 2,
            "hidden": 16,
            "heads": 2,
            "feed_forward": 32,
            "positions": 40,
            "dropout": 0.1,
        },
        "genomes": ["made"],
        "held_out": [],
        "reverse_complement": False,
        "k": 4,
        "tokenization": "overlapping",
        "tokens": 24,
        "seed": 1,
        "batch": 8,
        "micro_batch": 4,
        "steps": steps,
        "learning_rate": 0.003,
        "warmup_steps": 4,
        "betas": [0.9, 0.98],
        "eps": 1e-6,
        "weight_decay": 0.01,
        "clip": 1.0,
        "curriculum": [{"until": 6, "max_span": 4}, {"until": end, "max_span": 8}],
        "min_span": 4,
        "center_probability": 0.05,
        "target_share": None,
        "replacement": {"mask": 0.8, "random": 0.1},
        "precision": "fp32",
        "validation_windows": 8,
    }
    found = {
        "start": start,
        "end": end,
        "milestones": [step for step in (0, 3, 9) if start <= step < end],
        "log_every": 4,
        "validate_every": 8,
        "validation_spans": [4, 8],
        "span_masking": {
            key: settings[key]
            for key in ("center_probability", "target_share", "replacement")
        },
        "settings": {**settings, **changes},
    }
    return Pretraining.model_validate(found)

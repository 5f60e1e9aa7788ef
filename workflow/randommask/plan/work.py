"""What jobs compute, download and store, by arithmetic alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from randommask import masking
from randommask.encoders.cost import Sizes, forward_flops, parameters, training_flops
from randommask.experiment.datasets import Dataset
from randommask.experiment.hparams import Settings
from randommask.experiment.sections import Experiment, LocalCopy
from randommask.experiment.sections.pretraining import CHARACTER
from randommask.kmers import OVERLAPPING

WEIGHT_BYTES = 4  # fp32
STATE_COPIES = 3  # a checkpoint: weights and AdamW's two moments
GZIP_RATIO = 3.14  # bases a byte of hg38.fa.gz
ROLLING = 3  # checkpoints of a running segment: two kept, one being written


@dataclass(frozen=True)
class Work:
    """What a job computes."""

    steps: int = 0
    """Optimizer steps."""
    tokens: float = 0.0
    """Tokens trained on."""
    flops: float = 0.0

    def __add__(self, other: "Work") -> "Work":
        return Work(
            self.steps + other.steps,
            self.tokens + other.tokens,
            self.flops + other.flops,
        )


def segment(hparams: dict[str, Any], vocabulary: int) -> Work:
    """Work of a pretraining job from its `--hparams`, validation left out."""
    keys = hparams["settings"]
    sizes, total = Sizes.of(keys["architecture"]), Work()
    settings = Settings.model_validate(keys)
    first = 0
    for phase in keys["curriculum"]:
        start, end = max(first, hparams["start"]), min(phase["until"], hparams["end"])
        first = phase["until"]
        if end <= start:
            continue
        share = masking.phase_share(settings, phase["max_span"])
        tokens = (end - start) * keys["batch"] * keys["tokens"]
        each = training_flops(sizes, vocabulary, keys["tokens"], share)
        total += Work(end - start, tokens, tokens * each)
    return total


def sequence_tokens(family: str, tokenization: str, bases: int, k: int) -> int:
    """Tokens that a family's tokenizer makes of so many bases, specials included.

    BERT's stand between [CLS] and [SEP]. ESM has `<cls>` alone, and single letters for
    what is left behind its last whole k-mer. HyenaDNA fine-tunes without specials.

    >>> sequence_tokens("bert", "overlapping", 249, 6)
    246
    >>> sequence_tokens("esm", "non-overlapping", 249, 6)  # <cls>, 41 k-mers, 3 letters
    45
    >>> sequence_tokens("hyena", "character", 249, 1)
    249
    """
    if tokenization == CHARACTER:
        return bases
    specials = 1 if family == "esm" else 2
    if tokenization == OVERLAPPING:
        return bases - k + 1 + specials
    return bases // k + specials + (bases % k if family == "esm" else 0)


def finetuning(
    hparams: dict[str, Any],
    dataset: Dataset,
    rows: dict[str, int],
    sizes: Any,
    k: int,
    family: str = "bert",
) -> Work:
    """Work of a fine-tuning run: every epoch trains on train and predicts dev.

    The test rows are predicted once. A training pass is three forward passes.
    """
    tokens = sequence_tokens(family, hparams["tokenization"], dataset.bases, k)
    tokens = min(tokens, sizes.positions) if hparams["truncate"] else tokens
    each = tokens * forward_flops(sizes, tokens)
    epochs = hparams["epochs"]
    passes = epochs * (3 * rows["train"] + rows["dev"]) + rows["test"]
    steps = epochs * -(-rows["train"] // hparams["batch_size"])
    return Work(steps, epochs * rows["train"] * tokens, passes * each)


def segment_bytes(hparams: dict[str, Any], vocabulary: int) -> tuple[int, int]:
    """Bytes that a segment leaves (encoder, state, milestones), and those meanwhile."""
    sizes = Sizes.of(hparams["settings"]["architecture"])
    weights = WEIGHT_BYTES * parameters(sizes, vocabulary)
    left = weights * (1 + STATE_COPIES + len(hparams["milestones"]))
    return left, weights * STATE_COPIES * ROLLING


def is_size_known(source: dict[str, Any]) -> bool:
    """Whether the config says how many bytes there are to download."""
    return all(file.get("bytes") for file in source.get("files", []))


def download_bytes(source: dict[str, Any]) -> int:
    """Bytes to download, as far as the config says; a local copy is linked to."""
    return sum(file.get("bytes") or 0 for file in source.get("files", []))


def genome_bases(experiment: Experiment, genome: str) -> int:
    """Bases of a genome, a byte each as shards, from the size of its files."""
    source = experiment.sources[genome]
    if not isinstance(source, LocalCopy):
        return int(download_bytes(source.given()) * GZIP_RATIO)
    place = Path(source.path)
    found = place.rglob("*") if place.is_dir() else [place]
    return sum(
        int(path.stat().st_size * (GZIP_RATIO if path.suffix == ".gz" else 1))
        for path in found
        if path.is_file()
    )

"""What jobs compute, download and store, by arithmetic alone."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from randommask import kmers, masking
from randommask.encoders.cost import forward_flops, parameters, training_flops
from randommask.experiment.datasets import Dataset
from randommask.experiment.form import Section
from randommask.experiment.hparams import Finetuning, Pretraining
from randommask.experiment.sections import CHARACTER, OWN, Experiment, LocalCopy
from randommask.kmers import OVERLAPPING

WEIGHT_BYTES = 4  # fp32
STATE_COPIES = 3  # a checkpoint: weights and AdamW's two moments
GZIP_RATIO = 3.14  # bases a byte of hg38.fa.gz
BASES_A_WORD = 5  # of BPE with 4,096 words, on average (Zhou et al. 2024)
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


def segment(hparams: Pretraining) -> Work:
    """Work of a pretraining job, validation left out."""
    settings, total, first = hparams.settings, Work(), 0
    vocabulary = kmers.vocab_size(settings.k)
    for phase in settings.curriculum:
        start, end = max(first, hparams.start), min(phase.until, hparams.end)
        first = phase.until
        if end <= start:
            continue
        share = masking.phase_share(settings, phase)
        tokens = (end - start) * settings.batch * settings.tokens
        sizes = settings.architecture
        each = training_flops(sizes, vocabulary, settings.tokens, share)
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
    if tokenization == OWN:
        return bases // BASES_A_WORD + 2
    specials = 1 if family == "esm" else 2
    if tokenization == OVERLAPPING:
        return bases - k + 1 + specials
    return bases // k + specials + (bases % k if family == "esm" else 0)


def finetuning(
    hparams: Finetuning,
    dataset: Dataset,
    rows: dict[str, int],
    sizes: Any,
    k: int,
    family: str = "bert",
) -> Work:
    """Work of a fine-tuning run: every epoch trains on train and predicts dev.

    The test rows are predicted once. A training pass is three forward passes.
    """
    tokens = sequence_tokens(family, hparams.tokenization, dataset.bases, k)
    tokens = min(tokens, sizes.positions) if hparams.truncate else tokens
    each = tokens * forward_flops(sizes, tokens)
    epochs = hparams.epochs
    train = min(rows["train"], hparams.train_rows or rows["train"])
    passes = epochs * (3 * train + rows["dev"]) + rows["test"]
    steps = epochs * -(-train // hparams.batch_size)
    return Work(steps, epochs * train * tokens, passes * each)


def segment_bytes(hparams: Pretraining) -> tuple[int, int]:
    """Bytes that a segment leaves (encoder, state, milestones), and those meanwhile."""
    vocabulary = kmers.vocab_size(hparams.settings.k)
    weights = WEIGHT_BYTES * parameters(hparams.settings.architecture, vocabulary)
    left = weights * (1 + STATE_COPIES + len(hparams.milestones))
    return left, weights * STATE_COPIES * ROLLING


def is_size_known(source: Section) -> bool:
    """Whether the config says how many bytes there are to download."""
    return all(file.bytes for file in getattr(source, "files", ()))


def download_bytes(source: Section) -> int:
    """Bytes to download, as far as the config says; a local copy is linked to."""
    return sum(file.bytes or 0 for file in getattr(source, "files", ()))


def genome_bases(experiment: Experiment, genome: str) -> int:
    """Bases of a genome, a byte each as shards, from the size of its files."""
    source = experiment.sources[genome]
    if not isinstance(source, LocalCopy):
        return int(download_bytes(source) * GZIP_RATIO)
    copy = Path(source.path)
    found = copy.rglob("*") if copy.is_dir() else [copy]
    return sum(
        int(path.stat().st_size * (GZIP_RATIO if path.suffix == ".gz" else 1))
        for path in found
        if path.is_file()
    )

"""A training step on the CPU, against transformers' own model in the usual loop.

    PYTHONPATH=workflow python bench/pretraining.py [--quick] [--repeats 3]

The same weights and the same masked batch for all; steps alternate, medians are shown.
Against `BertForMaskedLM`, and the modern encoder against `ModernBertForMaskedLM`.
The usual loop: logits at every position, torch's AdamW as it comes, and attention once
written out ("eager") and once fused ("SDPA", the default of recent transformers), in
fp32. Ours: the head and most of the last layer only where something is masked, fused
AdamW, dropout from cheap numbers, in fp32 and with bf16 products.

OMP_NUM_THREADS chooses the threads; with one it is processor time that counts, which a
busy machine spoils less. `--quick` measures the first size of each alone.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoModelForMaskedLM
from transformers.utils import logging

from randommask import kmers, masking
from randommask.encoders import bert, modern, ours
from randommask.training.optimizer import AdamW

K, MAX_SPAN = 6, 6
CLIP, WEIGHT_DECAY, LEARNING_RATE = 1.0, 0.01, 1e-4
MINI = bert.EncoderConfig(4, 256, 4, 1024, 512, K, "overlapping")
BASE = bert.EncoderConfig(12, 768, 12, 3072, 512, K, "overlapping")
# Of as many weights as those: GeGLU has three matrices where BERT has two.
MODERN = modern.EncoderConfig(4, 256, 4, 680, 512, K, "overlapping")
MODERN_BASE = modern.EncoderConfig(12, 768, 12, 2048, 512, K, "overlapping")
SIZES = [  # encoder, tokens, sequences
    (MINI, 128, 16),
    (MODERN, 128, 16),
    (MINI, 512, 4),
    (MODERN, 512, 4),
    (BASE, 512, 2),
    (MODERN_BASE, 512, 2),
]
HEADER = (
    "encoder, tokens x sequences",
    "dropout",
    "transformers, eager (ms)",
    "transformers, SDPA (ms)",
    "ours, fp32 (ms)",
    "ours, bf16 (ms)",
    "fp32: eager / ours",
    "fp32: SDPA / ours",
    "eager / ours, bf16",
)


def batch(tokens: int, sequences: int) -> tuple[Tensor, Tensor]:
    """Inputs and labels (B, T) of random DNA, masked as the baseline masks it."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 4, (sequences, tokens - 2 + K - 1), np.uint8)
    ids = np.empty((sequences, tokens), np.uint16)
    ids[:, 0], ids[:, -1] = kmers.CLS, kmers.SEP
    ids[:, 1:-1] = kmers.kmer_ids(codes, K)
    inputs, labels = masking.corrupt(ids, MAX_SPAN, seed=1, step=0)
    return tuple(torch.from_numpy(part.astype(np.int64)) for part in (inputs, labels))


def peer(folder: str, attention: str, inputs: Tensor, labels: Tensor) -> Callable:
    """One step of the usual loop; it returns the loss."""
    model = AutoModelForMaskedLM.from_pretrained(folder, attn_implementation=attention)
    model.train()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY
    )

    def step() -> float:
        loss = model(input_ids=inputs, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return step


def own(folder: str, is_bf16: bool, inputs: Tensor, labels: Tensor) -> Callable:
    """One step as `randommask.pretraining.trainer` takes it; it returns the loss."""
    model = ours.at(folder).load(folder).train()
    parameters = list(model.parameters())
    optimizer = AdamW(parameters, (0.9, 0.999), 1e-8, WEIGHT_DECAY)

    def step() -> float:
        masked = (labels.flatten() >= 0).nonzero().flatten()
        with torch.autocast("cpu", torch.bfloat16, enabled=is_bf16):
            logits = model.head(model(inputs, wanted=masked))
        targets = labels.flatten()[masked]
        loss = F.cross_entropy(logits.float(), targets, reduction="sum")
        loss.backward()
        torch._foreach_mul_([p.grad for p in parameters], 1 / len(masked))
        torch.nn.utils.clip_grad_norm_(parameters, CLIP)
        optimizer.step(LEARNING_RATE)
        return loss.item() / len(masked)

    return step


def measure(
    config: bert.EncoderConfig | modern.EncoderConfig,
    tokens: int,
    sequences: int,
    repeats: int,
) -> list[float]:
    """Milliseconds a step: peer eager, peer SDPA, ours fp32, ours bf16."""
    module = modern if isinstance(config, modern.EncoderConfig) else bert
    model = module.Encoder(config)
    model.initialise(torch.Generator().manual_seed(0))
    data = batch(tokens, sequences)
    with tempfile.TemporaryDirectory() as folder:
        module.save(model, folder)
        steps = [
            peer(folder, "eager", *data),
            peer(folder, "sdpa", *data),
            own(folder, False, *data),
            own(folder, True, *data),
        ]
    losses = [step() for step in steps]  # warms up too
    spread = max(losses) - min(losses)
    if spread > (0.01 if config.dropout == 0 else 0.2):
        raise RuntimeError(f"losses {losses} of one batch: not the same work")
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    seconds: list[list[float]] = [[] for _ in steps]
    for _ in range(repeats):
        for step, taken in zip(steps, seconds, strict=True):
            start = clock()
            step()
            taken.append(clock() - start)
    return [1000 * statistics.median(taken) for taken in seconds]


def main(argv: list[str] | None = None) -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the first size alone")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args(argv)
    logging.disable_progress_bar()
    rows = [HEADER, ("---",) * len(HEADER)]
    for config, tokens, sequences in SIZES[: 2 if arguments.quick else None]:
        for dropout in (0.0, 0.1):
            eager, sdpa, fp32, bf16 = times = measure(
                replace(config, dropout=dropout), tokens, sequences, arguments.repeats
            )
            ratios = (eager / fp32, sdpa / fp32, eager / bf16)
            kind = getattr(config, "kind", "bert")
            size = f"{kind} {config.layers} x {config.hidden}, {tokens} x {sequences}"
            shown = [*(f"{ms:.0f}" for ms in times), *(f"{r:.2f}" for r in ratios)]
            rows.append((size, str(dropout), *shown))
    print("\n".join(f"| {' | '.join(row)} |" for row in rows))


if __name__ == "__main__":
    main()

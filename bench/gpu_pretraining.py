"""Pretraining on one GPU, against transformers' BertForMaskedLM: one Markdown table.

    PYTHONPATH=workflow python bench/gpu_pretraining.py [--budget 420] [--rows 4]

The base encoder, 512 x 512 tokens a step, bf16, spans of 6 to 14. Ours is the real
`Trainer` with its loader; transformers' is the usual loop (autocast, fused AdamW,
clipping, logits at every position) over batches that lie on the device already. Shares
are of the rate of a large dense bf16 product, measured first: "useful" counts what
`cost` counts for everybody, "executed" what ours really multiplies, since its last
layer and head leave out most positions that are not masked. Milliseconds are of a whole
step, on the device, medians; compilation is the first step's time less a later one's.

Rows are printed as they come, until `--budget` seconds are over. `--tiny` rehearses on
any machine.
"""

import argparse
import gc
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

from randommask import masking
from randommask.data.windows import Corpus
from randommask.encoders import bert, cost
from randommask.experiment.hparams import Settings
from randommask.files import sha256
from randommask.genome import ALPHABET
from randommask.pretraining import loader, trainer
from randommask.pretraining.trainer import Trainer

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
BASE = {"layers": 12, "hidden": 768, "heads": 12, "feed_forward": 3072}
TINY = {"layers": 2, "hidden": 16, "heads": 2, "feed_forward": 32}
SMALLER = 32  # times, are the batches of --tiny
BASES, PRODUCT = 2**24, 8192  # of the made corpus; a side of the dense product
REPEATS, STEPS = 3, 4  # timed: stretches, and steps in each
WAYS = [  # whose, micro-batch, dropout
    ("ours", 64, 0.1),
    ("transformers sdpa", 64, 0.1),
    ("transformers eager", 64, 0.1),
    ("ours", 128, 0.1),
    ("ours", 64, 0.0),
    ("ours", 32, 0.1),
    ("ours", 256, 0.1),
    ("ours", 128, 0.0),
    ("ours", 256, 0.0),
    ("ours", 32, 0.0),
]
PUBLISHED = ("published: 133 M masked LM, one H200", 327_680, 6 * 133e6)
"""Tokens a second as its authors have them, not measured here; FLOP a token by its
weights alone, as neither its length nor its vocabulary is said."""
PARTS = ("forward", "backward", "optimizer")
HEADER = (
    "way, micro-batch, dropout",
    "tokens/s",
    "MFLOP/token",
    "TFLOP/s",
    "useful",
    "executed",
    "step (ms)",
    *(f"{part} (ms)" for part in PARTS),
    "rest (ms)",
    "loader waited (ms)",
    "memory (GiB)",
    "compilation (s)",
)


@dataclass
class Measured:
    """What some steps took; times in seconds."""

    step: float
    first: float  # which compiles
    memory: float  # the most allocated at once, GiB
    waited: float = 0.0  # for the loader, a step
    loss: float = 0.0  # mean of the third step, nats
    parts: dict[str, float] = field(default_factory=dict)


def make_settings(tiny: bool, micro: int, dropout: float) -> Settings:
    """What a `Trainer` has to know."""
    sizes, scale = (TINY, SMALLER) if tiny else (BASE, 1)
    found = {
        "architecture": {**sizes, "positions": 512 // scale, "dropout": dropout},
        "genomes": ["made"],
        "held_out": [],
        "reverse_complement": False,
        "k": 6,
        "tokenization": "overlapping",
        "tokens": 512 // scale,
        "seed": 1,
        "batch": 512 // scale,
        "micro_batch": micro // scale,
        "steps": 10_000,
        "learning_rate": 1e-4,
        "warmup_steps": 1000,
        "betas": [0.9, 0.98],
        "eps": 1e-6,
        "weight_decay": 0.01,
        "clip": 1.0,
        "curriculum": [{"until": 10_000, "max_span": 14}],
        "min_span": 6,
        "center_probability": 0.025,
        "target_share": None,
        "replacement": {"mask": 0.8, "random": 0.1},
        "precision": "bf16",
        "validation_windows": 8,
    }
    return Settings.model_validate(found)


@contextmanager
def random_corpus() -> Iterator[str]:
    """A corpus to train on, its manifest; without a GPU nothing is really compiled."""
    compiler = trainer.COMPILER if CUDA else "eager"
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.object(trainer, "COMPILER", compiler),
    ):
        yield write_corpus(Path(folder))


def write_corpus(folder: Path) -> str:
    """A chromosome of random codes; the manifest's path."""
    np.save(folder / "chr1.npy", np.random.default_rng(0).integers(0, 4, BASES, "u1"))
    entry = {"name": "chr1", "file": "chr1.npy", "length": BASES}
    entry |= {"sha256": sha256(folder / "chr1.npy"), "intervals": [[0, BASES]]}
    path = folder / "manifest.json"
    made = {"genome": "made", "alphabet": ALPHABET, "sources": []}
    path.write_text(json.dumps({**made, "chromosomes": [entry]}))
    return str(path)


def mark() -> Any:
    """A moment on the device."""
    if not CUDA:
        return time.perf_counter()
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def seconds(spans: list[tuple[Any, Any]]) -> float:
    """Time between the two moments of each span, in all."""
    if not CUDA:
        return sum(end - start for start, end in spans)
    wait()
    return sum(start.elapsed_time(end) for start, end in spans) / 1000


def wait() -> None:
    """For the device."""
    if CUDA:
        torch.cuda.synchronize()


def memory() -> float:
    """The most allocated at once on the device, GiB."""
    return torch.cuda.max_memory_allocated() / 2**30 if CUDA else 0.0


def dense_rate(size: int) -> float:
    """FLOP/s of a bf16 product of two square matrices, the median."""
    left, right = torch.randn(2, size, size, dtype=torch.bfloat16, device=DEVICE)
    taken = []
    for _ in range(30):
        start = mark()
        left @ right
        taken.append((start, mark()))
    return 2 * size**3 / statistics.median(seconds([span]) for span in taken[5:])


def clear() -> None:
    """Forget what is compiled and give memory back."""
    torch._dynamo.reset()
    gc.collect()
    if CUDA:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def take(step: Callable[[int], Any], finish: Callable[[], Any]) -> Measured:
    """Time steps of a training loop; `step` takes a number, `finish` ends a stretch."""
    start = time.perf_counter()
    step(0)
    finish()
    first = time.perf_counter() - start
    for number in (1, 2):
        step(number)
    finish()
    taken, number = [], 3
    for _ in range(REPEATS):
        start = time.perf_counter()
        for _ in range(STEPS):
            step(number)
            number += 1
        finish()
        taken.append((time.perf_counter() - start) / STEPS)
    return Measured(statistics.median(taken), first, memory())


def ours(settings: Settings, manifest: str, _: str = "") -> Measured:
    """Our steps, and after them two whose parts are timed."""
    run, sums = Trainer(settings, [manifest], compiled=True), []
    found = take(run.step, lambda: sums.extend(run.collect()[0]))
    found.loss = sums[2]["loss"] / sums[2]["masked"]
    spans = {part: [] for part in PARTS}
    owners = ((run, "loss"), (run.gradient, "add"), (run.optimizer, "step"))
    for (owner, name), part in zip(owners, PARTS, strict=True):
        setattr(owner, name, timed(getattr(owner, name), spans[part]))
    for step in (100, 101, 102):  # the loader begins anew at the first
        run.step(step)
        if step == 100:
            waited = run.loader.waited
            for part in spans.values():
                part.clear()
    run.collect()
    found.waited = (run.loader.waited - waited) / 2
    found.parts = {part: seconds(span) / 2 for part, span in spans.items()}
    run.close()
    return found


def timed(function: Callable, spans: list[tuple[Any, Any]]) -> Callable:
    """The same function, whose spans are kept."""

    def call(*arguments: Any) -> Any:
        start = mark()
        result = function(*arguments)
        spans.append((start, mark()))
        return result

    return call


def peer(settings: Settings, manifest: str, way: str) -> Measured:
    """Steps of the usual loop over transformers' model."""
    from transformers import BertForMaskedLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    sizes = bert.EncoderConfig(
        **settings.architecture.values(), k=settings.k, tokenization="overlapping"
    )
    with tempfile.TemporaryDirectory() as folder:
        bert.save(bert.Encoder(sizes), folder)
        model = BertForMaskedLM.from_pretrained(
            folder, attn_implementation=way.split()[1]
        )
    model.to(DEVICE).train()
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4, fused=True)
    corpus = Corpus([manifest], settings.tokens + 3, [])
    batches = []
    for batch in loader.Loader(settings, corpus, 0, 1).make(0):
        labels = torch.full((batch.inputs_MT.numel(),), loader.IGNORED)
        labels[batch.positions_P[: batch.masked]] = batch.targets_P[: batch.masked]
        labels = labels.view_as(batch.inputs_MT)
        batches.append((batch.inputs_MT.long().to(DEVICE), labels.to(DEVICE)))
    spans = {part: [] for part in PARTS}

    def forward(inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with torch.autocast(DEVICE.type, torch.bfloat16):
            loss = model(input_ids=inputs, labels=labels).loss
        return loss / len(batches)

    forward = timed(forward, spans["forward"])
    backward = timed(torch.Tensor.backward, spans["backward"])
    update = timed(optimizer.step, spans["optimizer"])

    def step(_: int) -> None:
        for inputs, labels in batches:
            backward(forward(inputs, labels))
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        update()
        optimizer.zero_grad()

    found = take(step, wait)
    steps = 2 + REPEATS * STEPS  # all but the first
    for part, span in spans.items():
        found.parts[part] = seconds(span[len(span) // (steps + 1) :]) / steps
    return found


def flops(settings: Settings) -> tuple[float, float]:
    """FLOP a token: useful ones, and those that ours executes."""
    sizes = cost.Sizes.of(settings.architecture.values())
    masked = masking.masked_share(settings)
    useful = cost.training_flops(sizes, 4101, settings.tokens, masked)
    share = loader.capacity(settings) / settings.micro_batch / settings.tokens
    head = sizes.hidden**2 + sizes.hidden * 4101
    last = sizes.hidden**2 + 2 * sizes.hidden * sizes.feed_forward  # after attention
    return useful, useful + 6 * ((share - masked) * head - (1 - share) * last)


def cells(way: str, settings: dict, found: Measured, rate: float) -> list[str]:
    """A row of the table."""
    speed = settings.batch * settings.tokens / found.step
    useful, executed = flops(settings)
    parts = list(found.parts.values())
    parts.append(found.step - sum(parts))
    is_ours = way.startswith("ours")
    return [
        way,
        f"{speed:,.0f}",
        f"{useful / 1e6:.0f}",
        f"{speed * useful / 1e12:.1f}",
        f"{speed * useful / rate:.1%}",
        f"{speed * executed / rate:.1%}" if is_ours else "",
        f"{1000 * found.step:.1f}",
        *(f"{1000 * part:.1f}" for part in parts),
        f"{1000 * found.waited:.1f}" if is_ours else "",
        f"{found.memory:.1f}",
        f"{found.first - found.step:.0f}" if is_ours else "",
    ]


def show(row: Sequence[str]) -> None:
    """Print a row now; empty cells at its end may be left out."""
    print(f"| {' | '.join(row)} |", flush=True)


def compare(manifest: str, tiny: bool, budget: float, rows: int) -> None:
    """Print the table of all ways."""
    start, longest = time.monotonic(), 0.0
    rate = dense_rate(64 if tiny else PRODUCT)
    show(HEADER)
    show(["---"] * len(HEADER))
    show([f"dense product of {PRODUCT}", "", "", f"{rate / 1e12:.1f}", "100.0%"])
    name, tokens, each = PUBLISHED
    show([name, f"{tokens:,}", f"{each / 1e6:.0f}", f"{tokens * each / 1e12:.1f}"])
    for way, micro, dropout in WAYS[:rows]:
        if (before := time.monotonic()) - start + longest > budget:
            print("the time is over: rows were left out", file=sys.stderr)
            break
        clear()
        settings = make_settings(tiny, micro, dropout)
        found = (ours if way == "ours" else peer)(settings, manifest, way)
        show(cells(f"{way}, {micro}, {dropout}", settings, found, rate))
        longest = max(longest, time.monotonic() - before)


def main(argv: list[str] | None = None) -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=420.0, help="seconds")
    parser.add_argument("--rows", type=int, help="the first so many ways alone")
    parser.add_argument("--tiny", action="store_true")
    flags = parser.parse_args(argv)
    if not (CUDA or flags.tiny):
        print("No CUDA device: not measured.")
        return
    with random_corpus() as manifest:
        compare(manifest, flags.tiny, flags.budget, flags.rows)


if __name__ == "__main__":
    main()

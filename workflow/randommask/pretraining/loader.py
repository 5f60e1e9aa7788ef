"""The batches of pretraining, made one step ahead by a thread of their own.

Which windows a step sees, and what is masked in them, depends on (seed, step, sample
index) alone (see `corpus` and `masking`). Process r of n computes the micro-batches r,
r + n, ... of a step, so the global batch is the same for any number of processes.

Shapes: R micro-batches of a process, M sequences each, T tokens, C places.
"""

import math
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from randommask import kmers, masking
from randommask.data.windows import Corpus
from randommask.pretraining import curriculum

PLACES = 256  # the head works on a multiple of so many places: few shapes, few kernels
IGNORED = -100  # the target of a place that only fills up


@dataclass(frozen=True)
class MicroBatch:
    """What one forward pass takes."""

    first: int
    """Index of its first sample in the step."""
    inputs_MT: Tensor
    """Token ids as the encoder sees them, int16."""
    places_C: Tensor
    """Where something is asked, as positions in the flattened M x T, int64."""
    targets_C: Tensor
    """The ids asked there, int64; `IGNORED` where a place only fills up."""
    asked: int
    """Places that do ask."""

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """The three tensors."""
        return self.inputs_MT, self.places_C, self.targets_C

    def to(self, device: torch.device) -> "MicroBatch":
        """The same on a device, without waiting for the copies."""
        if device.type == "cpu":
            return self
        moved = (tensor.to(device, non_blocking=True) for tensor in self.tensors)
        return MicroBatch(self.first, *moved, self.asked)

    def halves(self) -> list["MicroBatch"]:
        """The first and the second half of the sequences, each with its own places."""
        middle = -(-len(self.inputs_MT) // 2)
        made, before = [], 0
        for inputs in self.inputs_MT.split(middle):
            places = self.places_C - before
            is_in = (places >= 0) & (places < inputs.numel())
            targets = self.targets_C[is_in]
            asked = int((targets != IGNORED).sum())
            made.append(MicroBatch(self.first, inputs, places[is_in], targets, asked))
            before += inputs.numel()
        return made


def capacity(settings: dict) -> int:
    """Places of a micro-batch on a GPU, where all must have the same shape.

    The mean number of asked tokens and four standard deviations, in the curriculum's
    longest phase; more than that comes once in some ten thousand batches, and such a
    batch is computed at its own size.
    """
    least, longest, probability = _longest_phase(settings)
    tokens = settings["micro_batch"] * settings["tokens"]
    # centres are rare and independent: a compound Poisson number, whose variance is
    # their number times the mean square of a span
    square = np.mean(np.arange(least, longest + 1) ** 2.0)
    most = tokens * asked_share(settings) + 4 * math.sqrt(tokens * probability * square)
    return min(_fill(math.ceil(most)), _fill(tokens))


def asked_share(settings: dict) -> float:
    """Share of the tokens that are asked, in the curriculum's longest phase."""
    least, longest, probability = _longest_phase(settings)
    return masking.masked_share(probability, least, longest)


def _longest_phase(settings: dict) -> tuple[int, int, float]:
    """The shortest and the longest span, and a token's chance to be a centre."""
    least = settings["min_span"]
    longest = max(phase["max_span"] for phase in settings["curriculum"])
    probability, share = settings["center_probability"], settings["target_share"]
    if share is not None:
        probability = masking.probability_for_share(share, least, longest)
    return least, longest, probability


def _fill(places: int) -> int:
    return -(-places // PLACES) * PLACES


def mask(
    settings: dict,
    ids_MT: np.ndarray,
    max_span: int,
    step: int,
    first: int,
    places: int = 0,
) -> MicroBatch:
    """Mask samples `first`, ... of a step.

    The places are at least `places`, else as many as are asked, up to a multiple of
    `PLACES`: no label is ever dropped.
    """
    options = masking.options(settings, max_span)
    inputs, asked, ids = masking.corrupt_at(
        ids_MT, max_span, settings["seed"], step, first, **options
    )
    size = max(places, _fill(len(asked)))
    where = np.zeros(size, np.int64)
    where[: len(asked)] = asked
    targets = np.full(size, IGNORED, np.int64)
    targets[: len(asked)] = ids
    return MicroBatch(
        first,
        torch.from_numpy(inputs.view(np.int16)),
        torch.from_numpy(where),
        torch.from_numpy(targets),
        len(asked),
    )


class Loader:
    """The micro-batches of one process, step by step.

    With `places` all have that many places, but for those in which more is asked.
    `waited` counts the seconds that training waited here.
    """

    def __init__(
        self, settings: dict, corpus: Corpus, rank: int, world: int, places: int = 0
    ) -> None:
        self.settings, self.corpus, self.places = settings, corpus, places
        micros = settings["batch"] // settings["micro_batch"]
        self.firsts = [m * settings["micro_batch"] for m in range(rank, micros, world)]
        self.thread = ThreadPoolExecutor(1, "loader")
        self.ahead: tuple[int, Future] | None = None
        self.waited = 0.0

    def get(self, step: int) -> list[MicroBatch]:
        """The process's micro-batches of step `step`; begins those of the next."""
        if self.ahead is None or self.ahead[0] != step:
            self.ahead = (step, self.thread.submit(self.make, step))
        before = time.monotonic()
        batches = self.ahead[1].result()
        self.waited += time.monotonic() - before
        if step + 1 < self.settings["curriculum"][-1]["until"]:
            self.ahead = (step + 1, self.thread.submit(self.make, step + 1))
        return batches

    def make(self, step: int) -> list[MicroBatch]:
        """The micro-batches of a step, made now."""
        settings = self.settings
        phases = settings["curriculum"]
        max_span = phases[curriculum.phase_at(phases, step)]["max_span"]
        batches = []
        for first in self.firsts:
            codes = self.corpus.windows(
                settings["seed"], step, first, settings["micro_batch"]
            )
            ids = kmers.batch_ids(settings, codes)
            batch = mask(settings, ids, max_span, step, first, places=self.places)
            batches.append(_pin(batch) if torch.cuda.is_available() else batch)
        return batches

    def close(self) -> None:
        """End the thread."""
        self.thread.shutdown(cancel_futures=True)


def _pin(batch: MicroBatch) -> MicroBatch:
    """The same in memory that a GPU copies from while it computes."""
    pinned = (tensor.pin_memory() for tensor in batch.tensors)
    return MicroBatch(batch.first, *pinned, batch.asked)

"""The batches of pretraining, made one step ahead by a thread of their own.

Which windows a step sees, and what is masked in them, depends on (seed, step, sample
index) alone (see `data.windows` and `masking`). An example: a batch of 512 sequences in
micro-batches of 64 is 8 micro-batches, which begin at samples 0, 64, ... 448. On two
GPUs the first takes those at 0, 128, 256 and 384, the second the others; on one, all.
Sample 200 of step 30,000 is the same window with the same masked positions in either
case, and so it is after a kill, since nothing has to be drawn before it.

Shapes: M sequences of a micro-batch, T tokens, P masked positions.
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
from randommask.experiment.hparams import Settings
from randommask.experiment.sections import Phase
from randommask.pretraining import curriculum

# The number of masked positions differs from batch to batch. It is filled up to a
# multiple of this, so that the head meets few shapes and its kernels are reused.
MULTIPLE = 256
IGNORED = -100  # the target at a position that only fills up; torch's ignore_index


@dataclass(frozen=True)
class MicroBatch:
    """What one forward pass takes."""

    first: int
    """Index of its first sample in the step."""
    inputs_MT: Tensor
    """Token ids as the encoder sees them, int16."""
    positions_P: Tensor
    """Masked positions in the flattened M x T, int64; 0 where one only fills up."""
    targets_P: Tensor
    """Their targets, int64; `IGNORED` where a position only fills up."""
    masked: int
    """Positions that are masked: the first of the P."""

    @property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """The three tensors."""
        return self.inputs_MT, self.positions_P, self.targets_P

    def to(self, device: torch.device) -> "MicroBatch":
        """The same on a device, without waiting for the copies."""
        if device.type == "cpu":
            return self
        moved = (tensor.to(device, non_blocking=True) for tensor in self.tensors)
        return MicroBatch(self.first, *moved, self.masked)

    def halves(self) -> list["MicroBatch"]:
        """The first and the second half of the sequences, each with its positions."""
        middle = -(-len(self.inputs_MT) // 2)
        made, before = [], 0
        for inputs in self.inputs_MT.split(middle):
            positions = self.positions_P - before
            is_in = (positions >= 0) & (positions < inputs.numel())
            targets = self.targets_P[is_in]
            masked = int((targets != IGNORED).sum())
            half = MicroBatch(self.first, inputs, positions[is_in], targets, masked)
            made.append(half)
            before += inputs.numel()
        return made


def capacity(settings: Settings) -> int:
    """Masked positions of a micro-batch on a GPU, where all must have the same shape.

    The mean of the curriculum's fullest phase and four standard deviations; more than
    that comes once in some ten thousand batches, and such a batch is computed at its
    own size. The paper's last phase masks 22 % of 64 x 512 tokens: 7,317 and four
    times 296, filled up to 8,704.
    """
    most = max(masking.most_masked(settings, phase) for phase in settings.curriculum)
    tokens = settings.micro_batch * settings.tokens
    return min(_filled_up(math.ceil(most)), _filled_up(tokens))


def _filled_up(positions: int) -> int:
    return -(-positions // MULTIPLE) * MULTIPLE


def mask(
    settings: Settings,
    ids_MT: np.ndarray,
    phase: Phase,
    step: int,
    first: int,
    capacity: int = 0,
    ranks: np.ndarray | None = None,
) -> MicroBatch:
    """Mask samples `first`, ... of a step.

    There is room for `capacity` masked positions, or for as many as are masked where
    that is more: no target is ever dropped. `ranks` are those of the ids, where the
    phase masks by them.
    """
    options = masking.options(settings, phase)
    inputs, masked, ids = masking.corrupt_at(
        ids_MT, phase.max_span, settings.seed, step, first, ranks=ranks, **options
    )
    size = max(capacity, _filled_up(len(masked)))
    positions = np.zeros(size, np.int64)
    positions[: len(masked)] = masked
    targets = np.full(size, IGNORED, np.int64)
    targets[: len(masked)] = ids
    return MicroBatch(
        first,
        torch.from_numpy(inputs.view(np.int16)),
        torch.from_numpy(positions),
        torch.from_numpy(targets),
        len(masked),
    )


class Loader:
    """The micro-batches of one process, step by step.

    With `capacity` all have room for that many masked positions, so that all have one
    shape, but for those in which more are masked. `waited` counts the seconds that
    training waited here.
    """

    def __init__(
        self,
        settings: Settings,
        corpus: Corpus,
        rank: int,
        world: int,
        capacity: int = 0,
        ranks: np.ndarray | None = None,
    ) -> None:
        self.settings, self.corpus, self.capacity = settings, corpus, capacity
        self.ranks = ranks
        micros = settings.batch // settings.micro_batch
        self.firsts = [m * settings.micro_batch for m in range(rank, micros, world)]
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
        if step + 1 < self.settings.curriculum[-1].until:
            self.ahead = (step + 1, self.thread.submit(self.make, step + 1))
        return batches

    def make(self, step: int) -> list[MicroBatch]:
        """The micro-batches of a step, made now."""
        settings = self.settings
        phase = settings.curriculum[curriculum.phase_at(settings.curriculum, step)]
        batches = []
        for first in self.firsts:
            codes = self.corpus.windows(
                settings.seed, step, first, settings.micro_batch
            )
            ids = kmers.batch_ids(codes, settings.tokenization, settings.k)
            batch = mask(settings, ids, phase, step, first, self.capacity, self.ranks)
            batches.append(_pin(batch) if torch.cuda.is_available() else batch)
        return batches

    def close(self) -> None:
        """End the thread."""
        self.thread.shutdown(cancel_futures=True)


def _pin(batch: MicroBatch) -> MicroBatch:
    """The same in memory that a GPU copies from while it computes."""
    pinned = (tensor.pin_memory() for tensor in batch.tensors)
    return MicroBatch(batch.first, *pinned, batch.masked)

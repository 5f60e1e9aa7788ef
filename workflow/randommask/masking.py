"""Choose which tokens the encoder has to rebuild, and what it sees in their place.

Neighbouring k-mers share k-1 bases, so a token hidden alone can be read off its
neighbours: spans are hidden. A centre i is chosen with probability p, a length m is
drawn between `min_span` and `max_span`, and the tokens [i - (m-1)//2, i + m//2] are
asked: with m = k = 3 to 6 exactly DNABERT's neighbours, with even m the window of the
paper's Algorithm 1. The baseline is the case `max_span == min_span`.

Everything drawn is a function of (seed, step, sample index), so a batch does not depend
on who computes it, nor on what was computed before.

For most tokens one random byte settles that nothing happens. So a number on [0, 2**40)
is drawn in two parts: its high byte for every token, its low 32 bits only where the
byte leaves something open. One number says both whether a token is a centre and which
span it gets: given that x < limit, x / limit is uniform again.

Shapes: B sequences, T tokens; flat positions are row * T + column.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from randommask.draws import philox

MASK_SHARE, RANDOM_SHARE = 0.8, 0.1  # BERT's and DNABERT's; the rest is kept
# Streams of the counter-based generator; corpus.py has 0.
CENTER_BYTES, CENTER_WORDS, ACTION_BYTES, ACTION_WORDS = 1, 2, 3, 4
WORDS = 32  # drawn at a time for a sequence; how many it needs is not known before


@dataclass(frozen=True)
class Draws:
    """Random numbers for the sequences `first` to `first + batch - 1` of a step."""

    seed: int
    step: int
    first: int
    batch: int
    length: int  # tokens

    def high_bytes(self, stream: int) -> np.ndarray:
        """One byte for every token: (B * T,) uint8."""
        units = -(-self.length // 32)
        words = self._words(stream, units, 0).view(np.uint8)
        return words.reshape(self.batch, -1)[:, : self.length].reshape(-1)

    def complete(self, stream: int, high: np.ndarray, place: np.ndarray) -> np.ndarray:
        """Numbers on [0, 2**40) whose high bytes at ascending places (n,) are known.

        The j-th place of a sequence gets the j-th word of that sequence.
        """
        row = place // self.length
        counts = np.bincount(row, minlength=self.batch)
        blocks = [
            self._words(stream, WORDS // 8, block).view(np.uint32)
            for block in range(-(-int(counts.max(initial=0)) // WORDS))
        ]
        numbers = high.astype(np.uint64) << np.uint64(32)
        if blocks:
            words = np.stack([block.reshape(self.batch, WORDS) for block in blocks], 1)
            width = len(blocks) * WORDS
            # where the words of a row begin, less the rank of the row's first place
            begin = np.arange(self.batch) * width - (np.cumsum(counts) - counts)
            numbers |= words.reshape(-1)[np.repeat(begin, counts) + np.arange(len(row))]
        return numbers

    def _words(self, stream: int, units: int, block: int) -> np.ndarray:
        first, count = self.first * units, self.batch * units
        return philox(self.seed, self.step, stream, first, count, block)


def draw_spans(
    ids: np.ndarray,
    draws: Draws,
    min_span: int,
    max_span: int,
    center_probability: float,
    num_special: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Centres and lengths of the spans, in the order of the centres.

    ids (B, T) -> flat positions (n,) int64, tokens (n,) int64.
    """
    limit = round(center_probability * 2**40)
    high = draws.high_bytes(CENTER_BYTES)
    center = np.flatnonzero(high < -(-limit >> 32))
    number = draws.complete(CENTER_WORDS, high[center], center)
    chosen = (number < limit) & (ids.reshape(-1)[center] >= num_special)
    choices = np.uint64(max_span - min_span + 1)
    span = number[chosen] * choices // np.uint64(limit)
    return center[chosen], min_span + span.astype(np.int64)


def cover(center: np.ndarray, span: np.ndarray, length: int) -> np.ndarray:
    """All positions in any of the windows, each once, ascending: (N,) int64.

    Windows end where their sequence of `length` tokens ends.
    """
    first = center - center % length
    start = np.maximum(center - (span - 1) // 2, first)
    end = np.minimum(center + span // 2 + 1, first + length)
    # How many windows cover a position depends on the starts and on the ends, not on
    # which belongs to which. Sorted apart, each start may move to the end before it.
    start.sort(kind="stable")
    end.sort(kind="stable")
    np.maximum(start[1:], end[:-1], out=start[1:])
    lengths = end - start
    start -= np.cumsum(lengths) - lengths
    covered = np.repeat(start, lengths)
    covered += np.arange(len(covered))
    return covered


def corrupt_at(
    ids: np.ndarray,
    max_span: int,
    seed: int,
    step: int,
    first_index: int = 0,
    *,
    min_span: int = 6,
    center_probability: float = 0.025,
    vocab_size: int = 4101,
    mask_id: int = 4,
    num_special: int = 5,
    target_share: float | None = None,
    mask_share: float = MASK_SHARE,
    random_share: float = RANDOM_SHARE,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mask sequences as `corrupt` does, and say where.

    ids (B, T) -> inputs (B, T), flat positions asked (N,) int64, ascending, and the ids
    to be rebuilt there (N,), both ids of the same type as `ids`.
    """
    batch, length = ids.shape
    if target_share is not None:
        center_probability = probability_for_share(target_share, min_span, max_span)
    draws = Draws(seed, step, first_index, batch, length)
    spans = draw_spans(ids, draws, min_span, max_span, center_probability, num_special)
    asked = cover(*spans, length)
    targets = ids.reshape(-1)[asked]
    ordinary = targets >= num_special
    if not ordinary.all():
        asked, targets = asked[ordinary], targets[ordinary]

    inputs = ids.copy()
    shown = inputs.reshape(-1)
    shown[asked] = mask_id
    low = round(mask_share * 2**40)
    high = round((mask_share + random_share) * 2**40)
    action = draws.high_bytes(ACTION_BYTES)[asked]
    other = np.flatnonzero(action >= low >> 32)
    place = asked[other]
    number = draws.complete(ACTION_WORDS, action[other], place)
    kept = number >= high
    shown[place[kept]] = targets[other[kept]]
    drawn = (number >= low) & ~kept
    choice = (number[drawn] - np.uint64(low)) * np.uint64(vocab_size)
    shown[place[drawn]] = choice // np.uint64(high - low)
    return inputs, asked, targets


def corrupt(
    ids: np.ndarray,
    max_span: int,
    seed: int,
    step: int,
    first_index: int = 0,
    *,
    min_span: int = 6,
    center_probability: float = 0.025,
    vocab_size: int = 4101,
    mask_id: int = 4,
    num_special: int = 5,
    target_share: float | None = None,
    mask_share: float = MASK_SHARE,
    random_share: float = RANDOM_SHARE,
) -> tuple[np.ndarray, np.ndarray]:
    """Mask the sequences `first_index` to `first_index + B - 1` of step `step`.

    ids (B, T) -> inputs (B, T) of the same type, labels (B, T) int32 with -100 where
    nothing is asked. Ids below `num_special` are neither centres nor asked. Of the
    tokens asked, `mask_share` become `mask_id`, `random_share` any id of the
    vocabulary, and the rest stays. With `target_share`, p is set so that this share of
    the tokens is asked.
    """
    inputs, asked, targets = corrupt_at(
        ids,
        max_span,
        seed,
        step,
        first_index,
        min_span=min_span,
        center_probability=center_probability,
        vocab_size=vocab_size,
        mask_id=mask_id,
        num_special=num_special,
        target_share=target_share,
        mask_share=mask_share,
        random_share=random_share,
    )
    labels = np.full(ids.shape, -100, np.int32)
    labels.reshape(-1)[asked] = targets
    return inputs, labels


def masked_share(center_probability: float, min_span: int, max_span: int) -> float:
    """Expected share of tokens asked in the interior of a long sequence.

    1 - prod over offsets o of (1 - p P(the window of a drawn m covers o)).
    """
    spans = np.arange(min_span, max_span + 1)
    offsets = np.arange(-(max_span - 1) // 2, max_span // 2 + 1)[:, None]
    covers = (offsets >= -((spans - 1) // 2)) & (offsets <= spans // 2)
    return float(1 - np.prod(1 - center_probability * covers.mean(axis=1)))


@cache
def probability_for_share(share: float, min_span: int, max_span: int) -> float:
    """The centre probability at which `masked_share` is `share`, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if masked_share(middle, min_span, max_span) < share:
            low = middle
        else:
            high = middle
    return low


def options(settings: dict, max_span: int) -> dict:
    """The keyword arguments of `corrupt` that an encoder's settings ask for."""
    return {
        "min_span": settings["min_span"],
        "center_probability": settings["center_probability"],
        "vocab_size": 5 + 4 ** settings["k"],
        "target_share": settings["target_share"],
        "mask_share": settings["replacement"]["mask"],
        "random_share": settings["replacement"]["random"],
    }

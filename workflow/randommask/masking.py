"""Choose which tokens the encoder has to rebuild, and what it sees in their place.

Neighbouring k-mers share k-1 bases, so a token masked alone can be read off its
neighbours: spans are masked. A centre i is chosen with probability p, a length m is
drawn between `min_span` and `max_span`, and the tokens [i - (m-1)//2, i + m//2] are
masked: with m = k = 3 to 6 exactly DNABERT's neighbours, with even m the window of the
paper's Algorithm 1. The baseline is the case `max_span == min_span`.

>>> cover(center=np.array([7, 10]), span=np.array([6, 3]), length=20).tolist()
[5, 6, 7, 8, 9, 10, 11]

The encoder's input at a masked position is [MASK] (8 in 10), any token (1 in 10) or the
token itself (1 in 10); its target is the token itself.

Everything drawn is a function of (seed, step, sample index), so a batch does not depend
on who computes it, nor on what was computed before.

For most tokens one random byte settles that nothing happens. So a number x on
[0, 2**40) is drawn in two parts: its high byte for every token, its low 32 bits only
where the byte leaves something open. With p = 0.025, a token is a centre if
x < limit = round(0.025 * 2**40) = 27,487,790,694, in units of 2**32 that is 6.4. So a
high byte of 7 or more says no, for 249 tokens of 256; 0 to 5 says yes; and 6 needs the
low bits to decide. The number of a centre gives the length too, since x / limit is
uniform again where x < limit: with spans of 6 to 14 tokens and a high byte of 5 before
low bits of 3,000,000,000 the length is 6 + 9 * x // limit = 6 + 8 = 14.

>>> limit, x = round(0.025 * 2**40), 5 * 2**32 + 3_000_000_000
>>> limit, x, 6 + 9 * x // limit
(27487790694, 24474836480, 14)

Shapes: B sequences, T tokens; flat positions are row * T + column.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np

from randommask import kmers
from randommask.data.draws import philox
from randommask.experiment.hparams import Settings

MASK_SHARE, RANDOM_SHARE = 0.8, 0.1  # BERT's and DNABERT's; the rest is kept
# Streams of the counter-based generator keep the draws apart that one step makes for
# one sequence. `data.windows` draws the sequence itself from stream 0.
CENTER_BYTES, CENTER_WORDS, ACTION_BYTES, ACTION_WORDS = 1, 2, 3, 4
# Words drawn at a time for a sequence. Of 512 tokens 14 have a high byte below 7 and
# need one, so that one block is enough for nearly every sequence.
WORDS = 32


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

    def complete(
        self, stream: int, high: np.ndarray, position: np.ndarray
    ) -> np.ndarray:
        """Numbers on [0, 2**40) whose high bytes at ascending positions (n,) are known.

        The j-th of these positions in a sequence gets the sequence's j-th word.
        """
        row = position // self.length
        counts = np.bincount(row, minlength=self.batch)
        blocks = [
            self._words(stream, WORDS // 8, block).view(np.uint32)
            for block in range(-(-int(counts.max(initial=0)) // WORDS))
        ]
        numbers = high.astype(np.uint64) << np.uint64(32)
        if blocks:
            words = np.stack([block.reshape(self.batch, WORDS) for block in blocks], 1)
            width = len(blocks) * WORDS
            # where the words of a row begin, less the rank of the row's first position
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

    ids (B, T) -> inputs (B, T), flat masked positions (N,) int64, ascending, and their
    targets (N,), inputs and targets of the same type as `ids`.
    """
    batch, length = ids.shape
    if target_share is not None:
        center_probability = probability_for_share(target_share, min_span, max_span)
    draws = Draws(seed, step, first_index, batch, length)
    spans = draw_spans(ids, draws, min_span, max_span, center_probability, num_special)
    masked = cover(*spans, length)
    targets = ids.reshape(-1)[masked]
    ordinary = targets >= num_special
    if not ordinary.all():
        masked, targets = masked[ordinary], targets[ordinary]

    # One number x for each masked position says what the encoder sees there: x < low
    # [MASK], low <= x < high a token that is as random as (x - low) / (high - low),
    # and otherwise the token itself. Most are known by their high byte.
    inputs = ids.copy()
    shown = inputs.reshape(-1)
    shown[masked] = mask_id
    low = round(mask_share * 2**40)
    high = round((mask_share + random_share) * 2**40)
    action = draws.high_bytes(ACTION_BYTES)[masked]
    other = np.flatnonzero(action >= low >> 32)
    position = masked[other]
    number = draws.complete(ACTION_WORDS, action[other], position)
    kept = number >= high
    shown[position[kept]] = targets[other[kept]]
    drawn = (number >= low) & ~kept
    choice = (number[drawn] - np.uint64(low)) * np.uint64(vocab_size)
    shown[position[drawn]] = choice // np.uint64(high - low)
    return inputs, masked, targets


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

    ids (B, T) -> inputs (B, T) of the same type, labels (B, T) int32: the target where
    a token is masked, else -100. Ids below `num_special` are neither centres nor
    masked. Of the masked tokens, `mask_share` become `mask_id`, `random_share` any id
    of the vocabulary, and the rest stays. With `target_share`, p is set so that this
    share of the tokens of an endless sequence is masked.
    """
    inputs, masked, targets = corrupt_at(
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
    labels.reshape(-1)[masked] = targets
    return inputs, labels


def endless_share(center_probability: float, min_span: int, max_span: int) -> float:
    """Expected share of tokens masked far from both ends of a sequence.

    1 - prod over offsets o of (1 - p P(the window of a drawn m covers o)).

    >>> round(endless_share(0.025, 6, 6), 4), round(endless_share(0.025, 6, 14), 4)
    (0.1409, 0.2233)
    """
    offsets = np.arange(-(max_span - 1) // 2, max_span // 2 + 1)
    covering = _covering(offsets, min_span, max_span)
    return float(1 - np.prod(1 - center_probability * covering))


@cache
def probability_for_share(share: float, min_span: int, max_span: int) -> float:
    """The centre probability at which `endless_share` is `share`, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if endless_share(middle, min_span, max_span) < share:
            low = middle
        else:
            high = middle
    return low


def center_probability(settings: Settings, max_span: int) -> float:
    """Chance of a token to be a centre, in a phase of an encoder's training."""
    if settings.target_share is None:
        return settings.center_probability
    return probability_for_share(settings.target_share, settings.min_span, max_span)


def phase_share(settings: Settings, max_span: int) -> float:
    """Expected share of the tokens between [CLS] and [SEP] that a phase masks.

    Exact for rows of `tokens`, these two included. It is less than in an endless
    sequence, as a token near an end has fewer centres around it.
    """
    positions = settings.tokens - 2
    offsets = np.arange(-max_span, max_span + 1)
    covering = _covering(offsets, settings.min_span, max_span)
    # logarithms of the chances to be spared by a centre at each offset
    each = np.log1p(-center_probability(settings, max_span) * covering)
    spared = np.exp(np.convolve(np.ones(positions), each)[max_span:][:positions])
    return float(1 - spared.mean())


def masked_share(settings: Settings) -> float:
    """`phase_share` as the mean over all steps of an encoder's curriculum."""
    total, start = 0.0, 0
    for phase in settings.curriculum:
        total += phase_share(settings, phase.max_span) * (phase.until - start)
        start = phase.until
    return total / start


def _covering(offsets: np.ndarray, min_span: int, max_span: int) -> np.ndarray:
    """Chance that a span reaches a token so far from its centre: (n,)."""
    spans = np.arange(min_span, max_span + 1)
    reach = offsets[:, None]
    return ((reach >= -((spans - 1) // 2)) & (reach <= spans // 2)).mean(axis=1)


def options(settings: Settings, max_span: int) -> dict:
    """The keyword arguments of `corrupt` that a phase of an encoder's training has."""
    return {
        "min_span": settings.min_span,
        "center_probability": center_probability(settings, max_span),
        "vocab_size": kmers.vocab_size(settings.k),
        "mask_share": settings.replacement.mask,
        "random_share": settings.replacement.random,
    }

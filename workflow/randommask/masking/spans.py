"""Spans: a centre i with chance p, a length m, the tokens [i - (m-1)//2, i + m//2].

With m = k = 3 to 6 they are exactly DNABERT's neighbours, with even m the window of the
paper's Algorithm 1. Lengths lie between `min_span` and `max_span`, each as likely as
another (`spans`: RandomMask, and the baseline where both are k) or each by a fifth
less likely than the one before (`geometric`: SpanBERT's, Joshi et al. 2020).

SpanBERT's spans are of words. Here they are of bases: to hide n neighbouring bases, all
n + k - 1 overlapping k-mers over any of them are masked, else a k-mer at the end would
give them away. So its 1 to 10 words, 3.8 on average, are `min_span` k and `max_span`
k + 9, and of 6-mers 6 to 15 tokens, 8.8 on average.

>>> cover(center=np.array([7, 10]), span=np.array([6, 3]), length=20).tolist()
[5, 6, 7, 8, 9, 10, 11]

Shapes: B sequences, T tokens; flat positions are row * T + column.
"""

import numpy as np

from randommask.experiment.sections import GEOMETRIC, SPANS, Masking
from randommask.masking.draws import CENTER_BYTES, CENTER_WORDS, Draws

SPANBERT = 0.2  # chance of a span to end after each of its words


def draw_spans(
    ids: np.ndarray,
    draws: Draws,
    min_span: int,
    max_span: int,
    center_probability: float,
    num_special: int,
    law: Masking = SPANS,
) -> tuple[np.ndarray, np.ndarray]:
    """Centres and lengths of the spans, in the order of the centres.

    ids (B, T) -> flat positions (n,) int64, tokens (n,) int64.
    """
    limit = round(center_probability * 2**40)
    high = draws.high_bytes(CENTER_BYTES)
    center = np.flatnonzero(high < -(-limit >> 32))
    number = draws.complete(CENTER_WORDS, high[center], center)
    chosen = (number < limit) & (ids.reshape(-1)[center] >= num_special)
    choices = max_span - min_span + 1
    if law == GEOMETRIC:
        ends = np.cumsum(weights(choices, law)[:-1]) * limit
        span = np.searchsorted(np.rint(ends).astype(np.uint64), number[chosen], "right")
    else:
        span = number[chosen] * np.uint64(choices) // np.uint64(limit)
    return center[chosen], min_span + span.astype(np.int64)


def weights(choices: int, law: Masking) -> np.ndarray:
    """Chances of the lengths, the shortest first: (choices,).

    >>> geometric = weights(10, "geometric")
    >>> round(float(geometric @ np.arange(1, 11)), 1)  # SpanBERT's mean
    3.8
    """
    each = np.ones(choices)
    if law == GEOMETRIC:
        each = (1 - SPANBERT) ** np.arange(choices)
    return each / each.sum()


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

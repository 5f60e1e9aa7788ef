"""Choose which tokens the encoder has to rebuild, and what it sees in their place.

Neighbouring k-mers share k-1 bases, so a token hidden alone can be read off its
neighbours: spans are hidden. A centre i is chosen with probability p, a length m is
drawn between `min_span` and `max_span`, and the tokens [i - (m-1)//2, i + m//2] are
asked: with m = k = 3 to 6 exactly DNABERT's neighbours, with even m the window of the
paper's Algorithm 1. The baseline is the case `max_span == min_span`.

Everything drawn is a function of (seed, step, sample index), so a batch does not depend
on who computes it, nor on what was computed before.

Shapes: B sequences, T tokens.
"""

import numpy as np

MASK_SHARE, RANDOM_SHARE = 0.8, 0.1  # the rest is kept; BERT's and DNABERT's shares
STREAM = 1  # words of the counter-based generator that no other module draws


def philox(seed: int, step: int, stream: int, first: int, count: int) -> np.ndarray:
    """Raw words for `count` units from unit `first` on: (count * 4,) uint64.

    A unit is one step of the Philox counter, four words; `stream` keeps the draws of
    different purposes apart.
    """
    return np.random.Philox(
        key=np.array([seed, step], np.uint64),
        counter=np.array([first, 0, 0, stream], np.uint64),
    ).random_raw(count * 4)


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
) -> tuple[np.ndarray, np.ndarray]:
    """Mask the sequences `first_index` to `first_index + B - 1` of step `step`.

    ids (B, T) -> inputs (B, T) of the same type, labels (B, T) int32 with -100 where
    nothing is asked. Ids below `num_special` are neither centres nor asked. Of the
    tokens asked, 80 % become `mask_id`, 10 % any id of the vocabulary, 10 % stay.
    With `target_share`, p is set so that this share of the tokens is asked.
    """
    batch, length = ids.shape
    if target_share is not None:
        center_probability = probability_for_share(target_share, min_span, max_span)
    units = -(-length // 4)
    words = philox(seed, step, STREAM, first_index * units, batch * units)
    words = words.reshape(batch, units * 4)[:, :length]
    draws = words.view(np.uint32).reshape(batch, length, 2)  # low half, high half
    ordinary = ids >= num_special

    threshold = np.uint32(min(round(center_probability * 2**32), 2**32 - 1))
    row, center = np.nonzero((draws[..., 0] < threshold) & ordinary)
    chance = draws[row, center, 1] & np.uint32(0xFFFF)
    span = min_span + (chance * np.uint32(max_span - min_span + 1) >> np.uint32(16))
    span = span.astype(np.int64)
    start = np.maximum(center - (span - 1) // 2, 0)
    end = np.minimum(center + span // 2 + 1, length)
    # +1 where a span starts, -1 where it ends: covered where the running sum is not 0
    edges = np.bincount(row * (length + 1) + start, minlength=batch * (length + 1))
    edges -= np.bincount(row * (length + 1) + end, minlength=batch * (length + 1))
    covered = np.cumsum(edges.reshape(batch, -1), axis=1)[:, :length] > 0
    row, column = np.nonzero(covered & ordinary)

    asked = ids[row, column]
    labels = np.full((batch, length), -100, np.int32)
    labels[row, column] = asked
    # The high 16 bits choose the action, the low 16 of the other half the random token:
    # neither decided a centre or a span (but for 1 part in 65,536 of the threshold).
    action = draws[row, column, 1] >> np.uint32(16)
    any_id = (draws[row, column, 0] & np.uint32(0xFFFF)) * np.uint32(vocab_size)
    shown = (any_id >> np.uint32(16)).astype(ids.dtype)
    is_masked = action < round(MASK_SHARE * 2**16)
    is_kept = action >= round((MASK_SHARE + RANDOM_SHARE) * 2**16)
    shown[is_masked] = mask_id
    shown[is_kept] = asked[is_kept]
    inputs = ids.copy()
    inputs[row, column] = shown
    return inputs, labels


def masked_share(center_probability: float, min_span: int, max_span: int) -> float:
    """Expected share of tokens asked in the interior of a long sequence.

    1 - prod over offsets o of (1 - p P(the window of a drawn m covers o)).
    """
    spans = np.arange(min_span, max_span + 1)
    offsets = np.arange(-(max_span - 1) // 2, max_span // 2 + 1)[:, None]
    covers = (offsets >= -((spans - 1) // 2)) & (offsets <= spans // 2)
    return float(1 - np.prod(1 - center_probability * covers.mean(axis=1)))


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
    }

"""Maskings that ranks choose: k-mers whose letters go together come first.

A rank is a k-mer's place by normalised pointwise mutual information in the corpus (see
`data.pmi`), 1 the highest. A centre is masked with all tokens that overlap it: of
6-mers 5 before and 5 behind, so that nothing of the whole k-mer is left to be read off.

- `genemask` (Roy et al. 2023): a centre is drawn, and the best ranked token of the k
  around it is found. For every other centre that one is masked with all that overlap
  it, else the k around the centre, as DNABERT does; 8.5 tokens of 6-mers on average.
- `top-pmi` (Roy et al. 2024): the best ranked tokens of the sequence are the centres.
  Nothing is drawn but how many. Their CM-GEMS is a curriculum: `genemask`, and from
  some phase on `top-pmi`.

There centres are drawn with a chance, and how much is masked then depends on the
corpus. Here it is exact, so that a comparison is not one of shares: centres are taken
in their order, one by one, until as many tokens are masked as spans would mask, and of
the last centre's tokens those on the left. A share of 0.15 of 30 tokens is 4.5: 4 or 5,
each with the chance 1/2.

Shapes: B sequences, T tokens; n centres; flat positions are row * T + column.
"""

import numpy as np

from randommask.experiment.sections import TOP_PMI, Masking
from randommask.masking.draws import Draws

NEVER = np.uint16(2**16 - 1)
"""The rank of a token that is no k-mer, and the turn of one that is not masked."""
LONGEST = 2**16  # tokens of a sequence: a turn and a column share 32 bits
# Of the centres so many times as the masked share needs, if they did not overlap, and
# some more a sequence are looked at first. A sequence for which they are too few is
# looked at again, with twice as many.
PLENTY, MORE = 2, 1


def choose(
    ids: np.ndarray,
    draws: Draws,
    law: Masking,
    span: int,
    share: float,
    ranks: np.ndarray,
) -> np.ndarray:
    """Masked positions, ascending: (N,) int64.

    ids (B, T); `span` tokens overlap a base: k, or 1 where tokens do not overlap;
    `ranks` (vocabulary,) uint16 are those of the ids, NEVER for a special.
    """
    length = ids.shape[1]
    if length > LONGEST:
        raise ValueError(f"{length} tokens, expected at most {LONGEST}")
    rank = ranks.take(ids)
    number = np.count_nonzero(rank != NEVER, axis=1)
    count = (share * number + draws.share()).astype(np.int64)
    if law == TOP_PMI:
        turn = _least_around(rank, span)
    else:
        turn = _turns(rank, draws.order(), span, share, count)
    # by turn, then by column: a number of its own for each token of a sequence
    key = turn.astype(np.uint32) << 16 | np.arange(length, dtype=np.uint32)
    last = np.take_along_axis(np.sort(key, 1), np.maximum(count - 1, 0)[:, None], 1)
    return np.flatnonzero((key <= last) & (count > 0)[:, None])


def _least_around(rank: np.ndarray, span: int) -> np.ndarray:
    """The least of the ranks less than `span` tokens away: (B, T)."""
    batch, length = rank.shape
    width = 2 * span - 1
    padded = np.full((batch, length + width - 1), NEVER)
    padded[:, span - 1 : span - 1 + length] = rank
    least, reach = padded.reshape(-1), 1
    while reach < width:  # the least of twice as many, until it is that of all
        step = min(reach, width - reach)
        least = np.minimum(least[: len(least) - step], least[step:])
        reach += step
    padded.reshape(-1)[: len(least)] = least
    return np.where(rank == NEVER, NEVER, padded[:, :length])


def _turns(
    rank: np.ndarray, order: np.ndarray, span: int, share: float, count: np.ndarray
) -> np.ndarray:
    """When each token's turn comes with `genemask`: (B, T), NEVER where it is not seen.

    `order` (B, T) uint16 are the draws: the least is the first centre, and the lowest
    bit says which of the two windows is masked.
    """
    limit = PLENTY * share / (1 - share) / (1.5 * span - 0.5) + MORE / rank.shape[1]
    turn = _paint(rank, order, span, limit)
    while True:
        seen = np.count_nonzero(turn != NEVER, axis=1)
        few, limit = np.flatnonzero(seen < count), 2 * limit
        if not len(few):
            return turn
        turn[few] = _paint(rank[few], order[few], span, limit)


def _paint(rank: np.ndarray, order: np.ndarray, span: int, share: float) -> np.ndarray:
    """The turns that so many of the centres give, the first of all: (B, T)."""
    batch, length = rank.shape
    flat, drawn = rank.reshape(-1), order.reshape(-1)
    limit = np.uint16(min(share, 1) * NEVER)
    center = np.flatnonzero((drawn <= limit) & (flat != NEVER)).astype(np.int32)
    # the first centres last: they paint over the others
    center = center[np.argsort(drawn[center], kind="stable")[::-1]]
    first = center - center % length
    last = first + length - 1
    before, behind = (span - 1) // 2, span // 2
    # beyond an end of its sequence a window has that end once more
    around = center[:, None] + np.arange(-before, behind + 1, dtype=np.int32)
    np.maximum(around, first[:, None], out=around)
    np.minimum(around, last[:, None], out=around)
    nearest = flat.take(around).argmin(1)
    best = around.reshape(-1).take(nearest + np.arange(len(center)) * span)
    is_whole = (drawn[center] & 1).astype(bool)
    start = np.maximum(np.where(is_whole, best - span + 1, center - before), first)
    end = np.minimum(np.where(is_whole, best + span - 1, center + behind), last) + 1
    lengths = end - start
    begin = start - (np.cumsum(lengths, dtype=np.int32) - lengths)
    painted = np.repeat(begin, lengths)
    painted += np.arange(len(painted), dtype=np.int32)
    turn = np.full(len(flat), NEVER)
    turn[painted] = np.repeat(drawn[center] >> 1, lengths)
    turn[flat == NEVER] = NEVER
    return turn.reshape(batch, length)

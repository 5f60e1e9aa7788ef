"""Choose which tokens the encoder has to rebuild, and what it sees in their place.

Neighbouring k-mers share k-1 bases, so a token masked alone can be read off its
neighbours: spans are masked (`spans`), or those k-mers together with all that overlap
them whose letters go together (`ranked`). How many tokens that are is known exactly
(`shares`), and everything drawn is a function of (seed, step, sample index) (`draws`).

The encoder's input at a masked position is [MASK] (8 in 10), any token (1 in 10) or the
token itself (1 in 10); its target is the token itself.

Shapes: B sequences, T tokens; flat positions are row * T + column.
"""

from typing import Any

import numpy as np

from randommask import kmers
from randommask.experiment.hparams import Settings
from randommask.experiment.sections import RANKED, SPANS, Masking, Phase
from randommask.masking.draws import ACTION_BYTES, ACTION_WORDS, Draws
from randommask.masking.ranked import choose
from randommask.masking.shares import (
    center_probability,
    endless_share,
    masked_share,
    most_masked,
    phase_share,
    probability_for_share,
)
from randommask.masking.spans import cover, draw_spans

MASK_SHARE, RANDOM_SHARE = 0.8, 0.1  # BERT's and DNABERT's; the rest is kept


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
    law: Masking = SPANS,
    ranks: np.ndarray | None = None,
    share: float | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mask the sequences `first_index` to `first_index + B - 1` of step `step`.

    ids (B, T) -> inputs (B, T), flat masked positions (N,) int64, ascending, and their
    targets (N,), inputs and targets of the same type as `ids`. Ids below `num_special`
    are neither centres nor masked. Of the masked tokens, `mask_share` become `mask_id`,
    `random_share` any id of the vocabulary, and the rest stays. With `target_share`, p
    is set so that this share of the tokens of an endless sequence is masked. Where the
    `ranks` of the ids choose (see `ranked`), so many that `share` is masked.
    """
    batch, length = ids.shape
    draws = Draws(seed, step, first_index, batch, length)
    if law in RANKED:
        masked = choose(ids, draws, law, min_span, share, ranks)
    else:
        if target_share is not None:
            center_probability = probability_for_share(
                target_share, min_span, max_span, law
            )
        spans = (min_span, max_span, center_probability, num_special, law)
        masked = cover(*draw_spans(ids, draws, *spans), length)
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
    **options: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Mask as `corrupt_at` with its options does: inputs, labels (B, T) int32.

    A label is the target where a token is masked, else -100.
    """
    inputs, masked, targets = corrupt_at(
        ids, max_span, seed, step, first_index, **options
    )
    labels = np.full(ids.shape, -100, np.int32)
    labels.reshape(-1)[masked] = targets
    return inputs, labels


def options(settings: Settings, phase: Phase) -> dict:
    """The keyword arguments of `corrupt` that a phase of an encoder's training has.

    But for the `ranks`, which the corpus decides.
    """
    found = {
        "min_span": settings.min_span,
        "center_probability": center_probability(settings, phase),
        "vocab_size": kmers.vocab_size(settings.k),
        "mask_share": settings.replacement.mask,
        "random_share": settings.replacement.random,
    }
    if phase.masking != SPANS:
        found["law"] = phase.masking
    if phase.masking in RANKED:
        found["share"] = phase_share(settings, phase)
    return found

"""How many tokens a way to mask masks: exact shares, and the chance that a share asks.

A share is of the tokens of an endless sequence, or of those between [CLS] and [SEP] in
rows of `tokens`, whose ends cut spans.
"""

import math
from functools import cache

import numpy as np

from randommask.experiment.hparams import Settings
from randommask.experiment.sections import GEOMETRIC, RANKED, SPANS, Masking, Phase
from randommask.masking.spans import weights


def endless_share(
    center_probability: float, min_span: int, max_span: int, law: Masking = SPANS
) -> float:
    """Expected share of tokens masked far from both ends of a sequence.

    1 - prod over offsets o of (1 - p P(the window of a drawn m covers o)).

    >>> round(endless_share(0.025, 6, 6), 4), round(endless_share(0.025, 6, 14), 4)
    (0.1409, 0.2233)
    """
    offsets = np.arange(-(max_span - 1) // 2, max_span // 2 + 1)
    covering = _covering(offsets, min_span, max_span, law)
    return float(1 - np.prod(1 - center_probability * covering))


@cache
def probability_for_share(
    share: float, min_span: int, max_span: int, law: Masking = SPANS
) -> float:
    """The centre probability at which `endless_share` is `share`, by bisection."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if endless_share(middle, min_span, max_span, law) < share:
            low = middle
        else:
            high = middle
    return low


def center_probability(settings: Settings, phase: Phase) -> float:
    """Chance of a token to be a centre, in a phase of an encoder's training."""
    if settings.target_share is None:
        return settings.center_probability
    spans = settings.min_span, phase.max_span, law_of(phase)
    return probability_for_share(settings.target_share, *spans)


def phase_share(settings: Settings, phase: Phase) -> float:
    """Expected share of the tokens between [CLS] and [SEP] that a phase masks.

    Exact for rows of `tokens`, these two included. It is less than in an endless
    sequence, as a token near an end has fewer centres around it. Where ranks choose,
    as many tokens are masked as spans would.
    """
    positions, longest = settings.tokens - 2, phase.max_span
    offsets = np.arange(-longest, longest + 1)
    covering = _covering(offsets, settings.min_span, longest, law_of(phase))
    # logarithms of the chances to be spared by a centre at each offset
    each = np.log1p(-center_probability(settings, phase) * covering)
    spared = np.exp(np.convolve(np.ones(positions), each)[longest:][:positions])
    return float(1 - spared.mean())


def masked_share(settings: Settings) -> float:
    """`phase_share` as the mean over all steps of an encoder's curriculum."""
    total, start = 0.0, 0
    for phase in settings.curriculum:
        total += phase_share(settings, phase) * (phase.until - start)
        start = phase.until
    return total / start


def most_masked(settings: Settings, phase: Phase) -> float:
    """Masked tokens of a micro-batch, four standard deviations above their mean."""
    tokens = settings.micro_batch * settings.tokens
    if phase.masking in RANKED:  # drawn but for less than one a sequence
        return tokens * phase_share(settings, phase) + settings.micro_batch
    law, lengths = law_of(phase), np.arange(settings.min_span, phase.max_span + 1)
    probability = center_probability(settings, phase)
    # Centres are rare and independent: their spans add up to a compound Poisson
    # number, whose variance is the centres' number times a span's mean square.
    square = weights(len(lengths), law) @ lengths**2.0
    mean = tokens * endless_share(probability, settings.min_span, phase.max_span, law)
    return mean + 4 * math.sqrt(tokens * probability * square)


def law_of(phase: Phase) -> Masking:
    """The lengths of a phase's spans; where ranks choose, of those they stand for."""
    return SPANS if phase.masking in RANKED else phase.masking


def _covering(
    offsets: np.ndarray, min_span: int, max_span: int, law: Masking
) -> np.ndarray:
    """Chance that a span reaches a token so far from its centre: (n,)."""
    spans = np.arange(min_span, max_span + 1)
    reach = offsets[:, None]
    reached = (reach >= -((spans - 1) // 2)) & (reach <= spans // 2)
    # the mean, to the bit what it always was: masks depend on it
    return reached @ weights(len(spans), law) if law == GEOMETRIC else reached.mean(1)

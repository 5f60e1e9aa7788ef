"""The phases of pretraining: how long the masked spans may be at which step.

A curriculum is a row of phases, `{"until": step, "max_span": m}`, steps growing. The
baseline has one phase. RandomMask lets m grow (paper, section 4). A phase may have
another `masking` than the one before.
"""

from bisect import bisect_right
from collections.abc import Sequence
from math import log

import numpy as np

from randommask import kmers, masking
from randommask.experiment.hparams import Settings
from randommask.experiment.sections import RANKED, Phase


def phase_at(curriculum: Sequence[Phase], step: int) -> int:
    """Index from 0 of the phase that step `step` (counted from 0) is in."""
    return bisect_right([phase.until for phase in curriculum[:-1]], step)


def information_bound(
    settings: Settings,
    phase: Phase,
    ranks: np.ndarray | None = None,
    *,
    tokens: int = 4096,
    samples: int = 256,
) -> float:
    """Loss in nats a masked token once the overlap of k-mers is used in full.

    A base is hidden when no visible token shows it; each hidden base of uniform DNA is
    worth ln 4 nats, and a masked token costs what its own hidden bases are worth.
    Tokens that `replacement` leaves unchanged count as visible: they leak bases.
    Simulated with the masker itself on `samples` x `tokens` tokens; a guide and no
    strict limit, since real DNA is not uniform and a kept token does not say that it
    was kept. `settings` are the encoder's (k, tokenization, masking). Where `ranks`
    choose, the tokens are those of uniform DNA.
    """
    k = settings.k
    stride = kmers.stride(settings.tokenization, k)
    source = np.random.default_rng(0)
    if phase.masking in RANKED:
        bases = (tokens - 1) * stride + k
        codes = source.integers(0, 4, (samples, bases), dtype=np.uint8)
        ids = kmers.kmer_ids(codes, k, stride)
    else:
        ids = source.integers(
            kmers.NUM_SPECIAL, kmers.vocab_size(k), (samples, tokens), dtype=np.uint16
        )
    options = masking.options(settings, phase)
    inputs, labels = masking.corrupt(
        ids, phase.max_span, seed=0, step=0, ranks=ranks, **options
    )
    masked = labels >= 0
    hidden_token = masked & (inputs != ids)
    bases = np.ones((samples, (tokens - 1) * stride + k), bool)
    # A base is hidden only where all k tokens over it are.
    for offset in range(k):
        last = offset + (tokens - 1) * stride + 1
        bases[:, offset:last:stride] &= hidden_token
    worth = np.zeros((samples, tokens))
    for offset in range(k):
        last = offset + (tokens - 1) * stride + 1
        worth += bases[:, offset:last:stride]
    return float(worth[masked].mean() * log(4))

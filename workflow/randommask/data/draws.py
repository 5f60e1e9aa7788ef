"""Counter-based random numbers: any draw by its key, without those before it."""

import numpy as np


def philox(
    seed: int, step: int, stream: int, first: int, count: int, block: int = 0
) -> np.ndarray:
    """Raw words for `count` units from unit `first` on: (count * 4,) uint64.

    A unit is one step of the Philox counter, four words; `stream` keeps the draws of
    different purposes apart, `block` those of one purpose that come in instalments.
    """
    return np.random.Philox(
        key=np.array([seed, step], np.uint64),
        counter=np.array([first, block, 0, stream], np.uint64),
    ).random_raw(count * 4)

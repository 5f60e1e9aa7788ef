"""Some rows of a split, at random, the classes in the shares that they have.

Used where a benchmark is cut (`max_rows`) and where a run learns from few rows
(`train_rows`).
"""

import numpy as np


def sample(labels: np.ndarray, rows: int, key: tuple[int, int]) -> np.ndarray:
    """Choose `rows` row numbers, ascending.

    `labels` are integers (N,), or floats of any shape beginning with N, of which no
    shares are kept. Each class gets its share rounded down, but at least one row while
    there are rows enough; what is left goes to the largest remainders. The same `key`
    chooses the same rows, and of fewer `rows` none that more would not have had, but
    for the rounding of the shares.
    """
    rank = np.random.Generator(np.random.Philox(key=list(key))).permutation(len(labels))
    if labels.dtype.kind == "f":
        return np.sort(np.argsort(rank)[:rows])
    classes, inverse, counts = np.unique(
        labels, return_inverse=True, return_counts=True
    )
    share = counts * rows / len(labels)
    quota = np.floor(share).astype(np.int64)
    if rows >= len(classes):
        quota = np.maximum(quota, 1)
    while quota.sum() > rows:
        quota[np.argmax(quota)] -= 1
    for label in np.argsort(quota - share, kind="stable")[: rows - quota.sum()]:
        quota[label] += 1
    chosen = [
        rows_of[np.argsort(rank[rows_of])[:n]]
        for rows_of, n in (
            (np.flatnonzero(inverse == i), n) for i, n in enumerate(quota)
        )
    ]
    return np.sort(np.concatenate(chosen))

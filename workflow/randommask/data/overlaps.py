"""Which sequences stand twice: inside a split, and in two splits of a dataset.

A sequence is replaced by a number, the same wherever the same letters stand; counting
is then done on numbers. Where a dataset holds both strands of every region (DeepSTARR),
what must not stand in two splits is the region: a sequence and its reverse complement
have one number.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from randommask.data.splits import reverse_complements, values

Numbers = dict[str, np.ndarray]


def number(
    sequences: dict[str, pa.ChunkedArray], both_strands: bool
) -> tuple[Numbers, Numbers]:
    """Numbers (int64) of the sequences and of the regions of each split's rows.

    Without `both_strands` a region is a sequence.
    """
    keys, forward = sequences, {}
    if both_strands:
        keys = {}
        for split, own in sequences.items():
            others = reverse_complements(own)
            is_first = pc.less_equal(own, others)
            keys[split] = pc.if_else(is_first, own, others)
            forward[split] = values(is_first)
    chunks = [chunk for column in keys.values() for chunk in column.chunks]
    encoded = pa.chunked_array(chunks, pa.string()).dictionary_encode()
    indices = pa.chunked_array([chunk.indices for chunk in encoded.chunks], pa.int32())
    numbers = values(indices).astype(np.int64)
    ends = np.cumsum([len(column) for column in keys.values()])
    regions = dict(zip(keys, np.split(numbers, ends[:-1]), strict=True))
    if not both_strands:
        return regions, regions
    # of the two strands the one that sorts first is even
    return {split: 2 * n + ~forward[split] for split, n in regions.items()}, regions


def repeats(numbers: np.ndarray) -> dict[str, int]:
    """`repeated`: sequences that stand more than once; `duplicates`: the rows beyond.

    >>> repeats(np.array([5, 2, 5, 5]))
    {'repeated': 1, 'duplicates': 2}
    """
    counts = np.bincount(numbers)
    return {
        "repeated": int(np.count_nonzero(counts > 1)),
        "duplicates": len(numbers) - int(np.count_nonzero(counts)),
    }


def shared(numbers: Numbers, first: str, second: str) -> dict[str, int]:
    """`sequences` in both splits, and the rows of either that hold one of them.

    >>> shared({"train": np.array([1, 1, 3]), "dev": np.array([1, 4])}, "train", "dev")
    {'sequences': 1, 'train_rows': 2, 'dev_rows': 1}
    """
    size = 1 + max(numbers[split].max() for split in (first, second))
    stands = np.zeros((2, size), bool)
    for position, split in enumerate((first, second)):
        stands[position, numbers[split]] = True
    both = stands.all(0)
    return {
        "sequences": int(np.count_nonzero(both)),
        **{
            f"{split}_rows": int(np.count_nonzero(both[numbers[split]]))
            for split in (first, second)
        },
    }


def contradictions(numbers: np.ndarray, labels: np.ndarray) -> int:
    """Sequences that stand with more than one label."""
    pairs = np.unique(np.stack([numbers, labels]), axis=1)
    return repeats(pairs[0])["repeated"]


def lone_strands(sequences: np.ndarray) -> int:
    """Regions of which a split has one strand only; `sequences` as by `number`."""
    strands = np.zeros((sequences.max() // 2 + 1, 2), bool)
    strands.flat[sequences] = True
    return int(np.count_nonzero(strands[:, 0] != strands[:, 1]))


def disagreements(regions: np.ndarray, numbers: np.ndarray) -> int:
    """Regions whose rows differ in `numbers`; many, where a join has slipped."""
    order = np.argsort(regions, kind="stable")
    sorted_regions, sorted_values = regions[order], numbers[order]
    is_same = sorted_regions[1:] == sorted_regions[:-1]
    differs = is_same & (sorted_values[1:] != sorted_values[:-1])
    return len(np.unique(sorted_regions[1:][differs]))

"""Which rows of two splits are alike: copies, near duplicates, shuffle partners.

A kind of likeness is asked for by its name:

- `exact`: the same letters;
- `reverse`: the letters of the other strand;
- `near`: at least half (`NEAR`) of a row's 12-mers stand in the other row, and the two
  are no copies. Of dev and test it is the row's own k-mers that count, whatever the
  train row holds beside them. A k-mer is the same on both strands, and counts once a
  row; a repeat, in more than `COMMON` rows of the two splits, does not count;
- `partners-3`, `-2`, `-1`: equal length, first and last letter, equal counts of all
  3-, 2- or 1-mers, but not the same letters. Who shuffles a sequence so that its k-mer
  counts stay makes such a partner, and nature hardly does where k is above 1.

Copies and partners are found exactly. So are near duplicates up to `MOST` k-mers in
all; beyond, shares are estimated from a sample of the k-mers, the same in every row.
"""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from randommask import kmers
from randommask.data import overlaps
from randommask.genome import OTHER

PARTNERS = ("partners-3", "partners-2", "partners-1")
KINDS = ("exact", "reverse", "near", *PARTNERS)
LEVELS = {
    "exact": ("exact",),
    "near": ("exact", "reverse", "near"),
    "partners": ("exact", "reverse", "near", "partners-2", "partners-3"),
}
"""What counts as a leak, each level with those before; equal letter counts are none."""

K = 12
NEAR = 0.5
FEWEST = 10
"""A row with fewer k-mers that count is near to none: it is a repeat, or tiny."""
COMMON = 1000
MOST = 2**25
FEW = 2**21  # k-mers that are numbered anew sooner than 4**K columns are passed over
CHUNK = 1024  # rows multiplied at once: their k-mers meet some million others


class Alike:
    """The rows of some splits, and which of them are alike."""

    def __init__(self, sequences: Mapping[str, Sequence[str]]) -> None:
        self.sequences = sequences
        columns = {split: _column(own) for split, own in sequences.items()}
        self.numbers, self.regions = overlaps.number(columns, both_strands=True)
        counts = [max(len(s) - K + 1, 0) for own in sequences.values() for s in own]
        self.sampled = min(1.0, MOST / max(sum(counts), 1))
        """The share of k-mers that near duplicates are looked for by."""
        self._groups = cache(self._groups)
        self._near = cache(self._near)
        self._sets = cache(self._sets)

    def votes(
        self,
        kind: str,
        split: str,
        known: Mapping[str, np.ndarray],
        classes: int,
    ) -> np.ndarray:
        """How many rows of each class each row of `split` is alike: (n, classes).

        `known` has the classes of the rows of other splits (or of the split itself:
        no row is its own partner). A near duplicate counts with its share of k-mers.
        """
        found = np.zeros((len(self.sequences[split]), classes))
        for other, labels in known.items():
            if kind == "near":
                rows, others, shares = self._near(split, other)
                np.add.at(found, (rows, labels[others]), shares)
                continue
            own, theirs = self.numbers[split], self.numbers[other]
            if kind == "reverse":
                found += _counted(own ^ 1, theirs, labels, classes)
                continue
            copies = _counted(own, theirs, labels, classes)
            if kind == "exact":
                found += copies
            else:
                groups = self._groups(int(kind[-1]))
                found += _counted(groups[split], groups[other], labels, classes)
                found -= copies
        return found

    def rows(self, kind: str, split: str, others: Sequence[str]) -> np.ndarray:
        """Whether each row of `split` is alike one of `others`: (n,) bool."""
        known = {other: np.zeros(len(self.sequences[other]), int) for other in others}
        return self.votes(kind, split, known, 1)[:, 0] > 0

    def leaking(self, split: str, kinds: Sequence[str]) -> np.ndarray:
        """Rows of dev or test that train (for test: or dev) gives away: (n,) bool.

        Of train those that give away a row of dev or test.
        """
        others = {"train": ("dev", "test"), "dev": ("train",)}
        others = others.get(split, ("train", "dev"))
        return np.any([self.rows(kind, split, others) for kind in kinds], axis=0)

    def _groups(self, k: int) -> dict[str, np.ndarray]:
        """Numbers (n,) that partners share.

        A key is the sum of a random word for each k-mer, and for length and ends: equal
        counts have equal sums, and others with a chance of 2**-64 a pair.
        """
        random = np.random.default_rng(k)
        words = random.integers(2**64, size=kmers.vocab_size(k), dtype=np.uint64)
        ends = random.integers(2**64, size=(3, 5), dtype=np.uint64)
        keys = {}
        for split, sequences in self.sequences.items():
            keys[split] = np.zeros(len(sequences), np.uint64)
            for rows, codes in kmers.blocks(sequences):
                length = codes.shape[1]
                sums = words[kmers.kmer_ids(codes, k)].sum(1, dtype=np.uint64)
                if length:
                    sums += ends[0][codes[:, 0]] + ends[1][codes[:, -1]]
                keys[split][rows] = sums + ends[2, :1] * np.uint64(length)
        _, numbers = np.unique(np.concatenate([*keys.values()]), return_inverse=True)
        bounds = np.cumsum([len(own) for own in keys.values()])[:-1]
        return dict(zip(keys, np.split(numbers, bounds), strict=True))

    def _near(self, split: str, other: str) -> tuple[np.ndarray, ...]:
        """Rows, the rows of `other` that they are near to, and the share of k-mers."""
        order = [*self.sequences]
        if order.index(split) < order.index(other):
            others, rows, shares = self._near(other, split)
            return rows, others, shares
        asked, pool = self._sets(split), self._sets(other)
        asked, pool = _renumbered(asked, pool)
        every = np.concatenate([asked.indices, pool.indices])
        is_kept = np.bincount(every, minlength=asked.shape[1]) <= COMMON
        asked, pool = (_columns_kept(sets, is_kept) for sets in (asked, pool))
        sizes, turned, found = np.diff(asked.indptr), pool.T.tocsr(), []
        for first in range(0, len(sizes), CHUNK):
            shared = (asked[first : first + CHUNK] @ turned).tocoo()
            rows = shared.row + first
            near = shared.data >= np.maximum(NEAR * sizes[rows], FEWEST * NEAR)
            near &= sizes[rows] >= FEWEST
            rows, others = rows[near], shared.col[near]
            is_copy = self.regions[split][rows] == self.regions[other][others]
            shares = shared.data[near] / sizes[rows]
            found.append([each[~is_copy] for each in (rows, others, shares)])
        rows, others, shares = (np.concatenate(x) for x in zip(*found, strict=True))
        return rows, others, shares

    def _sets(self, split: str) -> Any:
        """The k-mers of each row, a sparse matrix of ones: (n, 4**K)."""
        sequences = self.sequences[split]
        parts: list[np.ndarray] = []
        owners: list[np.ndarray] = []
        for rows, codes in kmers.blocks(sequences):
            both = np.minimum(_numbers(codes), _numbers(_other_strand(codes))[:, ::-1])
            both.sort(axis=1)
            kept = both < 4**K
            kept[:, 1:] &= both[:, 1:] != both[:, :-1]
            if self.sampled < 1:
                kept &= both * np.uint32(2654435761) < self.sampled * 2**32
            parts.append(both[kept].astype(np.int32))
            owners.append(np.repeat(rows, kept.sum(1)).astype(np.int32))
        ids = np.concatenate([*parts, np.empty(0, np.int32)])
        owner = np.concatenate([*owners, np.empty(0, np.int32)])
        ones = np.ones(len(ids), np.int32)
        return csr_matrix((ones, (owner, ids)), shape=(len(sequences), 4**K))


def _column(sequences: Sequence[str]) -> pa.ChunkedArray:
    """The sequences as Arrow has them; `pa.array` would import all of pandas first."""
    encoded = [sequence.encode() for sequence in sequences]
    ends = np.cumsum([0, *map(len, encoded)]).astype(np.int64)
    buffers = pa.py_buffer(ends), pa.py_buffer(b"".join(encoded))
    text = pa.LargeStringArray.from_buffers(len(encoded), *buffers)
    return pa.chunked_array([text]).cast(pa.string())


def _counted(
    asked: np.ndarray, told: np.ndarray, labels: np.ndarray, classes: int
) -> np.ndarray:
    """How often each class stands with each number asked for: (n, classes)."""
    size = 1 + max(asked.max(initial=0), told.max(initial=0))
    counts = np.bincount(told * classes + labels, minlength=size * classes)
    return counts.reshape(size, classes)[asked]


def _numbers(codes: np.ndarray) -> np.ndarray:
    """Numbers (rows, m) uint32 of the K-mers; 4**K and above where one holds no base.

    >>> _numbers(np.array([[0] * 11 + [3, 1]], np.uint8)).tolist()  # A...AG, A...AGT
    [[3, 13]]
    """
    half = kmers.kmer_ids(codes, K // 2).astype(np.uint32)
    first, second = half[:, : -K // 2], half[:, K // 2 :]
    numbers = (first - kmers.NUM_SPECIAL) * 4 ** (K // 2) + second - kmers.NUM_SPECIAL
    numbers[(first == kmers.UNK) | (second == kmers.UNK)] = 4**K
    return numbers


def _other_strand(codes: np.ndarray) -> np.ndarray:
    """The reverse complements: A and T, C and G differ in one bit."""
    turned = codes[:, ::-1]
    return np.where(turned < OTHER, turned ^ 1, OTHER).astype(np.uint8)


def _renumbered(*matrices: Any) -> list[Any]:
    """The matrices with no column for k-mers that none has, if they have few."""
    every = np.concatenate([sets.indices for sets in matrices])
    if len(every) > FEW:
        return [*matrices]
    kinds, columns = np.unique(every, return_inverse=True)
    bounds = np.cumsum([sets.nnz for sets in matrices])
    return [
        type(sets)((sets.data, own, sets.indptr), shape=(sets.shape[0], len(kinds)))
        for sets, own in zip(matrices, np.split(columns, bounds), strict=False)
    ]


def _columns_kept(sets: Any, is_kept: np.ndarray) -> Any:
    """The matrix without the ones of other columns."""
    sets = sets.copy()
    sets.data *= is_kept[sets.indices]
    sets.eliminate_zeros()
    return sets

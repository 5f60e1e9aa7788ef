"""k-mer tokens: from nucleotide codes or sequences to DNABERT's vocabulary ids.

The vocabulary is DNABERT's: five specials, then the k-mers as base-4 numbers over
A, T, C, G (`AAAAAA` = 5, `AAAAAT` = 6, ... `GGGGGG` = 4100).

Shapes: n bases, m tokens, `...` any leading axes.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np

from randommask.genome import encode

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(5)
NUM_SPECIAL = len(SPECIALS)
OVERLAPPING, NON_OVERLAPPING = "overlapping", "non-overlapping"
MAX_K = 7  # the ids of longer k-mers do not fit into uint16


def vocab_size(k: int) -> int:
    """Size of the vocabulary: the specials and all k-mers."""
    return NUM_SPECIAL + 4**k


def names(k: int) -> list[str]:
    """All k-mers, in the order of their ids (the id minus `NUM_SPECIAL`)."""
    return ["".join(letters) for letters in product("ATCG", repeat=k)]


def stride(tokenization: str, k: int) -> int:
    """Bases from one token to the next."""
    return 1 if tokenization == OVERLAPPING else k


def window_bases(tokens: int, tokenization: str, k: int) -> int:
    """Bases behind `tokens` tokens, the two of them that are specials left out."""
    return (tokens - 3) * stride(tokenization, k) + k


def kmer_ids(codes: np.ndarray, k: int = 6, stride: int = 1) -> np.ndarray:
    """Ids of the k-mers of `codes` (..., n) uint8: (..., m) uint16.

    m = (n - k) // stride + 1. A k-mer with a code that is no nucleotide (4) is `UNK`;
    a remainder shorter than k is dropped, as DNABERT's vocabulary has no word for it.
    """
    if not 1 <= k <= MAX_K:
        raise ValueError(f"k = {k}, expected 1 to {MAX_K}")
    count = (codes.shape[-1] - k) // stride + 1
    if count <= 0:
        return np.empty((*codes.shape[:-1], 0), np.uint16)
    if stride == 1:
        numbers = _combine(codes.astype(np.uint16), k, np.uint16(4))
    else:
        numbers = np.zeros((*codes.shape[:-1], count), np.uint16)
        for first in range(k):
            last = first + stride * (count - 1) + 1
            numbers *= 4
            numbers += codes[..., first:last:stride]
    numbers += NUM_SPECIAL
    unknown = codes > 3
    if unknown.any():
        # counts of non-nucleotides before each position: a k-mer without one adds none
        before = np.zeros((*codes.shape[:-1], codes.shape[-1] + 1), np.int32)
        np.cumsum(unknown, axis=-1, out=before[..., 1:])
        spoilt = before[..., k:] > before[..., :-k]
        numbers[spoilt[..., ::stride]] = UNK
    return numbers


def _combine(digits: np.ndarray, k: int, base: np.uint16) -> np.ndarray:
    """Numbers of k adjacent digits, by doubling: 2 digits, then 4, then 4 + 2."""
    numbers, width = None, 0
    power, power_width = digits, 1
    while True:
        if k & power_width:
            if numbers is None:
                numbers, width = power, power_width
            else:
                end = digits.shape[-1] - (width + power_width) + 1
                numbers = (
                    numbers[..., :end] * base**power_width
                    + power[..., width : width + end]
                )
                width += power_width
        if width == k:
            return numbers if k > 1 else numbers.copy()
        end = digits.shape[-1] - 2 * power_width + 1
        power = (
            power[..., :end] * base**power_width
            + power[..., power_width : power_width + end]
        )
        power_width *= 2


def tokenize(sequences: Sequence[str], tokenization: str, k: int) -> np.ndarray:
    """`[CLS] k-mers [SEP]` for each sequence: (sequences, longest) uint16, `PAD` right.

    All sequences of one length are encoded in one call.
    """
    step = stride(tokenization, k)
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    counts = np.maximum((lengths - k) // step + 1, 0)
    ids = np.full((len(sequences), int(counts.max(initial=0)) + 2), PAD, np.uint16)
    ids[:, 0] = CLS
    for length in np.unique(lengths):
        rows = np.flatnonzero(lengths == length)
        codes = encode("".join(sequences[row] for row in rows)).reshape(len(rows), -1)
        tokens = kmer_ids(codes, k, step)
        ids[rows, 1 : tokens.shape[1] + 1] = tokens
        ids[rows, tokens.shape[1] + 1] = SEP
    return ids

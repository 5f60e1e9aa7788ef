"""k-mer tokens: from nucleotide codes or sequences to DNABERT's vocabulary ids.

The vocabulary is DNABERT's: five specials, then the k-mers as base-4 numbers over
A, T, C, G (`AAAAAA` = 5, `AAAAAT` = 6, ... `GGGGGG` = 4100).

Shapes: n bases, m tokens, `...` any leading axes.
"""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np

from randommask.genome import encode

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PAD, UNK, CLS, SEP, MASK = range(5)
NUM_SPECIAL = len(SPECIALS)
OVERLAPPING, NON_OVERLAPPING = "overlapping", "non-overlapping"
MAX_K = 7  # 4**8 ids and the specials would not fit into uint16
# Rows tokenized at once. All rows together would be read from memory again for each of
# the passes below; the codes of so many stay in the processor's cache.
BLOCK = 4096


def vocab_size(k: int) -> int:
    """Size of the vocabulary: the specials and all k-mers."""
    return NUM_SPECIAL + 4**k


def names(k: int) -> list[str]:
    """All k-mers, in the order of their ids (the id minus `NUM_SPECIAL`)."""
    return ["".join(letters) for letters in product("ATCG", repeat=k)]


def words(k: int) -> list[str]:
    """The vocabulary in the order of its ids: the specials, then all k-mers."""
    return [*SPECIALS, *names(k)]


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
    numbers = _numbers(codes, k, stride, count)
    numbers += np.uint16(NUM_SPECIAL)
    if codes.max(initial=0) > 3:
        # Count the letters that are no nucleotides before each position: over a k-mer
        # without one the count stays what it was.
        before = np.zeros((*codes.shape[:-1], codes.shape[-1] + 1), np.int32)
        np.cumsum(codes > 3, axis=-1, out=before[..., 1:])
        spoilt = before[..., k:] > before[..., :-k]
        numbers[spoilt[..., ::stride]] = UNK
    return numbers


def _numbers(codes: np.ndarray, k: int, stride: int, count: int) -> np.ndarray:
    """Base-4 numbers of the k-mers, by doubling: 2 digits, 4 digits, then 4 + 2.

    Four digits fit into a byte, and bytes are the fastest. All rows are doubled as one:
    what is read across the end of a row is never taken.
    """
    powers = {1: codes}
    for width in (1, 2):
        if k >= 2 * width:
            digits = powers[width].reshape(-1)
            double = np.zeros(digits.shape, np.uint8)
            ahead = double[: digits.size - width]
            np.multiply(digits[: digits.size - width], np.uint8(4**width), out=ahead)
            ahead += digits[width:]
            powers[2 * width] = double.reshape(codes.shape)
    numbers, done = None, 0
    for width in (4, 2, 1):
        if k & width:
            last = done + stride * (count - 1) + 1
            part = powers[width][..., done:last:stride]
            if numbers is None:
                numbers = part.astype(np.uint16)
            else:
                numbers *= np.uint16(4**width)
                numbers += part
            done += width
    return numbers


def batch_ids(codes: np.ndarray, tokenization: str, k: int) -> np.ndarray:
    """`[CLS] k-mers [SEP]` of windows (B, n) uint8, all of one length: (B, T) uint16.

    n is `window_bases` of the T tokens.
    """
    tokens = kmer_ids(codes, k, stride(tokenization, k))
    ids = np.empty((len(codes), tokens.shape[1] + 2), np.uint16)
    ids[:, 0], ids[:, -1] = CLS, SEP
    ids[:, 1:-1] = tokens
    return ids


def tokenize(sequences: Sequence[str], tokenization: str, k: int) -> np.ndarray:
    """`[CLS] k-mers [SEP]` of each: (sequences, longest) uint16, `PAD` on the right."""
    step = stride(tokenization, k)
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    counts = np.maximum((lengths - k) // step + 1, 0)
    ids = np.full((len(sequences), int(counts.max(initial=0)) + 2), PAD, np.uint16)
    ids[:, 0] = CLS
    for rows, codes in blocks(sequences):
        tokens = kmer_ids(codes, k, step)
        ids[rows, 1 : tokens.shape[1] + 1] = tokens
        ids[rows, tokens.shape[1] + 1] = SEP
    return ids


def blocks(sequences: Sequence[str]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of equal length and their codes (rows, bases) uint8, some at a time."""
    lengths = np.fromiter(map(len, sequences), np.int64, len(sequences))
    for length in np.unique(lengths):
        same = np.flatnonzero(lengths == length)
        for first in range(0, len(same), BLOCK):
            rows = same[first : first + BLOCK]
            codes = encode("".join(sequences[row] for row in rows))
            yield rows, codes.reshape(len(rows), length)

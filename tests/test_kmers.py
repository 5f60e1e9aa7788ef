"""k-mer ids against a plain dictionary and against transformers' tokenizer."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from randommask import kmers
from randommask.genome import encode

LETTERS = st.text("ACGTNacgtRYn", min_size=0, max_size=60)


def plain_ids(sequence: str, k: int, stride: int) -> list[int]:
    words = {"".join(w): 5 + i for i, w in enumerate(product("ATCG", repeat=k))}
    starts = range(0, len(sequence) - k + 1, stride)
    return [words.get(sequence[start : start + k].upper(), 1) for start in starts]


@given(LETTERS, st.integers(1, 7), st.booleans())
def test_ids_equal_a_dictionary_of_words(sequence, k, overlapping):
    stride = 1 if overlapping else k
    found = kmers.kmer_ids(encode(sequence), k, stride)
    assert found.dtype == np.uint16
    assert found.tolist() == plain_ids(sequence, k, stride)


def test_ids_of_many_rows_at_once():
    codes = np.random.default_rng(0).integers(0, 5, (7, 50), dtype=np.uint8)
    for stride in (1, 6):
        together = kmers.kmer_ids(codes, 6, stride)
        apart = [kmers.kmer_ids(row, 6, stride) for row in codes]
        assert (together == np.stack(apart)).all()


def test_vocabulary_is_dnaberts():
    words = kmers.names(6)
    assert (words[0], words[1], words[-1]) == ("AAAAAA", "AAAAAT", "GGGGGG")
    assert kmers.vocab_size(6) == 4101 == len(words) + len(kmers.SPECIALS)
    assert kmers.kmer_ids(encode("GGGGGG"))[0] == 4100


def test_k_too_large_for_the_ids():
    with pytest.raises(ValueError, match="k = 8"):
        kmers.kmer_ids(encode("ACGT" * 5), 8)


@pytest.mark.parametrize("tokenization", ["overlapping", "non-overlapping"])
def test_tokenize_pads_on_the_right(tokenization):
    rows = ["ACGTACGTACGT", "ACGTAC", "TTTTTTTTTTTT"]
    ids = kmers.tokenize(rows, tokenization, 6)
    stride = kmers.stride(tokenization, 6)
    for row, sequence in zip(ids, rows, strict=True):
        words = plain_ids(sequence, 6, stride)
        expected = [kmers.CLS, *words, kmers.SEP]
        assert row.tolist() == expected + [kmers.PAD] * (len(row) - len(expected))


@given(st.integers(4, 600), st.integers(1, 7), st.booleans())
def test_window_holds_exactly_its_tokens(tokens, k, overlapping):
    tokenization = "overlapping" if overlapping else "non-overlapping"
    bases = kmers.window_bases(tokens, tokenization, k)
    codes = np.zeros(bases, np.uint8)
    ids = kmers.kmer_ids(codes, k, kmers.stride(tokenization, k))
    assert len(ids) == tokens - 2

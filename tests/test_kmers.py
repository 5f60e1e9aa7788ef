"""k-mer ids against a plain dictionary and against transformers' tokenizer."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from randommask import kmers
from randommask.genome import decode, encode

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


@pytest.mark.parametrize("k", range(1, 8))
@pytest.mark.parametrize("bases", [7, 50, 56])
def test_ids_of_many_rows_at_once(k, bases):
    codes = np.random.default_rng(0).integers(0, 5, (3, 7, bases), dtype=np.uint8)
    codes[:, :3] %= 4
    for stride in {1, k}:
        together = kmers.kmer_ids(codes, k, stride)
        apart = [[plain_ids(decode(row), k, stride) for row in rows] for rows in codes]
        assert (together == apart).all()
        # a view is read as its copy is
        backwards = kmers.kmer_ids(codes[..., ::-1], k, stride)
        assert (backwards == kmers.kmer_ids(codes[..., ::-1].copy(), k, stride)).all()


@pytest.fixture(scope="module")
def their_ids(tmp_path_factory):
    """Ids as transformers' BertTokenizer gives them with DNABERT's vocabulary."""
    from transformers import BertTokenizer

    folder = tmp_path_factory.mktemp("vocabulary")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += ["".join(letters) for letters in product("ATCG", repeat=6)]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    tokenizer = BertTokenizer.from_pretrained(folder, do_lower_case=False)

    def ids(sequences, stride):
        texts = [
            " ".join(s[i : i + 6] for i in range(0, len(s) - 5, stride))
            for s in map(str.upper, sequences)
        ]
        return np.array(tokenizer(texts)["input_ids"])

    return ids


@pytest.fixture(scope="module")
def chromosome():
    """A million bases: repeats in lower case, N at the ends and in a gap."""
    rng = np.random.default_rng(0)
    text = "".join(rng.choice(list("ACGT"), 1_000_000))
    for start in rng.integers(0, len(text), 300):
        repeat = slice(start, start + rng.integers(300, 6000))
        text = text[: repeat.start] + text[repeat].lower() + text[repeat.stop :]
    for start, bases in ((0, 10_000), (400_000, 50_000), (990_000, 10_000)):
        text = text[:start] + "N" * bases + text[start + bases :]
    return text[:1_000_000]


@pytest.mark.parametrize("tokenization", ["overlapping", "non-overlapping"])
def test_a_chromosomes_windows_have_bert_tokenizers_ids(
    tokenization, chromosome, their_ids
):
    bases = kmers.window_bases(512, tokenization, 6)
    starts = np.random.default_rng(1).integers(0, len(chromosome) - bases, 1000)
    windows = [chromosome[start : start + bases] for start in starts]
    codes = encode("".join(windows)).reshape(len(windows), bases)
    unknown = (codes == 4).any(axis=1)
    assert 0 < unknown.sum() < len(windows)  # some windows hold N, some lower case
    assert any(window != window.upper() for window in windows)
    found = kmers.batch_ids(codes, tokenization, 6)
    assert found.shape == (len(windows), 512)
    theirs = their_ids(windows, kmers.stride(tokenization, 6))
    assert (found == theirs).all()


@pytest.mark.parametrize("tokenization", ["overlapping", "non-overlapping"])
def test_made_windows_have_bert_tokenizers_ids(tokenization, their_ids):
    bases = kmers.window_bases(40, tokenization, 6)
    rng = np.random.default_rng(0)
    # N, lower case and the IUPAC letters among mostly ACGT
    letters = list("ACGT" * 12 + "acgt" * 3 + "NnRYSWKMBDHVryswkmbdhv")
    windows = ["".join(row) for row in rng.choice(letters, (50, bases))]
    windows += ["N" * bases, "a" * bases, "ACGTRY" * bases]
    windows = [window[:bases] for window in windows]
    codes = encode("".join(windows)).reshape(len(windows), bases)
    found = kmers.batch_ids(codes, tokenization, 6)
    assert 0.05 < (found == kmers.UNK).mean() < 0.95
    theirs = their_ids(windows, kmers.stride(tokenization, 6))
    assert (found == theirs).all()
    assert (kmers.tokenize(windows, tokenization, 6) == theirs).all()


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

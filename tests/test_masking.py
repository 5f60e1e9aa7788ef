"""The masker against a plain loop, DNABERT's neighbour lists and the exact shares."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from randommask import curriculum, masking

# DNABERT's MASK_LIST, the centre itself added: which neighbours are masked with it.
DNABERT_OFFSETS = {3: (-1, 1), 4: (-1, 2), 5: (-2, 2), 6: (-2, 3)}
UNIFORM = {"k": 6, "tokenization": "overlapping", "min_span": 6}
SETTINGS = {**UNIFORM, "center_probability": 0.025, "target_share": None}


def corrupt_one_center(k: int, center: int, length: int = 40) -> np.ndarray:
    """Positions asked when `center` is the only token that may be a centre."""
    ids = np.full((1, length), 9, np.uint16)
    for step in range(20_000):
        _, labels = masking.corrupt(
            ids, k, 3, step, min_span=k, center_probability=0.01, vocab_size=5 + 4**k
        )
        asked = np.flatnonzero(labels[0] >= 0)
        if len(asked) == k and asked[0] == center + DNABERT_OFFSETS[k][0]:
            return asked
    raise AssertionError("the centre was never drawn alone")


@pytest.mark.parametrize("k", [3, 4, 5, 6])
def test_span_k_is_dnaberts_window(k):
    first, last = DNABERT_OFFSETS[k]
    assert (-((k - 1) // 2), k // 2) == (first, last)
    asked = corrupt_one_center(k, 20)
    assert asked.tolist() == list(range(20 + first, 20 + last + 1))


def plain_corrupt(ids, max_span, seed, step, first_index, min_span, p, vocab_size):
    """The same draws, applied one token at a time."""
    batch, length = ids.shape
    units = -(-length // 4)
    inputs, labels = ids.copy(), np.full(ids.shape, -100)
    for row in range(batch):
        raw = masking.philox(seed, step, 1, (first_index + row) * units, units)
        asked = set()
        for place in range(length):
            low, high = int(raw[place]) & 0xFFFFFFFF, int(raw[place]) >> 32
            if ids[row, place] < 5 or low >= round(p * 2**32):
                continue
            span = min_span + ((high & 0xFFFF) * (max_span - min_span + 1) >> 16)
            first, last = place - (span - 1) // 2, place + span // 2
            asked |= set(range(max(first, 0), min(last, length - 1) + 1))
        for place in asked:
            if ids[row, place] < 5:
                continue
            low, high = int(raw[place]) & 0xFFFFFFFF, int(raw[place]) >> 32
            labels[row, place] = ids[row, place]
            if (high >> 16) < round(0.8 * 65536):
                inputs[row, place] = 4
            elif (high >> 16) < round(0.9 * 65536):
                inputs[row, place] = (low & 0xFFFF) * vocab_size >> 16
    return inputs, labels


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 5),
    st.integers(1, 40),
    st.integers(1, 9),
    st.integers(0, 8),
    st.integers(0, 2**32),
    st.integers(0, 10**6),
    st.integers(0, 500),
)
def test_equals_a_plain_loop(batch, length, min_span, extra, seed, step, first):
    ids = np.random.default_rng(seed).integers(0, 300, (batch, length))
    ids = ids.astype(np.uint16)
    arguments = (ids, min_span + extra, seed, step, first)
    found = masking.corrupt(
        *arguments, min_span=min_span, center_probability=0.1, vocab_size=261
    )
    expected = plain_corrupt(*arguments, min_span, 0.1, 261)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours == theirs).all()


def test_a_batch_does_not_depend_on_how_it_is_cut():
    ids = np.random.default_rng(1).integers(5, 4101, (32, 77)).astype(np.uint16)
    whole = masking.corrupt(ids, 14, 7, 123)
    parts = [masking.corrupt(ids[i : i + 8], 14, 7, 123, i) for i in range(0, 32, 8)]
    for index in range(2):
        assert (np.concatenate([part[index] for part in parts]) == whole[index]).all()
    other = masking.corrupt(ids, 14, 7, 124)
    assert (other[1] != whole[1]).any()


def test_specials_are_never_asked_and_ids_stay_where_nothing_is():
    ids = np.random.default_rng(2).integers(0, 30, (16, 200)).astype(np.uint16)
    inputs, labels = masking.corrupt(ids, 10, 0, 0, center_probability=0.2)
    asked = labels >= 0
    assert not asked[ids < 5].any()
    assert (labels[asked] == ids[asked]).all()
    assert (inputs[~asked] == ids[~asked]).all()


def test_eighty_ten_ten():
    ids = np.full((256, 512), 777, np.uint16)
    inputs, labels = masking.corrupt(ids, 14, 0, 0)
    shown = inputs[labels >= 0]
    assert len(shown) > 25_000
    assert abs((shown == 4).mean() - 0.8) < 0.01
    assert abs((shown == 777).mean() - 0.1) < 0.01
    drawn = shown[(shown != 4) & (shown != 777)]
    # random tokens come from the whole vocabulary, evenly
    assert abs(drawn.mean() - 2050) < 100
    assert drawn.max() > 4000


@pytest.mark.parametrize(
    ("max_span", "share", "bound"),
    [
        (6, 0.1409, 1.1),
        (8, 0.1623, 1.6),
        (10, 0.1831, 2.0),
        (12, 0.2035, 2.3),
        (14, 0.2233, 2.5),
    ],
)
def test_share_and_bound_of_each_phase(max_span, share, bound):
    assert masking.masked_share(0.025, 6, max_span) == pytest.approx(share, abs=1e-4)
    ids = np.full((128, 4096), 9, np.uint16)
    _, labels = masking.corrupt(ids, max_span, 5, 5)
    assert (labels[:, 20:-20] >= 0).mean() == pytest.approx(share, rel=0.02)
    found = curriculum.information_bound(SETTINGS, max_span)
    assert found == pytest.approx(bound, abs=0.06)


def test_spans_are_uniform():
    ids = np.full((512, 512), 9, np.uint16)
    _, labels = masking.corrupt(ids, 9, 1, 1, min_span=6, center_probability=0.001)
    edges = np.diff(np.pad(labels >= 0, ((0, 0), (1, 1))).astype(int), axis=1)
    starts, ends = np.nonzero(edges == 1), np.nonzero(edges == -1)
    inside = (starts[1] > 0) & (ends[1] < 512)
    lengths = (ends[1] - starts[1])[inside]
    counts = np.bincount(lengths, minlength=10)[6:10]
    assert counts.sum() > 200
    assert counts.min() > 0.15 * counts.sum()


def test_share_can_be_fixed():
    ids = np.full((128, 2048), 9, np.uint16)
    for max_span in (6, 14):
        _, labels = masking.corrupt(ids, max_span, 0, 0, target_share=0.15)
        assert (labels[:, 20:-20] >= 0).mean() == pytest.approx(0.15, rel=0.02)


def test_single_tokens_for_non_overlapping():
    ids = np.full((64, 512), 9, np.uint16)
    _, labels = masking.corrupt(ids, 1, 0, 0, min_span=1, center_probability=0.15)
    assert (labels >= 0).mean() == pytest.approx(0.15, rel=0.05)

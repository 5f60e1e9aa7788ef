"""The masker against plain loops, DNABERT's neighbour lists and the exact shares."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made.genome import segment

from randommask import masking
from randommask.data import draws
from randommask.experiment.sections import Phase
from randommask.masking.draws import Draws
from randommask.pretraining import curriculum

# DNABERT's MASK_LIST: which neighbours of a centre are masked with it.
MASK_LIST = {3: [-1, 1], 4: [-1, 1, 2], 5: [-2, -1, 1, 2], 6: [-2, -1, 1, 2, 3]}
SIX = {"k": 6, "min_span": 6, "center_probability": 0.025}
# maximum span: share masked, bases hidden a masked token, loss bound (nats) where the
# tokens that 80/10/10 keeps give bases away
PHASES = {
    6: (0.1409, 1.45, 1.06),
    8: (0.1623, 2.13, 1.58),
    10: (0.1831, 2.68, 1.96),
    12: (0.2035, 3.10, 2.27),
    14: (0.2233, 3.40, 2.50),
}


def phase(max_span):
    return Phase(until=1, max_span=max_span)


def draws_of(ids, seed=0, step=0, first=0):
    return Draws(seed, step, first, *ids.shape)


# --- Against plain loops --------------------------------------------------------------


def high_bytes(seed, step, stream, sample, length):
    units = -(-length // 32)
    words = draws.philox(seed, step, stream, sample * units, units)
    return b"".join(int(word).to_bytes(8, "little") for word in words)[:length]


def low_word(seed, step, stream, sample, rank):
    words = draws.philox(seed, step, stream, sample * 4, 4, rank // 32)
    return int(words[rank % 32 // 2]) >> 32 * (rank % 2) & 0xFFFFFFFF


def plain_corrupt(ids, max_span, seed, step, first, *, min_span, p, vocab_size):
    """The same draws, applied one token at a time."""
    inputs, labels = ids.copy(), np.full(ids.shape, -100)
    length, limit = ids.shape[1], round(p * 2**40)
    low, top = round(0.8 * 2**40), round(0.9 * 2**40)
    for row in range(len(ids)):
        sample = first + row
        masked, drawn = set(), 0
        for i, byte in enumerate(high_bytes(seed, step, 1, sample, length)):
            if byte << 32 >= limit:
                continue
            number = (byte << 32) + low_word(seed, step, 2, sample, drawn)
            drawn += 1
            if number >= limit or ids[row, i] < 5:
                continue
            m = min_span + number * (max_span - min_span + 1) // limit
            masked |= set(range(i - (m - 1) // 2, i + m // 2 + 1)) & set(range(length))
        actions, drawn = high_bytes(seed, step, 3, sample, length), 0
        for i in sorted(masked):
            if ids[row, i] < 5:
                continue
            labels[row, i], inputs[row, i] = ids[row, i], 4
            if actions[i] < low >> 32:
                continue
            number = (actions[i] << 32) + low_word(seed, step, 4, sample, drawn)
            drawn += 1
            if number >= top:
                inputs[row, i] = ids[row, i]
            elif number >= low:
                inputs[row, i] = (number - low) * vocab_size // (top - low)
    return inputs, labels


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(1, 150),
    st.integers(1, 9),
    st.integers(0, 8),
    st.sampled_from([0.01, 0.1, 0.5, 0.95]),
    st.integers(0, 2**32 - 1),
    st.integers(0, 10**6),
    st.integers(0, 500),
)
def test_equals_a_plain_loop(batch, length, min_span, extra, p, seed, step, first):
    # ids below 5 are specials; most are not
    ids = np.random.default_rng(seed).integers(0, 60, (batch, length))
    ids = ids.astype(np.uint16)
    arguments = (ids, min_span + extra, seed, step, first)
    found = masking.corrupt(
        *arguments, min_span=min_span, center_probability=p, vocab_size=261
    )
    expected = plain_corrupt(*arguments, min_span=min_span, p=p, vocab_size=261)
    for ours, theirs in zip(found, expected, strict=True):
        assert (ours == theirs).all()


@given(st.data(), st.integers(1, 4), st.integers(1, 50))
def test_cover_is_the_union_of_the_windows(data, batch, length):
    positions = st.integers(0, batch * length - 1)
    centers = sorted(data.draw(st.sets(positions)))
    spans = [data.draw(st.integers(1, 20)) for _ in centers]
    union = set()
    for i, m in zip(centers, spans, strict=True):
        row = range(i - i % length, i - i % length + length)
        union |= set(range(i - (m - 1) // 2, i + m // 2 + 1)) & set(row)
    center, span = np.array(centers, np.int64), np.array(spans, np.int64)
    assert masking.cover(center, span, length).tolist() == sorted(union)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(0, 9), st.booleans())
def test_what_is_masked_is_the_union_around_the_centres(seed, min_span, extra, at):
    """From the spans drawn, without the masker's own union."""
    ids = np.random.default_rng(seed).integers(0, 40, (3, 70)).astype(np.uint16)
    max_span = min_span + extra
    drawn = draws_of(ids, seed, 2, 9)
    center, span = masking.draw_spans(ids, drawn, min_span, max_span, 0.05, 5)
    assert (ids.reshape(-1)[center] >= 5).all()
    assert ((span >= min_span) & (span <= max_span)).all()
    expected = np.zeros(ids.shape, bool)
    for i, m in zip(center, span, strict=True):
        row, column = divmod(int(i), 70)
        expected[row, max(column - (m - 1) // 2, 0) : column + m // 2 + 1] = True
    expected &= ids >= 5
    options = {"min_span": min_span, "center_probability": 0.05, "vocab_size": 40}
    if at:
        inputs, masked, targets = masking.corrupt_at(
            ids, max_span, seed, 2, 9, **options
        )
        assert (masked == np.flatnonzero(expected)).all()
        assert (targets == ids[expected]).all() and targets.dtype == np.uint16
    else:
        inputs, labels = masking.corrupt(ids, max_span, seed, 2, 9, **options)
        assert ((labels >= 0) == expected).all()
        assert (labels[~expected] == -100).all()
        assert (labels[expected] == ids[expected]).all()
    assert (inputs[~expected] == ids[~expected]).all()
    assert inputs.dtype == np.uint16


@pytest.mark.parametrize("k", [3, 4, 5, 6])
def test_span_k_is_dnaberts_window(k):
    ids = np.full((32, 200), 9, np.uint16)
    ids[:, [0, -1]] = 2, 3  # no centres, and not masked
    center, span = masking.draw_spans(ids, draws_of(ids, 8), k, k, 0.01, 5)
    assert len(center) > 30 and set(span.tolist()) == {k}
    expected = set()
    for i in center.tolist():
        row = i // 200 * 200
        around = {i, *(i + offset for offset in MASK_LIST[k])}
        expected |= around & set(range(row + 1, row + 199))
    _, masked, _ = masking.corrupt_at(
        ids, k, 8, 0, min_span=k, center_probability=0.01, vocab_size=5 + 4**k
    )
    assert masked.tolist() == sorted(expected)


@pytest.mark.parametrize("shape", [(3, 1), (1, 7), (4, 33)])
def test_nothing_but_specials_is_left_as_it_is(shape):
    ids = np.full(shape, 2, np.uint16)
    inputs, labels = masking.corrupt(ids, 14, 0, 0, center_probability=0.9)
    assert (inputs == ids).all() and (labels == -100).all()


def test_the_ids_given_are_not_changed():
    ids = np.full((4, 100), 9, np.uint16)
    masking.corrupt(ids, 14, 0, 0, center_probability=0.5)
    assert (ids == 9).all()


# --- A function of (seed, step, sample index) -----------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(1, 9), min_size=1, max_size=6),
    st.integers(1, 90),
    st.sampled_from([0.025, 0.6]),
    st.integers(0, 2**40),
)
def test_a_batch_does_not_depend_on_how_it_is_cut(parts, length, p, first):
    ids = np.random.default_rng(1).integers(0, 4101, (sum(parts), length))
    ids = ids.astype(np.uint16)
    whole = masking.corrupt(ids, 14, 7, 123, first, center_probability=p)
    row = 0
    for count in parts:
        part = ids[row : row + count]
        found = masking.corrupt(part, 14, 7, 123, first + row, center_probability=p)
        for ours, theirs in zip(found, whole, strict=True):
            assert (ours == theirs[row : row + count]).all()
        row += count


def test_seeds_steps_and_samples_differ():
    ids = np.full((2, 2000), 9, np.uint16)
    keys = [(7, 123, 0), (8, 123, 0), (7, 124, 0), (7, 123, 2), (7, 2**63, 0)]
    seen = {row.tobytes() for key in keys for row in masking.corrupt(ids, 14, *key)[1]}
    assert len(seen) == 2 * len(keys)


# --- Statistics: bounds are 5 standard deviations of the counts -----------------------


def assert_share(found: int, number: int, share: float) -> None:
    spread = (number * share * (1 - share)) ** 0.5
    assert abs(found - number * share) < 5 * spread


def test_centres_are_binomial_and_spans_uniform():
    ids = np.full((1024, 512), 9, np.uint16)
    center, span = masking.draw_spans(ids, draws_of(ids, 4), 6, 14, 0.025, 5)
    assert_share(len(center), ids.size, 0.025)
    for m in range(6, 15):
        assert_share((span == m).sum(), len(span), 1 / 9)
    # neither depends on the column, nor one span on the one before
    columns = np.bincount(center % 512 // 64, minlength=8)
    for count in columns:
        assert_share(count, len(center), 1 / 8)
    assert abs(np.corrcoef(span[1:], span[:-1])[0, 1]) < 5 / len(span) ** 0.5
    assert abs(np.corrcoef(span, center % 512)[0, 1]) < 5 / len(span) ** 0.5


def test_eighty_ten_ten_for_each_token():
    ids = np.full((512, 512), 777, np.uint16)
    inputs, masked, _ = masking.corrupt_at(ids, 14, 0, 0)
    shown = inputs.reshape(-1)[masked].astype(np.int64)
    number = len(shown)
    assert number > 50_000
    # a random token is [MASK] or the old one once in 4,101
    assert_share((shown == 4).sum(), number, 0.8 + 0.1 / 4101)
    assert_share((shown == 777).sum(), number, 0.1 + 0.1 / 4101)
    drawn = shown[(shown != 4) & (shown != 777)]
    for eighth in range(8):  # from the whole vocabulary, evenly
        inside = (drawn * 8 // 4101 == eighth).sum()
        assert_share(inside, len(drawn), 1 / 8)
    assert drawn.min() < 5 and drawn.max() > 4090 and drawn.max() < 4101
    # per token, not per span: neighbours agree no more often than chance has it
    hidden = shown == 4
    neighbours = np.flatnonzero(np.diff(masked) == 1)
    both = (hidden[neighbours] & hidden[neighbours + 1]).sum()
    assert_share(both, len(neighbours), 0.64)


@pytest.mark.parametrize("max_span", PHASES)
def test_share_and_hidden_bases_of_each_phase(max_span):
    share, hidden_bases, _ = PHASES[max_span]
    assert masking.endless_share(0.025, 6, max_span) == pytest.approx(share, abs=1e-4)
    ids = np.full((128, 8192), 9, np.uint16)
    _, flat, _ = masking.corrupt_at(ids, max_span, 5, 5)
    masked = np.zeros(ids.shape, bool)
    masked.reshape(-1)[flat] = True
    inner = masked[:, 20:-20]
    assert inner.mean() == pytest.approx(share, rel=0.02)
    # a base is hidden where all six tokens over it are masked
    window = np.lib.stride_tricks.sliding_window_view
    hidden = window(masked, 6, axis=1).all(axis=-1)  # [:, j]: base j + 5
    count = window(hidden, 6, axis=1).sum(axis=-1)  # [:, j]: bases of token j + 5
    found = count[:, 15:-15][inner].mean()
    assert found == pytest.approx(hidden_bases, rel=0.03)


@settings(max_examples=20, deadline=None)
@given(st.integers(4, 48), st.integers(1, 8), st.integers(0, 8), st.booleans())
def test_share_of_a_short_row_is_the_maskers(tokens, shortest, more, normalised):
    """Spans are cut at [CLS] and [SEP], and no centre lies there or beyond."""
    longest = shortest + more
    keys = {
        "tokens": tokens,
        "min_span": shortest,
        "center_probability": 0.05,
        "target_share": 0.15 if normalised else None,
    }
    spans = ((10, shortest), (40, longest))
    phases = [{"until": until, "max_span": span} for until, span in spans]
    ids = np.full((1_000_000 // tokens, tokens), 9, np.uint16)
    ids[:, 0], ids[:, -1] = 2, 3
    shares = []
    for span in (shortest, longest):
        _, masked, _ = masking.corrupt_at(
            ids, span, 0, 0, min_span=shortest,
            center_probability=0.05, target_share=keys["target_share"],
        )  # fmt: skip
        shares.append(len(masked) / ids[:, 1:-1].size)
    found = 0.25 * shares[0] + 0.75 * shares[1]
    whole = segment(**keys, curriculum=phases).settings
    assert masking.masked_share(whole) == pytest.approx(found, abs=0.01)
    endless = masking.endless_share(0.05, shortest, shortest)
    alone = segment(**keys | {"target_share": None, "tokens": 10_000}).settings
    found = masking.phase_share(alone, phase(shortest))
    assert found == pytest.approx(endless, rel=2e-3)


@pytest.mark.parametrize("max_span", PHASES)
def test_information_bound_of_each_phase(max_span):
    found = curriculum.information_bound(segment(**SIX).settings, phase(max_span))
    assert found == pytest.approx(PHASES[max_span][2], rel=0.03)


@pytest.mark.parametrize("max_span", [6, 14])
def test_nothing_leaks_where_no_token_is_kept(max_span):
    """A masked token then costs what the bases that are truly hidden are worth."""
    bounds = [
        curriculum.information_bound(
            segment(**SIX, replacement=shares).settings, phase(max_span)
        )
        for shares in ({"mask": 1.0, "random": 0.0}, {"mask": 0.9, "random": 0.1})
    ]
    assert bounds[0] == pytest.approx(PHASES[max_span][1] * np.log(4), rel=0.03)
    # a random token is as good as hidden, but for the one that is drawn right
    assert bounds[1] == pytest.approx(bounds[0], rel=0.01)


@pytest.mark.parametrize(
    ("mask", "random"), [(1.0, 0.0), (0.9, 0.1), (0.5, 0.25), (0.0, 1.0), (0.0, 0.0)]
)
def test_replacement_has_the_shares_it_is_told(mask, random):
    ids = np.random.default_rng(0).integers(5, 4101, (64, 4096), dtype=np.uint16)
    options = {"mask_share": mask, "random_share": random}
    inputs, masked, targets = masking.corrupt_at(ids, 14, 3, 3, **options)
    shown = inputs.reshape(-1)[masked]
    shares = [np.mean(shown == 4), np.mean(shown == targets)]
    assert shares[0] == pytest.approx(mask, abs=0.01)
    assert shares[1] == pytest.approx(1 - mask - random, abs=0.01)
    plain = masking.corrupt_at(ids, 14, 3, 3)
    assert np.array_equal(masked, plain[1])  # what is masked does not depend on it
    if (mask, random) == (1.0, 0.0):
        assert (shown == 4).all()


@pytest.mark.parametrize("max_span", [6, 9, 14])
def test_share_can_be_fixed(max_span):
    ids = np.full((128, 4096), 9, np.uint16)
    _, labels = masking.corrupt(ids, max_span, 0, 0, target_share=0.15)
    assert (labels[:, 20:-20] >= 0).mean() == pytest.approx(0.15, rel=0.02)


def test_single_tokens_for_non_overlapping():
    ids = np.full((128, 512), 9, np.uint16)
    options = {"min_span": 1, "center_probability": 0.15}
    center, span = masking.draw_spans(ids, draws_of(ids), 1, 1, 0.15, 5)
    _, masked, _ = masking.corrupt_at(ids, 1, 0, 0, **options)
    assert (masked == center).all() and (span == 1).all()
    assert_share(len(masked), ids.size, 0.15)

"""RandomMask's rivals against plain loops, their exact shares and what they hide."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made.genome import segment

from randommask import kmers, masking
from randommask.data import draws
from randommask.masking import spans
from randommask.masking.draws import Draws
from randommask.masking.ranked import NEVER
from randommask.pretraining import curriculum

RANKED = ("genemask", "top-pmi")


def ranks_of(words, seed=0):
    """A rank for each of so many words; none for the five specials."""
    order = np.random.default_rng(seed).permutation(words) + 1
    return np.r_[np.full(5, NEVER), order].astype(np.uint16)


def rows(count, tokens, k, seed=0):
    """[CLS], overlapping k-mers of uniform DNA, [SEP]."""
    bases = kmers.window_bases(tokens, "overlapping", k)
    source = np.random.default_rng(seed)
    codes = source.integers(0, 4, (count, bases), dtype=np.uint8)
    return kmers.batch_ids(codes, "overlapping", k)


# --- Spans that get rarer with their length -------------------------------------------


@given(st.integers(1, 7), st.integers(0, 9), st.integers(0, 2**32 - 1))
def test_geometric_lengths_equal_a_plain_loop(shortest, more, seed):
    """The centres of `spans`, and of their numbers the fifths of what is left."""
    ids = np.full((3, 90), 9, np.uint16)
    made = Draws(seed, 1, 4, *ids.shape)
    alike = masking.draw_spans(ids, made, 1, 8, 0.2, 5)
    law = (shortest, shortest + more, 0.2, 5, "geometric")
    center, span = masking.draw_spans(ids, made, *law)
    assert (center == alike[0]).all()
    limit = round(0.2 * 2**40)
    high = made.high_bytes(1)
    near = np.flatnonzero(high <= limit >> 32)
    numbers = dict(zip(near, made.complete(2, high[near], near).tolist(), strict=True))
    chances = [0.8**n for n in range(more + 1)]
    for i, length in zip(center, span, strict=True):
        expected = shortest
        for n in range(more):
            share = sum(chances[: n + 1]) / sum(chances)
            expected += numbers[i] >= round(share * limit)
        assert length == expected


def test_geometric_lengths_are_spanberts_and_of_bases():
    """3.8 bases on average are hidden whole, of 6-mers by 8.8 tokens."""
    ids = np.full((2048, 512), 9, np.uint16)
    made = Draws(3, 0, 0, *ids.shape)
    _, span = masking.draw_spans(ids, made, 6, 15, 0.025, 5, "geometric")
    shares = np.bincount(span, minlength=16)[6:] / len(span)
    expected = 0.2 * 0.8 ** np.arange(10) / (1 - 0.8**10)
    assert shares == pytest.approx(expected, abs=0.006)
    assert span.mean() - 5 == pytest.approx(3.797, abs=0.03)
    hidden = [length - 5 for length in range(6, 16)]  # bases under no other token
    assert spans.weights(10, "geometric") @ hidden == pytest.approx(3.797, abs=1e-3)


# --- Chosen by rank -------------------------------------------------------------------


def plain(ids, law, k, share, ranks, seed, step, first):
    """Centres one by one, until enough is masked."""
    masked = []
    length = ids.shape[1]
    units = -(-length // 16)
    for row, own in enumerate(ids):
        sample = first + row
        words = draws.philox(seed, step, 5, sample * units, units).view(np.uint16)
        drawn = words[:length].tolist()
        [word, *_] = draws.philox(seed, step, 6, sample, 1).tolist()
        usual = [i for i in range(length) if own[i] >= 5]
        count = int(share * len(usual) + (word >> 11) / 2**53)
        if law == "genemask":
            turns = sorted((drawn[i] >> 1, i) for i in usual)
        else:
            turns = sorted((ranks[own[i]], i) for i in usual)
        taken = set()
        for turn in sorted({turn for turn, _ in turns}):
            reached = set()
            for center in (i for other, i in turns if other == turn):
                around = range(center - (k - 1) // 2, center + k // 2 + 1)
                if law == "top-pmi" or drawn[center] & 1:
                    best = center
                    if law == "genemask":
                        inside = [i for i in around if i in usual]
                        best = min(inside, key=lambda i: (ranks[own[i]], i))
                    around = range(best - k + 1, best + k)
                reached |= set(around) & set(usual)
            for i in sorted(reached - taken):
                if len(taken) < count:
                    taken.add(i)
        masked += [row * length + i for i in sorted(taken)]
    return masked


@given(
    st.sampled_from(RANKED),
    st.integers(1, 5),
    st.integers(1, 90),
    st.integers(1, 7),
    st.sampled_from([0.02, 0.15, 0.5, 0.95]),
    st.integers(0, 2**32 - 1),
)
def test_ranked_equal_a_plain_loop(law, batch, length, k, share, seed):
    ids = np.random.default_rng(seed).integers(0, 40, (batch, length)).astype(np.uint16)
    ranks = ranks_of(35, seed)
    options = {"min_span": k, "law": law, "share": share, "ranks": ranks}
    _, masked, targets = masking.corrupt_at(
        ids, k, seed, 2, 7, vocab_size=40, **options
    )
    assert masked.tolist() == plain(ids, law, k, share, ranks, seed, 2, 7)
    assert (targets == ids.reshape(-1)[masked]).all()


@pytest.mark.parametrize("law", RANKED)
@pytest.mark.parametrize(("tokens", "share"), [(32, 0.15), (512, 0.3)])
def test_ranked_mask_as_many_as_they_are_told(law, tokens, share):
    """In each sequence, to less than one token."""
    ids = rows(2000, tokens, 6)
    options = {"law": law, "share": share, "ranks": ranks_of(4096)}
    _, labels = masking.corrupt(ids, 6, 1, 1, **options)
    counts = (labels >= 0).sum(1)
    exact = share * (tokens - 2)
    assert set(counts.tolist()) <= {int(exact), int(exact) + 1}
    assert counts.mean() == pytest.approx(exact, abs=5 * 0.5 / 2000**0.5)


@pytest.mark.parametrize("law", ["spans", "geometric", *RANKED])
@pytest.mark.parametrize("target", [None, 0.15])
def test_share_of_a_phase_is_the_maskers(law, target):
    phases = [{"until": 6, "max_span": 9, "masking": law}]
    changes = {"curriculum": phases, "target_share": target, "k": 6, "min_span": 6}
    settings = segment(**changes, tokens=32).settings
    ids, ranks = rows(20_000, 32, 6), ranks_of(4096)
    options = masking.options(settings, settings.curriculum[0])
    _, masked, _ = masking.corrupt_at(ids, 9, 1, 1, ranks=ranks, **options)
    found = len(masked) / (20_000 * 30)
    assert masking.masked_share(settings) == pytest.approx(found, abs=2e-3)
    assert len(masked) < masking.most_masked(
        settings.model_copy(update={"micro_batch": 20_000}), settings.curriculum[0]
    )


@pytest.mark.parametrize("law", ["geometric", *RANKED])
def test_a_batch_does_not_depend_on_how_it_is_cut(law):
    ids, ranks = rows(9, 70, 4), ranks_of(256)
    options = {"min_span": 4, "law": law, "vocab_size": 261}
    if law in RANKED:
        options |= {"share": 0.3, "ranks": ranks}
    whole = masking.corrupt(ids, 8, 7, 123, 5, **options)
    for first, end in ((0, 1), (1, 6), (6, 9)):
        part = masking.corrupt(ids[first:end], 8, 7, 123, 5 + first, **options)
        for ours, theirs in zip(part, whole, strict=True):
            assert (ours == theirs[first:end]).all()


def test_genemask_differs_by_seed_step_and_sample_and_top_pmi_by_the_sequence_alone():
    ids = np.repeat(rows(1, 200, 4), 2, axis=0)
    keys = [(7, 1, 0), (8, 1, 0), (7, 2, 0), (7, 1, 2)]
    seen = {}
    for law in RANKED:
        options = {"min_span": 4, "law": law, "share": 0.25, "ranks": ranks_of(256)}
        seen[law] = {
            row[1:-1].tobytes()
            for key in keys
            for row in masking.corrupt(ids, 4, *key, vocab_size=261, **options)[1] >= 0
        }
    assert len(seen["genemask"]) == 8
    assert len(seen["top-pmi"]) <= 2  # 49 or 50 tokens


# --- What they hide -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("law", "longest", "least"),
    [
        ("spans", 6, 1.0),
        ("geometric", 15, 1.8),
        ("genemask", 6, 1.8),
        ("top-pmi", 6, 2),
    ],
)
def test_information_bound_is_what_is_truly_hidden(law, longest, least):
    """Where no masked token is kept: counted base by base, in nats."""
    phases = [{"until": 6, "max_span": longest, "masking": law}]
    settings = segment(
        k=6, min_span=6, curriculum=phases, replacement={"mask": 1.0, "random": 0.0},
        target_share=0.15,
    ).settings  # fmt: skip
    phase, ranks = settings.curriculum[0], ranks_of(4096)
    ids = rows(40, 1002, 6, seed=5)
    options = masking.options(settings, phase)
    _, labels = masking.corrupt(ids, longest, 4, 4, ranks=ranks, **options)
    worth = []
    for row in labels[:, 1:-1] >= 0:
        shown = {i + j for i in np.flatnonzero(~row) for j in range(6)}
        for i in np.flatnonzero(row):
            worth.append(sum(i + j not in shown for j in range(6)))
    bound = curriculum.information_bound(settings, phase, ranks)
    assert bound == pytest.approx(np.mean(worth) * np.log(4), rel=0.06)
    assert bound > least

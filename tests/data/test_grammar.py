"""The pieces of the made-up language: what is planted is there, and nowhere else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from randommask.data import grammar
from randommask.genome import decode, encode


def writer(seed=1):
    rng = np.random.default_rng(seed)
    return grammar.Writer(rng.dirichlet(np.full(4, 12.0), 16), rng)


def texts(codes):
    return [decode(row) for row in codes]


def test_background_has_the_gc_asked_for_and_two_bases_of_memory():
    scribe = grammar.Writer(np.full((16, 4), 0.25), np.random.default_rng(1))
    low, high = scribe.background(np.array([0.3, 0.6]), 20_000)
    assert (low >= 2).mean() == pytest.approx(0.3, abs=0.02)
    assert (high >= 2).mean() == pytest.approx(0.6, abs=0.02)

    cycle = np.zeros((16, 4))
    cycle[np.arange(16), (np.arange(16) // 4 + np.arange(16)) % 4] = 1
    codes = grammar.Writer(cycle, scribe.rng).background(np.array([0.5]), 200)[0]
    assert (codes[2:] == (codes[:-2].astype(int) + codes[1:-1]) % 4).all()


def test_plant_mutates_at_the_rate_of_each_base():
    codes = np.zeros((2000, 30), np.uint8)
    rate = np.array([0, 0.5, 1.0])
    rows = np.arange(0, 2000, 2)
    writer().plant(codes, encode("GTC"), rows, np.full(1000, 7), rate)
    assert (codes[1::2] == 0).all()
    kept = (codes[::2, 7:10] == encode("GTC")).mean(axis=0)
    assert kept == pytest.approx([1, 0.5, 0], abs=0.05)
    assert (np.delete(codes[::2], [7, 8, 9], axis=1) == 0).all()


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 2), min_size=1, max_size=20))
def test_scatter_plants_each_count_without_overlap(counts):
    codes = np.zeros((len(counts), 66), np.uint8)
    writer().scatter(codes, [encode("GTTG"), encode("CCC")], np.array(counts), 6, 0)
    found = [(text.count("GTTG"), text.count("CCC")) for text in texts(codes)]
    assert found == counts


@given(st.text(alphabet="ACGT", max_size=60))
def test_reverse_complement_is_that_of_the_letters(text):
    other = text[::-1].translate(str.maketrans("ACGT", "TGCA"))
    assert decode(grammar.reverse_complement(encode(text))) == other


@pytest.mark.parametrize("site", grammar.FACTORS.values())
def test_decoys_are_not_the_site(site):
    for decoy in grammar.decoys(site):
        assert decode(decoy) != site
        assert len(decoy) == len(site)


def test_enhancer_sites_are_the_same_on_both_strands():
    for site in grammar.ENHANCER_SITES:
        assert decode(grammar.reverse_complement(encode(site))) == site


@pytest.mark.parametrize("source", sorted(grammar.FACTORS))
def test_only_the_positives_of_a_factor_hold_its_site(source):
    labels = np.arange(300) % 2
    codes = grammar.factor(writer(), source, labels, 101)
    assert codes.shape == (300, 101)
    has_site = np.array([grammar.FACTORS[source] in text for text in texts(codes)])
    assert has_site[labels == 1].mean() > 0.35
    assert has_site[labels == 0].mean() < 0.05


@pytest.mark.parametrize("source", sorted(grammar.MARKS))
def test_positives_of_a_mark_hold_more_pairs(source):
    labels = np.arange(300) % 2
    codes = grammar.mark(writer(), source, labels, 500)
    assert codes.shape == (300, 500)
    site = decode(grammar.pair(source))
    pairs = np.array([text.count(site) for text in texts(codes)])
    assert pairs[labels == 1].mean() > 2 * pairs[labels == 0].mean() > 0


@pytest.mark.parametrize("kind", grammar.TATA_SHARES)
def test_promoters_differ_in_composition_and_signals(kind):
    labels = np.arange(600) % 2
    whole = grammar.promoter(writer(), f"prom/prom_300_{kind}", labels, 300)
    core = grammar.promoter(writer(), f"prom/prom_core_{kind}", labels, 70)
    assert (whole[:, 216:286] == core).all()
    gc = (whole >= 2).mean(axis=1)
    assert gc[labels == 1].mean() > gc[labels == 0].mean() + 0.05
    has_tata = np.array([grammar.TATA in text for text in texts(core)])
    share = has_tata[labels == 1].mean()
    assert share == pytest.approx(0.55 * grammar.TATA_SHARES[kind], abs=0.12)
    assert has_tata[labels == 0].mean() < 0.1


def test_splice_sites_stand_where_the_published_ones_do():
    labels = np.arange(900) % 3
    rows = np.array(texts(grammar.splice(writer(), "splice", labels, 400)))
    assert all(text[198:200] == "AG" for text in rows[labels == 0])
    assert all(text[200:202] == "GT" for text in rows[labels == 1])
    neither = [text[198:200] == "AG" or text[200:202] == "GT" for text in rows[2::3]]
    assert np.mean(neither) < 0.3


def test_activities_follow_their_sites():
    codes, activity = grammar.enhancers(writer(), 1000, 249)
    assert codes.shape == (1000, 249) and activity.shape == (1000, 2)
    for column, site in enumerate(grammar.ENHANCER_SITES):
        number = [text.count(site) for text in texts(codes)]
        assert np.corrcoef(number, activity[:, column])[0, 1] > 0.6

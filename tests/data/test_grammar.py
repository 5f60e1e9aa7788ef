"""The pieces of the made language: what is planted is there, and is the label."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from randommask.data import grammar
from randommask.data.grammar import FORMED, SPACED, SWAPPED, TURNED
from randommask.genome import decode, encode

MANNERS = (FORMED, SWAPPED, SPACED, TURNED)


def writer(seed=1):
    rng = np.random.default_rng(seed)
    return grammar.Writer(rng.dirichlet(np.full(4, 12.0), 16), rng)


def texts(codes):
    return [decode(row) for row in codes]


def other(text):
    return text[::-1].translate(str.maketrans("ACGT", "TGCA"))


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


@given(st.text(alphabet="ACGT", max_size=60))
def test_reverse_complement_is_that_of_the_letters(text):
    assert decode(grammar.reverse_complement(encode(text))) == other(text)


def test_no_word_is_its_own_reverse_complement_nor_stands_in_two_phrases():
    words = [word for p in grammar.LEXICON for word in (p.first, p.second)]
    assert len({*words, *map(other, words)}) == 2 * len(words)


@pytest.mark.parametrize("manner", MANNERS)
@pytest.mark.parametrize("strands", [1, 2])
def test_a_phrase_stands_as_it_is_told(manner, strands, monkeypatch):
    monkeypatch.setattr(grammar, "MUTATION", 0)
    phrase = grammar.Phrase("TTGCGTAA", "CGGAAGTG", 6)
    pattern = {
        FORMED: "TTGCGTAA.{6}CGGAAGTG",
        SWAPPED: "CGGAAGTG.{6}TTGCGTAA",
        SPACED: "TTGCGTAA.{11}CGGAAGTG",
        TURNED: "TTGCGTAA.{6}CACTTCCG",
    }[manner]
    codes = writer().background(np.full(200, 0.5), 80)
    rows = np.arange(200)
    writer().say(codes, phrase, manner, rows, np.full(200, 40), 40, strands)
    found = [
        (
            bool(re.search(pattern, text[40:])),
            bool(re.search(pattern, other(text[40:]))),
        )
        for text in texts(codes)
    ]
    assert all(map(any, found))
    share = np.mean([strand[1] and not strand[0] for strand in found])
    assert share == pytest.approx(0.5 * (strands - 1), abs=0.1)


def words_of(task, sequences):
    """How often each word of the task stands on either strand, whatever the order."""
    words = [w for phrase in task.phrases for w in (phrase.first, phrase.second)]
    return {
        word: np.mean([t.count(word) + t.count(other(word)) for t in sequences])
        for word in words
    }


@pytest.mark.parametrize("source", sorted(grammar.TASKS))
def test_all_classes_of_a_task_hold_the_same_words(source, monkeypatch):
    monkeypatch.setattr(grammar, "MUTATION", 0)
    task = grammar.TASKS[source]
    labels = np.arange(400) % len(task.manners)
    codes = grammar.classified(writer(), task, labels, 102, "syntax")
    assert codes.shape == (400, 102)
    sequences = np.array(texts(codes))
    counts = [words_of(task, sequences[labels == label]) for label in set(labels)]
    for word, number in counts[0].items():
        expected = grammar.PHRASES / len(task.phrases)
        assert number == pytest.approx(expected, abs=0.25), word
        assert counts[1][word] == pytest.approx(number, abs=0.25)


def is_formed(task, text):
    """Whether a plain reader finds a formed phrase of the task, on either strand."""
    return any(
        re.search(f"{p.first}.{{{p.gap}}}{p.second}", strand)
        for p in task.phrases
        for strand in (text, other(text))
    )


@pytest.mark.parametrize("source", sorted(grammar.TASKS))
def test_the_syntax_is_the_label(source, monkeypatch):
    monkeypatch.setattr(grammar, "MUTATION", 0)
    task = grammar.TASKS[source]
    labels = np.arange(300) % len(task.manners)
    codes = grammar.classified(writer(), task, labels, 102, "syntax")
    found = np.array([is_formed(task, text) for text in texts(codes)])
    # Two neighbours that are swapped may form one by chance.
    assert (found == (labels == task.manners.index(FORMED))).mean() > 0.93


@pytest.mark.parametrize(
    "source", ["EMP/H3", "prom/prom_core_all", "splice/reconstructed"]
)
def test_by_words_the_classes_hold_formed_phrases_of_other_words(source, monkeypatch):
    monkeypatch.setattr(grammar, "MUTATION", 0)
    task = grammar.TASKS[source]
    last = len(task.manners) - 1
    labels = np.arange(300) % (last + 1)
    codes = grammar.classified(writer(), task, labels, 102, "words")
    found = np.array([is_formed(task, text) for text in texts(codes)])
    assert (found == (labels == last)).mean() > 0.99


def test_where_room_is_short_there_are_fewer_phrases(monkeypatch):
    monkeypatch.setattr(grammar, "MUTATION", 0)
    task = grammar.TASKS["prom/prom_core_tata"]
    labels = np.ones(200, int)
    for bases, number in ((70, 2), (102, 3)):
        codes = grammar.classified(writer(), task, labels, bases, "syntax")
        assert words_of(task, texts(codes))["TATAAAAG"] == pytest.approx(
            number, abs=0.1
        )


@pytest.mark.parametrize("by", ["syntax", "words"])
def test_activities_follow_their_phrases(by, monkeypatch):
    monkeypatch.setattr(grammar, "MUTATION", 0)
    codes, activity = grammar.enhancers(writer(), 1000, 102, by)
    assert codes.shape == (1000, 102) and activity.shape == (1000, 2)
    for column, phrase in enumerate(grammar.ENHANCERS):
        pattern = f"(?=({phrase.first}.{{{phrase.gap}}}{phrase.second}))"
        formed, words = [], []
        for text in texts(codes):
            strands = (text, other(text))
            formed.append(sum(len(re.findall(pattern, s)) for s in strands))
            words.append(sum(s.count(phrase.first) for s in strands))
        assert np.corrcoef(formed, activity[:, column])[0, 1] > 0.8
        if by == "syntax":
            assert set(words) == {2}, "as many words, whatever the activity"
        else:
            assert np.corrcoef(words, activity[:, column])[0, 1] > 0.8
    assert Counter(formed).keys() == {0, 1, 2}

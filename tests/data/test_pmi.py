"""Mutual information of k-mers' letters against plain loops; the ranks by it."""

import csv
import json
import math
from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pytest
from made.genome import make_corpus

from randommask import kmers
from randommask.data import pmi
from randommask.errors import InputError
from randommask.experiment.hparams import Ranking


def sequences(seed=0, bases=3000):
    """Words planted in random DNA, and a run of N."""
    source = np.random.default_rng(seed)
    drawn = "".join(source.choice(list("ACGT"), bases, p=[0.4, 0.2, 0.1, 0.3]))
    return drawn[:900] + "TACG" * 40 + "NNN" + drawn[900:]


@pytest.fixture
def corpus(tmp_path):
    made = {"chr1": sequences(), "chr2": sequences(1), "chr3": "A" * 500}
    return make_corpus(tmp_path / "corpus", made), made


def plain_counts(texts, k):
    found = Counter()
    for text in texts:
        for i in range(len(text) - k + 1):
            word = text[i : i + k]
            if "N" not in word:
                found[word] += 1
    return found


def cuts(word):
    """Every way to cut a word into two parts or more."""
    inner = range(1, len(word))
    for number in range(1, len(word)):
        for ends in combinations(inner, number):
            at = [0, *ends, len(word)]
            yield [word[a:b] for a, b in pairwise(at)]


def plain_information(counts, k):
    total = sum(counts.values())
    logs = {}
    for length in range(1, k + 1):
        sums = Counter()
        for word, count in counts.items():
            sums[word[:length]] += count
        logs |= {word: math.log(count / total) for word, count in sums.items()}
    return {
        word: min(
            logs[word] - sum(logs[part] for part in parts)
            for parts in cuts(word)
            if all(part in logs for part in parts)
        )
        for word in counts
    }


@pytest.mark.parametrize("k", [2, 4, 5])
@pytest.mark.parametrize("both", [False, True])
def test_ranks_equal_plain_loops(corpus, tmp_path, monkeypatch, k, both):
    path, made = corpus
    monkeypatch.setattr(pmi, "BLOCK", 100)
    told = {"k": k, "held_out": ["chr3"], "reverse_complement": both}
    output = tmp_path / "ranks.csv"
    words = ["--corpus", path, "--hparams", json.dumps(told), "--output", str(output)]
    pmi.main(words)
    texts = [made["chr1"], made["chr2"]]
    if both:
        other = str.maketrans("ACGTN", "TGCAN")
        texts += [text.translate(other)[::-1] for text in texts]
    counts = plain_counts(texts, k)
    expected = plain_information(counts, k)
    least = math.log(min(counts.values()))
    with open(output, newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["kmer"] for line in lines} == set(kmers.names(k))
    before = math.inf
    for line in lines:
        word, count = line["kmer"], int(line["count"])
        assert count == counts[word]
        if not count:
            assert float(line["npmi"]) == -math.inf
            continue
        log = math.log(count)
        weight = log / (log + least) if log else 0
        assert float(line["pmi"]) == pytest.approx(expected[word], abs=1e-9)
        assert float(line["npmi"]) == pytest.approx(expected[word] * weight, abs=1e-9)
        assert float(line["npmi"]) <= before
        before = float(line["npmi"])
    ranks = pmi.read(output, k)
    names = kmers.words(k)
    assert [names[i] for i in np.argsort(ranks[5:]) + 5] == [x["kmer"] for x in lines]
    assert (ranks[:5] == pmi.LAST).all() and sorted(ranks[5:]) == list(
        range(1, 4**k + 1)
    )


def test_a_planted_word_comes_first(corpus):
    path, _ = corpus
    counts = pmi.count([path], Ranking(k=4, held_out=["chr3"]))
    npmi = pmi.normalised(counts, pmi.information(counts))
    best = [kmers.names(4)[i] for i in np.argsort(-npmi)[:4]]
    assert set(best) == {"TACG", "ACGT", "CGTA", "GTAC"}


def test_letters_alone_have_no_parts():
    assert (pmi.information(np.array([3, 1, 0, 2])) == [0, 0, -math.inf, 0]).all()


def test_a_corpus_without_the_k_mers_and_another_k_are_refused(tmp_path, corpus):
    path = make_corpus(tmp_path / "short", {"chr1": "ACNGT"})
    with pytest.raises(InputError, match=r"no 4-mer, expected some"):
        pmi.count([path], Ranking(k=4))
    pmi.rank([corpus[0]], Ranking(k=2), tmp_path / "two.csv")
    with pytest.raises(InputError, match=r"16 k-mers, expected each of the 64 of 3"):
        pmi.read(tmp_path / "two.csv", 3)
    lines = (tmp_path / "two.csv").read_text().splitlines()
    (tmp_path / "two.csv").write_text("\n".join([*lines[:-1], lines[1]]))
    with pytest.raises(InputError, match=r"expected each of the 16"):
        pmi.read(tmp_path / "two.csv", 2)

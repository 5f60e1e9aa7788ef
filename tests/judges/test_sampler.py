"""Which windows are drawn, and which tokens masked: against plain counts."""

from collections import Counter

import numpy as np
import pytest
from made.genome import make_corpus, segment
from scipy import stats

from randommask import kmers, masking
from randommask.data.windows import Corpus
from randommask.experiment.sections import Phase
from randommask.pretraining import loader

BASES, DRAWN = 31, 120_000
LETTERS = "ATCG"  # of the codes 0 to 3
# A p-value this small comes once in ten thousand runs; the seed is fixed.
P_VALUE = 1e-4


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    """Three chromosomes with stretches of N at the ends and inside; their letters."""
    random = np.random.default_rng(4)

    def letters(count):
        return "".join(random.choice(list("ACGT"), count))

    found = {
        "chr1": letters(400) + "N" * 7 + letters(BASES) + "NN" + letters(BASES - 1),
        "chr2": "N" * 50 + letters(600) + "R" + letters(300) + "N",
        "chr3": letters(500),
    }
    folder = tmp_path_factory.mktemp("judged") / "corpus"
    return make_corpus(folder, found), found


def valid(letters):
    """The window at each start that has no letter but A, C, G, T, by a plain loop."""
    found = {}
    for start in range(len(letters) - BASES + 1):
        window = letters[start : start + BASES]
        if set(window) <= set("ACGT"):
            found[window] = start
    return found


def spelt(codes):
    return ["".join(LETTERS[code] for code in row) for row in codes.tolist()]


def drawn(manifest, held_out=(), both=False):
    corpus = Corpus([manifest], BASES, list(held_out), both)
    rows = 1_000
    return corpus, [
        window
        for step in range(DRAWN // rows)
        for window in spelt(corpus.windows(1, step, 0, rows))
    ]


def test_every_valid_start_is_as_likely_as_another(genome, verdict):
    manifest, chromosomes = genome
    windows = {}
    for name, letters in chromosomes.items():
        windows |= {window: (name, start) for window, start in valid(letters).items()}
    _, found = drawn(manifest)
    counts = Counter(found)
    foreign = sum(count for window, count in counts.items() if window not in windows)
    verdict("windows with an N, or over a chromosome's end", "plain loop", foreign, 0)
    observed = [counts[window] for window in windows]
    verdict("valid starts never drawn", "plain loop", observed.count(0), 0)
    p_value = stats.chisquare(observed).pvalue
    verdict(
        f"start of {DRAWN:,} windows over {len(windows):,} places, 1 - p",
        "scipy's chi-square", 1 - p_value, 1 - P_VALUE,
    )  # fmt: skip


def test_what_is_held_out_is_never_trained_on_and_alone_validates(genome, verdict):
    manifest, chromosomes = genome
    corpus, found = drawn(manifest, ["chr2"])
    held = set(valid(chromosomes["chr2"]))
    verdict("held-out windows in training", "plain loop", len(held & set(found)), 0)
    validated = spelt(corpus.validation_windows(1, 4_000))
    others = sum(window not in held for window in validated)
    verdict("validation windows from elsewhere", "plain loop", others, 0)
    assert validated == spelt(corpus.validation_windows(1, 4_000))


def test_half_of_the_windows_are_of_the_other_strand(genome, verdict):
    manifest, chromosomes = genome
    forward = {window for letters in chromosomes.values() for window in valid(letters)}
    other = str.maketrans("ACGT", "TGCA")
    backward = {window.translate(other)[::-1] for window in forward}
    assert not forward & backward
    _, found = drawn(manifest, both=True)
    turned = sum(window in backward for window in found)
    assert turned + sum(window in forward for window in found) == DRAWN
    p_value = stats.binomtest(turned, DRAWN, 0.5).pvalue
    name = "windows of the other strand, 1 - p of a half"
    verdict(name, "scipy's binomial test", 1 - p_value, 1 - P_VALUE)


@pytest.mark.parametrize("world", [2, 4])
def test_processes_share_the_batch_that_one_would_see(genome, world, verdict):
    manifest, _ = genome
    made = segment(batch=16, micro_batch=2).settings
    bases = kmers.window_bases(made.tokens, made.tokenization, made.k)
    corpus = Corpus([manifest], bases, [])

    def batch(rank, world, step):
        own = loader.Loader(made, corpus, rank, world)
        parts = own.make(step)  # no step before it was made: as after a resume
        own.close()
        return {
            part.first: [t.numpy().tobytes() for t in part.tensors] for part in parts
        }

    apart = 0
    for step in (0, 7, 11):
        whole = batch(0, 1, step)
        parts = [batch(rank, world, step) for rank in range(world)]
        together = {first: part for found in parts for first, part in found.items()}
        assert sum(map(len, parts)) == len(together) == len(whole) == 8
        apart += sum(together[first] != part for first, part in whole.items())
    verdict(
        f"micro-batches that {world} processes see otherwise", "one process", apart, 0
    )


def test_masked_tokens_become_what_bert_says(verdict):
    """80 % [MASK], 10 % any token, 10 % kept, of all that are masked."""
    made = segment(center_probability=0.05).settings
    ids = np.random.default_rng(0).integers(5, 4**4 + 5, (4_000, 24)).astype(np.uint16)
    ids[:, 0], ids[:, -1] = kmers.CLS, kmers.SEP
    options = masking.options(made, Phase(until=1, max_span=8))
    inputs, masked, targets = masking.corrupt_at(ids.copy(), 8, 1, 3, 0, **options)
    assert np.array_equal(targets, ids.flat[masked])
    unmasked = np.ones(ids.size, bool)
    unmasked[masked] = False
    changed = np.count_nonzero(inputs.flat[unmasked] != ids.flat[unmasked])
    verdict("tokens changed but not masked", "plain count", changed, 0)
    specials = np.isin(ids.flat[masked], [kmers.CLS, kmers.SEP]).sum()
    verdict("[CLS] and [SEP] masked", "plain count", specials, 0)
    became = inputs.flat[masked]
    is_mask, is_kept = became == kmers.MASK, became == targets
    counts = [is_mask.sum(), is_kept.sum(), len(masked) - is_mask.sum() - is_kept.sum()]
    each = 0.1 / 261  # a random token may be [MASK], or the one that was there
    shares = np.array([0.8 + each, 0.1 + each, 0.1 - 2 * each])
    p_value = stats.chisquare(counts, shares * len(masked)).pvalue
    name = f"what {len(masked):,} masked tokens became, 1 - p"
    verdict(name, "scipy's chi-square, 80/10/10", 1 - p_value, 1 - P_VALUE)

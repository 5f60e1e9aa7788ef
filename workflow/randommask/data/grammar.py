"""The language of the made world: background, words, and how words stand together.

`randommask.data.world` writes a genome and a benchmark from these pieces. Both speak
the same grammar. A word is eight bases, as the site of some factor. A phrase is two
words in one order, at one distance, on one strand: that is its syntax. The genome is
full of formed phrases and of lone words, so whoever reads enough of it can learn words
and syntax without a label. A formed phrase and three ways to break it:

    formed    TTGCGTAA.....CGGAAGTG
    swapped   CGGAAGTG.....TTGCGTAA
    spaced    TTGCGTAA........CGGAAGTG
    turned    TTGCGTAA.....CACTTCCG

Where `syntax` makes the labels, all classes of a dataset hold the same words, and the
label says how these stand together. Neither the composition of a sequence nor its
counts of k-mers tell the classes apart (the distance is no shorter than a counted
k-mer, and what lies between is background). A sequence is cut into stretches with one
phrase each, as published ones are cut around a peak or a start: so which letter stands
where says something of the order of the words, and a rule that knows no more finds part
of it. Where `words` make the labels, the classes hold formed phrases of other words,
and counts of k-mers tell them apart.

Codes are uint8 as in `randommask.genome`. Shapes: n sequences, T bases each.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from randommask.genome import encode

Codes = np.ndarray
Labels = Literal["syntax", "words"]

PHRASES = 3  # in a labelled sequence, fewer where they have no room
EXTRA_GAP = 5  # bases by which a phrase is too wide: half a turn of the helix
MUTATION = 0.05  # of each base of a word
GC = 0.45  # of labelled sequences

FORMED, SWAPPED, SPACED, TURNED = "formed", "swapped", "spaced", "turned"


@dataclass(frozen=True)
class Phrase:
    """Two words and the distance between them, in bases, where it is formed."""

    first: str
    second: str
    gap: int

    def bases(self, manner: str) -> int:
        """Length in bases where it stands in this manner."""
        first, second, gap = self.parts(manner)
        return len(first) + gap + len(second)

    def parts(self, manner: str) -> tuple[Codes, Codes, int]:
        """The two words and their distance where the phrase stands in this manner."""
        first, second = encode(self.first), encode(self.second)
        return {
            FORMED: (first, second, self.gap),
            SWAPPED: (second, first, self.gap),
            SPACED: (first, second, self.gap + EXTRA_GAP),
            TURNED: (first, reverse_complement(second), self.gap),
        }[manner]


# The words are parts of consensus sites of known factors, so that the world looks like
# DNA; no fact of biology is claimed for them here. None is its own reverse complement.
LEXICON = (
    Phrase("TGCTGACT", "CCACTAGG", 5),  # MAF, CTCF
    Phrase("TTGCGTAA", "CGGAAGTG", 8),  # C/EBP, ETS
    Phrase("AGATAAGG", "GCGCATGA", 5),  # GATA, NRF
    Phrase("GGTCACGT", "TTCAGCAC", 8),  # USF, REST
    Phrase("TATGCAAA", "AAGATGGC", 5),  # OCT, YY1
    Phrase("TGTGGTTT", "CCAATCAG", 8),  # RUNX, NF-Y
    Phrase("CTAAAAAT", "GTTAATCA", 5),  # MEF2, HNF1
    Phrase("TTTGGCGC", "GAAAGTGA", 8),  # E2F, IRF
    Phrase("CATTCCAG", "GGGACTTC", 5),  # TEAD, NF-kB
    Phrase("TGTTTACT", "CATTGTTC", 8),  # FOX, SOX
    Phrase("TATAAAAG", "TCAGTCTT", 8),  # TATA box, initiator
    Phrase("GGGGCGGG", "AGACGTGC", 5),  # GC box, downstream element
    Phrase("TACTAACA", "TTCTTCAG", 8),  # branch point, acceptor
    Phrase("TGAGTCAT", "GACACCTG", 5),  # developmental enhancers
    Phrase("CTATCGAA", "GTGGCCAA", 8),  # housekeeping enhancers
)
MARKS = (
    *("H3", "H3K14ac", "H3K36me3", "H3K4me1", "H3K4me2"),
    *("H3K4me3", "H3K79me3", "H3K9ac", "H4", "H4ac"),
)


@dataclass(frozen=True)
class Task:
    """What the labels of one dataset mean: how its phrases stand, label by label."""

    phrases: tuple[Phrase, ...]
    manners: tuple[str, ...]
    strands: int = 2
    """On how many the phrases stand; 1 is the sequence as it is written."""

    @property
    def longest(self) -> int:
        """Bases of its longest phrase."""
        return max(p.bases(manner) for p in self.phrases for manner in self.manners)


def _promoters(part: str) -> dict[str, Task]:
    tata, other = LEXICON[10:12]
    kinds = {"tata": (tata,), "notata": (other,), "all": (tata, other)}
    return {
        f"prom/prom_{part}_{kind}": Task(phrases, (SWAPPED, FORMED))
        for kind, phrases in kinds.items()
    }


TASKS = {
    **{
        f"EMP/{mark}": Task((LEXICON[number],), (SWAPPED, FORMED))
        for number, mark in enumerate(MARKS)
    },
    **{f"mouse/{n}": Task((LEXICON[n],), (SPACED, FORMED)) for n in range(5)},
    **{f"tf/{n}": Task((LEXICON[5 + n],), (TURNED, FORMED)) for n in range(5)},
    **_promoters("300"),
    **_promoters("core"),
    "splice/reconstructed": Task((LEXICON[12],), (FORMED, SWAPPED, SPACED), 1),
}
ENHANCERS = LEXICON[13:]  # developmental and housekeeping


@dataclass(frozen=True)
class Writer:
    """What writes sequences: the world's habits, and random numbers of its own."""

    transitions: np.ndarray
    """Chance of a base after two others at 50 % GC, (16, 4)."""
    rng: np.random.Generator

    def background(self, gc: float | np.ndarray, bases: int) -> Codes:
        """Draw second-order Markov sequences, (n, `bases`), of `gc` (n,) each."""
        # The odds of C and G are scaled by those that the sequence asks for.
        odds = (gc / (1 - gc))[:, None, None] * np.array([0, 0, 1, 1]) + [1, 1, 0, 0]
        weights = self.transitions * odds
        limits = np.cumsum(weights / weights.sum(axis=2, keepdims=True), axis=2)
        codes = np.empty((bases, len(gc)), np.uint8)
        rows = np.arange(len(gc))
        state = self.rng.integers(0, len(self.transitions), len(gc))
        for position in range(bases):
            draw = self.rng.random((len(gc), 1))
            codes[position] = (draw > limits[rows, state, :3]).sum(axis=1)
            state = state % 4 * 4 + codes[position]
        return np.ascontiguousarray(codes.T)

    def plant(
        self,
        codes: Codes,
        site: Codes,
        rows: np.ndarray,
        starts: np.ndarray,
        mutation: float | np.ndarray,
    ) -> None:
        """Overwrite `codes` (n, T) by copies of a site at (`rows`, `starts`).

        Each base of a copy becomes another one with probability `mutation`, which may
        be a number, one for each copy (copies, 1) or for each base.
        """
        shape = len(rows), len(site)
        is_changed = self.rng.random(shape) < mutation
        copies = (site + is_changed * self.rng.integers(1, 4, shape, np.uint8)) % 4
        codes[rows[:, None], starts[:, None] + np.arange(len(site))] = copies

    def say(
        self,
        codes: Codes,
        phrase: Phrase,
        manner: str,
        rows: np.ndarray,
        starts: np.ndarray,
        width: int,
        strands: int = 2,
    ) -> None:
        """Plant a phrase into stretches of `width` bases at (`rows`, `starts`).

        Where in its stretch, and on which strand, is drawn.
        """
        first, second, gap = phrase.parts(manner)
        other = reverse_complement(second), reverse_complement(first)
        slack = width - phrase.bases(manner)
        starts = starts + self.rng.integers(0, slack + 1, len(rows))
        is_other = self.rng.integers(0, strands, len(rows)) == 1
        for own, (left, right) in ((~is_other, (first, second)), (is_other, other)):
            begin = starts[own]
            self.plant(codes, left, rows[own], begin, MUTATION)
            self.plant(codes, right, rows[own], begin + len(left) + gap, MUTATION)


def reverse_complement(codes: Codes) -> Codes:
    """Read the other strand of codes (..., T): A and T, C and G differ in one bit."""
    return codes[..., ::-1] ^ 1


def classified(
    writer: Writer, task: Task, labels: np.ndarray, bases: int, by: Labels
) -> Codes:
    """Write sequences, codes (n, `bases`), of which `labels` (n,) are true."""
    codes = writer.background(np.full(len(labels), GC), bases)
    number = min(PHRASES, bases // task.longest)
    width = bases // number
    kinds = writer.rng.integers(0, len(task.phrases), (len(labels), number))
    last = len(task.manners) - 1
    for label, manner in enumerate(task.manners):
        for kind, phrase in enumerate(task.phrases):
            chosen = (labels[:, None] == label) & (kinds == kind)
            if by == "words":
                phrase, manner = _further(phrase, last - label), FORMED
            rows, stretch = np.nonzero(chosen)
            starts = stretch * width
            writer.say(codes, phrase, manner, rows, starts, width, task.strands)
    return codes


def _further(phrase: Phrase, number: int) -> Phrase:
    """The phrase twice so many further in the lexicon: no twin of the same task."""
    return LEXICON[(LEXICON.index(phrase) + 2 * number) % len(LEXICON)]


def enhancers(
    writer: Writer, number: int, bases: int, by: Labels
) -> tuple[Codes, np.ndarray]:
    """Write regions, codes (n, `bases`), and their two activities, float64 (n, 2).

    A region has room for two phrases of either kind, and an activity is linear in the
    number that are formed, plus noise; the housekeeping one loses by the other. Those
    that are not formed are swapped, or with labels by `words` not there.
    """
    codes = writer.background(np.full(number, GC), bases)
    width = bases // 4
    starts = np.tile(width * np.arange(4), (number, 1))
    starts = writer.rng.permuted(starts, axis=1)
    counts = writer.rng.integers(0, 3, (number, 2))
    manners = (SWAPPED, FORMED) if by == "syntax" else (FORMED,)
    for column in range(4):
        kind, copy = divmod(column, 2)
        is_formed = counts[:, kind] > copy
        for manner in manners:
            rows = np.flatnonzero(is_formed == (manner == FORMED))
            phrase = ENHANCERS[kind]
            writer.say(codes, phrase, manner, rows, starts[rows, column], width)
    dev, hk = counts.T
    activity = np.column_stack([1.2 * dev - 1.2, 1.4 * hk - 0.3 * dev - 1.1])
    noise = writer.rng.normal(0, 0.3, activity.shape)
    return codes, activity + noise

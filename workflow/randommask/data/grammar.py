"""The language of the made-up world: background, binding sites, labelled sequences.

`randommask.data.world` writes a genome and a benchmark from these pieces. Both speak
the same grammar, so that what is learnt on the one can help with the other. What a
task's labels mean is ours; its lengths and number of classes are the published ones.

Codes are uint8 as in `randommask.genome`. Shapes: n sequences, T bases each.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from randommask.genome import encode

# Consensus sites of known factors, so that the toy looks like DNA; no fact of biology
# is claimed for them here. Two of these stand side by side in a `pair`.
FACTORS = {
    "mouse/0": "TGCTGAGTCA",  # MAF
    "mouse/1": "ATTGCGCAAT",  # C/EBP
    "mouse/2": "AGATAAGGGA",  # GATA
    "mouse/3": "GGTCACGTGA",  # USF
    "mouse/4": "TATGCAAATG",  # OCT
    "tf/0": "CCACTAGGGG",  # CTCF
    "tf/1": "ACCGGAAGTG",  # ETS
    "tf/2": "GCGCATGCGC",  # NRF1
    "tf/3": "TTCAGCACCA",  # REST
    "tf/4": "AAGATGGCGG",  # YY1
}
# A histone mark is a pair of factors in this order, with this linker between.
MARKS = {
    "EMP/H3": ("mouse/0", "tf/0", "CCGT"),
    "EMP/H3K14ac": ("mouse/1", "tf/1", "AATGCC"),
    "EMP/H3K36me3": ("mouse/2", "tf/2", "TT"),
    "EMP/H3K4me1": ("mouse/3", "tf/3", "TCCCTAAC"),
    "EMP/H3K4me2": ("mouse/4", "tf/4", "AGA"),
    "EMP/H3K4me3": ("tf/0", "mouse/2", "GTTTT"),
    "EMP/H3K79me3": ("tf/1", "mouse/3", "TCGAACT"),
    "EMP/H3K9ac": ("tf/2", "mouse/4", "CGTG"),
    "EMP/H4": ("tf/3", "mouse/0", "TT"),
    "EMP/H4ac": ("tf/4", "mouse/1", "GTCGAG"),
}

TATA, GC_BOX = "GTATAAAAGG", "GGGGCGGGGC"
INITIATOR, DOWNSTREAM = "TCAGTCTT", "AGACGTGCC"
ACCEPTOR, DONOR, BRANCH = "TTTCTTCCTTTCTTTTCAG", "CAGGTAAGTATTG", "TACTAACA"

# How many of a kind of promoter have a TATA box; the others a downstream element.
TATA_SHARES = {"all": 0.5, "notata": 0.0, "tata": 1.0}
PARTS = ("300", "core")
PROMOTER_BASES, CORE_START, START_SITE = 300, 216, 250

# The first exon base after an acceptor, the G of a donor's GT.
JUNCTION = 200

# Developmental and housekeeping, each its own reverse complement: the strands agree.
ENHANCER_SITES = ("ATGACGTCAT", "CTATCGATAG")

Codes = np.ndarray


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

    def scatter(
        self,
        codes: Codes,
        sites: Sequence[Codes],
        counts: np.ndarray,
        slots: int,
        mutation: float,
    ) -> None:
        """Plant `counts` (n, sites) copies of each site, none over another.

        A sequence is cut into `slots` equal stretches; each copy has one for itself.
        """
        width = codes.shape[1] // slots
        kinds = np.full((len(codes), slots), -1)
        filled = np.cumsum(counts, axis=1)
        for kind in reversed(range(len(sites))):
            kinds[np.arange(slots) < filled[:, kind, None]] = kind
        kinds = self.rng.permuted(kinds, axis=1)
        for kind, site in enumerate(sites):
            rows, slot = np.nonzero(kinds == kind)
            shift = self.rng.integers(0, width - len(site) + 1, len(rows))
            self.plant(codes, site, rows, slot * width + shift, mutation)

    def counts(self, low: int, high: int, is_there: np.ndarray) -> np.ndarray:
        """Draw whole numbers from `low` to `high`, (n,); 0 where nothing `is_there`."""
        return is_there * self.rng.integers(low, high + 1, len(is_there))

    def deal(self, totals: np.ndarray, parts: int) -> np.ndarray:
        """Deal each of `totals` (n,) out at random: counts (n, `parts`)."""
        return self.rng.multinomial(totals, np.full(parts, 1 / parts))


def reverse_complement(codes: Codes) -> Codes:
    """Read the other strand of codes (..., T): A and T, C and G differ in one bit."""
    return codes[..., ::-1] ^ 1


def pair(source: str) -> Codes:
    """Join the sites of a mark's two factors by its linker."""
    first, second, linker = MARKS[source]
    return encode(FACTORS[first] + linker + FACTORS[second])


def decoys(site: str) -> list[Codes]:
    """Write a site backwards, from its middle, and base by base complemented."""
    half = len(site) // 2
    return [encode(site[::-1]), encode(site[half:] + site[:half]), encode(site) ^ 1]


# -------------------------------------------------------------------------------------
# What makes a dataset: a writer, its folder in GUE, labels (n,) and a length in bases
# in, codes (n, bases) out.

Recipe = Callable[[Writer, str, np.ndarray, int], Codes]


def factor(writer: Writer, source: str, labels: np.ndarray, bases: int) -> Codes:
    """Write sequences that hold a factor's site (1), or decoys of it (0)."""
    codes = writer.background(np.full(len(labels), 0.45), bases)
    # The sets of a family grow harder with their number.
    number = int(source[-1])
    real = writer.counts(2 if number < 3 else 1, 3, labels == 1)
    false = writer.counts(0, 1, labels == 1) + writer.counts(3, 3, labels == 0)
    sites = [encode(FACTORS[source]), *decoys(FACTORS[source])]
    counts = np.column_stack([real, writer.deal(false, len(sites) - 1)])
    writer.scatter(codes, sites, counts, 6, mutation=0.04 + 0.02 * number)
    return codes


def mark(writer: Writer, source: str, labels: np.ndarray, bases: int) -> Codes:
    """Write sequences with many pairs in order (1), or with lone and swapped sites."""
    first, second, linker = MARKS[source]
    codes = writer.background(np.full(len(labels), 0.4), bases)
    swapped = encode(FACTORS[second] + linker + FACTORS[first])
    sites = [pair(source), swapped, encode(FACTORS[first]), encode(FACTORS[second])]
    # Three degrees of difficulty: fewer pairs that tell, more that do not.
    degree = list(MARKS).index(source) % 3
    in_order = writer.counts(5 - degree, 6 - degree, labels == 1)
    in_order += writer.rng.integers(0, 2 + degree // 2, len(labels))
    others = writer.counts(1, 1, labels == 1) + writer.counts(1, 3, labels == 0)
    counts = np.column_stack([in_order, writer.deal(others, len(sites) - 1)])
    writer.scatter(codes, sites, counts, 12, mutation=0.05)
    return codes


def promoter(writer: Writer, source: str, labels: np.ndarray, bases: int) -> Codes:
    """Write promoters (1) of a kind, or sequences with a signal out of place (0)."""
    core, kind = source.split("_")[1:]
    rng, is_promoter = writer.rng, labels == 1
    gc = np.where(is_promoter, 0.54, 0.46) + rng.normal(0, 0.03, len(labels))
    codes = writer.background(gc, PROMOTER_BASES)
    boxes = writer.counts(2, 4, is_promoter) + (rng.random(len(labels)) < 0.3)
    writer.scatter(codes[:, :CORE_START], [encode(GC_BOX)], boxes[:, None], 12, 0.05)

    has_tata = rng.random(len(labels)) < TATA_SHARES[kind]
    jitter = rng.integers(-2, 3, len(labels))
    for site, start, has_site in (
        (encode(TATA), START_SITE - 31, has_tata),
        (encode(INITIATOR), START_SITE - 2, np.full(len(labels), True)),
        (encode(DOWNSTREAM), START_SITE + 24, ~has_tata),
    ):
        rows = np.flatnonzero(is_promoter & has_site)
        writer.plant(codes, site, rows, start + jitter[rows], 0.06)
        is_decoy = ~is_promoter & has_site & (rng.random(len(labels)) < 0.2)
        rows = np.flatnonzero(is_decoy)
        anywhere = rng.integers(0, PROMOTER_BASES - len(site), len(rows))
        writer.plant(codes, site, rows, anywhere, 0.06)
    first = CORE_START if core == "core" else 0
    return codes[:, first : first + bases]


def splice(writer: Writer, source: str, labels: np.ndarray, bases: int) -> Codes:
    """Write acceptors (0: AG at 198-199), donors (1: GT at 200-201) and neither (2)."""
    intron = writer.background(np.full(len(labels), 0.38), bases)
    exon = writer.background(np.full(len(labels), 0.56), bases)
    is_right = np.arange(bases) >= JUNCTION
    is_acceptor, is_donor = labels == 0, labels == 1
    is_lone_exon = (labels == 2) & (writer.rng.random(len(labels)) < 0.5)
    is_exon = is_acceptor[:, None] & is_right | is_donor[:, None] & ~is_right
    codes = np.where(is_exon | is_lone_exon[:, None], exon, intron)

    for site, fixed, is_there, start in (
        (ACCEPTOR, "AG", is_acceptor, JUNCTION - len(ACCEPTOR)),
        (DONOR, "GT", is_donor, JUNCTION - DONOR.index("GT")),
    ):
        mutation = np.full(len(site), 0.08)
        mutation[site.index(fixed) :][:2] = 0
        rows = np.flatnonzero(is_there)
        starts = np.full(len(rows), start)
        writer.plant(codes, encode(site), rows, starts, mutation)
    rows = np.flatnonzero(is_acceptor)
    starts = JUNCTION - len(ACCEPTOR) - writer.rng.integers(12, 20, len(rows))
    writer.plant(codes, encode(BRANCH), rows, starts, 0.05)
    return codes


RECIPES: dict[str, Recipe] = {
    **dict.fromkeys(FACTORS, factor),
    **dict.fromkeys(MARKS, mark),
    **{f"prom/prom_{part}_{kind}": promoter for part in PARTS for kind in TATA_SHARES},
    "splice/reconstructed": splice,
}


def enhancers(writer: Writer, number: int, bases: int) -> tuple[Codes, np.ndarray]:
    """Write regions, codes (n, `bases`), and their two activities, float64 (n, 2).

    An activity is linear in the number of its sites, plus noise; the housekeeping
    one loses by developmental sites.
    """
    codes = writer.background(np.full(number, 0.42), bases)
    counts = writer.rng.integers(0, 4, (number, len(ENHANCER_SITES)))
    writer.scatter(codes, [encode(site) for site in ENHANCER_SITES], counts, 8, 0.03)
    dev, hk = counts.T
    activity = np.column_stack([1.2 * dev - 1.5, 1.4 * hk - 0.3 * dev - 1.5])
    return codes, activity + writer.rng.normal(0, (0.6, 0.5), activity.shape)

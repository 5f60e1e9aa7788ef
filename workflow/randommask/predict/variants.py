"""What variants change: the reference and each alternative in the same window.

A window has the longest sequence that the model was trained on, with the middle of the
reference allele in its middle; at the ends of a chromosome it is moved inwards. The
alternative's window begins at the same base and is filled up from behind the variant to
the same length, so that an insertion pushes bases out at its end, and a deletion takes
some in.
"""

import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np

from randommask import genome, reading
from randommask.data.records import CHUNK
from randommask.errors import InputError
from randommask.predict.lines import OK, table, unknown
from randommask.predict.model import FineTuned
from randommask.predict.reference import Reference, is_position

COLUMNS = ("record", "id", "chrom", "pos", "ref", "alt")
QUALITY = ("start", "end", "unknown", "truncated")
LETTERS = set("ACGTUNacgtun")


class Variant(NamedTuple):
    """One alternative of a line of VCF."""

    record: int
    name: str
    chromosome: str
    position: str
    """From 1, as it stands there."""
    ref: str
    alt: str
    problem: str | None = None


class Pair(NamedTuple):
    """A variant with its two windows."""

    variant: Variant
    start: int
    end: int
    ref: str
    alt: str
    truncated: int
    """Bases of the alleles that the windows have no room for."""
    problem: str | None


class Variants:
    """The variants of a VCF file, an alternative each, and what to say of them.

    Symbolic alternatives (`<DEL>`, breakends, `*`) and missing ones say no sequence:
    they are passed over and counted.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = path
        self.lines = self.passed = 0
        self.missed: dict[int, str] = {}

    def __iter__(self) -> Iterator[Variant]:
        is_headed = False
        for line, text in enumerate(reading.lines(self.path), 1):
            if text.startswith("##") or not text.strip():
                continue
            if text.startswith("#"):
                is_headed = text.startswith("#CHROM\tPOS\tID\tREF\tALT")
                continue
            if not is_headed:
                raise InputError(
                    f"{self.path}: line {line}: no header before it, expected "
                    "'#CHROM POS ID REF ALT ...', parted by tabs"
                )
            self.lines += 1
            yield from self._alternatives(line, text.split("\t"))
        if not self.lines:
            raise InputError(f"{self.path}: 0 variants, expected at least 1")

    def _alternatives(self, line: int, cells: list[str]) -> Iterator[Variant]:
        if len(cells) < 5:
            said = f"line {line}: found {len(cells)} columns, expected 5 or more"
            cells = [*cells, *[""] * 5][:5]
            yield Variant(self.lines, cells[2], *cells[:2], *cells[3:5], problem=said)
            return
        chromosome, position, name, ref, alternatives = cells[:5]
        for alt in alternatives.split(","):
            if alt == "" or any(mark in alt for mark in "<>[]*."):
                self.passed += 1
                continue
            problem = None
            if not (is_position(position) and int(position)):
                problem = f"line {line}: POS is {position[:20]!r}, expected 1 or more"
            for key, letters in (("REF", ref), ("ALT", alt)):
                if not letters or not set(letters) <= LETTERS:
                    found = letters[:20]
                    problem = f"line {line}: {key} is {found!r}, expected bases"
            shown = "" if name == "." else name
            one = Variant(self.lines, shown, chromosome, position, ref, alt)
            yield one._replace(problem=problem)

    def say(self) -> int:
        """Tell on stderr what was passed over and missed; return the number missed."""
        if self.passed:
            print(
                f"note: {self.path}: {self.passed} alternatives without a sequence "
                "(symbolic, '*' or '.') were left out",
                file=sys.stderr,
            )
        if self.missed:
            number, problem = next(iter(self.missed.items()))
            print(
                f"warning: {self.path}: {len(self.missed)} of {self.lines} variants "
                f"without a score (see status), the first is record {number}: "
                f"{problem}",
                file=sys.stderr,
            )
        return len(self.missed)


def pair(variant: Variant, reference: Reference, size: int, least: int) -> Pair:
    """The two windows of a variant, or why there are none."""
    nothing = Pair(variant, 0, 0, "", "", 0, variant.problem)
    if variant.problem:
        return nothing
    first = int(variant.position) - 1
    ref, alt = genome.encode(variant.ref), genome.encode(variant.alt)
    chromosome, behind = variant.chromosome, first + len(ref)
    if problem := reference.problem(chromosome, first, behind):
        return nothing._replace(problem=problem)
    length = reference.lengths[chromosome]
    start = max(0, min(first + len(ref) // 2 - size // 2, first, length - size))
    room = size - (first - start)
    last = min(length, behind + max(0, room - min(len(ref), len(alt))))
    codes, problem = reference.read(chromosome, start, last)
    if problem:
        return nothing._replace(problem=problem)
    before, found, after = np.split(codes, [first - start, behind - start])
    if not np.array_equal(found, ref):
        at = int(np.flatnonzero(found != ref)[0])  # where they part, of long ones
        here = genome.decode(found)[at : at + 20]
        said = (
            f"REF is {variant.ref[at : at + 20]}, but {reference.path.name} has "
            f"{here} there"
        )
        return nothing._replace(problem=said)
    texts = [
        genome.decode(np.concatenate([before, allele, after])[:size])
        for allele in (ref, alt)
    ]
    short = min(map(len, texts))
    if short < least:
        said = f"{short} bases, expected at least {least}"
        return nothing._replace(problem=said)
    truncated = sum(max(0, len(allele) - room) for allele in (ref, alt))
    end = min(length, start + size)
    return Pair(variant, start, end, *texts, truncated, None)


def score(
    model: FineTuned, vcf: str | Path, reference: Reference, output: str | Path
) -> int:
    """Write what each alternative changes; return how many variants have no score."""
    variants, scores = Variants(vcf), model.scores
    many = [] if scores.keys() == {"score"} else list(scores)
    names = [f"{x}_{y}" for x in many for y in ("ref", "alt", "difference")]
    names = names or ["score_ref", "score_alt", "difference"]
    told = (model.purpose.window_bases, model.config.k)
    pairs = (pair(variant, reference, *told) for variant in variants)
    with table(output, [*COLUMNS, *QUALITY, *names, "status"]) as lines:
        while chunk := list(islice(pairs, CHUNK // 2)):
            for one, values, problem in _scored(model, chunk):
                if problem:
                    variants.missed.setdefault(one.variant.record, problem)
                quality = [one.start, one.end, unknown(one.ref + one.alt)]
                quality = [*quality, one.truncated] if one.ref else [""] * len(QUALITY)
                values = values or [""] * len(names)
                lines.writerow([*one.variant[:6], *quality, *values, problem or OK])
    reference.tally.say(reference.path)
    return variants.say()


def _scored(
    model: FineTuned, chunk: list[Pair]
) -> Iterator[tuple[Pair, list[str], str | None]]:
    """Each pair with ref, alt and difference of every score, or what is wrong."""
    sound = [text for one in chunk if not one.problem for text in (one.ref, one.alt)]
    values, problems = model.predict(sound) if sound else ((), ())
    made = iter(zip(values, problems, strict=True))
    for one in chunk:
        if one.problem:
            yield one, [], one.problem
            continue
        (ref, wrong), (alt, also_wrong) = next(made), next(made)
        if problem := wrong or also_wrong:
            yield one, [], problem
            continue
        cells = []
        for place in model.scores.values():
            cells += [ref[place], alt[place], float(alt[place]) - float(ref[place])]
        yield one, [f"{value:.7g}" for value in cells], None

r"""How much the letters of a k-mer go together in a corpus, and its rank by that.

    python -m randommask.data.pmi --corpus results/corpus/hg38/manifest.json \
        --hparams '{"k": 6}' --output results/pmi/genemask.csv

Pointwise mutual information says how much more often a word occurs than its parts by
chance: log p(word) - sum of log p(part), in nats. Of all ways to cut it into parts that
one counts which explains it best (Levine et al. 2021), as ACACAC is no news where ACA
and CAC are. PMI is large for rare words by accident, so it is multiplied with
log n / (log n + log c), where n is how often the word occurs and c how often the rarest
does (GeneMask, Roy et al. 2023). Rank 1 is the highest.

The corpus is the one that training sees: without the chromosomes that are held out, and
both strands where training reads both. Shorter words are counted where a k-mer begins.
"""

import argparse
import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from randommask import files, kmers
from randommask.data import manifest
from randommask.errors import InputError, run
from randommask.experiment.hparams import Ranking

COLUMNS = ("kmer", "count", "pmi", "npmi")
BLOCK = 2**22  # bases counted at a time
LAST = 2**16 - 1  # the rank of what is no k-mer


def count(paths: Sequence[str], hparams: Ranking) -> np.ndarray:
    """How often each k-mer occurs, by its number: (4**k,)."""
    k, first = hparams.k, kmers.NUM_SPECIAL
    found = np.zeros(4**k, np.int64)
    for path in paths:
        manifest.verify(path)
        for chromosome in manifest.load(path).chromosomes:
            if chromosome.name in hparams.held_out:
                continue
            codes = np.load(Path(path).parent / chromosome.file, mmap_mode="r")
            for start in range(0, max(len(codes) - k + 1, 0), BLOCK):
                ids = kmers.kmer_ids(
                    np.asarray(codes[start : start + BLOCK + k - 1]), k
                )
                found += np.bincount(ids, minlength=first + 4**k)[first:]
    if not found.any():
        raise InputError(f"{' '.join(map(str, paths))}: no {k}-mer, expected some")
    if hparams.reverse_complement:
        # A and T, C and G differ in the lowest bit
        complement = np.ix_(*[[1, 0, 3, 2]] * k)
        found += found.reshape((4,) * k).transpose()[complement].ravel()
    return found


def information(counts: np.ndarray) -> np.ndarray:
    """PMI in nats of each k-mer: (4**k,); -inf where it does not occur.

    >>> counts = np.array([8, 0, 0, 0, 0, 8] + 10 * [0])  # AA and TT: no A before a T
    >>> [round(float(pmi), 2) for pmi in information(counts)[[0, 5]]]  # log 2
    [0.69, 0.69]
    """
    if len(counts) == 4:
        return np.where(counts > 0, 0.0, -np.inf)  # a letter has no parts
    lengths, total = range(1, round(math.log(len(counts), 4)) + 1), counts.sum()
    best: list[np.ndarray] = []  # for words of each length, of all ways to cut them
    for length in lengths:
        cuts = zip(best, reversed(best), strict=True)
        cut = [np.add.outer(left, right).ravel() for left, right in cuts]
        with np.errstate(divide="ignore"):
            whole = np.log(counts.reshape(4**length, -1).sum(1) / total)
        best.append(np.max([whole, *cut], axis=0))
    occurs = counts > 0
    pmi = np.full(len(counts), -np.inf)
    pmi[occurs] = whole[occurs] - np.max(cut, axis=0)[occurs]
    return pmi


def normalised(counts: np.ndarray, pmi: np.ndarray) -> np.ndarray:
    """PMI, less of the rare k-mers; -inf where one does not occur."""
    occurs = counts > 0
    logs = np.log(counts[occurs])
    both = logs + logs.min()
    found = np.full(len(counts), -np.inf)
    found[occurs] = pmi[occurs] * np.divide(
        logs, both, np.zeros_like(both), where=both > 0
    )
    return found


def rank(paths: Sequence[str], hparams: Ranking, output: Path) -> None:
    """Write the k-mers of a corpus to a csv, by rank."""
    counts = count(paths, hparams)
    pmi = information(counts)
    npmi = normalised(counts, pmi)
    names = kmers.names(hparams.k)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for number in np.argsort(-npmi, kind="stable").tolist():
        found = counts[number], float(pmi[number]), float(npmi[number])
        writer.writerow([names[number], *found])
    files.write_text(output, text.getvalue())


def read(path: str | Path, k: int) -> np.ndarray:
    """The rank of each id: (vocabulary,) uint16, LAST for the specials."""
    with open(path, encoding="utf-8", newline="") as file:
        found = [line["kmer"] for line in csv.DictReader(file)]
    number = {name: i for i, name in enumerate(kmers.names(k))}
    if sorted(found) != sorted(number):
        raise InputError(
            f"{path}: {len(found)} k-mers, expected each of the {len(number)} of {k} "
            "letters once"
        )
    ranks = np.full(kmers.vocab_size(k), LAST, np.uint16)
    for place, name in enumerate(found, start=1):
        ranks[kmers.NUM_SPECIAL + number[name]] = place
    return ranks


def main(argv: list[str] | None = None) -> None:
    """Command line; see the head of this module."""
    parser = argparse.ArgumentParser(
        prog="python -m randommask.data.pmi", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--corpus", required=True, nargs="+", help="manifest.json")
    parser.add_argument("--hparams", required=True, help="JSON: see Ranking")
    parser.add_argument("--output", required=True, type=files.new_file)
    arguments = parser.parse_args(argv)
    rank(arguments.corpus, Ranking.parse(arguments.hparams), arguments.output)


if __name__ == "__main__":
    run(main)

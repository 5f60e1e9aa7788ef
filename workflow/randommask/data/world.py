"""A world made from one seed: genome, benchmark and enhancers, nothing to download.

    python -m randommask.data.world \
        --hparams '{"seed": 1, "genome_bases": 6000000, "chromosomes": 3,
                    "labels": "syntax",
                    "rows": {"train": 100, "dev": 100, "test": 300}}' \
        --datasets config/datasets-demo.tsv \
        --genome resources/synthetic --gue resources/gue --deepstarr resources/deepstarr

The files have the published layouts, so that the rest of the workflow cannot tell:
a soft-masked gzip FASTA with N runs, GUE's csv files, DeepSTARR's FASTA and activities.
The same seed gives the same bytes, and no dataset depends on the others in the table.
"""

import argparse
import gzip
import zlib
from pathlib import Path

import numpy as np

from randommask.data import grammar
from randommask.errors import InputError, run
from randommask.experiment import datasets
from randommask.experiment.hparams import World
from randommask.files import check_folder, make_aside
from randommask.genome import decode, encode

LINE_BASES = 50
STRETCH_BASES = 4096
# Shares of G and C in the five families of isochores, L1 to H3.
ISOCHORES = (0.36, 0.39, 0.43, 0.49, 0.54)
REPEAT_BASES = (150, 200, 300, 300, 450, 600)
# Of the genome that each repeat family covers.
REPEAT_SHARE = 0.03
MICROSATELLITES = ("AC", "AG", "AT", "AAT", "CAG", "GATA", "TTTA", "AAAG")
TELOMERE_BASES = 1000
# One phrase, lone word, microsatellite and ambiguous letter in so many bases.
BASES_A_PHRASE, BASES_A_WORD = 100, 400
BASES_A_MICROSATELLITE, BASES_AN_AMBIGUITY = 10_000, 500_000

# Measured labels are never all right; the best score stays below 1 by this.
LABEL_NOISE = 0.04

SPLITS = {"train": "Train", "dev": "Val", "test": "Test"}
ACTIVITIES = ("Dev_log2_enrichment", "Hk_log2_enrichment")


def generator(seed: int, *names: str) -> np.random.Generator:
    """Start the stream of random numbers that belongs to one part of the world."""
    return np.random.default_rng([seed, *(zlib.crc32(n.encode()) for n in names)])


def writer(seed: int, *names: str) -> grammar.Writer:
    """Make the writer of one part of the world; the transitions are common to all."""
    transitions = generator(seed, "transitions").dirichlet(np.full(4, 12.0), 16)
    return grammar.Writer(transitions, generator(seed, *names))


# -------------------------------------------------------------------------------------
# The genome


def chromosome(seed: int, name: str, bases: int) -> bytes:
    """Draw the letters of one chromosome: lower case where repetitive, with N runs."""
    scribe = writer(seed, "genome", name)
    rng = scribe.rng
    stretches = -(-bases // STRETCH_BASES)
    # An isochore is eight stretches long.
    gc = np.repeat(rng.choice(ISOCHORES, stretches // 8 + 1), 8)[:stretches]
    gc += rng.normal(0, 0.01, stretches)
    codes = scribe.background(gc, STRETCH_BASES).reshape(1, -1)[:, :bases]
    _plant_language(scribe, codes)
    is_soft = _plant_repeats(scribe, codes, generator(seed, "repeats"))

    letters = np.frombuffer(b"ATCG", np.uint8)[codes[0]] + np.uint8(32) * is_soft
    at = rng.integers(0, bases, max(1, bases // BASES_AN_AMBIGUITY))
    letters[at] = rng.choice(np.frombuffer(b"RYSWKMBDHV", np.uint8), len(at))
    letters[:TELOMERE_BASES] = letters[-TELOMERE_BASES:] = ord("N")
    for start in rng.integers(0, bases, 3):
        letters[start : start + rng.integers(20, 2000)] = ord("N")
    return letters.tobytes()


def _plant_anywhere(
    scribe: grammar.Writer,
    codes: np.ndarray,
    site: np.ndarray,
    number: int,
    mutation: float | np.ndarray,
) -> np.ndarray:
    """Plant copies of a site into codes (1, T); return the positions they cover."""
    starts = scribe.rng.integers(0, codes.shape[1] - len(site), number)
    scribe.plant(codes, site, np.zeros(number, int), starts, mutation)
    return starts[:, None] + np.arange(len(site))


def _plant_language(scribe: grammar.Writer, codes: np.ndarray) -> None:
    """Plant formed phrases and lone words, on both strands."""
    bases = codes.shape[1]
    for phrase in grammar.LEXICON:
        width = phrase.bases(grammar.FORMED)
        number = bases // BASES_A_PHRASE // len(grammar.LEXICON)
        starts = scribe.rng.integers(0, bases - width, number)
        rows = np.zeros(number, int)
        scribe.say(codes, phrase, grammar.FORMED, rows, starts, width)
        for word in (phrase.first, phrase.second):
            site = encode(word)
            number = bases // BASES_A_WORD // len(grammar.LEXICON) // 4
            for strand in (site, grammar.reverse_complement(site)):
                _plant_anywhere(scribe, codes, strand, number, grammar.MUTATION)


def _plant_repeats(
    scribe: grammar.Writer, codes: np.ndarray, families: np.random.Generator
) -> np.ndarray:
    """Plant mutated repeats and microsatellites; return where they are, bool (T,)."""
    bases = codes.shape[1]
    is_soft = np.zeros(bases, bool)
    for length in REPEAT_BASES:
        family = families.integers(0, 4, length, np.uint8)
        number = int(bases * REPEAT_SHARE / length / 2)
        for strand in (family, grammar.reverse_complement(family)):
            mutation = scribe.rng.uniform(0.05, 0.1, (number, 1))
            is_soft[_plant_anywhere(scribe, codes, strand, number, mutation)] = True
    for unit in MICROSATELLITES:
        for _ in range(bases // BASES_A_MICROSATELLITE // len(MICROSATELLITES)):
            site = encode(unit * scribe.rng.integers(10, 30))
            is_soft[_plant_anywhere(scribe, codes, site, 1, 0.01)] = True
    return is_soft


def write_genome(
    folder: Path, seed: int, genome_bases: int, num_chromosomes: int
) -> None:
    """Write `synthetic.fa.gz`, chr1 the longest; the bytes hold no time and no name."""
    shares = np.linspace(1.5, 0.5, num_chromosomes)
    lengths = (genome_bases * shares / shares.sum()).astype(int)
    with (
        open(folder / "synthetic.fa.gz", "wb") as raw,
        gzip.GzipFile("", "wb", compresslevel=4, fileobj=raw, mtime=0) as file,
    ):
        for number, bases in enumerate(lengths, start=1):
            name = f"chr{number}"
            letters = chromosome(seed, name, int(bases))
            file.write(f">{name}\n".encode())
            whole = len(letters) // LINE_BASES * LINE_BASES
            lines = np.frombuffer(letters[:whole], np.uint8).reshape(-1, LINE_BASES)
            file.write(np.pad(lines, ((0, 0), (0, 1)), constant_values=10).tobytes())
            if whole < len(letters):
                file.write(letters[whole:] + b"\n")


# -------------------------------------------------------------------------------------
# The benchmark


def write_gue(folder: Path, settings: World, sets: list[datasets.Dataset]) -> None:
    """Write `<source>/{train,dev,test}.csv` of each dataset of GUE."""
    for dataset in sets:
        own = folder / dataset.source
        own.mkdir(parents=True)
        for split in SPLITS:
            codes, labels = classified(settings, dataset, split)
            lines = [
                f"{decode(sequence)},{label}\n"
                for sequence, label in zip(codes, labels, strict=True)
            ]
            text = "sequence,label\n" + "".join(lines)
            (own / f"{split}.csv").write_text(text, newline="")


def classified(
    settings: World, dataset: datasets.Dataset, split: str
) -> tuple[np.ndarray, np.ndarray]:
    """Make codes (n, T) and labels (n,) of a split: classes as frequent, some wrong."""
    scribe = writer(settings.seed, dataset.source, split)
    rng, rows = scribe.rng, settings.rows.values()[split]
    task = grammar.TASKS[dataset.source]
    labels = rng.permutation(np.arange(rows) % dataset.classes)
    codes = grammar.classified(scribe, task, labels, dataset.bases, settings.labels)
    is_wrong = rng.random(rows) < LABEL_NOISE
    shift = is_wrong * rng.integers(1, dataset.classes, rows)
    return codes, (labels + shift) % dataset.classes


def write_deepstarr(folder: Path, settings: World, bases: int) -> None:
    """Write DeepSTARR's FASTA and activity files: all + strands, then all - strands."""
    for split, name in SPLITS.items():
        scribe = writer(settings.seed, "deepstarr", split)
        regions = settings.rows.values()[split] // 2
        codes, values = grammar.enhancers(scribe, regions, bases, settings.labels)
        both = np.concatenate([codes, grammar.reverse_complement(codes)])
        fasta = "".join(
            f">{split}_{index % len(codes)}_{'+' if index < len(codes) else '-'}\n"
            f"{decode(sequence)}\n"
            for index, sequence in enumerate(both)
        )
        (folder / f"Sequences_{name}.fa").write_text(fasta, newline="")

        scaled = (values - values.mean(axis=0)) / values.std(axis=0)
        rank = values.argsort(axis=0).argsort(axis=0)
        columns = np.hstack([values, scaled, (rank + 0.5) / len(values)])
        suffixes = ("", "_scaled", "_quantile_normalized")
        lines = ["\t".join(name + suffix for suffix in suffixes for name in ACTIVITIES)]
        lines += ["\t".join(f"{x:.6f}" for x in row) for row in [*columns, *columns]]
        activity = "\n".join(lines) + "\n"
        (folder / f"Sequences_activity_{name}.txt").write_text(activity, newline="")


def synthesise(
    table: str | Path,
    genome: str | Path,
    gue: str | Path,
    deepstarr: str | Path,
    settings: World,
) -> None:
    """Write the three folders of the world.

    Every dataset has the same rows; DeepSTARR's are rounded down to whole regions of
    two strands.
    """
    listed = [row for row in datasets.read(table) if row.own_folder is None]
    for dataset in listed:
        if dataset.source not in (*grammar.TASKS, "deepstarr"):
            raise InputError(
                f"{table}: {dataset.dataset}: nothing is made for source "
                f"{dataset.source!r}, expected one of GUE's or deepstarr"
            )
    for output in (genome, gue, deepstarr):
        check_folder(output)
    with make_aside(genome) as folder:
        folder.mkdir()
        write_genome(folder, settings.seed, settings.genome_bases, settings.chromosomes)
    with make_aside(gue) as folder:
        folder.mkdir()
        sets = [dataset for dataset in listed if dataset.source != "deepstarr"]
        write_gue(folder, settings, sets)
    with make_aside(deepstarr) as folder:
        folder.mkdir()
        for dataset in listed:
            if dataset.source == "deepstarr":
                write_deepstarr(folder, settings, dataset.bases)


def main(argv: list[str] | None = None) -> None:
    """Command line; see the head of this module."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--hparams", required=True, help="JSON: see World")
    parser.add_argument("--datasets", required=True, help="table of the datasets")
    parser.add_argument("--genome", required=True, help="folder to write")
    parser.add_argument("--gue", required=True, help="folder to write")
    parser.add_argument("--deepstarr", required=True, help="folder to write")
    args = parser.parse_args(argv)
    settings = World.parse(args.hparams)
    synthesise(args.datasets, args.genome, args.gue, args.deepstarr, settings)


if __name__ == "__main__":
    run(main)

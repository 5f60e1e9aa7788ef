"""The made-up world: same seed same bytes, published layouts, labels to be learnt."""

import csv
import gzip
import json
import re
import shutil
from dataclasses import dataclass

import numpy as np
import pytest
from made import ROOT
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef

from randommask import genome
from randommask.data import grammar, shards, shortcuts
from randommask.data.alike import Alike
from randommask.data.world import main
from randommask.errors import InputError
from randommask.experiment import datasets
from randommask.files import sha256

TABLE = ROOT / "config" / "datasets-demo.tsv"
ROWS = {"train": 400, "dev": 41, "test": 300}
FOLDS = {"train": "Train", "dev": "Val", "test": "Test"}


def synthesise(folder, table=TABLE, **changes):
    hparams = {"seed": 1, "genome_bases": 400_000, "chromosomes": 3, "rows": ROWS}
    flags = ["--datasets", str(table), "--hparams", json.dumps(hparams | changes)]
    for name in ("genome", "gue", "deepstarr"):
        flags += [f"--{name}", str(folder / name)]
    main(flags)
    return folder


def other_strand(text):
    return text[::-1].translate(str.maketrans("ACGT", "TGCA"))


def sums(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): sha256(path) for path in files}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return synthesise(tmp_path_factory.mktemp("world"))


def read(folder, source, split):
    with open(folder / "gue" / source / f"{split}.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["sequence", "label"]
    return [row[0] for row in rows[1:]], np.array([int(row[1]) for row in rows[1:]])


def read_deepstarr(folder, split):
    fasta = (folder / "deepstarr" / f"Sequences_{FOLDS[split]}.fa").read_text()
    with open(folder / "deepstarr" / f"Sequences_activity_{FOLDS[split]}.txt") as file:
        activities = list(csv.DictReader(file, delimiter="\t"))
    return fasta.split("\n")[1::2], activities


# --- determinism ---------------------------------------------------------------------


def test_a_second_run_makes_the_same_bytes_and_another_seed_others(world, tmp_path):
    before = sums(world)
    assert len(before) == 1 + 27 * 3 + 6
    synthesise(tmp_path / "same")
    assert sums(tmp_path / "same") == before
    other = sums(synthesise(tmp_path / "other", seed=2))
    assert other.keys() == before.keys()
    assert not set(other.values()) & set(before.values())


def test_a_dataset_does_not_depend_on_the_others_in_the_table(world, tmp_path):
    header, *lines = TABLE.read_text().splitlines(keepends=True)
    table = tmp_path / "datasets.tsv"
    table.write_text(header + "".join(line for line in lines if "TF-M-2" in line))
    some = sums(synthesise(tmp_path, table))
    kept = [name for name in some if name.startswith("gue")]
    assert kept == [f"gue/mouse/2/{split}.csv" for split in ("dev", "test", "train")]
    before = sums(world)
    assert all(some[name] == before[name] for name in kept)


# --- the genome ----------------------------------------------------------------------


def test_genome_has_all_that_a_real_one_has(world):
    path = world / "genome" / "synthetic.fa.gz"
    assert path.read_bytes()[3:8] == bytes(5), "no name and no time in the gzip header"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    starts = [i for i, line in enumerate(lines) if line.startswith(">")]
    assert [lines[i] for i in starts] == [">chr1", ">chr2", ">chr3"]
    lengths = []
    for start, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        assert {len(line) for line in lines[start + 1 : end - 1]} == {50}
        text = "".join(lines[start + 1 : end])
        lengths.append(len(text))
        assert set(text) <= set("ACGTacgtRYSWKMBDHVN")
        assert text.startswith("N" * 1000) and text.endswith("N" * 1000)
        assert re.search("[ACGTacgt]N+[ACGTacgt]", text), "no gap inside"
        assert re.search("[RYSWKMBDHV]", text)
        share = sum(map(str.islower, text)) / len(text)
        assert 0.1 < share < 0.35
    assert lengths == sorted(lengths, reverse=True)
    assert sum(lengths) == pytest.approx(400_000, abs=3)


def test_genome_speaks_the_grammar_of_the_benchmark(world):
    records = genome.read_fasta(world / "genome" / "synthetic.fa.gz")
    text = "".join(genome.decode(codes) for _, codes in records)
    for phrase in grammar.LEXICON:
        for strand in (text, other_strand(text)):
            formed = f"{phrase.first}.{{{phrase.gap}}}{phrase.second}"
            swapped = f"{phrase.second}.{{{phrase.gap}}}{phrase.first}"
            assert len(re.findall(formed, strand)) > 10
            assert len(re.findall(swapped, strand)) < 5
            assert strand.count(phrase.first) > 50
    assert "CAGCAGCAGCAGCAGCAG" in text


def test_genome_is_tokenized_like_any_other(world, tmp_path):
    shards.tokenize(world / "genome", tmp_path / "corpus", "synthetic", None)
    manifest = json.loads((tmp_path / "corpus" / "manifest.json").read_text())
    for chromosome in manifest["chromosomes"]:
        runs = np.array(chromosome["intervals"])
        assert len(runs) > 1
        assert (runs[:, 1] - runs[:, 0]).sum() > 0.9 * chromosome["length"]


# --- the benchmark -------------------------------------------------------------------


@pytest.mark.parametrize("split", ROWS)
def test_gue_has_its_layout_lengths_and_classes(world, split):
    for dataset in datasets.read(TABLE):
        if dataset.source == "deepstarr":
            continue
        sequences, labels = read(world, dataset.source, split)
        assert len(set(sequences)) == len(sequences) == ROWS[split]
        assert {len(sequence) for sequence in sequences} == {dataset.bases}
        assert set("".join(sequences)) == set("ACGT")
        shares = np.bincount(labels) / len(labels)
        assert len(shares) == dataset.classes
        assert shares == pytest.approx(1 / dataset.classes, abs=0.1)


def test_files_end_their_lines_with_a_line_feed(world):
    for path in (world / "gue" / "tf" / "0").iterdir():
        content = path.read_bytes()
        assert b"\r" not in content and content.endswith(b"\n")


@pytest.mark.parametrize("split", ROWS)
def test_deepstarr_keeps_both_strands_of_a_region_in_one_fold(world, split):
    sequences, activities = read_deepstarr(world, split)
    regions = ROWS[split] // 2
    assert len(sequences) == len(activities) == 2 * regions
    assert {len(sequence) for sequence in sequences} == {102}
    assert len(set(sequences)) == len(sequences)
    plus, minus = sequences[:regions], sequences[regions:]
    for one, other in zip(plus, minus, strict=True):
        assert one == genome.decode(grammar.reverse_complement(genome.encode(other)))
    assert activities[:regions] == activities[regions:]


def test_deepstarr_has_the_published_columns(world):
    _, activities = read_deepstarr(world, "train")
    suffixes = ("", "_scaled", "_quantile_normalized")
    names = ("Dev_log2_enrichment", "Hk_log2_enrichment")
    assert list(activities[0]) == [n + suffix for suffix in suffixes for n in names]
    values = {n: np.array([float(row[n]) for row in activities]) for n in activities[0]}
    for name in names:
        scaled = values[f"{name}_scaled"]
        assert (scaled.mean(), scaled.std()) == pytest.approx((0, 1), abs=1e-5)
        order = values[name].argsort(kind="stable")
        assert (np.diff(values[f"{name}_quantile_normalized"][order]) >= 0).all()


@dataclass(frozen=True)
class Rows:
    """A split, as the rules without a model take it."""

    sequences: list
    labels: np.ndarray


def counts_tell(world, source):
    """MCC on test of a linear model of k-mer counts, of k up to those of the demo."""
    (sequences, labels), (tests, truth) = (
        read(world, source, split) for split in ("train", "test")
    )
    words = CountVectorizer(analyzer="char", ngram_range=(3, 5), lowercase=False)
    counts = np.log1p(words.fit_transform(sequences))
    model = LogisticRegression(C=0.1, max_iter=500).fit(counts, labels)
    found = model.predict(np.log1p(words.transform(tests)))
    return matthews_corrcoef(truth, found)


def syntax_tells(world, source):
    """MCC on test of a reader who knows the phrases and that a few bases change."""
    sequences, labels = read(world, source, "test")
    task = grammar.TASKS[source]
    formed = task.manners.index(grammar.FORMED)
    found = []
    for text in sequences:
        scores = [0] * len(task.manners)
        for strand in (text, other_strand(text)):
            for label, manner in enumerate(task.manners):
                for phrase in task.phrases:
                    scores[label] += likeness(genome.encode(strand), phrase, manner)
        found.append(np.argmax(scores) if max(scores) else 1 - formed)
    return matthews_corrcoef(labels, found)


def likeness(codes, phrase, manner):
    """Windows where at most 3 of the 16 bases of the two words differ."""
    first, second, gap = phrase.parts(manner)
    site = np.concatenate([first, second])
    at = np.concatenate([np.arange(8), np.arange(8) + 8 + gap])
    windows = codes[np.arange(len(codes) - phrase.bases(manner) + 1)[:, None] + at]
    return ((windows != site).sum(axis=1) <= 3).sum()


@pytest.mark.parametrize("source", ["EMP/H3", "mouse/1", "tf/1", "prom/prom_300_all"])
def test_labels_are_told_by_the_syntax_not_by_counts_of_k_mers(world, source):
    assert abs(counts_tell(world, source)) < 0.2
    assert 0.75 < syntax_tells(world, source) < 0.97


def test_three_classes_are_told_by_the_syntax(world):
    source = "splice/reconstructed"
    assert abs(counts_tell(world, source)) < 0.2
    assert 0.75 < syntax_tells(world, source) < 0.97


def test_by_words_counts_of_k_mers_tell_the_labels(tmp_path_factory):
    world = synthesise(tmp_path_factory.mktemp("words"), labels="words")
    for source in ("EMP/H3", "tf/1", "splice/reconstructed"):
        assert 0.6 < counts_tell(world, source) < 0.97


@pytest.mark.parametrize("source", ["EMP/H3K9ac", "tf/2", "prom/prom_core_tata"])
def test_of_the_rules_without_a_model_position_alone_says_something(world, source):
    splits = {split: Rows(*read(world, source, split)) for split in ROWS}
    alike = Alike({name: split.sequences for name, split in splits.items()})
    rules = list(shortcuts.rules("classification", splits, 2, alike))
    assert {"gc", "composition", "position"} <= {rule.name for rule in rules}
    for rule in rules:
        found = rule.predictions["test"].argmax(axis=1)
        score = matthews_corrcoef(splits["test"].labels, found)
        assert abs(score) < 0.25 or rule.name == "position", rule.name


# --- errors --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"genome_bases": 200_000}, "genome_bases of at least 100000 a chromosome"),
        (
            {"rows": {"train": 400, "dev": 2, "test": 300}},
            "rows.dev: found 2",
        ),
        ({"rows": {"train": 400, "dev": 20}}, "rows: no key 'test'"),
    ],
)
def test_a_world_too_small_is_one_line(tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        synthesise(tmp_path, **changes)
    assert not list(tmp_path.iterdir())


def test_a_dataset_that_cannot_be_made_is_named(tmp_path):
    table = tmp_path / "datasets.tsv"
    shutil.copy(TABLE, table)
    table.write_text(table.read_text().replace("mouse/3", "virus/covid"))
    with pytest.raises(InputError, match=r"TF-M-3: nothing is made for .*virus/covid"):
        synthesise(tmp_path / "world", table)
    with pytest.raises(InputError, match="no such file"):
        synthesise(tmp_path / "world", tmp_path / "absent.tsv")

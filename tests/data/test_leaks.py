"""Made data sets with one leak or shortcut each: it is found, and the clean one passes.

The sequences are random and so are the labels, so that nothing but what is planted can
tell anything.
"""

import json
from collections import Counter
from random import Random

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made.dataset import seal

from randommask.data import alike, leaks
from randommask.errors import InputError

SIZES = {"train": 600, "dev": 200, "test": 200}
BASES = 120
EVERY = (*leaks.LEAKS, "contradictions", "partners-1")
EVERY += ("length", "gc", "composition", "position")


@pytest.fixture
def random():
    return np.random.default_rng(7)


def clean(random, bases=BASES):
    """Lists of sequences and of labels, 0 or 1, of each split."""
    return {
        split: (
            ["".join(random.choice(list("ACGT"), bases)) for _ in range(rows)],
            list(random.integers(0, 2, rows)),
        )
        for split, rows in SIZES.items()
    }


def other_strand(sequence):
    return sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))


def mutated(sequence, *positions):
    letters = list(sequence)
    for position in positions:
        letters[position] = other_strand(letters[position])
    return "".join(letters)


def shuffled(draw, sequence, k):
    """The same k-mers in another order: stretches between equal (k-1)-mers swapped."""
    found, swaps = sequence, 0
    while swaps < 3:
        a, b, c, d = sorted(draw.sample(range(1, len(found) - k + 1), 4))
        words = [found[i : i + k - 1] for i in (a, b, c, d)]
        if words[0] == words[2] and words[1] == words[3]:
            found = found[:a] + found[c:d] + found[b:c] + found[a:b] + found[d:]
            swaps += 1
    return found


def write(folder, splits, targets=()):
    folder.mkdir()
    for split, (sequences, labels) in splits.items():
        columns = {"sequence": sequences}
        if targets:
            for target, values in zip(targets, np.transpose(labels), strict=True):
                columns[f"label_{target}"] = values
        else:
            columns["label"] = np.array(labels, np.int64)
        pq.write_table(pa.table(columns), folder / f"{split}.parquet")
    kind = "regression" if targets else "classification"
    summary = {"dataset": "made", "task": "cells", "type": kind}
    summary |= {"classes": None if targets else 2, "targets": list(targets)}
    return seal(folder, **summary)


def found(folder, splits, **options):
    data = write(folder / "data", splits, **options)
    output = folder / "leaks.json"
    leaks.main(["--data", str(data), "--output", str(output)])
    return json.loads(output.read_text())


def verdicts(record):
    every = record["leaks"] | record["shortcuts"]
    return {name: part["verdict"] for name, part in every.items()}


def test_a_clean_data_set_passes(tmp_path, random):
    record = found(tmp_path, clean(random))
    assert verdicts(record) == dict.fromkeys(EVERY, "none")
    assert record["rows"] == SIZES and record["near"]["sampled"] is None
    for leak in record["leaks"].values():
        assert leak["rows"] == {"train": [], "dev": [], "test": []}
    assert abs(record["best"]["test"]) < 0.2


# --- Rows that leak -------------------------------------------------------------------

COPIED = {  # how a row of train is found again in test, row 10 as row 0 and so on
    "exact": lambda sequence: sequence,
    "reverse": other_strand,
    "near": lambda sequence: mutated(sequence, 30, 80),
    "near-strand": lambda sequence: other_strand(mutated(sequence, 30, 80)),
    "near-shifted": lambda sequence: sequence[30:] + sequence[::-1][:30],
}


@pytest.mark.parametrize("how", COPIED)
def test_copies_are_found(tmp_path, random, how):
    splits = clean(random)
    (train, labels), (test, expected) = splits["train"], splits["test"]
    for row in range(40):
        test[row] = COPIED[how](train[10 + row])
        expected[row] = labels[10 + row]
    kind = how.partition("-")[0]
    record = found(tmp_path, splits)
    leak = record["leaks"][kind]
    assert leak["verdict"] == "serious" and leak["same_label"] == 40
    rows = {"train": list(range(10, 50)), "dev": [], "test": list(range(40))}
    assert leak["rows"] == rows
    assert {k for k, v in verdicts(record).items() if v != "none"} == {kind}


def test_what_dev_gives_away_of_test_counts_too(tmp_path, random):
    splits = clean(random)
    splits["test"][0][5] = splits["dev"][0][3]
    splits["dev"][0][8] = splits["train"][0][2]
    leak = found(tmp_path, splits)["leaks"]["exact"]
    assert leak["rows"] == {"train": [2], "dev": [8], "test": [5]}
    assert leak["verdict"] == "some"


def test_repeats_that_many_rows_share_make_no_near_duplicates(
    tmp_path, random, monkeypatch
):
    monkeypatch.setattr(alike, "COMMON", 60)
    splits = clean(random)
    repeat = splits["train"][0][0][:90]
    for sequences, _ in splits.values():
        for row in range(0, len(sequences), 5):
            sequences[row] = repeat + sequences[row][90:]
    assert verdicts(found(tmp_path, splits))["near"] == "none"


def test_a_sample_of_the_kmers_finds_near_duplicates(tmp_path, random, monkeypatch):
    splits = clean(random, 400)
    (train, _), (test, _) = splits["train"], splits["test"]
    for row in range(40):
        test[row] = train[row][50:] + test[row][:50]
    every = sum(SIZES.values()) * (400 - alike.K + 1)
    monkeypatch.setattr(alike, "MOST", every // 4)
    record = found(tmp_path, splits)
    assert "0.25 of all k-mers" in record["near"]["sampled"]
    assert record["leaks"]["near"]["rows"]["test"] == list(range(40))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_shuffle_partners_are_found_and_say_the_opposite(tmp_path, random, k):
    """Every second row is the one before it, shuffled; then all are dealt out."""
    originals = clean(random)["train"][0][:500]
    draw = Random(k)
    pairs = [(s, shuffled(draw, s, k)) for s in originals]
    for one, other in pairs[:50]:
        assert one != other and (one[0], one[-1], len(one)) == (
            other[0],
            other[-1],
            len(other),
        )
        words = [
            Counter(s[i : i + k] for i in range(BASES - k + 1)) for s in (one, other)
        ]
        assert words[0] == words[1]
    rows = [(s, label) for pair in pairs for label, s in enumerate(pair)]
    rows = [rows[i] for i in random.permutation(len(rows))]
    bounds = {"train": (0, 600), "dev": (600, 800), "test": (800, 1000)}
    splits = {s: tuple(zip(*rows[a:b], strict=True)) for s, (a, b) in bounds.items()}
    record = found(tmp_path, splits)
    place = {sequence: i for i, (sequence, _) in enumerate(rows)}
    partner = {}
    for one, other in pairs:
        partner |= {place[one]: place[other], place[other]: place[one]}
    expected = [row for row in range(200) if partner[800 + row] < 800]
    name = f"partners-{k}"
    if k == 1:  # letter counts agree by chance as well
        assert record["shortcuts"][name]["verdict"] == "serious"
        assert verdicts(record)["partners-2"] == "none"
    else:
        leak = record["leaks"][name]
        assert leak["rows"]["test"] == expected and leak["same_label"] == 0
        assert leak["verdict"] == "serious" and leak["score"]["test"] > 0.6
    assert record["best"]["rule"] == name
    levels = [verdicts(record)[kind] for kind in ("exact", "reverse", "near")]
    assert levels[:2] == ["none", "none"]


def test_contradicting_labels_are_found(tmp_path, random):
    splits = clean(random)
    sequences, labels = splits["train"]
    sequences[7], labels[7], labels[4] = sequences[4], 1, 0
    sequences[9], labels[9], labels[8] = sequences[8], 1, 1
    record = found(tmp_path, splits)
    contradictions = record["leaks"]["contradictions"]
    assert contradictions["sequences"] == 1 and contradictions["verdict"] == "some"
    assert contradictions["rows"] == {"train": [4, 7], "dev": [], "test": []}


# --- Labels that a rule finds ---------------------------------------------------------


def longer(random, sequence):
    return sequence + sequence[:9]


def richer(random, sequence):
    return "".join(random.choice(list("ACGT"), len(sequence), p=[0.2, 0.3, 0.3, 0.2]))


def chained(random, sequence):
    """Any two letters that follow each other are equal more often than by chance."""
    letters = list(sequence)
    for i in range(1, len(letters)):
        if random.random() < 0.2:
            letters[i] = letters[i - 1]
    return "".join(letters)


def marked(random, sequence):
    return sequence[:50] + "GT" + sequence[52:]


@pytest.mark.parametrize(
    ("name", "change", "also"),
    [
        ("length", longer, {"gc"}),
        ("gc", richer, {"composition", "position"}),
        ("composition", chained, set()),
        ("position", marked, set()),
    ],
)
def test_shortcuts_are_found(tmp_path, random, name, change, also):
    splits = clean(random)
    for sequences, labels in splits.values():
        for row, label in enumerate(labels):
            if label:
                sequences[row] = change(random, sequences[row])
    record = found(tmp_path, splits)
    hit = {key for key, verdict in verdicts(record).items() if verdict != "none"}
    assert name in hit and hit <= {name, *also}
    assert record["shortcuts"][name]["verdict"] == "serious"
    assert record["best"]["test"] > 0.5


def test_the_labels_of_test_choose_nothing(tmp_path, random):
    splits = clean(random)
    for sequences, labels in splits.values():
        for row in np.flatnonzero(labels):
            sequences[row] = marked(random, sequences[row])
    first = found(tmp_path, splits)
    splits["test"] = (splits["test"][0], [1 - label for label in splits["test"][1]])
    (tmp_path / "turned").mkdir()
    second = found(tmp_path / "turned", splits)
    assert first["best"]["rule"] == second["best"]["rule"] == "position"
    assert first["best"]["test"] == -second["best"]["test"] > 0.5


def test_numbers_leak_like_classes(tmp_path, random):
    splits = clean(random)
    values = {split: random.normal(size=(n, 2)) for split, n in SIZES.items()}
    (train, _), (test, _) = splits["train"], splits["test"]
    test[:100] = train[:100]
    values["test"][:100] = values["train"][:100]
    splits = {split: (own, values[split]) for split, (own, _) in splits.items()}
    record = found(tmp_path, splits, targets=("one", "two"))
    leak = record["leaks"]["exact"]
    assert record["metric"] == "pearson" and leak["score"]["test"] > 0.4
    assert leak["rows"]["test"] == list(range(100)) and "same_label" not in leak
    assert "contradictions" not in record["leaks"]


def test_letters_other_than_bases_and_short_rows_are_taken(tmp_path, random):
    splits = clean(random, 20)
    splits["train"][0][:3] = ["A", "NNNNNNNNNNNNNNN", "ACGTN"]
    splits["test"][0][0] = "ACGTN"
    record = found(tmp_path, splits)
    assert record["leaks"]["exact"]["rows"]["test"] == [0]


def test_near_duplicates_are_those_of_counting_by_hand(random):
    def words(sequence):
        own = [sequence[i : i + alike.K] for i in range(len(sequence) - alike.K + 1)]
        return {min(word, other_strand(word)) for word in own if "N" not in word}

    train = ["".join(random.choice(list("ACGT"), 60)) for _ in range(30)]
    test = []
    for row in train:
        start = random.integers(0, 50)
        piece = mutated(row, start)[start:] + row[:start][::-1]
        test.append(random.choice([piece, other_strand(piece)]))
    test[3] = test[3][:20] + "N" + test[3][21:]
    rows, others, shares = alike.Alike({"train": train, "test": test})._near(
        "test", "train"
    )
    by_hand = {}
    for i, one in enumerate(test):
        for j, other in enumerate(train):
            share = len(words(one) & words(other)) / len(words(one))
            if share >= alike.NEAR and one not in (other, other_strand(other)):
                by_hand[i, j] = share
    assert dict(zip(zip(rows, others, strict=True), shares, strict=True)) == by_hand
    assert 5 < len(by_hand) < 30


# --- The command ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: (d / "summary.json").write_text("{}"), "no key 'dataset'"),
        (lambda d: (d / "dev.parquet").write_text("x"), "dev.parquet: sha256 is 2d7"),
        (
            lambda d: (
                pq.write_table(pa.table({"sequence": ["A"]}), d / "test.parquet"),
                seal(d),
            ),
            "test.parquet: no column label",
        ),
    ],
)
def test_a_folder_that_is_no_data_set_is_named(tmp_path, random, change, message):
    data = write(tmp_path / "data", clean(random))
    change(data)
    with pytest.raises(InputError, match=message):
        leaks.main(["--data", str(data), "--output", str(tmp_path / "leaks.json")])
    assert not (tmp_path / "leaks.json").exists()

"""A benchmark dataset comes out as published, or not at all and with a reason."""

import json
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import ROOT

from randommask import files
from randommask.data import alike, prepare, splits
from randommask.data.sampling import sample
from randommask.errors import InputError
from randommask.experiment import datasets
from randommask.experiment.hparams import Preparation
from randommask.experiment.sections import LEVELS

ROWS = {"train": 12, "dev": 4, "test": 4}


def leaks(train_dev, train_test, dev_test):
    """Leaks as the summary has them, from (sequences, rows of one, of the other)."""
    found = {}
    for pair, counts in zip(
        prepare.LEAKS, (train_dev, train_test, dev_test), strict=True
    ):
        names = ("sequences", *(f"{split}_rows" for split in pair))
        found["-".join(pair)] = dict(zip(names, counts, strict=True))
    return found


NO_LEAKS = leaks((0, 0, 0), (0, 0, 0), (0, 0, 0))


def dataset(**changes):
    fields = {
        "dataset": "TF-M-0",
        "task": "TF-M",
        "source": "mouse/0",
        "species": "Mouse",
        "bases": 20,
        "classes": 2,
        "targets": (),
        "metric": "mcc",
        "epochs": 1,
        "batch_size": 2,
        "learning_rate": 1e-4,
        "single_nucleotide": True,
        "regional": False,
        "train_rows": ROWS["train"],
        "dev_rows": ROWS["dev"],
        "test_rows": ROWS["test"],
    }
    return datasets.Dataset(**fields | changes)


REGRESSION = {
    "dataset": "EAP",
    "task": "EAP",
    "source": "deepstarr",
    "classes": None,
    "targets": ("dev", "hk"),
    "metric": "pearson",
}


def random_rows(count, seed, bases=20, classes=2):
    letters = np.random.default_rng(seed).choice(list("ACGT"), (count, bases))
    return [("".join(row), i % classes) for i, row in enumerate(letters)]


def write_csv(path, rows, head="sequence,label", end="\n"):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [head, *(",".join(map(str, row)) for row in rows)]
    path.write_bytes((end.join(lines) + end).encode())


@pytest.fixture
def gue(tmp_path):
    """Make a sound dataset of the official layout; return its folder."""
    for seed, (split, count) in enumerate(ROWS.items()):
        write_csv(tmp_path / "in/mouse/0" / f"{split}.csv", random_rows(count, seed))
    return tmp_path / "in"


@pytest.fixture
def deepstarr(tmp_path):
    """Make a sound DeepSTARR, the strands of a region side by side."""
    folder = tmp_path / "starr"
    folder.mkdir()
    for seed, (split, count) in enumerate(ROWS.items()):
        fold = splits.DEEPSTARR_FOLDS[split]
        forward = [sequence for sequence, _ in random_rows(count // 2, seed)]
        both = [s for one in forward for s in (one, other_strand(one))]
        (folder / f"Sequences_{fold}.fa").write_text(
            "".join(f">chr2L_{i}\n{s}\n" for i, s in enumerate(both))
        )
        write_activity(folder, fold, [(i // 2 / 4, -(i // 2)) for i in range(count)])
    return folder


def write_activity(folder, fold, values):
    names = ("Hk_log2_enrichment_scaled", "Hk_log2_enrichment", "Dev_log2_enrichment")
    lines = ["\t".join(names), *(f"9\t{hk}\t{dev}" for dev, hk in values)]
    text = "\n".join(lines) + "\n"
    (folder / f"Sequences_activity_{fold}.txt").write_text(text)


def other_strand(sequence):
    return sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))


def prepared(folder, output, hparams=None, **changes):
    prepare.prepare(folder, dataset(**changes), Preparation(**hparams or {}), output)
    return json.loads((output / "summary.json").read_text())


def rows_of(output, split):
    return pq.read_table(output / f"{split}.parquet")


def test_tables_of_others_are_not_replaced(gue, tmp_path):
    """They may have the names of ours; Snakemake deletes ours before another try."""
    (tmp_path / "out").mkdir()
    assert prepared(gue, tmp_path / "out")["dataset"] == "TF-M-0"
    with pytest.raises(InputError, match=r"holds dev\.parquet"):
        prepared(gue, tmp_path / "out")


def test_rows_come_out_in_order_with_a_summary(gue, tmp_path):
    summary = prepared(gue, tmp_path / "out")
    train = rows_of(tmp_path / "out", "train")
    assert train.schema.equals(
        pa.schema([("sequence", pa.string()), ("label", pa.int64())])
    )
    assert train.to_pylist() == [
        {"sequence": s, "label": label} for s, label in random_rows(12, 0)
    ]
    part = summary["splits"]["train"]
    assert part.pop("sha256") == prepare.files.sha256(tmp_path / "out/train.parquet")
    text = "".join(s for s, _ in random_rows(12, 0))
    assert part == {
        "rows": 12,
        "min_bases": 20,
        "max_bases": 20,
        "gc": (text.count("G") + text.count("C")) / len(text),
        "labels": {"0": 6, "1": 6},
        "repeated": 0,
        "duplicates": 0,
    }
    assert summary["leaks"] == NO_LEAKS
    assert summary["published"] == ROWS
    assert summary["warnings"] == []


def test_a_second_run_gives_the_same_bytes(gue, tmp_path):
    for name in ("a", "b"):
        prepared(gue, tmp_path / name, {"max_rows": 5, "seed": 3})
    for file in ("train.parquet", "dev.parquet", "test.parquet", "summary.json"):
        assert (tmp_path / "a" / file).read_bytes() == (
            tmp_path / "b" / file
        ).read_bytes()


def test_the_layout_below_gue_is_found_too(gue, tmp_path):
    (tmp_path / "zip").mkdir()
    gue.rename(tmp_path / "zip/GUE")
    assert prepared(tmp_path / "zip", tmp_path / "out")["splits"]["dev"]["rows"] == 4
    with pytest.raises(InputError, match=r"mouse/0: no such folder, nor .*GUE/mouse/0"):
        prepared(tmp_path, tmp_path / "out2")


def test_case_line_ends_byte_order_mark_and_column_order_do_not_matter(gue, tmp_path):
    rows = [(i, label, s.lower()) for i, (s, label) in enumerate(random_rows(12, 0))]
    head = "\ufeffindex,label,sequence"
    prepared(gue, tmp_path / "plain")
    write_csv(gue / "mouse/0/train.csv", rows, head, end="\r\n")
    prepared(gue, tmp_path / "odd")
    assert (tmp_path / "plain/train.parquet").read_bytes() == (
        tmp_path / "odd/train.parquet"
    ).read_bytes()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("ACGTACGT,x", "line 3: label is 'x', expected an integer from 0 to 1"),
        ("ACGTACGT,", "line 3: label is ''"),
        ("ACGTACGT,1.0", "line 3: label is '1.0'"),
        ("ACGTACGT,2", "line 3: label is '2', expected an integer from 0 to 1"),
        ("ACGTACGT,-1", "line 3: label is '-1'"),
        ("ACGTACGT,99999999999999999999", "line 3: label is '9999"),
        ("ACGT-CGT,1", "line 3: found '-' at base 5, expected IUPAC"),
        ("ACGTAC GT,1", "line 3: found ' ' at base 7, expected IUPAC"),
        ("ACGTA,1", "line 3: found a sequence of 5 bases, expected at least k = 6"),
        (",1", "line 3: found a sequence of 0 bases"),
        ("ACGTACGT", "line 3: found 1 cells, expected 2"),
        ("ACGTACGT,1,1", "line 3: found 3 cells, expected 2"),
    ],
)
def test_a_bad_row_is_named(gue, tmp_path, row, message):
    path = gue / "mouse/0/dev.csv"
    path.write_text(f"sequence,label\nACGTACGT,0\n{row}\nACGTACGT,1\n")
    with pytest.raises(InputError, match=re.escape(message)) as error:
        prepared(gue, tmp_path / "out")
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "found no column sequence"),
        (b"sequence,label\n", "found no row below the header"),
        (b"seq,label\nACGTACGT,1\n", "found no column sequence, expected one"),
        (b"sequence,label,label\nACGTACGT,1,1\n", "found more than one column label"),
        (b"sequence,label\nACG\xffACGT,1\n", "UTF"),
        (b"\xff\xfes\x00", "not UTF-8"),
    ],
)
def test_a_bad_file_is_named(gue, tmp_path, text, message):
    path = gue / "mouse/0/test.csv"
    path.write_bytes(text)
    with pytest.raises(InputError, match=message) as error:
        prepared(gue, tmp_path / "out")
    assert str(path) in str(error.value)
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"test\.csv"):
        prepared(gue, tmp_path / "out")


def test_letters_that_stand_for_several_bases_pass_with_a_warning(gue, tmp_path):
    rows = [("ACGTNNRYACGTACGTACGT", 0), *random_rows(3, 9)]
    write_csv(gue / "mouse/0/dev.csv", rows)
    summary = prepared(gue, tmp_path / "out")
    assert summary["warnings"] == [
        "dev: sequences with letters other than A, C, G, T: 1"
    ]


def test_u_is_read_as_t_and_said(gue, deepstarr, tmp_path, capsys):
    plain = prepared(gue, tmp_path / "dna")
    path = gue / "mouse/0/dev.csv"
    text = path.read_text()
    count = text.count("T")
    path.write_text(text.replace("T", "U"))
    summary = prepared(gue, tmp_path / "rna")
    assert summary["warnings"] == [f"dev: {count} U read as T"]
    assert f"warning: TF-M-0 dev: {count} U read as T" in capsys.readouterr().err
    assert summary["splits"] == plain["splits"]

    plain = prepared(deepstarr, tmp_path / "starr-dna", **REGRESSION)
    path = deepstarr / "Sequences_Val.fa"
    path.write_text(path.read_text().replace("T", "u"))
    summary = prepared(deepstarr, tmp_path / "starr-rna", **REGRESSION)
    assert "U read as T" in summary["warnings"][0]
    assert summary["splits"] == plain["splits"]


def test_a_quote_that_does_not_close_is_named_and_swallows_no_row(gue, tmp_path):
    path = gue / "mouse/0/dev.csv"
    path.write_text('sequence,label,n\nACGTACGT,0,"x\nACGTACGT,1,\nACGTACGT,1,"x\n')
    with pytest.raises(InputError, match=r"dev\.csv: line 2: a quote is open at the"):
        prepared(gue, tmp_path / "out")


def test_what_is_not_as_published_is_said_with_both_numbers(gue, tmp_path):
    write_csv(gue / "mouse/0/dev.csv", [("ACGTACGT", 1), *random_rows(4, 9)])
    summary = prepared(gue, tmp_path / "out", classes=3)
    assert summary["warnings"] == [
        "train: 2 classes occur, expected 3",
        "dev: 5 rows, published 4",
        "dev: sequences of another length: 1 (8 to 20 bases, published 20)",
        "dev: 2 classes occur, expected 3",
        "test: 2 classes occur, expected 3",
    ]
    assert summary["splits"]["dev"]["labels"] == {"0": 2, "1": 3, "2": 0}


def test_a_training_split_with_a_single_label_is_refused(gue, tmp_path):
    write_csv(gue / "mouse/0/train.csv", [(s, 1) for s, _ in random_rows(12, 0)])
    with pytest.raises(InputError, match="every train label is 1, expected 2 classes"):
        prepared(gue, tmp_path / "out")


def test_splits_without_a_defined_score_are_warned_of(gue, deepstarr, tmp_path):
    for split in ("dev", "test"):
        rows = [(sequence, 1) for sequence, _ in random_rows(4, len(split))]
        write_csv(gue / "mouse/0" / f"{split}.csv", rows)
    said = prepared(gue, tmp_path / "out")["warnings"]
    for split in ("dev", "test"):
        assert f"{split}: every label is 1, MCC will be undefined" in said
    write_activity(deepstarr, "Test", [(i // 2, 7) for i in range(4)])
    said = prepared(deepstarr, tmp_path / "made", **REGRESSION)["warnings"]
    assert said == ["test: every label_hk is 7.0, correlation will be undefined"]


def test_duplicates_leaks_and_contradictions_are_counted(gue, tmp_path):
    train, dev, test = (random_rows(n, seed) for seed, n in enumerate(ROWS.values()))
    train[3] = train[2] = train[1]  # labels 1, 1, 1
    train[4] = (train[1][0], 0)
    dev[0] = dev[1] = train[1]
    test[0] = train[6]
    test[1] = dev[2]
    for split, rows in zip(datasets.SPLITS, (train, dev, test), strict=True):
        write_csv(gue / "mouse/0" / f"{split}.csv", rows)
    summary = prepared(gue, tmp_path / "out")
    assert [part["duplicates"] for part in summary["splits"].values()] == [3, 1, 0]
    assert [part["repeated"] for part in summary["splits"].values()] == [1, 1, 0]
    assert summary["leaks"] == leaks((1, 4, 2), (1, 1, 1), (1, 1, 1))
    assert summary["warnings"] == [
        "train-dev: sequences in both: 1",
        "train-test: sequences in both: 1",
        "dev-test: sequences in both: 1",
        "train: sequences with more than one label: 1",
    ]

    summary = prepared(gue, tmp_path / "clean", {"drop_leaks": True})
    kept = rows_of(tmp_path / "clean", "train")["sequence"].to_pylist()
    assert kept == [train[i][0] for i in (0, 5, 7, 8, 9, 10, 11)]
    assert summary["splits"]["train"]["rows"] == 7
    assert summary["leaks"]["train-dev"]["sequences"] == 1
    assert summary["splits"]["train"]["duplicates"] == 0
    assert "train: rows dropped because dev or test has them: 5" in summary["warnings"]
    for split in ("dev", "test"):
        assert rows_of(tmp_path / "clean", split) == rows_of(tmp_path / "out", split)


def test_each_level_of_leaks_drops_what_those_before_drop_too(gue, tmp_path):
    """Of train rows 0 to 3 test has a copy, another strand, a mutant, a shuffle."""
    random = np.random.default_rng(0)
    rows = ["".join(random.choice(list("ACGT"), 60)) for _ in range(24)]
    blocks = [f"A{row[:8]}A" for row in rows[:6]]  # any order has the same 2-mers
    rows[3], shuffled = "".join(blocks), "".join(blocks[::-1])
    strand = rows[1][::-1].translate(str.maketrans("ACGT", "TGCA"))
    test = [rows[0], strand, rows[2][:59] + "ACGT"["CATG".index(rows[2][59])], shuffled]
    splits = {"train": rows[:12], "dev": rows[12:18], "test": test + rows[18:]}
    for split, own in splits.items():
        lines = [(sequence, i % 2) for i, sequence in enumerate(own)]
        write_csv(gue / "mouse/0" / f"{split}.csv", lines)
    for level, first in ((False, 0), (True, 1), ("exact", 1), ("near", 3)):
        out = tmp_path / str(level)
        summary = prepared(gue, out, {"drop_leaks": level})
        assert rows_of(out, "train")["sequence"].to_pylist() == rows[first:12], level
        assert rows_of(out, "test")["sequence"].to_pylist() == splits["test"]
        assert summary["settings"]["drop_leaks"] == level
    summary = prepared(gue, tmp_path / "partners", {"drop_leaks": "partners"})
    assert summary["splits"]["train"]["rows"] == 8
    said = "train: rows dropped because dev or test has their like: 4"
    assert said in summary["warnings"]
    assert tuple(alike.LEVELS) == LEVELS


def test_a_training_split_that_leaks_as_a_whole_is_refused(gue, tmp_path):
    (gue / "mouse/0/train.csv").write_bytes((gue / "mouse/0/dev.csv").read_bytes())
    with pytest.raises(InputError, match="train has no row that is not in dev or test"):
        prepared(gue, tmp_path / "out", {"drop_leaks": True})


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 40), min_size=2, max_size=5),
    share=st.floats(0.01, 1),
    seed=st.integers(0, 9),
)
def test_a_sample_keeps_order_size_and_shares(counts, share, seed):
    labels = np.random.default_rng(seed).permutation(
        np.repeat(np.arange(len(counts)), counts)
    )
    rows = max(1, int(share * len(labels)))
    kept = sample(labels, rows, (seed, 0))
    assert len(kept) == rows
    assert np.all(np.diff(kept) > 0)
    assert np.array_equal(kept, sample(labels, rows, (seed, 0)))
    found = np.bincount(labels[kept], minlength=len(counts))
    if rows >= len(counts):
        assert found.min() >= 1
    # A row of its own for every label can move the shares by that many rows.
    assert np.all(np.abs(found - np.array(counts) * rows / len(labels)) <= len(counts))


def test_a_sample_differs_between_seeds_and_takes_no_row_where_there_are_few(
    gue, tmp_path
):
    kept = []
    for seed in (0, 1):
        out = tmp_path / str(seed)
        summary = prepared(gue, out, {"max_rows": 6, "seed": seed})
        kept.append(rows_of(out, "train").to_pylist())
        assert summary["splits"]["train"]["labels"] == {"0": 3, "1": 3}
        assert summary["splits"]["dev"]["rows"] == 4
        assert summary["warnings"] == ["train: cut from 12 to 6 rows"]
    assert kept[0] != kept[1]


def test_deepstarr_is_joined_by_order_and_columns_by_name(deepstarr, tmp_path):
    summary = prepared(deepstarr, tmp_path / "out", **REGRESSION)
    dev = rows_of(tmp_path / "out", "dev")
    assert dev.column_names == ["sequence", "label_dev", "label_hk"]
    assert dev["label_dev"].to_pylist() == [0.0, 0.0, 0.25, 0.25]
    assert dev["label_hk"].to_pylist() == [0.0, 0.0, -1.0, -1.0]
    assert dev["sequence"][0].as_py() == random_rows(2, 1)[0][0]
    assert summary["type"] == "regression"
    assert summary["targets"] == ["dev", "hk"]
    labels = summary["splits"]["dev"]["labels"]
    assert labels["hk"] == {"mean": -0.5, "sd": 0.5}
    assert summary["leaks"] == NO_LEAKS
    assert summary["warnings"] == []


def test_strands_of_a_region_in_two_folds_are_a_leak(deepstarr, tmp_path):
    path = deepstarr / "Sequences_Val.fa"
    lines = path.read_text().splitlines()
    lines[1] = other_strand(random_rows(6, 0)[2][0])
    lines[3] = random_rows(6, 0)[3][0]
    path.write_text("\n".join(lines))
    out = tmp_path / "out"
    summary = prepared(deepstarr, out, {"drop_leaks": True}, **REGRESSION)
    assert summary["leaks"] == leaks((2, 4, 2), (0, 0, 0), (0, 0, 0))
    assert "dev: regions of which one strand is missing: 2" in summary["warnings"]
    cut = prepared(deepstarr, tmp_path / "cut", {"max_rows": 3}, **REGRESSION)
    assert not any("strand is missing" in warning for warning in cut["warnings"])
    # Both strands of both regions go.
    assert summary["splits"]["train"]["rows"] == 8


def test_deepstarrs_line_ends_and_case_do_not_matter(deepstarr, tmp_path):
    prepared(deepstarr, tmp_path / "plain", **REGRESSION)
    for path in deepstarr.glob("*.fa"):
        lines = path.read_text().split()
        records = zip(lines[::2], lines[1::2], strict=True)
        lines = [f"{name}\r\n{s[:7].lower()}\r\n{s[7:]}" for name, s in records]
        path.write_bytes("\r\n".join(lines).encode())
    for path in deepstarr.glob("*.txt"):
        text = path.read_bytes().replace(b"\n", b"\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + text)
    prepared(deepstarr, tmp_path / "odd", **REGRESSION)
    for split in datasets.SPLITS:
        assert rows_of(tmp_path / "odd", split) == rows_of(tmp_path / "plain", split)


def test_a_regions_strands_must_agree_or_the_join_has_slipped(deepstarr, tmp_path):
    write_activity(deepstarr, "Val", [(0, 1), (0, 2), (1, 3), (2, 3)])
    summary = prepared(deepstarr, tmp_path / "out", **REGRESSION)
    assert summary["warnings"] == [
        "dev: regions whose strands differ in label_dev: 1",
        "dev: regions whose strands differ in label_hk: 1",
    ]


def test_names_in_the_activity_table_must_be_the_records(deepstarr, tmp_path):
    path = deepstarr / "Sequences_activity_Val.txt"
    head, *lines = path.read_text().splitlines()

    def write(names):
        rows = [f"{name}\t{line}" for name, line in zip(names, lines, strict=True)]
        path.write_text("\n".join([f"ID\t{head}", *rows]) + "\n")

    names = [f"chr2L_{i}" for i in range(4)]
    write(names)
    assert prepared(deepstarr, tmp_path / "out", **REGRESSION)["warnings"] == []
    write([names[0], names[2], names[1], names[3]])
    message = "line 3: ID is 'chr2L_2', but record 2 of Sequences_Val.fa is 'chr2L_1'"
    with pytest.raises(InputError, match=re.escape(message)):
        prepared(deepstarr, tmp_path / "out", **REGRESSION)


def test_targets_that_never_change_are_refused(deepstarr, tmp_path):
    write_activity(deepstarr, "Train", [(i, 7) for i in range(12)])
    with pytest.raises(InputError, match=r"every train label_hk is 7\.0, expected num"):
        prepared(deepstarr, tmp_path / "out", **REGRESSION)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([(0, 0)] * 3, "found 3 rows, but Sequences_Val.fa has 4 sequences"),
        ([(0, 0), ("nan", 1), (1, 1), (1, 1)], "line 3: Dev_log2_enrichment is 'nan'"),
        ([(0, 0), (1, 1), (1, "1e999"), (1, 1)], "line 4: Hk_log2_enrichment is"),
        ([(0, 0), (1, 1), (1, 1), (1, "")], "line 5: Hk_log2_enrichment is ''"),
    ],
)
def test_bad_activities_are_named(deepstarr, tmp_path, values, message):
    write_activity(deepstarr, "Val", values)
    with pytest.raises(InputError, match=re.escape(message)):
        prepared(deepstarr, tmp_path / "out", **REGRESSION)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file, expected FASTA"),
        ("ACGTACGT\n", "not FASTA: starts with 'ACGTACGT'"),
        (
            ">a\nACGTACGT\n>b\n>c\nACGTACGT\n>d\nACGTACGT\n",
            "record b: empty, expected bases",
        ),
        (">a\nACGT\nACGT\n>b\nACGTAXGT\n", "record b: found 'X' at base 6"),
    ],
)
def test_bad_sequences_are_named(deepstarr, tmp_path, text, message):
    (deepstarr / "Sequences_Val.fa").write_text(text)
    with pytest.raises(InputError, match=f"Sequences_Val.fa: {message}"):
        prepared(deepstarr, tmp_path / "out", **REGRESSION)


@given(st.lists(st.text(splits.LETTERS, max_size=9), max_size=6))
def test_the_other_strand_of_the_other_strand_is_the_sequence(sequences):
    strands = pa.chunked_array([pa.array(sequences, pa.string())])
    others = splits.reverse_complements(strands)
    plain = [s for s in sequences if set(s) <= set("ACGT")]
    assert [
        o for s, o in zip(sequences, others.to_pylist(), strict=True) if s in plain
    ] == [other_strand(s) for s in plain]
    again = splits.reverse_complements(others)
    assert again.to_pylist() == sequences


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"max_rows": 0}', "max_rows: found 0, expected at least 1"),
        ('{"max_rows": true}', "max_rows: found true"),
        ('{"k": null}', "k: found null"),
        ('{"drop_leaks": 1}', "drop_leaks: found 1, expected false, or one of exact"),
        ('{"drop_leaks": "nere"}', 'found "nere", expected false, or one of exact'),
        ('{"rows": 3}', "unknown key 'rows'; did you mean 'max_rows'"),
        ("[1]", r"found \[1\], expected keys with values"),
        ("{", "not JSON"),
    ],
)
def test_bad_hyperparameters_are_named(text, message):
    with pytest.raises(InputError, match=message):
        Preparation.parse(text)


def test_pandas_is_left_alone(gue, deepstarr, tmp_path):
    """Its import takes longer than the preparation of most datasets."""
    code = f"""
import sys
sys.path[:0] = {[str(ROOT / name) for name in ("tests/data", "tests", "workflow")]}
from pathlib import Path
from test_prepare import REGRESSION, prepare, dataset, Preparation
for folder, changes in (({str(gue)!r}, {{}}), ({str(deepstarr)!r}, REGRESSION)):
    output = Path({str(tmp_path)!r}) / ("out" + changes.get("task", ""))
    prepare.prepare(Path(folder), dataset(**changes), Preparation(), output)
sys.exit("pandas" in sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_command_writes_the_folder_or_one_line(gue, tmp_path):
    columns = datasets.COLUMNS
    table = tmp_path / "datasets.tsv"
    cells = "TF-M-0 TF-M mouse/0 Mouse 20 2  mcc 1 2 1e-4 yes no 12 4 5"
    cells = cells.replace(" ", "\t")
    table.write_text("\t".join(columns) + "\n" + cells + "\n")

    def command(name):
        arguments = {
            "--source": gue,
            "--datasets": table,
            "--dataset": name,
            "--hparams": '{"max_rows": null, "drop_leaks": false, "k": 6, "seed": 0}',
            "--output": tmp_path / "out",
        }
        return subprocess.run(
            [sys.executable, "-m", "randommask.data.prepare"]
            + [str(word) for pair in arguments.items() for word in pair],
            cwd=ROOT / "workflow",
            capture_output=True,
            text=True,
            check=False,
        )

    done = command("TF-M-0")
    assert done.returncode == 0
    assert done.stderr == "warning: TF-M-0 test: 4 rows, published 5\n"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "dev.parquet",
        "summary.json",
        "test.parquet",
        "train.parquet",
    ]
    files.remove(tmp_path / "out")
    failed = command("TF-M-9")
    assert failed.returncode == 1
    assert failed.stderr == (
        f"error: {table}: found no dataset TF-M-9, expected one of TF-M-0\n"
    )

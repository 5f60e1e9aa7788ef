"""A model's folder gives the run's predictions again, on FASTA and csv, in windows."""

import csv
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from itertools import count
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from made import models
from made.dataset import BASES, hparams, made, planted, write
from made.models import tuned
from safetensors.numpy import load_file, save_file

import randommask
from randommask import genome, predict
from randommask.data import records
from randommask.encoders.families import hyena
from randommask.encoders.hyena import Hyena, HyenaConfig
from randommask.errors import InputError
from randommask.finetuning import heads, purpose
from randommask.finetuning.__main__ import finetune
from randommask.predict import lines
from randommask.predict import model as loaded

torch.set_num_threads(1)
QUALITY = ("windows", "unknown", "unread")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    return models.classifier(tmp_path_factory.mktemp("classifier"))


def card_of(folder):
    """A model's card: its head, its text, and the names that its examples leave."""
    text, names = (folder / "README.md").read_text(encoding="utf-8"), {}
    _, head, body = text.split("---\n", 2)
    for block in re.findall(r"```python\n(.*?)```", body, re.DOTALL):
        exec(block, names)
    return yaml.safe_load(head), body, names


@pytest.mark.parametrize("tokenization", ["overlapping", "non-overlapping"])
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_transformers_pipeline_answers_as_we_do(
    tmp_path, kind, tokenization, monkeypatch
):
    """Raw DNA, by the tokenization of the fine-tuning, whatever the encoder's is."""
    data, changes = made(tmp_path / "data", rows=(32, 16, 16)), {}
    if kind == "regression":
        splits = {}
        for seed, name in enumerate(("train", "dev", "test")):
            sequences, labels = planted(seed, 16, 2)
            splits[name] = sequences, np.stack([50.0 + labels, -labels], axis=1)
        data = write(tmp_path / "r", splits, kind, targets=("dev", "hk"))
        changes["metric"] = "pearson"
    folder, names, _ = tuned(tmp_path, data, tokenization=tokenization, **changes)
    sequences = planted(7, 8, 2)[0]
    sequences += [text.lower()[: 30 - row] for row, text in enumerate(sequences)]
    sequences += ["ACGTNACGTTGACCARYTGACCATTG", sequences[0].replace("T", "U")]
    expected, _ = loaded.FineTuned(folder).predict(sequences)
    monkeypatch.chdir(folder)
    head, body, left = card_of(folder)
    assert head["library_name"] == "transformers" and "first token" in body
    answered = left["ask"](sequences, top_k=None)
    for values, answers in zip(expected, answered, strict=True):
        found = {answer["label"]: answer["score"] for answer in answers}
        named = [found[name.removeprefix("y_").removeprefix("p")] for name in names]
        assert np.allclose(named, values, rtol=1e-4, atol=1e-5)


def test_the_card_says_what_a_model_is(classifier, monkeypatch):
    _, folder, names, _ = classifier
    monkeypatch.chdir(folder)
    head, body, _ = card_of(folder)
    assert head["license"] == "unknown" and len(names) == 3
    said = json.loads((folder / "task.json").read_text())
    assert f"fine-tuned on {said['dataset']}" in body
    assert "probabilities of the classes 0 to 2" in body
    assert f"{said['window_bases']} bases" in body
    assert randommask.TITLE in body and max(map(len, body.splitlines())) < 160


def read(path):
    with open(path, newline="") as file:
        header, *rows = csv.reader(file, delimiter="\t")
    assert header[0] == "record" and {row[-1] for row in rows} == {"ok"}
    values = np.array([[float(cell) for cell in row[4:-4]] for row in rows])
    return header, [(row[1], int(row[2]), int(row[3])) for row in rows], values


def write_fasta(path, sequences, opener=open):
    with opener(path, "wt") as file:
        for row, sequence in enumerate(sequences):
            file.write(f">s{row} made\n{sequence[:20].lower()}\n{sequence[20:]}\n")
    return path


def write_csv(path, sequences, opener=open):
    with opener(path, "wt") as file:
        file.write("label,sequence\n")
        file.writelines(f"0,{sequence}\n" for sequence in sequences)
    return path


@pytest.mark.parametrize("opener", [open, gzip.open])
def test_fasta_and_csv_give_the_runs_predictions(
    classifier, tmp_path, monkeypatch, opener
):
    sequences, model, names, expected = classifier
    monkeypatch.setattr(lines, "CHUNK", 7)
    monkeypatch.setattr(loaded.tuning, "rows_at_once", lambda *_: 3)
    fasta = write_fasta(tmp_path / "in.fa", sequences, opener)
    table = write_csv(tmp_path / "in.csv", sequences, opener)
    predict.predict(model, tmp_path / "fasta.tsv", fasta=fasta)
    predict.predict(model, tmp_path / "csv.tsv", table=table)
    for name, prefix in (("fasta.tsv", "s"), ("csv.tsv", "")):
        header, windows, values = read(tmp_path / name)
        assert header == ["record", "id", "start", "end", *names, *QUALITY, "status"]
        assert windows == [
            (f"{prefix}{row}", 0, len(sequence))
            for row, sequence in enumerate(sequences)
        ]
        assert np.allclose(values, expected, atol=1e-5)


def test_values_are_in_the_targets_units(tmp_path):
    splits = {}
    for index, name in enumerate(("train", "dev", "test")):
        sequences, labels = planted(index, 24, 2)
        splits[name] = sequences, np.stack([100.0 + 7 * labels, -labels], axis=1)
    data = write(tmp_path / "d", splits, "regression", targets=("dev", "hk"))
    model, names, expected = tuned(tmp_path, data, metric="pearson")
    table = tmp_path / "in.csv"
    rows = "".join(f"{s},{'abc'[i % 3]}\n" for i, s in enumerate(splits["test"][0]))
    table.write_text("sequence,id\n" + rows)
    predict.predict(model, tmp_path / "out.tsv", table=table)
    header, windows, values = read(tmp_path / "out.tsv")
    assert header[4:-4] == names == ["y_dev", "y_hk"]
    assert [window[0] for window in windows] == list("abc" * 8)
    assert np.allclose(values, expected, rtol=1e-5, atol=1e-5) and values[0, 0] > 50


@pytest.mark.sweep
def test_hyenadna_learns_a_motif_and_predicts_it(tmp_path):
    torch.manual_seed(0)
    sizes = {"hidden": 32, "layers": 2, "feed_forward": 64, "positions": BASES}
    filters = {"position_features": 5, "filter_order": 16, "filter_layers": 2}
    config = HyenaConfig(
        **sizes, **filters, vocabulary=16, short_filter=3, frequency=1.0,
        norm_eps=1e-5, dropout=0.0,
    )  # fmt: skip
    hyena.save(Hyena(config), tmp_path / "encoder")
    data = made(tmp_path / "data", rows=(1600, 96, 96))
    finetune(
        tmp_path / "encoder",
        data,
        hparams(tokenization="character", epochs=4, batch_size=32),
        metrics_path=tmp_path / "metrics.json",
        predictions_path=tmp_path / "predictions.parquet",
        model_path=tmp_path / "model",
    )
    assert json.loads((tmp_path / "metrics.json").read_text())["score"] > 0.8
    sequences = pq.read_table(data / "test.parquet")["sequence"].to_pylist()
    table = write_csv(tmp_path / "in.csv", sequences)
    predict.predict(tmp_path / "model", tmp_path / "out.tsv", table=table)
    expected = pq.read_table(tmp_path / "predictions.parquet")
    values = read(tmp_path / "out.tsv")[2]
    assert np.allclose(values[:, 1], expected["p1"], atol=1e-5)


def test_long_sequences_are_cut_into_windows(classifier, tmp_path):
    _, model, _, _ = classifier
    [sequence], _ = planted(7, 1, 2, bases=3 * BASES + 5)
    fasta = write_fasta(tmp_path / "long.fa", [sequence, sequence[:10]])
    predict.predict(model, tmp_path / "long.tsv", fasta=fasta)
    _, windows, values = read(tmp_path / "long.tsv")
    half, last = BASES // 2, 2 * BASES + 5
    starts = [0, half, 2 * half, 3 * half, 4 * half, last]
    assert windows == [("s0", s, s + BASES) for s in starts] + [("s1", 0, 10)]
    pieces = [sequence[start : start + BASES] for start in starts]
    table = write_csv(tmp_path / "pieces.csv", [*pieces, sequence[:10]])
    predict.predict(model, tmp_path / "pieces.tsv", table=table)
    assert np.allclose(read(tmp_path / "pieces.tsv")[2], values, atol=1e-6)


@pytest.mark.parametrize("length", [1, 7, 8, 9, 12, 13, 100])
def test_windows_cover_a_sequence_and_end_with_it(length):
    starts = list(records.starts(length, 8))
    ends = [min(start + 8, length) for start in starts]
    assert starts[0] == 0 and ends[-1] == length
    assert set(np.subtract(ends, starts)) == {min(8, length)}
    steps = np.diff(starts)
    assert (steps[:-1] == 4).all() and (steps > 0).all() and (steps <= 4).all()


def test_windows_are_made_as_they_are_asked_for():
    endless = (genome.Record(n, f"r{n}", bytes(BASES), None) for n in count())
    windows = records.cut(endless, BASES, 3)
    assert [next(windows).name for _ in range(2)] == ["r0", "r1"]


def test_the_window_is_what_the_positions_hold():
    """With remainders in single letters, a shorter sequence may have more tokens."""

    def tokenize(sequences, tokenization, config):
        lengths = [len(s) // 6 + len(s) % 6 + 1 for s in sequences]
        return None, np.array(lengths)

    family = SimpleNamespace(tokenize=tokenize)
    for positions in (7, 10, 20):
        config = SimpleNamespace(k=6, positions=positions)
        fits = [n for n in range(1, 99) if n // 6 + n % 6 + 1 <= positions]
        window = purpose.window(family, "non-overlapping", config, 98)
        assert set(range(1, window + 1)) <= set(fits) and window + 1 not in fits
        assert purpose.window(family, "non-overlapping", config, 3) == 3


def test_the_model_says_what_it_is_for(classifier):
    _, model, _, _ = classifier
    said = json.loads((model / "task.json").read_text())
    assert said == {
        "dataset": "EMP-made",
        "tokenization": "overlapping",
        "type": "classification",
        "classes": 3,
        "targets": [],
        "window_bases": BASES,
        "precision": "fp32",
    }


# --- Bad input ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("in.fa", "", "in.fa: empty file, expected FASTA"),
        ("in.fa", "ACGT\n", "in.fa: not FASTA: starts with 'ACGT'"),
        ("in.csv", "", "found no column sequence, expected one"),
        ("in.csv", "bases\nACGT\n", "no column sequence, expected one (the header is"),
        ("in.csv", "sequence\n", "in.csv: 0 rows, expected at least 1"),
        ("in.csv", "sequence,id,id\nACGT,1,2\n", "found more than one column id"),
        (
            "in.csv",
            'sequence,id\nACGT,a\nACGT,"b\nACGT,c\nACGT,"d\n',
            "in.csv: line 3: a quote is open at the end of the line, expected a row",
        ),
        ("in.csv", 'sequence,id\n"ACGT"x,a\n', "in.csv: line 2: ',' expected after"),
        ("in.csv", "sequence\nACGT\nAC\ud800\n", "in.csv: not UTF-8 text"),
    ],
)
def test_files_that_cannot_be_predicted(classifier, tmp_path, name, text, expected):
    _, model, _, _ = classifier
    path = tmp_path / name
    path.write_text(text, errors="surrogatepass")
    key = "fasta" if name == "in.fa" else "table"
    with pytest.raises(InputError) as caught:
        predict.predict(model, tmp_path / "out.tsv", **{key: path})
    assert expected in str(caught.value) and "\n" not in str(caught.value)
    assert [left.name for left in tmp_path.iterdir()] == [name]


GOOD = "ACGTTGCAAC"
BAD = {  # what a record holds, and what its status is
    "AC": "2 bases, expected at least 3",
    "": "empty, expected bases",
    "ACGT!A": f"found '!' at base 5, expected IUPAC letters ({genome.IUPAC})",
}


@pytest.mark.parametrize("kind", ["fasta", "table"])
@pytest.mark.parametrize(("bad", "status"), BAD.items())
def test_one_bad_record_does_not_lose_the_others(
    classifier, tmp_path, capsys, kind, bad, status
):
    _, model, names, _ = classifier
    records = [("a", GOOD), ("b", bad), ("c", GOOD[::-1])]
    if kind == "fasta":
        text = "".join(f">{name}\n{letters}\n" for name, letters in records)
    else:
        text = "id,sequence\n" + "".join(f"{n},{letters}\n" for n, letters in records)
    (tmp_path / "in").write_text(text)
    code = predict.predict(model, tmp_path / "out.tsv", **{kind: tmp_path / "in"})
    assert code == 1  # record
    lines = (tmp_path / "out.tsv").read_text().splitlines()
    header, first, second, third = (line.split("\t") for line in lines)
    assert header == ["record", "id", "start", "end", *names, *QUALITY, "status"]
    assert (first[:4], first[-1]) == (["1", "a", "0", "10"], "ok")
    assert second == ["2", "b", "", "", *[""] * (3 + len(names)), status]
    assert (third[:4], third[-1]) == (["3", "c", "0", "10"], "ok")
    said = capsys.readouterr().err
    assert "1 of 3 records without a prediction" in said and status in said
    (tmp_path / "one").write_text(">a\n" + GOOD[::-1])
    predict.predict(model, tmp_path / "one.tsv", fasta=tmp_path / "one")
    alone = (tmp_path / "one.tsv").read_text().splitlines()[1].split("\t")
    assert np.allclose(list(map(float, third[4:-4])), list(map(float, alone[4:-4])))


def test_ragged_rows_have_a_status_too(classifier, tmp_path):
    _, model, _, _ = classifier
    path = tmp_path / "in.csv"
    path.write_text(f"id\tsequence\na\t{GOOD}\n\nb\nc\t{GOOD}\tx\nd\t{GOOD}\n")
    assert predict.predict(model, tmp_path / "out.tsv", table=path) == 2
    lines = (tmp_path / "out.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    assert [(row[0], row[1], row[-1]) for row in rows[1:]] == [
        ("1", "a", "ok"),
        ("2", "", "line 4: found 1 cells, expected 2"),
        ("3", "", "line 5: found 3 cells, expected 2"),
        ("4", "d", "ok"),
    ]


def test_what_is_read_otherwise_is_said_once(classifier, tmp_path, capsys):
    """U, IUPAC codes, and names that do not tell records apart."""
    _, model, _, _ = classifier
    rna, dna = tmp_path / "rna.fa", tmp_path / "dna.fa"
    rna.write_bytes(b"\xef\xbb\xbf>a 1\r\nACGUUGCA\r\nacR\r\n>a 2\rACGU\r>\rUUUU\r")
    dna.write_bytes(b">a 1\nACGTTGCAACN\n>a 2\nACGT\n>\nTTTT\n")
    for path in (rna, dna):
        predict.predict(model, f"{path}.tsv", fasta=path)
        said = capsys.readouterr().err.splitlines()
        notes = [] if path == dna else [f"note: {path}: 7 U read as T"]
        assert said == [
            *notes,
            f"note: {path}: 1 letters other than ACGT read as unknown",
            f"note: {path}: 1 records have the name of one before (the first is 'a'); "
            "column record tells them apart",
            f"note: {path}: 1 records have no id",
        ]
    assert (tmp_path / "rna.fa.tsv").read_text() == (
        tmp_path / "dna.fa.tsv"
    ).read_text()


@pytest.mark.parametrize(
    "kind", ["fasta", pytest.param("csv", marks=pytest.mark.sweep)]
)
def test_a_pipe_is_read_as_a_file_is(classifier, tmp_path, kind):
    sequences, model, _, _ = classifier
    write_one = write_fasta if kind == "fasta" else write_csv
    source = write_one(tmp_path / "in", sequences[:3], gzip.open)
    command = [sys.executable, "-m", "randommask.predict", "--model", model]
    command += [f"--{kind}", "/dev/stdin", "--output", "/dev/stdout"]
    done = subprocess.run(
        list(map(str, command)),
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        input=source.read_bytes(),
        capture_output=True,
        check=True,
    )
    key = "fasta" if kind == "fasta" else "table"
    predict.predict(model, tmp_path / "out.tsv", **{key: source})
    assert done.stdout.decode() == (tmp_path / "out.tsv").read_text()


def test_a_window_with_more_tokens_than_positions(classifier, monkeypatch):
    """As the Nucleotide Transformer's tokens may be, between many N."""
    model = loaded.FineTuned(classifier[1])
    whole = model.family.tokenize

    def tokenize(sequences, *settings):
        ids, lengths = whole(sequences, *settings)
        return ids, np.where(np.char.startswith(sequences, "N"), 99, lengths)

    monkeypatch.setattr(model.family, "tokenize", tokenize)
    values, problems = model.predict(["A" * 9, "N" * 9])
    assert np.isfinite(values[0]).all() and problems[0] is None
    assert problems[1].startswith("99 tokens, expected at most the model's ")


def test_a_model_whose_output_is_no_number_says_so(classifier, tmp_path):
    _, model, names, _ = classifier
    shutil.copytree(model, tmp_path / "model")
    head = load_file(model / "head.safetensors")
    save_file({n: t * np.nan for n, t in head.items()}, tmp_path / "model" / heads.HEAD)
    (tmp_path / "in.fa").write_text(f">a\n{GOOD}\n")
    assert predict.predict(
        tmp_path / "model", tmp_path / "out.tsv", fasta=tmp_path / "in.fa"
    )
    row = (tmp_path / "out.tsv").read_text().splitlines()[1]
    assert row == "\t".join(
        [
            *("1", "a", "0", "10"),
            *[""] * len(names),
            *("1", "0", "0"),
            "the model's output is not finite",
        ]
    )


def test_files_that_are_missing_or_broken(classifier, tmp_path):
    _, model, _, _ = classifier
    for key in ("fasta", "table"):
        with pytest.raises((InputError, FileNotFoundError), match="none"):
            predict.predict(model, tmp_path / "out", **{key: tmp_path / "none"})
    broken = tmp_path / "in.csv"
    broken.write_bytes(gzip.compress(b"sequence\n" + b"ACGT\n" * 99)[:-9])
    with pytest.raises(InputError, match="the gzip ends too early"):
        predict.predict(model, tmp_path / "out", table=broken)
    with pytest.raises(InputError, match="expected a folder that finetune --model"):
        predict.predict(tmp_path, tmp_path / "out", table=broken)


def test_the_command(classifier, tmp_path):
    sequences, model, _, expected = classifier
    table = write_csv(tmp_path / "in.csv", sequences[:4])
    command = [sys.executable, "-m", "randommask.predict", "--model", model]
    done = subprocess.run(
        [*map(str, command), "--csv", table, "--output", tmp_path / "out.tsv"],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert np.allclose(read(tmp_path / "out.tsv")[2], expected[:4], atol=1e-5)

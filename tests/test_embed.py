"""Vectors of one's own sequences, against transformers' own models and plain means."""

import json
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from made.encoders import K, one_of_each
from transformers import AutoModel

from randommask import embed, kmers
from randommask.encoders.families import esm
from randommask.errors import InputError

torch.set_num_threads(1)
SEQUENCES = {"a": "ACGTACGTACGTTGCATT", "b": "acgtuNacgtacc", "c": "TTGCACG"}
UPPER = {name: s.upper().replace("U", "T") for name, s in SEQUENCES.items()}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return one_of_each(tmp_path_factory.mktemp("encoders"))


@pytest.fixture
def fasta(tmp_path):
    path = tmp_path / "my.fa"
    path.write_text("".join(f">{name}\n{s}\n" for name, s in SEQUENCES.items()))
    return path


def made(folder, output, **options):
    """The rows and vectors that are written, as lists of places and an array."""
    source = {k: options.pop(k) for k in ("fasta", "table", "window") if k in options}
    assert embed.embed(embed.Embedder(folder, **options), output, **source) == 0
    if output.suffix == ".npz":
        found = np.load(output)
        columns = [found[name].tolist() for name in embed.COLUMNS]
        vectors = found["vector"]
    else:
        table = pq.read_table(output)
        columns = [table[name].to_pylist() for name in embed.COLUMNS]
        vectors = np.array(table["vector"].to_pylist(), np.float32)
    assert set(columns.pop()) == {"ok"}
    return list(zip(*columns, strict=True)), vectors


def judged(folder, family, sequence, layer):
    """transformers' hidden states of one sequence, and those of its own tokens."""
    model = AutoModel.from_pretrained(folder).eval()
    if family == "bert":
        ids = [[kmers.CLS, *kmers.tokenize([sequence], "overlapping", K)[0][1:-1]]]
        ids[0].append(kmers.SEP)
    else:
        config = esm.read_config(folder)
        ids = esm.tokenize([sequence], "overlapping", config)[0].tolist()
    with torch.no_grad():
        ids = torch.tensor(np.array(ids, np.int64))
        out = model(ids, output_hidden_states=True)
    last = len(out.hidden_states) - 1
    states = out.last_hidden_state if layer == last else out.hidden_states[layer]
    return states[0], states[0][1:-1] if family == "bert" else states[0][1:]


@pytest.mark.parametrize("family", ["bert", "esm"])
@pytest.mark.parametrize("layer", [1, 2])
def test_vectors_are_transformers(folders, fasta, tmp_path, family, layer):
    folder = folders[family]
    told = {"layer": layer, "tokenization": "overlapping", "fasta": fasta}
    places, means = made(folder, tmp_path / "mean.parquet", **told)
    assert places == [(n, i, 0, len(s)) for n, (i, s) in enumerate(UPPER.items(), 1)]
    _, firsts = made(folder, tmp_path / "cls.npz", pooled="cls", **told)
    _, tokens = made(folder, tmp_path / "tokens.npz", pooled="tokens", **told)
    before = 0
    for row, sequence in enumerate(UPPER.values()):
        states, own = (s.numpy() for s in judged(folder, family, sequence, layer))
        assert means[row] == pytest.approx(own.mean(0), abs=1e-5)
        assert firsts[row] == pytest.approx(states[0], abs=1e-5)
        assert tokens[before : before + len(own)] == pytest.approx(own, abs=1e-5)
        before += len(own)
    assert before == len(tokens)


def test_tokens_say_which_bases_they_are(folders, fasta, tmp_path):
    places, vectors = made(
        folders["bert"], tmp_path / "t.parquet", pooled="tokens", fasta=fasta
    )
    expected = [
        (record, name, start, start + K)
        for record, (name, sequence) in enumerate(UPPER.items(), 1)
        for start in range(len(sequence) - K + 1)
    ]
    assert places == expected and len(vectors) == len(places)


def test_a_character_model_has_a_vector_a_base(folders, fasta, tmp_path):
    folder = folders["hyena"]
    places, tokens = made(folder, tmp_path / "t.npz", pooled="tokens", fasta=fasta)
    assert [place[2:] for place in places[:3]] == [(0, 1), (1, 2), (2, 3)]
    assert len(places) == sum(map(len, UPPER.values()))
    _, means = made(folder, tmp_path / "m.npz", fasta=fasta)
    assert means[0] == pytest.approx(tokens[: len(UPPER["a"])].mean(0), abs=1e-5)
    with pytest.raises(InputError, match="pooling is cls, but its sequences have none"):
        embed.Embedder(folder, "cls")


def test_long_records_are_cut_and_windows_are_as_if_alone(folders, tmp_path):
    letters = "".join(np.random.default_rng(0).choice(list("ACGT"), 100))
    (tmp_path / "long.csv").write_text(f"id,sequence\nlong,{letters}\n")
    told = {"table": tmp_path / "long.csv", "window": 20}
    places, vectors = made(folders["bert"], tmp_path / "w.npz", **told)
    assert [p[2:] for p in places] == [(s, s + 20) for s in range(0, 90, 10)]
    (tmp_path / "one.csv").write_text(f"sequence\n{letters[30:50]}\n")
    _, [alone] = made(folders["bert"], tmp_path / "o.npz", table=tmp_path / "one.csv")
    assert vectors[3] == pytest.approx(alone, abs=1e-5)
    # Without a window, one that fills the encoder's 40 positions: 38 k-mers of 3.
    whole, _ = made(folders["bert"], tmp_path / "p.npz", table=told["table"])
    assert whole[0][2:] == (0, 40)


@pytest.mark.parametrize("pooled", ["mean", "tokens"])
def test_a_bad_record_has_a_status_and_loses_no_other(
    folders, tmp_path, capsys, pooled
):
    (tmp_path / "my.fa").write_text(">a\nACGTACGT\n>b\nAC\n>c\nAC*GT\n>d\nTTTTTTTT\n")
    flags = ["--encoder", str(folders["bert"]), "--fasta", str(tmp_path / "my.fa")]
    flags += ["--pooling", pooled, "--output"]
    for name in ("v.npz", "v.parquet"):
        with pytest.raises(SystemExit) as stop:
            embed.main([*flags, str(tmp_path / name)])
        assert stop.value.code == 3
        said = capsys.readouterr().err
        assert "2 of 4 records without a vector (see status), the first is rec" in said
    found, table = np.load(tmp_path / "v.npz"), pq.read_table(tmp_path / "v.parquet")
    assert found["status"].tolist() == table["status"].to_pylist()
    rows = 6 if pooled == "tokens" else 1
    assert found["id"].tolist() == ["a"] * rows + ["b", "c"] + ["d"] * rows
    assert found["status"][rows] == "2 bases, expected at least 3"
    assert found["status"][rows + 1].startswith("found '*' at base 3")
    is_missing = np.isnan(found["vector"]).all(axis=1)
    assert is_missing.tolist() == [s != "ok" for s in found["status"].tolist()]
    assert [v is None for v in table["vector"].to_pylist()] == is_missing.tolist()


def test_a_folder_of_encoders_is_one_line(folders, fasta, tmp_path):
    above = folders["bert"].parent
    told = ["--encoder", above, "--fasta", fasta, "--output", tmp_path / "v.npz"]
    with pytest.raises(InputError, match="a folder of encoders, expected one of") as e:
        embed.main(list(map(str, told)))
    assert folders["bert"].name in str(e.value) and "\n" not in str(e.value)


@pytest.mark.parametrize("command", ["embed", "predict"])
def test_help_names_the_command(command):
    line = [sys.executable, "-m", f"randommask.{command}", "--help"]
    environment = {"PYTHONPATH": ":".join(sys.path), "COLUMNS": "200"}
    done = subprocess.run(line, capture_output=True, text=True, env=environment)
    assert done.stdout.startswith(f"usage: python -m randommask.{command} [-h]")


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--layer", "3"], "layer is 3, expected 1 to 2"),
        (["--tokenization", "words"], "tokenization is words, expected overlapping or"),
        (["--window", "2"], "--window: found 2, expected at least 3, the bases"),
        (
            ["--pooling", "tokens", "--tokenization", "non-overlapping"],
            "pooling is tokens, expected overlapping ones",
        ),
    ],
)
def test_what_cannot_be_is_one_line(folders, fasta, tmp_path, flags, words):
    told = ["--encoder", folders["bert"], "--fasta", fasta]
    told += ["--output", tmp_path / "v.npz", *flags]
    with pytest.raises(InputError, match=words):
        embed.main(list(map(str, told)))
    assert not (tmp_path / "v.npz").exists()


def test_the_command_writes_what_its_name_says(folders, fasta, tmp_path):
    command = [sys.executable, "-m", "randommask.embed", "--encoder"]
    command += [folders["esm"], "--fasta", fasta, "--output", tmp_path / "v.txt"]
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {tmp_path}/v.txt: expected a name that ends in .parquet or .npz\n"
    )


def test_a_fine_tuned_model_embeds_too(folders, fasta, tmp_path):
    """Its folder holds a classifier besides, which is left alone."""
    config = json.loads((folders["bert"] / "config.json").read_text())
    assert config["model_type"] == "bert"
    from randommask.finetuning import heads

    model = heads.build(folders["bert"], 2, 0.0, 1)
    (tmp_path / "model").mkdir()
    heads.save(
        model, tmp_path / "model", torch.ones(2), torch.zeros(2), type="classification"
    )
    _, first = made(tmp_path / "model", tmp_path / "m.npz", fasta=fasta)
    _, plain = made(folders["bert"], tmp_path / "e.npz", fasta=fasta)
    assert np.array_equal(first, plain)

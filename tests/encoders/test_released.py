"""Published weights become our folder format, or one line says why not."""

import json
import os
import subprocess
import sys

import pytest
import torch
from made.encoders import publish_bert, publish_esm
from safetensors.torch import save_file

from randommask import files
from randommask.encoders import bert, families, released
from randommask.errors import InputError, reason

torch.set_num_threads(1)


@pytest.fixture
def dnabert(tmp_path):
    folder = tmp_path / "published"
    publish_bert(folder)
    return folder


@pytest.fixture
def nt(tmp_path):
    folder = tmp_path / "published"
    publish_esm(folder)
    return folder


def error(source, family):
    output = source.parent / "converted"
    with pytest.raises((InputError, OSError)) as caught:
        released.convert(source, family, output)
    message = reason(caught.value)
    assert "\n" not in message
    assert not list(source.parent.glob("*converted*"))
    return message


def change(folder, drop=(), **more):
    """Spoil the published weights."""
    path = folder / "pytorch_model.bin"
    weights = torch.load(path)
    for name in drop:
        del weights[name]
    torch.save({**weights, **more}, path)


def change_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


# --- What comes out -------------------------------------------------------------------


def test_dnabert_is_one_of_ours_and_transformers(tmp_path):
    from transformers import BertForMaskedLM

    theirs = publish_bert(tmp_path / "published")
    released.convert(tmp_path / "published", "bert", tmp_path / "out")
    ours = bert.load(tmp_path / "out").eval()
    assert (ours.config.k, ours.config.positions, ours.config.dropout) == (3, 40, 0.1)
    again = BertForMaskedLM.from_pretrained(tmp_path / "out").eval()
    ids = torch.randint(5, 69, (2, 20), generator=torch.manual_seed(0))
    with torch.no_grad():
        expected = theirs(ids).logits
        assert torch.allclose(ours.head(ours(ids)), expected, atol=1e-5)
        assert torch.allclose(again(ids).logits, expected, atol=1e-5)
    saved = json.loads((tmp_path / "out" / "config.json").read_text())
    assert saved["model_type"] == "bert" and "auto_map" not in saved


@pytest.mark.parametrize("publish", [publish_bert, publish_esm])
def test_a_pickle_and_safetensors_give_the_same_bytes(tmp_path, publish):
    family = publish.__name__.removeprefix("publish_")
    source, outputs = tmp_path / "published", []
    publish(source)
    for name in ("pickle", "safetensors", "old pickle"):
        released.convert(source, family, tmp_path / name)
        files = sorted((tmp_path / name).iterdir())
        outputs.append([(path.name, path.read_bytes()) for path in files])
        weights = torch.load(source / "pytorch_model.bin")
        if name == "pickle":
            (source / "pytorch_model.bin").rename(source / "away")
            weights = {n: t.clone() for n, t in torch.load(source / "away").items()}
            save_file(weights, source / "model.safetensors")
            torch.save(weights, source / "pytorch_model.bin")
        elif name == "safetensors":
            (source / "model.safetensors").unlink()
            torch.save(
                weights,
                source / "pytorch_model.bin",
                _use_new_zipfile_serialization=False,
            )
    assert outputs[0] == outputs[1] == outputs[2]


def test_half_precision_becomes_single(nt, tmp_path):
    weights = torch.load(nt / "pytorch_model.bin")
    weights = {n: t.half() if t.is_floating_point() else t for n, t in weights.items()}
    torch.save(weights, nt / "pytorch_model.bin")
    released.convert(nt, "esm", tmp_path / "out")
    model = families.of(tmp_path / "out").load(tmp_path / "out")
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_a_checkpoint_without_the_contact_head_will_do(nt, tmp_path):
    parts = [f"esm.contact_head.regression.{part}" for part in ("weight", "bias")]
    change(nt, drop=parts)
    released.convert(nt, "esm", tmp_path / "out")
    assert (tmp_path / "out" / "vocab.txt").read_text().endswith("\nG\nN\n")


# --- What is refused ------------------------------------------------------------------


def test_weights_that_are_missing_or_unexpected_are_all_named(dnabert):
    lost = ["bert.encoder.layer.0.output.dense.bias", "cls.predictions.bias"]
    change(dnabert, drop=[*lost, "cls.predictions.decoder.bias"], more=torch.ones(2))
    message = error(dnabert, "bert")
    assert f"missing weights {', '.join(lost)}; unexpected weight more" in message


def test_esm_weights_that_do_not_fit_are_named(nt):
    name = "esm.encoder.layer.1.intermediate.dense.bias"
    change(nt, drop=[name], **{"esm.extra": torch.ones(1)})
    message = error(nt, "esm")
    assert f"missing weight {name}; unexpected weight esm.extra" in message
    change(nt, drop=["esm.extra"], **{name: torch.ones(3)})
    assert f"{name} has shape (3,), expected (128,)" in error(nt, "esm")


def test_weights_that_should_be_tied(dnabert):
    change(dnabert, **{"cls.predictions.decoder.weight": torch.zeros(69, 64)})
    assert "cls.predictions.decoder.weight differs from" in error(dnabert, "bert")


class Harmful:
    def __reduce__(self):
        return (os.system, ("touch harmed",))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"a": Harmful()}, "found posix.system, expected only tensors"),
        ({"step": 3}, "'step' is of type int, expected a tensor"),
        ({"model": {"a": torch.ones(1)}}, "'model' is of type dict, expected a tensor"),
        ([torch.ones(1)], "found list, expected tensors by name"),
    ],
)
def test_a_pickle_of_more_than_tensors(dnabert, monkeypatch, content, expected):
    monkeypatch.chdir(dnabert)
    torch.save(content, dnabert / "pytorch_model.bin")
    assert f"pytorch_model.bin: {expected}" in error(dnabert, "bert")
    assert not (dnabert / "harmed").exists()


@pytest.mark.parametrize("kept", [0, 3, 200, 5000])
def test_a_damaged_pickle(dnabert, kept):
    path = dnabert / "pytorch_model.bin"
    path.write_bytes(path.read_bytes()[:kept])
    assert "pytorch_model.bin: " in error(dnabert, "bert")


def test_missing_files(dnabert):
    (dnabert / "vocab.txt").unlink()
    assert "vocab.txt: no such file" in error(dnabert, "bert")
    (dnabert / "pytorch_model.bin").unlink()
    assert "no model.safetensors or pytorch_model.bin" in error(dnabert, "bert")
    (dnabert / "config.json").unlink()
    assert "config.json: no such file" in error(dnabert, "bert")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda words: [*words[:6], *words[7:]], "line 7 is 'AAC', expected 'AAT'"),
        (lambda words: sorted(words), "line 1 is 'AAA', expected '[PAD]'"),
        (lambda words: words[:-1], "68 words, expected 69"),
        (lambda words: [*words, "ACGT"], "70 words, expected 69"),
    ],
)
def test_words_that_are_not_our_tokenizers(dnabert, change, expected):
    path = dnabert / "vocab.txt"
    path.write_text("\n".join(change(path.read_text().split())))
    assert error(dnabert, "bert") == f"{path}: {expected}"


def test_values_that_do_not_fit(tmp_path):
    for family, publish, changes, expected in (
        (
            "bert",
            publish_bert,
            {"vocab_size": 70},
            "vocab_size is 70, expected 4**k + 5",
        ),
        (
            "bert",
            publish_bert,
            {"hidden_act": "relu"},
            "hidden_act is 'relu', expected",
        ),
        ("bert", publish_bert, {"model_type": "esm"}, "model_type is 'esm', expected"),
        ("esm", publish_esm, {"vocab_size": 4107}, "vocab_size is 4107, expected 4**k"),
        ("esm", publish_esm, {"position_embedding_type": "rotary"}, "is 'rotary'"),
        ("esm", publish_esm, {"pad_token_id": 0}, "pad_token_id is 0, expected 1"),
        ("gpt", publish_esm, {}, "family is 'gpt', expected one of bert, esm, hyena"),
    ):
        folder = tmp_path / f"{family}-{'-'.join(changes)}" / "published"
        publish(folder)
        change_config(folder, **changes)
        assert expected in error(folder, family)


def test_the_command_prints_one_line(dnabert):
    def command():
        paths = ["--source", dnabert, "--output", dnabert.parent / "out"]
        arguments = [*paths, "--hparams", '{"family": "bert"}']
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "randommask.encoders.released",
                *map(str, arguments),
            ],
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
        )

    done = command()
    assert done.returncode == 0 and done.stderr == ""
    assert bert.read_config(dnabert.parent / "out").k == 3
    done = command()
    assert done.returncode == 1 and "out: holds config.json" in done.stderr
    files.remove(dnabert.parent / "out")
    change(dnabert, more=torch.ones(1))
    done = command()
    assert done.returncode == 1
    source = dnabert.resolve()
    assert done.stderr == f"error: {source}: unexpected weight more\n"

"""Published weights become our folder format, or one line says why not."""

import json
import os
import subprocess
import sys

import pytest
import torch
from made.encoders import publish_bert, publish_esm
from safetensors.torch import load_file, save_file

from randommask import files
from randommask.encoders import bert, families, released
from randommask.errors import InputError, reason
from randommask.finetuning import heads

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
    (dnabert / "pytorch_model.bin").unlink()
    assert "no model.safetensors or pytorch_model.bin" in error(dnabert, "bert")
    (dnabert / "vocab.txt").unlink()
    assert "vocab.txt: no such file" in error(dnabert, "bert")
    (dnabert / "config.json").unlink()
    assert "config.json: no such file" in error(dnabert, "bert")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (
            lambda words: [*words[:6], "AXT", *words[7:]],
            "line 7 is 'AXT', expected 'AAT' (the words are 69)",
        ),
        (lambda words: [*words[:6], "AAA", *words[7:]], "line 7 is 'AAA', as line 6"),
        (lambda words: words[:-1], "68 words, expected 69"),
        (
            lambda words: [*words, "ACGT"],
            "line 70 is 'ACGT', expected 'the end' (the words are 69)",
        ),
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
        (
            "gpt",
            publish_esm,
            {},
            "family is 'gpt', expected one of bert, modern, esm, hyena, hf",
        ),
    ):
        folder = tmp_path / f"{family}-{'-'.join(changes)}" / "published"
        publish(folder)
        change_config(folder, **changes)
        assert expected in error(folder, family)


SIZES = {
    "num_hidden_layers": [0, -1, "2", 2.0, True, None, 10**9, 10**30, 3],
    "hidden_size": [0, 63, "64", 128, 10**9],
    "num_attention_heads": [0, -4, 3, 65, None],
    "intermediate_size": [0, 129, 10**9],
    "max_position_embeddings": [0, 41, 10**9],
    "hidden_dropout_prob": [2, 1, -0.1, "0.1", None, float("nan")],
}


@pytest.mark.parametrize("publish", [publish_bert, publish_esm])
@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key in SIZES for value in SIZES[key]]
)
def test_sizes_that_cannot_be_or_do_not_fit(tmp_path, publish, key, value):
    publish(tmp_path / "published")
    change_config(tmp_path / "published", **{key: value})
    message = error(tmp_path / "published", publish.__name__.removeprefix("publish_"))
    assert len(message) < 400


@pytest.mark.parametrize("publish", [publish_bert, publish_esm])
@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda w: w * float("nan"), "holds NaN or infinity, expected numbers"),
        (lambda w: torch.full_like(w, float("inf")), "holds NaN or infinity"),
        (lambda w: w.double() + 1e300, "holds NaN or infinity"),
        (lambda w: w.to(torch.int8), "is of type int8, expected real numbers"),
        (lambda w: w > 0, "is of type bool, expected real numbers"),
        (lambda w: w.to(torch.complex64), "is of type complex64, expected real"),
        (lambda w: w.to_sparse(), "is of type sparse_coo, expected real numbers"),
        (
            lambda w: torch.zeros(1).expand(10**9, 10**3),
            "has fewer numbers than its shape says",
        ),
    ],
)
def test_weights_that_are_no_weights(tmp_path, publish, spoil, said):
    folder, family = tmp_path / "published", publish.__name__.removeprefix("publish_")
    publish(folder)
    name = f"{family}.encoder.layer.0.output.dense.weight"
    change(folder, **{name: spoil(torch.load(folder / "pytorch_model.bin")[name])})
    assert f"pytorch_model.bin: {name} {said}" in error(folder, family)


# --- Checkpoints of others ------------------------------------------------------------

SMALL = {
    "vocab_size": 69,
    "num_hidden_layers": 2,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 42,
}
ESM = {"vocab_size": 73, "pad_token_id": 1, "mask_token_id": 2}
ESM |= {"position_embedding_type": "absolute", "token_dropout": False}


def saved(folder, kind, **options):
    """A model of transformers as it saves itself, with our words; in eval mode."""
    import transformers

    torch.manual_seed(0)
    is_bert = kind.startswith("Bert")
    make = transformers.BertConfig if is_bert else transformers.EsmConfig
    config = make(**SMALL | ({} if is_bert else ESM), num_labels=3)
    model = getattr(transformers, kind)(config).eval()
    model.save_pretrained(folder, **options)
    words = families.named("bert" if is_bert else "esm", folder).vocabulary(3)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return model


def same_states(folder, theirs, places=None):
    """Do an encoder of ours and one of transformers see the same in a sequence?"""
    ours = families.of(folder).load(folder).eval()
    ids = torch.randint(5, 69, (2, 20), generator=torch.manual_seed(1))
    ids[:, 0] = 2 if isinstance(ours, bert.Encoder) else 3
    body = getattr(theirs, theirs.base_model_prefix, theirs)
    with torch.no_grad():
        found = ours.features(ids)
        if places:
            ids = torch.tensor(places)[ids]
        expected = body(ids).last_hidden_state[:, 0]
    return torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    "kind",
    [
        "BertModel",
        "BertForMaskedLM",
        "BertForSequenceClassification",
        "BertForPreTraining",
        "BertForTokenClassification",
        "EsmModel",
        "EsmForMaskedLM",
        "EsmForSequenceClassification",
    ],
)
@pytest.mark.parametrize("form", ["whole", "shards", "module.", "_orig_mod.module."])
def test_whatever_stands_on_top_the_encoder_is_taken(tmp_path, kind, form):
    source = tmp_path / "published"
    options = {"max_shard_size": "20KB"} if form == "shards" else {}
    theirs = saved(source, kind, **options)
    if form == "shards":
        assert len(list(source.glob("*.safetensors"))) > 1
    elif form != "whole":
        path = source / "model.safetensors"
        save_file({form + n: t for n, t in load_file(path).items()}, path)
    family = "bert" if kind.startswith("Bert") else "esm"
    released.convert(source, family, tmp_path / "out")
    assert same_states(tmp_path / "out", theirs)


@pytest.mark.parametrize("kind", ["BertForMaskedLM", "EsmModel"])
def test_words_in_another_order_are_put_into_ours(tmp_path, kind):
    source = tmp_path / "published"
    theirs = saved(source, kind)
    words = (source / "vocab.txt").read_text().split()
    is_bert = kind.startswith("Bert")
    # The Nucleotide Transformer counts positions from the id of its padding.
    moved = sorted(words) if is_bert else [*words[:3], *sorted(words[3:])]
    (source / "vocab.txt").write_text("\n".join(moved))
    pad = moved.index("[PAD]" if is_bert else "<pad>")
    change_config(source, pad_token_id=pad)
    released.convert(source, "bert" if is_bert else "esm", tmp_path / "out")
    assert (tmp_path / "out" / "vocab.txt").read_text().split() == words
    places = [moved.index(word) for word in words]
    assert same_states(tmp_path / "out", theirs, places)
    assert not same_states(tmp_path / "out", theirs)


def test_padding_that_positions_are_counted_from_stays(tmp_path):
    saved(tmp_path / "published", "EsmModel")
    path = tmp_path / "published" / "vocab.txt"
    path.write_text("\n".join(sorted(path.read_text().split())))
    assert "<pad> is on line" in error(tmp_path / "published", "esm")


@pytest.mark.parametrize("publish", [publish_bert, publish_esm])
@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_fine_tuned_model_of_ours_is_taken(tmp_path, publish, pooling):
    family = publish.__name__.removeprefix("publish_")
    publish(tmp_path / "published")
    released.convert(tmp_path / "published", family, tmp_path / "encoder")
    model = heads.build(tmp_path / "encoder", 2, 0.1, 0, pooling=pooling)
    ones = torch.ones(2)
    heads.save(model, tmp_path / "model", ones, 0 * ones, type="classification")
    released.convert(tmp_path / "model", family, tmp_path / "again")
    for name in ("config.json", "vocab.txt"):
        first, second = (tmp_path / f / name for f in ("encoder", "again"))
        assert first.read_bytes() == second.read_bytes(), name
    first, second = (
        load_file(tmp_path / f / "model.safetensors") for f in ("encoder", "again")
    )
    assert first.keys() == second.keys()
    # the head over the vocabulary is not saved with a fine-tuned model
    same = [name for name in first if not name.startswith("cls.predictions.")]
    assert len(same) < len(first) or family == "esm"
    assert all(torch.equal(first[name], second[name]) for name in same)


@pytest.mark.parametrize(
    ("index", "said"),
    [
        ([], "no weight_map, expected a file for each weight"),
        ({"weight_map": {}}, "no weight_map"),
        ({"weight_map": {"a": 3}}, "a is in 3, expected a file's name"),
        ({"weight_map": {"a": "../x.safetensors"}}, "expected a file's name"),
        ({"weight_map": {"a": "x.safetensors"}}, "x.safetensors: no such file, which"),
        ({"weight_map": {"a": "pytorch_model.bak"}}, "not as model.safetensors.index"),
    ],
)
def test_an_index_that_does_not_fit_its_shards(dnabert, index, said):
    (dnabert / "pytorch_model.bin").rename(dnabert / "pytorch_model.bak")
    (dnabert / "model.safetensors.index.json").write_text(json.dumps(index))
    assert said in error(dnabert, "bert")


def test_a_message_stays_short(tmp_path):
    saved(tmp_path / "published", "BertModel")
    path = tmp_path / "published" / "model.safetensors"
    weights = load_file(path)
    save_file({n: t for n, t in weights.items() if ".layer.1." not in n}, path)
    message = error(tmp_path / "published", "bert")
    assert "missing weights bert.encoder.layer.1" in message and "13 more" in message
    assert len(message) < 400


@pytest.mark.sweep
def test_the_command_prints_one_line(dnabert):
    paths = ["--source", dnabert, "--output", dnabert.parent / "out"]
    arguments = [*map(str, paths), "--hparams", '{"family": "bert"}']

    def command():
        return subprocess.run(
            [
                sys.executable,
                "-m",
                "randommask.encoders.released",
                *arguments,
            ],
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
        )

    done = command()
    assert done.returncode == 0 and done.stderr == ""
    assert bert.read_config(dnabert.parent / "out").k == 3
    with pytest.raises(InputError, match=r"out: holds config\.json"):
        released.main(arguments)
    files.remove(dnabert.parent / "out")
    change(dnabert, more=torch.ones(1))
    done = command()
    assert done.returncode == 1
    source = dnabert.resolve()
    assert done.stderr == f"error: {source}: unexpected weight more\n"

"""Encoders of transformers with words of their own: same folder, same numbers."""

import json
import shutil

import numpy as np
import pytest
import torch
from made.encoders import BPE, publish_hf, write_dataset
from safetensors.torch import load_file, save_file

from randommask import embed
from randommask.encoders import families, released
from randommask.encoders.families import hf
from randommask.errors import InputError
from randommask.experiment.hparams import Finetuning
from randommask.experiment.sections import Lora
from randommask.finetuning import examples, heads, purpose
from randommask.finetuning.fitting import fit
from randommask.finetuning.tokens import tokenize
from randommask.finetuning.tuning import Tuning
from randommask.predict.model import FineTuned

torch.set_num_threads(1)
SEQUENCES = ["ACGTACGTACGTAGCTAGCT", "acgnacgu", "TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTGCATG"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Of each kind what was published, and the folder it was converted to."""
    root, found = tmp_path_factory.mktemp("hf"), {}
    for kind in BPE:
        model = publish_hf(root / "published" / kind, kind)
        released.convert(root / "published" / kind, "hf", root / kind)
        found[kind] = (model, root / "published" / kind, root / kind)
    return found


@pytest.mark.parametrize("kind", BPE)
def test_ids_and_hidden_states_are_those_of_transformers(made, kind):
    from transformers import AutoModel, AutoTokenizer

    theirs, published, folder = made[kind]
    assert families.of(folder) is hf
    config = hf.read_config(folder)
    assert (config.layers, config.hidden, config.heads) == (2, 64, 4)
    assert config.positions == 40 and config.feed_forward == 128
    ids, lengths = hf.tokenize(SEQUENCES, hf.OWN, config)
    assert ids.dtype == np.int16
    words = AutoTokenizer.from_pretrained(published)
    plain = [text.upper().replace("U", "T") for text in SEQUENCES]
    expected = words(plain, padding=True, return_tensors="pt")
    assert ids.tolist() == expected["input_ids"].tolist()
    assert lengths.tolist() == expected["attention_mask"].sum(1).tolist()
    model = hf.load(folder, 0.0).eval()
    keep = expected["attention_mask"].bool()
    with torch.no_grad():
        states = theirs.base_model(
            input_ids=expected["input_ids"], attention_mask=expected["attention_mask"]
        ).last_hidden_state
        found = model.states(torch.from_numpy(ids).long(), keep)
        assert torch.allclose(found[keep], states[keep], atol=1e-5)
        mean = model.features(torch.from_numpy(ids).long(), keep, "mean")
    around = BPE[kind].split(" ")
    first = around.index("$A")
    for row, length in enumerate(lengths):
        last = length - (len(around) - 1 - first)
        own = states[row, first:last].mean(0)
        assert torch.allclose(mean[row], own, atol=1e-5)
    _, report = AutoModel.from_pretrained(folder, output_loading_info=True)
    poolers = {name for name in report["missing_keys"] if "pooler" in name}
    assert report["missing_keys"] == poolers and not report["unexpected_keys"]
    assert AutoTokenizer.from_pretrained(folder)(plain)["input_ids"] == [
        row[:n].tolist() for row, n in zip(ids, lengths, strict=True)
    ]


@pytest.mark.parametrize("kind", ["bert", "modernbert"])
def test_a_body_alone_gives_the_same_folder(made, tmp_path, kind):
    publish_hf(tmp_path / "published", kind, head=False)
    released.convert(tmp_path / "published", "hf", tmp_path / "made")
    found = load_file(tmp_path / "made" / "model.safetensors")
    expected = load_file(made[kind][2] / "model.safetensors")
    assert found.keys() == expected.keys()
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        text = (tmp_path / "made" / name).read_bytes()
        assert text == (made[kind][2] / name).read_bytes()
    assert hf.read_config(tmp_path / "made") == hf.read_config(made[kind][2])


def test_a_saved_folder_is_the_same_again(made, tmp_path):
    for kind, (_, _, folder) in made.items():
        hf.save(hf.load(folder), tmp_path / kind)
        for path in folder.iterdir():
            assert path.read_bytes() == (tmp_path / kind / path.name).read_bytes()


@pytest.mark.parametrize("kind", BPE)
def test_what_no_gradient_reaches_is_frozen_and_dropout_is_asked(made, kind):
    folder = made[kind][2]
    model = heads.build(folder, 2, 0.5, 1, pooling="mean").train()
    config = model.encoder.config
    assert config.dropout == 0.5
    ids, lengths = hf.tokenize(SEQUENCES, hf.OWN, config)
    ids = torch.from_numpy(ids).long()
    keep = torch.arange(ids.shape[1]) < torch.from_numpy(lengths)[:, None]
    first = model(ids, keep)
    first.sum().backward()
    for name, weight in model.named_parameters():
        assert (weight.grad is not None) == weight.requires_grad, name
    assert not torch.equal(model(ids, keep), first)
    still = hf.load(folder, 0.0).train()
    assert torch.equal(still.states(ids, keep), still.states(ids, keep))


def test_more_words_than_int16_counts(made, monkeypatch):
    config = hf.read_config(made["bert"][2])
    words = hf._TOKENIZERS[config.tokenizer].read
    monkeypatch.setattr(type(words), "__len__", lambda _: 40_000)
    assert hf.tokenize(SEQUENCES, hf.OWN, config)[0].dtype == np.int32


# --- What is refused ------------------------------------------------------------------


def changed(source, folder, name="config.json", **keys):
    shutil.copytree(source, folder)
    found = json.loads((folder / name).read_text())
    for key, value in keys.items():
        found.pop(key, None)
        found |= {} if value is None else {key: value}
    (folder / name).write_text(json.dumps(found))
    return folder


CODE = {"AutoModel": "bert_layers.BertModel"}


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (
            {"auto_map": CODE},
            r"code of its own \(auto_map: bert_layers\.BertModel\), which",
        ),
        ({"model_type": "megadna"}, "model_type is 'megadna', expected one that trans"),
        ({"model_type": None}, "model_type is None, expected one that transformers"),
        ({"is_encoder_decoder": True}, "has a decoder, expected an encoder alone"),
        ({"num_hidden_layers": 3}, r"missing weights encoder\.layer\.2.* and 13 more"),
        ({"intermediate_size": 100}, r"misshapen weights encoder\.layer\.0"),
        ({"num_hidden_layers": 1}, r"unexpected weights bert\.encoder\.layer\.1"),
        ({"hidden_size": "x"}, "config.json: .*hidden_size"),
    ],
)
def test_what_transformers_cannot_load_as_it_is(made, tmp_path, keys, said):
    source = changed(made["bert"][1], tmp_path / "published", **keys)
    with pytest.raises(InputError, match=said) as error:
        released.convert(source, "hf", tmp_path / "made")
    assert "\n" not in str(error.value) and not (tmp_path / "made").exists()


def test_a_tokenizer_that_is_none_of_its_own(made, tmp_path):
    for name, text, said in (
        ("no", None, r"tokenizer\.json: no such file, expected the encoder's own"),
        ("broken", "{}", r"tokenizer\.json: not readable as a tokenizer"),
    ):
        source = shutil.copytree(made["bert"][1], tmp_path / name)
        (source / "tokenizer.json").unlink()
        if text is not None:
            (source / "tokenizer.json").write_text(text)
        with pytest.raises(InputError, match=said):
            released.convert(source, "hf", tmp_path / "made")
    name = "tokenizer_config.json"
    unpadded = changed(made["bert"][1], tmp_path / "un", name, pad_token=None)
    with pytest.raises(InputError, match="has no token for padding"):
        released.convert(unpadded, "hf", tmp_path / "made")


def test_adapters_cls_and_vectors_of_tokens(made, tmp_path):
    folder = made["distilbert"][2]
    with pytest.raises(InputError, match="found lora, expected null for hf"):
        heads.build(folder, 2, 0.0, 1, Lora(rank=4, alpha=8, dropout=0.0))
    model = heads.build(folder, 2, 0.0, 1)
    with pytest.raises(InputError, match="puts no token before a sequence"):
        model(torch.tensor([[5, 6]]), None)
    with pytest.raises(InputError, match="pooling is tokens, expected overlapping"):
        embed.Embedder(folder, "tokens")


# --- Through our loops ----------------------------------------------------------------


def told(**changes):
    values = {
        **{"encoder": "made", "tokenization": "own", "dataset": "made", "task": "EMP"},
        **{"metric": "mcc", "seed": 3, "epochs": 6, "batch_size": 16},
        **{"learning_rate": 2e-3, "warmup_steps": 10, "weight_decay": 0.0},
        **{"betas": [0.9, 0.999], "eps": 1e-8, "clip": 1.0, "dropout": 0.0},
        **{"precision": "fp32", "truncate": False, "lora": None, "pooling": "mean"},
    }
    return Finetuning.parse(json.dumps(values | changes))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "made")


@pytest.mark.parametrize("kind", ["bert", "modernbert", "esm"])
def test_it_is_fine_tuned_saved_and_asked(made, dataset, tmp_path, kind):
    chosen, folder = told(), made[kind][2]
    data = examples.read(dataset, chosen)
    run = Tuning(folder, data, chosen)
    fit(run)
    expected = run.predict("test")[0]
    labels = data.splits["test"].labels
    assert np.corrcoef(labels, expected.argmax(1))[0, 1] > 0.5
    place = tmp_path / "model"
    heads.save(run.model, place, run.scale, run.shift, type="classification")
    window = purpose.window(hf, "own", run.config, 200)
    assert window == 40 - len(BPE[kind].split(" ")) + 1  # where each base is a token
    said = ("made", "own", "classification", 2, [], window, "fp32")
    purpose.write(place, purpose.Purpose(*said))
    assert not heads.is_classifier(place)
    sequences = list(data.splits["test"].sequences)
    found, problems = FineTuned(place).predict(sequences)
    assert not any(problems) and np.allclose(found, expected, atol=1e-5)


def test_its_vectors_are_the_means(made, tmp_path):
    folder = made["bert"][2]
    embedder = embed.Embedder(folder)
    assert embedder.window == 38
    (tmp_path / "a.fa").write_text(">a\nACGTACGTACGTAGCTAGCT\n")
    embed.embed(embedder, tmp_path / "a.npz", fasta=tmp_path / "a.fa")
    with np.load(tmp_path / "a.npz") as saved:
        vector = saved["vector"][0]
    config = hf.read_config(folder)
    ids, _ = hf.tokenize(SEQUENCES[:1], hf.OWN, config)
    with torch.no_grad():
        states = hf.load(folder, 0.0).eval().states(torch.from_numpy(ids).long())
    assert np.allclose(vector, states[0, 1:-1].mean(0), atol=1e-5)


def test_long_sequences_are_refused_or_cut(made, tmp_path):
    folder = made["bert"][2]
    long = write_dataset(tmp_path / "long", (2, 1, 1), 300, spoilt=False)
    data = examples.read(long, told())
    with pytest.raises(InputError, match="tokens of 300 bases, expected at most the"):
        tokenize(data, folder, "own")
    cut = tokenize(data, folder, "own", truncate=True)["train"]
    assert cut.lengths_N.max() <= 40 and cut.lengths_N.min() > 30


def test_weights_that_do_not_fit_are_named(made, tmp_path):
    folder = shutil.copytree(made["bert"][2], tmp_path / "made")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.bias"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"missing weight encoder\.layer\.1\.output"):
        hf.load(folder)

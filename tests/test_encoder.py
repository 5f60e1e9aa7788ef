"""The encoder against transformers' BERT: same folder, same numbers."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from randommask import encoder, kmers
from randommask.errors import InputError

CONFIG = encoder.EncoderConfig(2, 32, 4, 64, 40, 4, "overlapping")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model = encoder.Encoder(CONFIG)
    model.initialise(torch.Generator().manual_seed(0))
    torch.nn.init.normal_(model.output_bias)  # zero would hide a missing bias
    torch.nn.init.normal_(model.layers[1].norm.bias)
    path = tmp_path_factory.mktemp("encoder")
    encoder.save(model, path)
    return path


@pytest.fixture(scope="module")
def batch():
    ids = torch.randint(5, CONFIG.vocab_size, (3, 30), generator=torch.manual_seed(1))
    keep = torch.ones(3, 30, dtype=torch.bool)
    keep[1, 20:] = False
    return ids, keep


def test_bert_loads_the_folder_with_identical_logits(folder, batch):
    from transformers import BertForMaskedLM

    ids, keep = batch
    theirs = BertForMaskedLM.from_pretrained(folder).eval()
    ours = encoder.load(folder).eval()
    with torch.no_grad():
        expected = theirs(ids, attention_mask=keep.long()).logits
        found = ours.head(ours(ids, keep))
        assert torch.allclose(found[keep], expected[keep], atol=1e-5)
        alone = ours.head(ours(ids[1:2, :20]))
    assert torch.allclose(found[1, :20], alone[0], atol=1e-5)


@pytest.mark.parametrize("bf16", [False, True])
def test_only_what_is_asked_is_the_same(folder, batch, bf16):
    ids, keep = batch
    model = encoder.load(folder).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        whole, part = model(ids, keep), model(ids, keep, asked=1)
    assert part.shape == (3, 1, 32)
    assert torch.allclose(part, whole[:, :1], atol=0.05 if bf16 else 1e-6)


def test_attention_maps_equal_berts(folder, batch):
    from transformers import BertModel

    ids, _ = batch
    theirs = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        expected = torch.stack(theirs(ids, output_attentions=True).attentions)
        found = encoder.load(folder).eval().attention_maps(ids)
    assert torch.allclose(found, expected, atol=1e-6)


def test_tokenizer_gives_our_ids_for_spaced_kmers(folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    sequence = "ACGTNNATGCATTACG"
    words = " ".join(sequence[i : i + 4] for i in range(len(sequence) - 3))
    ours = kmers.tokenize([sequence], "overlapping", 4)[0].tolist()
    assert tokenizer(words)["input_ids"] == ours


def test_round_trip_and_description(folder):
    model = encoder.load(folder)
    assert model.config == CONFIG
    saved = load_file(folder / "model.safetensors")
    again = encoder.to_bert(model)
    assert saved.keys() == again.keys()
    assert all(torch.equal(saved[name], again[name]) for name in saved)


def test_the_papers_sizes():
    base = encoder.EncoderConfig(12, 768, 12, 3072, 512, 6, "overlapping")
    mini = encoder.EncoderConfig(4, 256, 4, 1024, 512, 6, "overlapping")
    assert encoder.parameters(base) == 89_196_549
    assert encoder.parameters(mini) == 4_411_397


def test_bf16_is_close_to_fp32_on_both_attention_paths(batch):
    ids, keep = batch
    model = encoder.Encoder(CONFIG)
    model.initialise(torch.Generator().manual_seed(0))
    model.eval()
    with torch.no_grad():
        exact = model(ids, keep)
        with torch.autocast("cpu", torch.bfloat16):
            short = model(ids, keep)
            limit, encoder.SHORT = encoder.SHORT, 0
            try:
                fused = model(ids, keep)
            finally:
                encoder.SHORT = limit
    for found in (short, fused):
        assert (found - exact)[keep].abs().max() < 0.1


@pytest.mark.parametrize("change", ["missing", "unexpected", "shape", "truncated"])
def test_weights_that_do_not_fit_are_named(folder, tmp_path, change):
    weights = load_file(folder / "model.safetensors")
    name = "bert.encoder.layer.1.output.dense.weight"
    if change == "missing":
        del weights[name]
    elif change == "unexpected":
        name = "classifier.weight"
        weights[name] = torch.zeros(2)
    elif change == "shape":
        weights[name] = torch.zeros(3, 3)
    else:
        name = "not readable"
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    path = tmp_path / "model.safetensors"
    save_file(weights, path)
    if change == "truncated":
        path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError, match=name) as error:
        encoder.load(tmp_path)
    assert "\n" not in str(error.value)


def test_a_config_without_a_key_is_named(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    del config["tokenization"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="no key tokenization"):
        encoder.load(tmp_path)

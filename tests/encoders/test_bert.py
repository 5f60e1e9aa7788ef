"""The encoder against transformers' BERT: same folder, same numbers."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from randommask import kmers
from randommask.encoders import attention, bert, cost
from randommask.encoders.dropout import dropout
from randommask.errors import InputError

CONFIG = bert.EncoderConfig(2, 32, 4, 64, 40, 4, "overlapping")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    model = bert.Encoder(CONFIG)
    model.initialise(torch.Generator().manual_seed(0))
    torch.nn.init.normal_(model.output_bias)  # zero would hide a missing bias
    torch.nn.init.normal_(model.layers[1].norm.bias)
    path = tmp_path_factory.mktemp("encoder")
    bert.save(model, path)
    return path


@pytest.fixture(scope="module")
def batch():
    ids = torch.randint(5, CONFIG.vocab_size, (3, 30), generator=torch.manual_seed(1))
    keep = torch.ones(3, 30, dtype=torch.bool)
    keep[1, 20:] = False
    return ids, keep


def loss(logits, labels):
    return torch.nn.functional.cross_entropy(logits, labels, reduction="sum")


def test_bert_loads_the_folder_with_identical_logits(folder, batch):
    from transformers import BertForMaskedLM

    ids, keep = batch
    theirs, report = BertForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values())  # no weight is missing or unexpected
    theirs, ours = theirs.eval(), bert.load(folder).eval()
    with torch.no_grad():
        expected = theirs(ids, attention_mask=keep.long()).logits
        found = ours.head(ours(ids, keep))
        assert torch.allclose(found[keep], expected[keep], atol=1e-5)
        alone = ours.head(ours(ids[1:2, :20]))
    assert torch.allclose(found[1, :20], alone[0], atol=1e-5)


@pytest.mark.parametrize("bf16", [False, True])
def test_only_what_is_wanted_is_the_same(folder, batch, bf16):
    ids, keep = batch
    model = bert.load(folder).eval()
    positions = torch.tensor([89, 0, 31, 31])
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        whole, part = model(ids, keep), model(ids, keep, wanted=1)
        some = model(ids, keep, wanted=positions)
    assert part.shape == (3, 1, 32) and some.shape == (4, 32)
    atol = 0.05 if bf16 else 1e-6
    assert torch.allclose(part, whole[:, :1], atol=atol)
    assert torch.allclose(some, whole.flatten(0, 1)[positions], atol=atol)


def test_gradients_do_not_depend_on_how_the_head_is_asked(folder, batch):
    ids, _ = batch
    model = bert.load(folder, dropout=0.0).train()
    positions = torch.tensor([2, 3, 40, 88])
    gradients = []
    for hidden in (model(ids, wanted=positions), model(ids).flatten(0, 1)[positions]):
        model.zero_grad()
        loss(model.head(hidden), ids.flatten()[positions]).backward()
        gradients.append([p.grad.clone() for p in model.parameters()])
    for found, expected in zip(*gradients, strict=True):
        assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("rate", [pytest.param(0.0, marks=pytest.mark.sweep), 0.1])
def test_a_training_step_is_one_graph_compiled_once(folder, batch, backend, rate):
    model = bert.load(folder, dropout=rate).train()

    def step(ids, positions, labels):
        return loss(model.head(model(ids, wanted=positions)), labels)

    torch._dynamo.reset()
    compiled = torch.compile(step, fullgraph=True, dynamic=False, backend=backend)
    found = []
    for number, stance in enumerate(("default", "fail_on_recompile")):
        ids = batch[0].roll(number, 1)
        positions = torch.randperm(90, generator=torch.manual_seed(number))[:20]
        for function in (step, compiled):
            model.zero_grad()
            torch.manual_seed(5)
            with torch.compiler.set_stance(stance):
                value = function(ids, positions, ids.flatten()[positions])
            value.backward()
            found.append((value.item(), model.word.weight.grad.norm().item()))
    assert found[0] == found[1] and found[2] == found[3] and found[0] != found[2]


def test_attention_maps_equal_berts(folder, batch):
    from transformers import BertModel

    ids, _ = batch
    theirs = BertModel.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        expected = torch.stack(theirs(ids, output_attentions=True).attentions)
        found = bert.load(folder).eval().attention_maps(ids)
    assert torch.allclose(found, expected, atol=1e-6)


def test_auto_model_gives_our_hidden_states(folder, batch):
    from transformers import AutoModel

    ids, keep = batch
    theirs = AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        expected = theirs(ids, attention_mask=keep.long()).last_hidden_state
        found = bert.load(folder).eval()(ids, keep)
    assert torch.allclose(found[keep], expected[keep], atol=1e-5)


@pytest.mark.parametrize("tokenization", ["overlapping", "non-overlapping"])
@pytest.mark.parametrize("by", ["AutoTokenizer", "BertTokenizer"])
def test_tokenizer_gives_our_ids_for_spaced_kmers(tmp_path, tokenization, by):
    import transformers

    bert.save(bert.Encoder(replace(CONFIG, tokenization=tokenization)), tmp_path)
    tokenizer = getattr(transformers, by).from_pretrained(tmp_path)
    letters = np.random.default_rng(0).choice(list("ACGT"), 5000)
    sequence = "".join(letters) + "NNGCATRAACGT"
    starts = range(0, len(sequence) - 3, kmers.stride(tokenization, 4))
    words = " ".join(sequence[start : start + 4] for start in starts)
    ours = kmers.tokenize([sequence], tokenization, 4)[0].tolist()
    assert tokenizer(words)["input_ids"] == ours
    if by == "AutoTokenizer":
        assert tokenizer(words.lower())["input_ids"] == ours


def raw_dna(rows):
    """Sequences of 6 to 200 letters, some in lower case, some with U, N and others."""
    random = np.random.default_rng(0)
    alphabets = ("ACGT", "acgt", "ACGTacgt", "ACGU", "ACGTACGTN", "AcGtuNnRy-|*")
    return [
        "".join(random.choice(list(alphabets[row % 6]), random.integers(6, 201)))
        for row in range(rows)
    ]


@pytest.mark.parametrize("tokenization", ["overlapping", "non-overlapping"])
@pytest.mark.parametrize("k", [1, 4, 6, kmers.MAX_K])
def test_tokenizer_gives_our_ids_of_raw_dna(tmp_path, tokenization, k):
    from transformers import AutoTokenizer

    sizes = replace(CONFIG, k=k, tokenization=tokenization)
    bert.save(bert.Encoder(sizes), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    sequences = raw_dna(200)
    ids = kmers.tokenize(sequences, tokenization, k)
    expected = [row[row != kmers.PAD].tolist() for row in ids]
    assert tokenizer(sequences)["input_ids"] == expected
    padded = tokenizer(sequences, padding=True, return_tensors="np")
    assert (padded["input_ids"] == ids).all()
    assert (padded["attention_mask"] == (ids != kmers.PAD)).all()
    assert tokenizer.model_max_length == sizes.positions


def test_files_have_the_modes_that_umask_gives(folder, tmp_path):
    before = os.umask(0o027)
    try:
        bert.save(bert.load(folder), tmp_path)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o640}


@pytest.mark.parametrize(
    "text", ["ACGT CGTA [MASK] TACC ACCA", "ACGTA[MASK]TACCA", "acgua[MASK]uacca"]
)
def test_fill_mask_pipeline_gives_our_most_likely_kmers(folder, text):
    from transformers import pipeline

    found = pipeline("fill-mask", model=str(folder))(text)
    ids = torch.from_numpy(kmers.tokenize(["ACGTACCA"], "overlapping", 4)).long()
    ids[0, 3] = kmers.MASK
    model = bert.load(folder).eval()
    with torch.no_grad():
        shares = model.head(model(ids))[0, 3].softmax(-1)
    best = shares.topk(5)
    names = [*kmers.SPECIALS, *kmers.names(4)]
    assert [guess["token"] for guess in found] == best.indices.tolist()
    assert [guess["token_str"] for guess in found] == [names[i] for i in best.indices]
    assert np.allclose([guess["score"] for guess in found], best.values, rtol=1e-3)


def test_round_trip_and_description(folder):
    model = bert.load(folder)
    assert model.config == CONFIG
    saved = load_file(folder / "model.safetensors")
    again = bert.to_bert(model)
    assert saved.keys() == again.keys()
    assert all(torch.equal(saved[name], again[name]) for name in saved)


def test_the_papers_sizes():
    base = bert.EncoderConfig(12, 768, 12, 3072, 512, 6, "overlapping")
    mini = bert.EncoderConfig(4, 256, 4, 1024, 512, 6, "overlapping")
    assert cost.parameters(base, 4101) == 89_196_549
    assert cost.parameters(mini, 4101) == 4_411_397


def test_bf16_is_close_to_fp32_on_both_attention_paths(batch):
    ids, keep = batch
    model = bert.Encoder(CONFIG)
    model.initialise(torch.Generator().manual_seed(0))
    model.eval()
    with torch.no_grad():
        exact = model(ids, keep)
        with torch.autocast("cpu", torch.bfloat16):
            short = model(ids, keep)
            limit, attention.SHORT = attention.SHORT, 0
            try:
                fused = model(ids, keep)
            finally:
                attention.SHORT = limit
    for found in (short, fused):
        assert (found - exact)[keep].abs().max() < 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_dropout_keeps_the_share_and_the_mean(dtype):
    torch.manual_seed(0)
    x = torch.ones(1001, 999, dtype=dtype, requires_grad=True)
    y = dropout(x, 0.1)
    kept = (y != 0).double()
    sd = (0.1 * 0.9 / x.numel()) ** 0.5
    assert kept.mean().item() == pytest.approx(0.9, abs=5 * sd)
    assert y.max().item() == pytest.approx(
        1 / 0.9, rel=1e-4 if x.itemsize == 4 else 4e-3
    )
    y.backward(torch.full_like(y, 2.0))
    assert torch.equal(x.grad, 2 * y)
    for shift in (1, 2, 3, 4, 999):  # neighbours of one word, and of one column
        both = kept.flatten()[shift:] * kept.flatten()[:-shift]
        assert both.mean().item() == pytest.approx(0.81, abs=0.003)


def test_dropout_follows_the_seed_and_is_drawn_anew():
    x = torch.ones(64, 64)
    torch.manual_seed(3)
    first, second = dropout(x, 0.5), dropout(x, 0.5)
    torch.manual_seed(3)
    assert torch.equal(first, dropout(x, 0.5))
    assert not torch.equal(first, second)
    assert dropout(x, 0.0) is x


def test_training_with_dropout_agrees_with_berts_on_the_average(folder, batch):
    from transformers import BertForMaskedLM

    ids, _ = batch
    ours = bert.load(folder, dropout=0.1).train()
    theirs = BertForMaskedLM.from_pretrained(
        folder,
        attn_implementation="eager",
        hidden_dropout_prob=0.1,
        attention_probs_dropout_prob=0.1,
    ).train()
    torch.manual_seed(0)
    with torch.no_grad():
        # [PAD]'s score has no spread: its embedding is 0
        found = torch.stack([ours.head(ours(ids))[..., 1:] for _ in range(300)])
        expected = torch.stack([theirs(ids).logits[..., 1:] for _ in range(300)])
    error = (found.var(0) / 300 + expected.var(0) / 300).sqrt()
    score = (found.mean(0) - expected.mean(0)) / error
    assert score.square().mean().item() == pytest.approx(1, abs=0.2)
    spread = expected.std(0).mean().item()
    assert found.std(0).mean().item() == pytest.approx(spread, rel=0.03)


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
        bert.load(tmp_path)
    assert "\n" not in str(error.value)


def test_a_config_without_a_key_is_named(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    del config["tokenization"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="no key tokenization"):
        bert.load(tmp_path)

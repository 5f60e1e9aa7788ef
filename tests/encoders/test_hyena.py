"""HyenaDNA against the reference's outputs, a slow convolution, and a planted motif."""

import json
import types
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made import ROOT
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from randommask import metrics
from randommask.encoders import families
from randommask.encoders.families import hyena
from randommask.encoders.hyena import Filter, fft_length
from randommask.encoders.released import convert
from randommask.errors import InputError

REFERENCE = ROOT / "tests" / "reference" / "hyenadna"
TINY = hyena.HyenaConfig(
    hidden=16,
    layers=2,
    feed_forward=32,
    positions=66,
    vocabulary=16,
    position_features=5,
    filter_order=8,
    filter_layers=2,
    short_filter=3,
    frequency=10,
    norm_eps=1e-5,
    dropout=0.0,
)


def tiny(seed=0, **changes):
    torch.manual_seed(seed)
    return hyena.Hyena(replace(TINY, **changes))


def bases(rows, length, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(7, 11, (rows, length), generator=generator)


def released(model):
    """A checkpoint as it is published: other config keys, a language-model head."""
    names = {hyena.PREFIX + n: w.clone() for n, w in model.state_dict().items()}
    names["lm_head.weight"] = torch.zeros(16, model.config.hidden)
    config = {
        theirs: getattr(model.config, ours) for ours, theirs in hyena._KEYS.items()
    }
    config |= {"vocab_size": 12, "pad_vocab_size_multiple": 8, "embed_dropout": 0.1}
    return names, config | {"model_type": "hyenadna", "auto_map": {}}


# --- The function ---------------------------------------------------------------------


def test_the_reference_outputs_are_reproduced(tmp_path):
    config = json.loads((REFERENCE / "config.json").read_text())
    weights = load_file(REFERENCE / "weights.safetensors")
    config, weights = hyena.from_released(weights, config, REFERENCE)
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(
        {n: w.clone() for n, w in weights.items()}, tmp_path / "model.safetensors"
    )
    model = hyena.load(tmp_path).eval()
    given = load_file(REFERENCE / "io.safetensors")
    for batch in ("", "_short"):
        with torch.no_grad():
            hidden = model(given[f"input_ids{batch}"])
        torch.testing.assert_close(hidden, given[f"hidden{batch}"], atol=1e-5, rtol=0)


def test_a_new_model_has_the_references_constants():
    config = json.loads((REFERENCE / "config.json").read_text())
    weights = load_file(REFERENCE / "weights.safetensors")
    fresh = hyena.Hyena(hyena._parse(config, REFERENCE))
    for name, tensor in fresh.named_buffers():
        torch.testing.assert_close(
            tensor, weights[hyena.PREFIX + name], atol=1e-6, rtol=0
        )


@given(st.integers(1, 66), st.integers(0, 5))
def test_the_operator_is_a_direct_convolution(length, seed):
    operator = tiny(seed).layers[0].mixer.double()
    x_TH = torch.randn(length, 16, dtype=torch.float64)
    streams = operator.in_proj(x_TH)
    short = torch.zeros_like(streams)
    for t in range(length):
        for back in range(min(3, t + 1)):
            weight = operator.short_filter.weight[:, 0, 2 - back]
            short[t] += weight * streams[t - back]
        short[t] += operator.short_filter.bias
    outer, inner, value = short.split(16, dim=1)
    gated, filters = inner * value, operator.filter_fn
    taps = filters.taps(length)
    mixed = [
        sum(taps[t - s] * gated[s] for s in range(t + 1)) + filters.bias * gated[t]
        for t in range(length)
    ]
    slow = operator.out_proj(outer * torch.stack(mixed))
    single = operator.float()(x_TH.float()[None])[0]
    torch.testing.assert_close(single.double(), slow, atol=2e-5, rtol=1e-4)


@given(st.integers(1, 3000))
def test_the_transform_is_long_enough_and_quick(length):
    points = fft_length(length)
    assert 2 * length - 1 <= points <= 1.34 * (2 * length)
    odd = points >> (points & -points).bit_length() - 1
    assert odd in (1, 3, 5, 9, 15)


@given(st.integers(1, 40))
def test_no_position_sees_what_comes_after(position):
    model, ids = tiny().eval(), bases(2, 41)
    other = ids.clone()
    other[:, position:] = bases(2, 41 - position, seed=1)
    with torch.no_grad():
        torch.testing.assert_close(
            model(ids)[:, :position], model(other)[:, :position], atol=1e-5, rtol=0
        )


def test_features_are_the_mean_over_the_real_tokens_whatever_the_padding():
    model, ids = tiny().eval(), bases(1, 30)
    padded = F.pad(ids, (0, 20), value=hyena.PAD)
    with torch.no_grad():
        alone = model.features(ids, None)
        torch.testing.assert_close(alone, model(ids).mean(1))
        beside = model.features(padded, padded != hyena.PAD)
    torch.testing.assert_close(alone, beside, atol=1e-5, rtol=0)


def test_gradient_flows_to_every_parameter():
    model = tiny()
    model.features(bases(2, 40), None).pow(2).sum().backward()
    assert len(list(model.parameters())) == 3 + 2 * 23
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, name


def test_filters_are_kept_until_weights_or_length_change(monkeypatch):
    model, ids = tiny().eval(), bases(2, 40)
    filters, counted = model.layers[0].mixer.filter_fn, []
    transform = filters._transform
    monkeypatch.setattr(
        filters,
        "_transform",
        lambda length: counted.append(length) or transform(length),
    )
    with torch.inference_mode():
        first = model(ids)
        assert torch.equal(first, model(ids)) and counted == [40]
        model(ids[:, :20])
        assert counted == [40, 20]
    model.load_state_dict(tiny(1).state_dict())
    with torch.inference_mode():
        changed = model(ids)
        assert torch.equal(changed, tiny(1).eval()(ids))
    with torch.no_grad():
        filters.bias += 1  # in place, as an optimizer does
        assert not torch.allclose(model(ids), changed)
    model(ids).sum().backward()  # evaluation mode, but a gradient is wanted
    assert filters.bias.grad is not None


def test_a_compiled_filter_never_asks_whether_a_graph_is_captured(monkeypatch):
    monkeypatch.setattr(
        torch.cuda, "is_current_stream_capturing", torch._dynamo.graph_break
    )

    class OnCuda(Filter):
        def __init__(self):
            torch.nn.Module.__init__(self)
            self.bias = types.SimpleNamespace(is_cuda=True, is_inference=lambda: False)

        def _transform(self, length):
            return length

    filters = OnCuda().eval()
    compiled = torch.compile(
        lambda x: x * filters.spectrum(4), backend="eager", fullgraph=True
    )
    with torch.no_grad():
        assert compiled(torch.ones(2)).tolist() == [4, 4]
    torch._dynamo.reset()


def test_bf16_computes_its_transforms_in_float32():
    model, ids = tiny().eval(), bases(4, 60)
    seen = []
    operator = model.layers[0].mixer
    convolve = operator.convolve
    operator.convolve = lambda x: seen.append(convolve(x)) or seen[-1]
    with torch.no_grad():
        plain = model(ids)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = model(ids)
    assert seen[1].dtype == torch.float32 and mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, plain, atol=0.05, rtol=0.05)


def test_dropout_is_asked_for_and_only_while_training(tmp_path):
    hyena.save(tiny(), tmp_path)
    model, ids = hyena.load(tmp_path, dropout=0.5), bases(2, 40)
    assert model.config.dropout == 0.5
    with torch.no_grad():
        assert not torch.equal(model.train()(ids), model(ids))
        assert torch.equal(model.eval()(ids), tiny().eval()(ids))


# --- Tokens and files -----------------------------------------------------------------


def test_a_token_a_base_padded_on_the_right():
    sequences = ["ACGTN", "", "acgR", "TTTTT"]
    ids, lengths = hyena.tokenize(sequences, hyena.CHARACTER, TINY)
    assert ids.dtype == np.int16
    assert ids.tolist() == [
        [7, 8, 9, 10, 11],
        [4, 4, 4, 4, 4],
        [7, 8, 9, 11, 4],
        [10, 10, 10, 10, 10],
    ]
    assert lengths.tolist() == [5, 0, 4, 5]


def test_what_is_saved_is_loaded_and_has_the_released_names(tmp_path):
    model = tiny()
    hyena.save(model, tmp_path)
    assert hyena.read_config(tmp_path) == TINY
    names = load_file(tmp_path / "model.safetensors").keys()
    assert names == released(model)[0].keys() - {"lm_head.weight"}
    loaded = hyena.load(tmp_path)
    for name, tensor in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor)


def test_transformers_reads_raw_dna_as_we_do(tmp_path):
    from transformers import AutoTokenizer

    hyena.save(tiny(), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    sequences = ["ACGTN", "acgu", "RYNacgtACGTTT", "A"]
    found = tokenizer(sequences, padding=True, return_tensors="np")["input_ids"]
    assert found.tolist() == hyena.tokenize(sequences, "character", TINY)[0].tolist()


def test_a_released_folder_is_loaded_with_one_of_a_filters_three_frequencies(tmp_path):
    model = tiny()
    weights, config = released(model)
    for name in [name for name in weights if name.endswith(("3.freq", "5.freq"))]:
        del weights[name]
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    loaded, ids = hyena.load(tmp_path), bases(2, 30)
    assert loaded.config == replace(TINY, dropout=0.1)
    with torch.no_grad():
        assert torch.equal(loaded.eval()(ids), model.eval()(ids))
    kept, _ = hyena.from_released(weights, config, "here")
    assert kept["model_type"] == "hyenadna" and "auto_map" not in kept


def test_a_published_folder_is_converted_like_the_other_families(tmp_path):
    model = tiny()
    weights, config = released(model)
    (tmp_path / "published").mkdir()
    (tmp_path / "published" / "config.json").write_text(json.dumps(config))
    save_file(weights, tmp_path / "published" / "model.safetensors")
    convert(tmp_path / "published", "hyena", tmp_path / "converted")
    assert families.of(tmp_path / "converted") is hyena
    loaded = hyena.load(tmp_path / "converted", 0.0).eval()
    ids, _ = hyena.tokenize(["ACGTACGTNACG"], "character", loaded.config)
    ids = torch.from_numpy(ids).long()
    with torch.no_grad():
        assert torch.equal(loaded.features(ids), model.eval().features(ids))


def test_every_weight_that_is_missing_or_unexpected_is_named():
    weights, config = released(tiny())
    gone = f"{hyena.PREFIX}ln_f.bias", f"{hyena.PREFIX}layers.1.mixer.filter_fn.bias"
    for name in gone:
        del weights[name]
    weights["pooler.weight"] = weights["extra.weight"] = torch.zeros(1)
    with pytest.raises(InputError) as error:
        hyena.from_released(weights, config, "here")
    for name in (
        *gone,
        "missing weights",
        "unexpected weights extra.weight, pooler.weight",
    ):
        assert name in str(error.value)


def test_a_weight_of_another_shape_and_frequencies_that_differ_are_named():
    weights, config = released(tiny())
    name = f"{hyena.PREFIX}layers.0.mixer.filter_fn.implicit_filter.3.freq"
    bad = weights | {name: weights[name] + 1}
    with pytest.raises(InputError, match=r"3\.freq and .*1\.freq differ"):
        hyena.from_released(bad, config, "here")
    bad = weights | {f"{hyena.PREFIX}ln_f.bias": torch.zeros(3)}
    with pytest.raises(
        InputError, match=r"ln_f.bias has shape \(3,\), expected \(16,\)"
    ):
        hyena.from_released(bad, config, "here")


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("d_model", None, "d_model is None, expected an integer over 0"),
        ("d_model", 10**9, "no weight is 1000000000 wide"),
        ("n_layer", 10**9, "weights, expected 1000000000 layers"),
        ("n_layer", 2.0, "n_layer is 2.0, expected an integer over 0"),
        ("max_seq_len", 10**9, "no weight is 1000000000 wide"),
        ("num_inner_mlps", 10**9, "weights, expected 1000000000 layers"),
        ("emb_dim", 4, "emb_dim is 4, expected an odd number over 1"),
        ("embed_dropout", 2, "embed_dropout is 2, expected 0 to less than 1"),
        ("activation_freq", float("nan"), "activation_freq is nan, expected a number"),
        ("hyena_order", 3, "hyena_order is 3, expected 2"),
        ("vocab_size", 5, "vocab_size is 5, expected at least the 12 tokens"),
    ],
)
def test_a_config_that_cannot_be_is_refused(tmp_path, key, value, message):
    weights, config = released(tiny())
    with pytest.raises(InputError, match=message):
        hyena.from_released(weights, config | {key: value}, "here")


@pytest.mark.parametrize("form", ["alone", "causal", "classifier"])
def test_an_encoder_alone_or_with_a_head_is_taken(form):
    weights, config = released(tiny())
    start = {"alone": hyena.PREFIX, "causal": "", "classifier": ""}[form]
    given = {n.removeprefix(start): w for n, w in weights.items()}
    if form != "alone":
        given["lm_head.weight" if form == "causal" else "score.weight"] = torch.ones(2)
    _, found = hyena.from_released(given, config, "here")
    expected = {n for n in weights if n.startswith(hyena.PREFIX)}
    assert found.keys() >= expected


def test_weights_that_are_none_are_refused(tmp_path):
    hyena.save(tiny(), tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(InputError, match="not readable as safetensors"):
        hyena.load(tmp_path)


# --- Learning -------------------------------------------------------------------------


def planted(rows, seed):
    """Sequences of 40 bases, every other one with a motif; ids and labels."""
    rng = np.random.default_rng(seed)
    letters = rng.integers(7, 11, (rows, 40))
    labels = np.arange(rows) % 2
    for row in np.flatnonzero(labels):
        position = rng.integers(0, 32)
        letters[row, position : position + 8] = [10, 7, 10, 7, 7, 7, 9, 9]  # TATAAAGG
    return torch.from_numpy(letters), torch.from_numpy(labels)


@pytest.mark.sweep
def test_a_random_hyena_learns_a_planted_motif():
    model, head = tiny(hidden=32, feed_forward=64), torch.nn.Linear(32, 2)
    ids, labels = planted(1024, 1)
    weights = [*model.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=5e-3, weight_decay=0.0)
    for _ in range(8):
        for rows in torch.randperm(1024).split(32):
            loss = F.cross_entropy(head(model.features(ids[rows], None)), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    test_ids, test_labels = planted(200, 2)
    with torch.inference_mode():
        scores = head(model.eval().features(test_ids, None)).softmax(1).numpy()
    assert metrics.score("classification", test_labels.numpy(), scores)["mcc"] > 0.8

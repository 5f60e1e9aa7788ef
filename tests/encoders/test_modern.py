"""The modern encoder against transformers' ModernBERT: same folder, same numbers."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from randommask import kmers
from randommask.encoders import attention, cost, modern, ours
from randommask.encoders.families import modern as family
from randommask.errors import InputError
from randommask.experiment.hparams import Initial
from randommask.finetuning import heads

torch.set_num_threads(1)
# The last layer attends to all tokens with 4 layers, and to near ones with 3.
CONFIG = modern.EncoderConfig(3, 32, 4, 48, 80, 4, "overlapping", local=8)
SIZES = [
    CONFIG,
    replace(CONFIG, layers=4, local=4),
    replace(CONFIG, local=24),  # no blocks: a sequence has too few of them
    replace(CONFIG, local=200),  # everything is near
    replace(CONFIG, global_every=1),
    replace(CONFIG, global_every=2, local=16),
]


def make(config, folder):
    model = modern.Encoder(config)
    model.initialise(torch.Generator().manual_seed(0))
    generator = torch.Generator().manual_seed(1)
    for name, weight in model.named_parameters():  # far from where training begins
        mean = 1.0 if "norm" in name else 0.0
        torch.nn.init.normal_(weight, mean, 0.2, generator=generator)
    modern.save(model, folder)


@pytest.fixture(scope="module", params=SIZES, ids=str)
def folder(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("encoder")
    make(request.param, path)
    return path


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    path = tmp_path_factory.mktemp("one")
    make(CONFIG, path)
    return path


@pytest.fixture(scope="module")
def batch():
    ids = torch.randint(5, CONFIG.vocab_size, (3, 45), generator=torch.manual_seed(1))
    keep = torch.ones(3, 45, dtype=torch.bool)
    keep[1, 20:], keep[2, 37:] = False, False
    return ids, keep


@pytest.mark.parametrize("by", ["eager", "sdpa"])
def test_modernbert_loads_the_folder_with_equal_logits(folder, batch, by):
    from transformers import AutoModelForMaskedLM, ModernBertForMaskedLM

    ids, keep = batch
    theirs, report = AutoModelForMaskedLM.from_pretrained(
        folder, output_loading_info=True, attn_implementation=by
    )
    assert type(theirs) is ModernBertForMaskedLM and theirs.dtype == torch.float32
    assert not any(report.values())  # no weight is missing or unexpected
    theirs, found = theirs.eval(), modern.load(folder).eval()
    with torch.no_grad():
        expected = theirs(ids, attention_mask=keep.long()).logits
        padded = found.head(found(ids, keep))
        assert torch.allclose(padded[keep], expected[keep], atol=5e-5)
        whole = found.head(found(ids))
        assert torch.allclose(whole, theirs(ids).logits, atol=5e-5)
        alone = found.head(found(ids[1:2, :20]))
    assert torch.allclose(padded[1, :20], alone[0], atol=1e-5)


def test_near_layers_see_near_tokens_alone(one, batch):
    model = modern.load(one).eval()
    maps = model.attention_maps(batch[0])
    assert torch.allclose(maps.sum(-1), torch.ones(()), atol=1e-5)
    position = torch.arange(45)
    near = (position[:, None] - position).abs() <= CONFIG.local // 2
    for layer, map_BATT in zip(model.layers, maps, strict=True):
        assert layer.is_local == (layer is not model.layers[0])
        assert (map_BATT > 0).all(0).all(0).equal(near | (not layer.is_local))


def test_attention_maps_equal_modernberts(folder, batch):
    from transformers import AutoModel

    theirs = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        expected = torch.stack(theirs(batch[0], output_attentions=True).attentions)
        found = modern.load(folder).eval().attention_maps(batch[0])
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("bf16", [False, True])
def test_only_what_is_wanted_is_the_same(folder, batch, bf16):
    ids, keep = batch
    model = modern.load(folder).eval()
    positions = torch.tensor([134, 0, 46, 46])
    for kept in (None, keep):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            whole, first = model(ids, kept), model(ids, kept, wanted=1)
            some = model(ids, kept, wanted=positions)
        assert first.shape == (3, 1, 32) and some.shape == (4, 32)
        atol = 0.1 if bf16 else 1e-5
        assert torch.allclose(first, whole[:, :1], atol=atol)
        assert torch.allclose(some, whole.flatten(0, 1)[positions], atol=atol)


def test_gradients_do_not_depend_on_blocks_nor_on_how_the_head_is_asked(
    one, batch, monkeypatch
):
    ids, keep = batch
    model = modern.load(one, dropout=0.0).train()
    positions, gradients = torch.tensor([2, 3, 46, 100]), []

    def learn(hidden):
        model.zero_grad()
        model.head(hidden).square().sum().backward()
        gradients.append([weight.grad.clone() for weight in model.parameters()])

    learn(model(ids, keep, wanted=positions))
    learn(model(ids, keep).flatten(0, 1)[positions])
    monkeypatch.setattr(attention, "BLOCKS", 1000)
    learn(model(ids, keep).flatten(0, 1)[positions])
    for parts in zip(*gradients, strict=True):
        assert all(
            torch.allclose(parts[0], part, rtol=1e-3, atol=1e-3) for part in parts
        )


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("rate", [pytest.param(0.0, marks=pytest.mark.sweep), 0.1])
def test_a_training_step_is_one_graph_compiled_once(one, batch, backend, rate):
    model = modern.load(one, dropout=rate).train()

    def step(ids, positions, labels):
        logits = model.head(model(ids, wanted=positions))
        return torch.nn.functional.cross_entropy(logits, labels, reduction="sum")

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
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    assert found[2] == pytest.approx(found[3], rel=1e-5) and found[0] != found[2]


def test_training_with_dropout_agrees_with_modernberts_on_the_average(one, batch):
    from transformers import ModernBertForMaskedLM

    ids = batch[0][:1, :30]
    ours_ = modern.load(one, dropout=0.1).train()
    rates = dict.fromkeys(modern.DROPOUTS, 0.1)
    theirs = ModernBertForMaskedLM.from_pretrained(
        one, attn_implementation="eager", **rates
    ).train()
    torch.manual_seed(0)
    with torch.no_grad():
        found = torch.stack([ours_.head(ours_(ids)) for _ in range(400)])
        expected = torch.stack([theirs(ids).logits for _ in range(400)])
    error = (found.var(0) / 400 + expected.var(0) / 400).sqrt()
    score = (found.mean(0) - expected.mean(0)) / error
    assert score.square().mean().item() == pytest.approx(1, abs=0.4)
    spread = expected.std(0).mean().item()
    assert found.std(0).mean().item() == pytest.approx(spread, rel=0.03)


@pytest.mark.parametrize("tokenization", ["overlapping", "non-overlapping"])
def test_transformers_reads_raw_dna_as_we_do(tmp_path, tokenization):
    from transformers import AutoTokenizer

    make(replace(CONFIG, tokenization=tokenization), tmp_path)
    sequences = ["ACGTTGCATGACCTGATTACG", "acgunnRYacgtacg", "ACGTACGT" * 30]
    ids = kmers.tokenize(sequences, tokenization, 4)
    found = AutoTokenizer.from_pretrained(tmp_path)(sequences)["input_ids"]
    assert found == [row[row != kmers.PAD].tolist() for row in ids]


def test_initial_weights_are_modernberts(one):
    """Cut at two deviations; what is added to the hidden states is smaller."""
    sizes = replace(CONFIG, hidden=256, feed_forward=512, k=6)
    model = modern.Encoder(sizes)
    model.initialise(torch.Generator().manual_seed(0))
    cut = 0.8796  # deviation of a normal variate between -2 and 2
    less = (2 * sizes.layers) ** -0.5
    layer = model.layers[1]
    for weight, scale in (
        (layer.qkv.weight, 1),
        (layer.gated.weight, 1),
        (layer.out.weight, less),
        (layer.down.weight, less),
        (model.word.weight[1:], 1),
    ):
        assert weight.std().item() == pytest.approx(0.02 * cut * scale, rel=0.02)
        assert weight.abs().max().item() <= 0.04 * scale * (1 + 1e-6)
    assert not model.word.weight[kmers.PAD].any()
    assert (layer.norm.weight == 1).all() and not model.output_bias.any()


@pytest.mark.parametrize("config", SIZES[:2], ids=str)
def test_weights_and_what_they_cost(config):
    with torch.device("meta"):
        weights = list(modern.Encoder(config).parameters())
    count = sum(weight.numel() for weight in weights)
    assert cost.parameters(config, config.vocab_size) == count
    # by hand: each layer's products, and the tokens that its queries see
    products = config.layers * (4 * 32**2 + 3 * 32 * 48)
    whole = {3: 1, 4: 2}[config.layers]
    seen = whole * 40 + (config.layers - whole) * (config.local + 1)
    assert cost.forward_flops(config, 40) == 2 * products + 4 * seen * 32
    told = cost.Sizes.of(vars(config))
    assert cost.forward_flops(told, 40) == cost.forward_flops(config, 40)


def test_round_trip(folder):
    model = modern.load(folder)
    saved = load_file(folder / "model.safetensors")
    again = modern.to_modern(model)
    assert saved.keys() == again.keys()
    assert all(torch.equal(saved[name], again[name]) for name in saved)
    assert ours.at(folder) is modern


def test_settings_say_what_is_made():
    sizes = {"kind": "modern", "layers": 2, "hidden": 16, "heads": 2}
    told = {"k": 3, "tokenization": "overlapping", "seed": 1}
    made = Initial(**told, architecture={**sizes, "local": 6})
    assert ours.of(made) is modern
    config = modern.EncoderConfig.of(made)
    assert (config.local, config.global_every, config.hidden) == (6, 3, 16)
    assert made.values()["architecture"] == {
        **{"kind": "modern", "layers": 2, "hidden": 16, "heads": 2, "local": 6},
        **{"feed_forward": 3072, "positions": 512, "dropout": 0.1},
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"norm_bias": True}, "norm_bias is True, expected False"),
        ({"local_attention": 0}, "local_attention is 0, expected an integer over 0"),
        ({"num_attention_heads": 32}, "an even number of units in each head"),
        ({"mlp_dropout": 2}, "mlp_dropout is 2, expected 0 to less than 1"),
        ({"k": 9}, "k is 9, expected 1 to 7"),
    ],
)
def test_a_config_that_cannot_be_is_told(one, tmp_path, changes, said):
    config = json.loads((one / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(InputError, match=said) as error:
        modern.read_config(tmp_path)
    assert "\n" not in str(error.value)


def test_weights_that_do_not_fit_are_named(one, tmp_path):
    weights = load_file(one / "model.safetensors")
    del weights["model.layers.1.mlp.Wi.weight"]
    (tmp_path / "config.json").write_text((one / "config.json").read_text())
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=r"missing weight model\.layers\.1\.mlp\.Wi"):
        modern.load(tmp_path)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_fine_tuned_folder_holds_encoder_and_head(one, batch, tmp_path, pooling):
    from transformers import AutoModel

    ids, keep = batch
    model = heads.build(one, 3, 0.0, seed=1, pooling=pooling).eval()
    numbers = torch.tensor([2.0, 1.0, 1.0]), torch.tensor([0.5, 0.0, 0.0])
    heads.save(model, tmp_path, *numbers, type="regression", targets=["a", "b", "c"])
    assert heads.has_body(tmp_path) and not heads.is_classifier(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    assert saved["architectures"] == ["ModernBertModel"]
    theirs, report = AutoModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(report.values())
    again = heads.load(tmp_path)
    with torch.no_grad():
        expected = model(ids, keep) * numbers[0] + numbers[1]
        assert torch.allclose(again(ids, keep), expected, atol=1e-5)
        states = theirs.eval()(ids, attention_mask=keep.long()).last_hidden_state
        found = family.load(tmp_path).eval().states(ids, keep)
    assert torch.allclose(found[keep], states[keep], atol=5e-5)

import json
from math import log

import numpy as np
import pytest
import torch
from made.genome import make_corpus

from randommask import kmers
from randommask.encoders import bert
from randommask.errors import InputError
from randommask.experiment.hparams import Attention
from randommask.measures import attention

SIZES = dict(layers=3, hidden=16, heads=2, feed_forward=16, positions=32, k=4)


@pytest.fixture
def manifest(tmp_path):
    letters = np.random.default_rng(0).choice(list("ACGT"), 3000)
    return make_corpus(tmp_path / "corpus", {"chr1": "".join(letters)})


@pytest.fixture
def model():
    made = bert.Encoder(bert.EncoderConfig(tokenization="overlapping", **SIZES))
    made.initialise(torch.Generator().manual_seed(0))
    return made


def plant_cls_attention(model, layer):
    """Make every token of one layer look at [CLS]: its key alone has a large feature.

    Only [CLS] and position 0 own hidden unit 0; keys and queries of the layer read
    nothing else.
    """
    hidden = model.config.hidden
    with torch.no_grad():
        model.position.weight[0, 0] = 30.0
        qkv = model.layers[layer].qkv
        qkv.weight[: 2 * hidden].zero_()
        qkv.bias[:hidden] = 10.0
        qkv.weight[hidden : 2 * hidden, 0] = 10.0


def test_uniform_attention():
    tokens = 10
    uniform = torch.full((1, 2, 3, tokens, tokens), 1 / tokens, dtype=torch.float64)
    (cls_mass, entropy, distance), *_ = attention.measure(uniform).tolist()
    assert cls_mass == pytest.approx(0.1)
    assert entropy == pytest.approx(log(10))
    between = [abs(i - j) for i in range(8) for j in range(8)]
    assert distance == pytest.approx(np.mean(between))


def test_heads_are_measured_before_they_are_averaged():
    looks_left = torch.eye(6, dtype=torch.float64).roll(-1, dims=1)
    looks_right = torch.eye(6, dtype=torch.float64).roll(1, dims=1)
    both = torch.stack([looks_left, looks_right])[None, None]
    assert attention.measure(both)[0, 1] == 0  # their mean would have ln 2


def test_attention_to_neither_kmer_has_no_distance():
    all_cls = torch.zeros(1, 1, 1, 6, 6, dtype=torch.float64)
    all_cls[..., 0] = 1
    assert attention.measure(all_cls).tolist() == [[1, 0, 0]]


def test_planted_cls_attention_is_reported(model, manifest, tmp_path):
    plant_cls_attention(model, layer=1)
    bert.save(model, tmp_path / "encoder")
    hparams = {"encoder": "x", "windows": 3, "seed": 1, "tokens": 20, "held_out": []}
    made = []
    for name in ("first", "second"):
        npz, csv = tmp_path / f"{name}.npz", tmp_path / f"{name}.csv"
        flags = ["--encoder", str(tmp_path / "encoder"), "--corpus", str(manifest)]
        flags += ["--hparams", json.dumps(hparams)]
        attention.main([*flags, "--npz", str(npz), "--csv", str(csv)])
        made.append((npz.read_bytes(), csv.read_bytes()))
    assert made[0] == made[1]
    header, *rows = (tmp_path / "first.csv").read_text().splitlines()
    assert header == "layer,cls_mass,entropy,distance"
    first, second, third = (list(map(float, row.split(","))) for row in rows)
    assert [first[0], second[0], third[0]] == [1, 2, 3]
    assert second[1] > 0.95 and second[2] < 0.3
    assert first[1] < 0.2 and third[1] < 0.2
    maps = np.load(tmp_path / "first.npz")["map"]
    assert maps.shape == (3, 20, 20) and maps.dtype == np.float32
    assert np.allclose(maps.sum(axis=-1), 1, atol=1e-5)
    assert maps[1, 1:-1, 0].mean() == pytest.approx(second[1], abs=1e-6)


def test_maps_are_the_mean_of_the_heads(model):
    generator = np.random.default_rng(2)
    ids = generator.integers(kmers.NUM_SPECIAL, 200, (4, 12))
    maps, _ = attention.average(model, ids)
    model.eval()
    whole = model.attention_maps(torch.from_numpy(ids)).mean(dim=(1, 2))
    assert np.allclose(maps, whole.detach().numpy(), atol=1e-6)


def test_too_many_tokens(model, manifest, tmp_path):
    bert.save(model, tmp_path / "encoder")
    settings = Attention(encoder="x", windows=1, tokens=33)
    with pytest.raises(InputError, match="tokens: 33, expected at most 32"):
        attention.attend(
            str(tmp_path / "encoder"), [str(manifest)], "a.npz", "a.csv", settings
        )

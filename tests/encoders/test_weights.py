"""Weights carry a checksum: a flipped bit is found by whoever reads them."""

import json
import random
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoModel

from randommask.encoders import bert, weights
from randommask.errors import InputError


@pytest.fixture
def made(folder, tmp_path):
    """A copy of the tiny encoder, to damage."""
    return shutil.copytree(folder, tmp_path / "made")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_every_flipped_bit_is_found_or_without_effect(made, name):
    path, before = made / name, bert.load(made).state_dict()
    whole, found = path.read_bytes(), 0
    for position in random.Random(0).sample(range(8 * len(whole)), 40):
        damaged = bytearray(whole)
        damaged[position // 8] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        try:
            loaded = bert.load(made).state_dict()
        except InputError as error:
            assert "\n" not in str(error) and str(made) in str(error)
            found += 1
        else:  # in a key of the header that nobody reads
            assert all(torch.equal(loaded[key], before[key]) for key in before)
    assert found >= 36


def test_a_cut_file_is_refused(made):
    path = made / "model.safetensors"
    whole = path.read_bytes()
    for kept in (0, 7, 100, len(whole) - 1):
        path.write_bytes(whole[:kept])
        with pytest.raises(InputError, match="not readable as safetensors"):
            bert.load(made)


def test_an_edited_config_is_named(made):
    config = json.loads((made / "config.json").read_text())
    (made / "config.json").write_text(json.dumps({**config, "num_attention_heads": 1}))
    with pytest.raises(InputError, match=r"config\.json: is not what was written with"):
        bert.load(made)


def test_transformers_reads_past_the_checksums(made, tmp_path):
    AutoModel.from_pretrained(made).save_pretrained(tmp_path / "theirs")
    with safe_open(tmp_path / "theirs" / "model.safetensors", "pt") as file:
        assert weights.TENSORS not in file.metadata()
    weights.read_weights(tmp_path / "theirs" / "model.safetensors")


def test_weights_of_others_have_no_checksum(made):
    path = made / "model.safetensors"
    save_file({n: t + 1 for n, t in load_file(path).items()}, path)
    assert weights.read_weights(path)


def test_the_same_weights_are_the_same_bytes(tmp_path):
    tensors = {"b": torch.zeros(3, dtype=torch.bfloat16), "a": torch.tensor(1.0)}
    written = set()
    for number in range(8):
        path = tmp_path / f"{number}.safetensors"
        weights.write_weights(path, tensors)
        written.add(path.read_bytes())
    assert len(written) == 1
    assert weights.read_weights(path).keys() == tensors.keys()


def test_the_checksum_is_of_names_types_and_shapes_too():
    one = weights.digest({"a": torch.zeros(4)})
    assert one != weights.digest({"b": torch.zeros(4)})
    assert one != weights.digest({"a": torch.zeros(2, 2)})
    assert one != weights.digest({"a": torch.zeros(4, dtype=torch.int32)})
    assert one != weights.digest({"a": torch.zeros(4)}, "text")

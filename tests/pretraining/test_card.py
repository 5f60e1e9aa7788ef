"""What stands in a model card, and that its examples run as they stand."""

import re

import pytest
import torch
import yaml
from made import ROOT

from randommask import kmers
from randommask.encoders import ours
from randommask.experiment.hparams import Settings
from randommask.pretraining.card import write

ARCHITECTURE = {
    "layers": 1,
    "hidden": 16,
    "heads": 2,
    "feed_forward": 32,
    "positions": 24,
    "dropout": 0.1,
}
SETTINGS = {
    "genomes": ["made"],
    "architecture": ARCHITECTURE,
    "k": 3,
    "tokenization": "overlapping",
    "tokens": 20,
    "held_out": ["chr8"],
    "steps": 1000,
    "seed": 7,
    "target_share": None,
    "learning_rate": 1e-4,
    "curriculum": [{"until": 1000, "max_span": 3}],
}
SOURCES = [("made", "a.fa.gz", "ab" * 32), ("made", "odd|name.fa", "cd" * 32)]


def card(folder, step=1000, **changes):
    write(
        folder,
        encoder="small",
        settings=Settings.model_validate(SETTINGS | changes),
        step=step,
        sources=SOURCES,
    )
    return (folder / "README.md").read_text(encoding="utf-8")


def test_head_is_what_hugging_face_reads(tmp_path):
    from huggingface_hub import ModelCard

    text = card(tmp_path)
    data = ModelCard(text).data
    assert data.library_name == "transformers" and data.pipeline_tag == "fill-mask"
    assert data.license == "unknown" and "dna" in data.tags


def test_all_settings_and_sources_are_in_it(tmp_path):
    text = card(tmp_path, step=300)
    rows = dict(re.findall(r"^\| (\S+) \| (.+) \|$", text, re.MULTILINE))
    for key, value in ARCHITECTURE.items():
        assert rows[f"architecture.{key}"] == str(value)
    assert rows["target_share"] == "null" and rows["learning_rate"] == "0.0001"
    assert rows["curriculum"] == '[{"until": 300, "max_span": 3}]'
    assert set(SETTINGS) - {"architecture"} <= set(rows)
    assert "300 of 1,000 steps" in text and "seed 7" in text
    assert f"| made | odd\\|name.fa | {'cd' * 32} |" in text
    assert "Held out of training: chr8." in text
    phases = [{"until": 200, "max_span": 3}, {"until": 1000, "max_span": 5}]
    assert "5}]" not in card(tmp_path, step=200, curriculum=phases)
    assert text.isascii() and max(map(len, text.splitlines())) < 160


def test_limits_follow_the_settings(tmp_path):
    whole = card(tmp_path, tokens=24)
    assert "copies" not in whole and "before the end" not in whole
    part = card(tmp_path, step=300, held_out=[])
    assert "Positions from 20 on are copies" in part
    assert "before the end" in part and "Held out of training: nothing." in part


def test_its_bytes_depend_on_nothing_else(tmp_path):
    first = card(tmp_path / "first")
    reordered = dict(reversed(SETTINGS.items()))
    write(
        tmp_path / "second",
        encoder="small",
        settings=Settings.model_validate(reordered),
        step=1000,
        sources=SOURCES,
    )
    assert (tmp_path / "second/README.md").read_text() == first


@pytest.mark.parametrize("kind", ["bert", "modern"])
@pytest.mark.parametrize("tokenization", ["overlapping", "non-overlapping"])
def test_its_examples_run_as_they_stand_in_its_folder(
    tmp_path, tokenization, monkeypatch, kind
):
    sizes = ARCHITECTURE | {"kind": kind}
    told = {"tokenization": tokenization, "architecture": sizes}
    text, module = card(tmp_path, **told), ours.MODULES[kind]
    assert ("BERT's pooler" in text) == ("copies" in text) == (kind == "bert")
    made = Settings.model_validate(SETTINGS | told)
    model = module.Encoder(module.EncoderConfig.of(made))
    model.initialise(torch.Generator().manual_seed(0))
    module.save(model, tmp_path)
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, names)
    program = yaml.safe_load((ROOT / "CITATION.cff").read_text())["title"]
    assert f'"{program}"' in " ".join(text.split())
    ids = torch.from_numpy(names["ids"].astype("int64"))
    assert torch.equal(names["inputs"]["input_ids"], ids)
    ids[0, 3] = kmers.MASK
    model = module.load(tmp_path).eval()
    with torch.no_grad():
        best = model.head(model(ids))[0, 3].topk(5).indices
    assert [guess["token"] for guess in names["guesses"]] == best.tolist()
    assert torch.allclose(names["hidden"], names["same_hidden"], atol=1e-5)
    assert names["logits"].shape == (*names["hidden"].shape[:2], 69)
    assert len(names["guesses"]) == 5

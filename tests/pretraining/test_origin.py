"""Pretraining that goes on from an encoder's weights, with a schedule of its own."""

import csv
import os
import signal
import subprocess
import sys

import pytest
import torch
from made import ROOT
from made.encoders import publish_bert
from made.genome import MODERN, random_corpus, segment
from safetensors.torch import load_file, save_file

from randommask import files
from randommask.encoders import bert, released
from randommask.encoders.weights import digest
from randommask.errors import InputError
from randommask.experiment.hparams import Pretraining
from randommask.pretraining import __main__ as pretrain
from randommask.pretraining.origin import WEIGHTS
from randommask.training import state

pytestmark = pytest.mark.usefixtures("one_thread")
HEAD = "cls.predictions."
WORDS = "bert.embeddings.word_embeddings.weight"
POSITIONS = "bert.embeddings.position_embeddings.weight"


def told(origin, start=0, end=12, **changes):
    return segment(start, end, origin=origin, **changes)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another species."""
    return random_corpus(tmp_path_factory.mktemp("other") / "corpus", bases=9_000)


@pytest.fixture(scope="module")
def source(one_thread, corpus, tmp_path_factory):
    """An encoder of ours."""
    output = tmp_path_factory.mktemp("source") / "source" / "step-12"
    pretrain.pretrain([corpus], None, segment(), output)
    return output


@pytest.fixture(scope="module")
def whole(one_thread, other, source, tmp_path_factory):
    """12 steps that go on from it, never interrupted."""
    output = tmp_path_factory.mktemp("whole") / "further" / "step-12"
    pretrain.pretrain([other], None, told("source"), output, origin=source)
    return output


def test_it_begins_with_the_weights_and_a_schedule_of_its_own(source, whole):
    for name, tensor in load_file(whole / "milestones" / "step-0" / WEIGHTS).items():
        assert torch.equal(tensor, load_file(source / WEIGHTS)[name]), name
    with open(whole / "history.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert int(rows[0]["step"]) == 3
    assert float(rows[1]["learning_rate"]) == 0.003  # after its own 4 steps of warm-up


def test_the_card_says_what_it_went_on_from(source, whole):
    card = " ".join((whole / "README.md").read_text().split())
    assert "with the weights of `source` (model.safetensors of SHA-256" in card
    assert files.sha256(source / WEIGHTS) in card and "| origin | source |" in card
    assert "head over the vocabulary went on too" in card
    assert str(source) not in card


def test_killed_and_cut_in_two_it_ends_with_the_same_bits(
    source, whole, other, tmp_path, monkeypatch
):
    def kill(*_, **__):
        raise RuntimeError

    first = tmp_path / "further" / "step-8"
    hparams = told("source", end=8, curriculum=whole_curriculum())
    with monkeypatch.context() as patch:
        patch.setattr(pretrain.Segment, "finish", kill)
        with pytest.raises(RuntimeError):
            pretrain.pretrain(
                [other], None, hparams, first, origin=source, save_steps=2
            )
    assert not first.exists()
    with monkeypatch.context() as patch:  # from its checkpoint alone
        patch.setattr(pretrain.Trainer, "begin", kill)
        pretrain.pretrain([other], None, hparams, first, origin=source)
    last = tmp_path / "further" / "step-12"
    pretrain.pretrain([other], first, told("source", start=8), last)
    for name in (WEIGHTS, "state.safetensors", "history.csv", "README.md"):
        assert (last / name).read_bytes() == (whole / name).read_bytes(), name


def whole_curriculum():
    return [phase.values() for phase in told("source").settings.curriculum]


@pytest.mark.sweep
def test_a_signal_saves_and_the_same_command_goes_on(source, whole, other, tmp_path):
    output = tmp_path / "further" / "step-12"
    line = [
        *(sys.executable, "-m", "randommask.pretraining", "--corpus", other),
        *("--origin", str(source), "--hparams", told("source").flag()),
        *("--output", str(output), "--save-steps", "1"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    environment["OMP_NUM_THREADS"] = "1"
    process = subprocess.Popen(line, env=environment, stderr=subprocess.PIPE)
    while b"step-0" not in process.stderr.readline() and process.poll() is None:
        if list(output.parent.glob(".state/*/rolling-*")):
            process.send_signal(signal.SIGTERM)
            break
    process.communicate()
    subprocess.run(line, env=environment, check=True, capture_output=True)
    assert (output / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()


def test_other_weights_of_the_same_name_are_another_training(source, other, tmp_path):
    twin = tmp_path / "twin"
    model = bert.load(source)
    with torch.no_grad():
        model.output_bias += 1
    bert.save(model, twin)
    before, after = (
        pretrain.identity_of([other], None, told("source"), folder)
        for folder in (source, twin)
    )
    assert before.pop("from") != after.pop("from") and before == after
    assert before != pretrain.identity_of([other], None, segment(), None)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """DNABERT's form, through the door that released encoders take."""
    folder = tmp_path_factory.mktemp("released")
    publish_bert(folder / "raw", k=4)
    released.convert(folder / "raw", "bert", folder / "dnabert")
    return folder / "dnabert"


SIZES = {"layers": 2, "hidden": 64, "heads": 4, "feed_forward": 128, "positions": 40}


def shaped(**changes):
    values = told("dnabert").values()
    values["settings"]["architecture"] = {**SIZES, "dropout": 0.1}
    values["settings"] |= changes
    return Pretraining.model_validate(values)


def test_a_released_encoder_goes_on_head_and_positions_and_all(
    published, other, tmp_path
):
    """Its positions behind our shorter sequences had been trained: they stay."""
    output = tmp_path / "fly" / "step-12"
    pretrain.pretrain([other], None, shaped(), output, origin=published)
    theirs, ours = load_file(published / WEIGHTS), load_file(output / WEIGHTS)
    assert torch.equal(ours[POSITIONS][24:], theirs[POSITIONS][24:])
    assert not torch.equal(ours[POSITIONS][:24], theirs[POSITIONS][:24])
    card = (output / "README.md").read_text()
    assert "Positions from 24 on are as `dnabert` had them" in card
    assert "went on too" in card


def test_copies_of_positions_are_copied_anew(source, whole):
    theirs, ours = load_file(source / WEIGHTS), load_file(whole / WEIGHTS)
    assert not torch.equal(ours[POSITIONS][24:], theirs[POSITIONS][24:])
    assert torch.equal(ours[POSITIONS][24:40], ours[POSITIONS][1:17])
    assert "are copies of trained ones" in (whole / "README.md").read_text()


def test_without_a_head_one_begins_at_random_and_is_told(
    published, other, tmp_path, capsys
):
    folder = tmp_path / "headless"
    weights = load_file(published / WEIGHTS)
    kept = {name: weights[name] for name in weights if not name.startswith(HEAD)}
    folder.mkdir()
    for name in ("config.json", "vocab.txt"):
        (folder / name).write_bytes((published / name).read_bytes())
    save_file(kept, folder / WEIGHTS)
    output = tmp_path / "fly" / "step-12"
    pretrain.pretrain([other], None, shaped(), output, origin=folder)
    assert "headless, with a fresh head" in capsys.readouterr().err
    begun = load_file(output / "milestones" / "step-0" / WEIGHTS)
    dense = begun[f"{HEAD}transform.dense.weight"]
    assert 0.01 < dense.std() < 0.03 and torch.equal(begun[WORDS], weights[WORDS])
    assert "began at random, as they had none" in (output / "README.md").read_text()
    _, _, progress = state.read(output / "state.safetensors")
    assert progress["origin"]["has_head"] is False


def test_a_modern_encoder_goes_on_from_a_modern_one(source, corpus, tmp_path):
    begun = tmp_path / "modern" / "step-6"
    curriculum = [{"until": 6, "max_span": 4}]
    told_first = segment(end=6, curriculum=curriculum, architecture=MODERN)
    pretrain.pretrain([corpus], None, told_first, begun)
    further = told("modern", architecture=MODERN | {"dropout": 0.0})
    output = tmp_path / "further" / "step-12"
    pretrain.pretrain([corpus], None, further, output, origin=begun)
    first = load_file(output / "milestones" / "step-0" / WEIGHTS)
    for name, tensor in load_file(begun / WEIGHTS).items():
        assert torch.equal(first[name], tensor), name
    for origin, hparams, said in (
        (source, further, "model_type is 'bert', expected 'modernbert'"),
        (begun, told("modern"), "model_type is 'modernbert', expected 'bert'"),
        (begun, told("modern", architecture=MODERN | {"local": 6}), "local 4, but pre"),
    ):
        with pytest.raises(InputError, match=said):
            place = tmp_path / "other" / "step-12"
            pretrain.pretrain([corpus], None, hparams, place, origin=origin)


def test_what_does_not_fit_is_one_line_before_the_corpus_is_read(
    source, published, tmp_path
):
    cases = {
        "hidden 64, but pretraining is to go on with hidden 16": told("dnabert"),
        "k 4, but pretraining is to go on with k 5": shaped(k=5),
        "tokenization overlapping, but": shaped(tokenization="non-overlapping"),
    }
    for said, hparams in cases.items():
        with pytest.raises(InputError, match=said) as error:
            pretrain.pretrain(
                ["absent"], None, hparams, tmp_path / "a", origin=published
            )
        assert "\n" not in str(error.value)
    foreign = tmp_path / "raw"
    publish_bert(foreign, k=4)
    with pytest.raises(InputError, match="model_type is None"):
        pretrain.pretrain(["absent"], None, shaped(), tmp_path / "a", origin=foreign)
    for hparams, folder in ((segment(), source), (told("source"), None)):
        with pytest.raises(InputError, match="but the first weights in --hparams are"):
            pretrain.pretrain(["absent"], None, hparams, tmp_path / "a", origin=folder)


def test_a_damaged_origin_is_found(source, other, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("config.json", "vocab.txt", WEIGHTS):
        (broken / name).write_bytes((source / name).read_bytes())
    data = bytearray((broken / WEIGHTS).read_bytes())
    data[-3] ^= 1
    (broken / WEIGHTS).write_bytes(data)
    with pytest.raises(InputError, match="not those that were written"):
        pretrain.pretrain([other], None, told("s"), tmp_path / "a" / "b", origin=broken)
    assert digest({}) != digest(load_file(source / WEIGHTS))

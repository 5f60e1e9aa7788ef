"""What only a GPU can show; left out, with the reason, where there is none."""

import pytest
import torch
from made_dataset import hparams, made, tiny_encoder
from made_genome import random_corpus, segment

from randommask import examples, trainer
from randommask.tuning import Tuning

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def pretraining_losses(corpus, compiled):
    settings = segment(precision="bf16")["settings"]
    settings["architecture"] = settings["architecture"] | {"dropout": 0.0}
    run = trainer.Trainer(settings, [corpus], compiled)
    for step in range(6):
        run.step(step)
    sums, _ = run.collect()
    run.close()
    return [part["loss"] / part["asked"] for part in sums]


def test_pretraining_sees_the_same_compiled_or_not(tmp_path):
    corpus = random_corpus(tmp_path)
    plain = pretraining_losses(corpus, compiled=False)
    assert pretraining_losses(corpus, compiled=True) == pytest.approx(plain, rel=1e-2)


def test_finetuning_replays_its_compiled_step(tmp_path):
    encoder = tiny_encoder(tmp_path / "encoder")
    data = examples.read(made(tmp_path / "data"), "overlapping", encoder)
    compiler = {"mode": "reduce-overhead", "fullgraph": True, "dynamic": False}
    losses = []
    for options in (None, compiler):
        run = Tuning(encoder, data, hparams(dropout=0.0, epochs=1), options)
        losses.append([float(run.step(step)) for step in range(run.steps)])
    assert run.has_compiled and run.compiled is not None  # it did not fall back
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)

"""What only a GPU can show; left out, with the reason, where there is none.

    PYTHONPATH=workflow:tests python -m pytest tests/training/test_cuda.py

It needs nothing that downloads, tables or the workflow need.
"""

import pytest
import torch
from made.dataset import hparams, planted, write
from made.encoders import publish_esm, write_dataset
from made.genome import segment
from torch.nn import functional as F

from randommask.encoders import bert, released
from randommask.encoders.dropout import dropout
from randommask.encoders.families import hyena
from randommask.finetuning import examples, tuning
from randommask.finetuning.tuning import Tuning
from randommask.pretraining import loader
from randommask.pretraining.trainer import Trainer
from randommask.training import state
from randommask.training.precision import keep_exact

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
WHOLE = {**tuning.COMPILER, "fullgraph": True}


@pytest.fixture(autouse=True)
def counters():
    """What the compiler counts, from zero."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield torch._dynamo.utils.counters
    torch._dynamo.reset()


@pytest.fixture(scope="module")
def padded(tmp_path_factory):
    """Rows of two lengths."""
    splits = {}
    for seed, name in enumerate(("train", "dev", "test")):
        sequences, labels = planted(seed, 96, 2)
        sequences[::3] = [sequence[:-7] for sequence in sequences[::3]]
        splits[name] = (sequences, labels)
    return write(tmp_path_factory.mktemp("data") / "padded", splits)


@pytest.fixture
def deterministic():
    from randommask.finetuning.__main__ import _make_deterministic

    _make_deterministic()
    yield
    torch.use_deterministic_algorithms(False)


def settings(rate=0.0, **changes):
    made = segment(**{"precision": "bf16"} | changes).settings
    sizes = made.architecture.model_copy(update={"dropout": rate})
    return made.model_copy(update={"architecture": sizes})


def losses(run, steps):
    for step in steps:
        run.step(step)
    sums, _ = run.collect()
    return [part["loss"] / part["masked"] for part in sums]


def pretraining(corpus, compiled=True, **changes):
    run = Trainer(settings(**changes), [corpus], compiled)
    found = losses(run, range(6))
    run.close()
    return found


def begin(folder, data, compiler=WHOLE, tokenization="overlapping", **changes):
    settings = hparams(tokenization=tokenization, **changes)
    return Tuning(folder, examples.read(data, settings), settings, compiler)


# --- Pretraining ----------------------------------------------------------------------


def test_pretraining_sees_the_same_compiled_or_not(corpus, counters):
    plain = pretraining(corpus, compiled=False)
    assert pretraining(corpus) == pytest.approx(plain, rel=1e-2)
    assert counters["stats"]["unique_graphs"] == 1


def test_pretraining_sees_the_same_in_fp32(corpus):
    expected = pretraining(corpus, precision="fp32")
    assert pretraining(corpus) == pytest.approx(expected, rel=1e-2)


def test_pretraining_sees_the_same_on_a_cpu(corpus, monkeypatch):
    found = pretraining(corpus, precision="fp32")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    expected = pretraining(corpus, compiled=False, precision="fp32")
    assert found == pytest.approx(expected, rel=1e-3)


def test_the_loss_is_that_of_transformers(corpus, tmp_path):
    from transformers import BertForMaskedLM

    run = Trainer(settings(), [corpus])
    bert.save(run.model, tmp_path)
    theirs = BertForMaskedLM.from_pretrained(tmp_path).to(run.device).eval()
    for batch in run.loader.make(0):
        labels = torch.full((batch.inputs_MT.numel(),), loader.IGNORED)
        labels[batch.positions_P[: batch.masked]] = batch.targets_P[: batch.masked]
        with torch.no_grad(), run.autocast:
            logits = theirs(batch.inputs_MT.long().to(run.device)).logits
        expected = F.cross_entropy(
            logits.float().flatten(0, 1), labels.to(run.device), reduction="sum"
        )
        assert float(run.loss(batch, False)) == pytest.approx(float(expected), rel=5e-3)
    run.close()


def test_pretraining_steps_never_wait_for_the_device(corpus):
    run = Trainer(settings(0.1), [corpus])
    losses(run, range(3))
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(3, 6):
            run.step(step)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(run.collect()[0]) == 3
    run.close()


def test_a_seed_gives_the_same_losses_again(corpus):
    first = pretraining(corpus, rate=0.1)
    again = pretraining(corpus, rate=0.1)
    assert first[0] == pytest.approx(again[0], rel=1e-6)
    assert first == pytest.approx(again, rel=1e-3)
    other = pretraining(corpus, rate=0.1, seed=2)
    assert abs(other[0] - first[0]) > 1e-4


def test_pretraining_goes_on_from_a_checkpoint(corpus, tmp_path):
    run = Trainer(settings(0.1), [corpus])
    losses(run, range(4))
    state.save(tmp_path / "state", run.snapshot(), {"step": 4})
    expected = losses(run, range(4, 7))
    run.close()
    resumed = Trainer(settings(0.1), [corpus])
    assert resumed.restore(tmp_path / "state") == {"step": 4}
    assert losses(resumed, range(4, 7)) == pytest.approx(expected, rel=1e-3)
    resumed.close()


def test_a_batch_over_the_capacity_loses_no_label(corpus, counters):
    large = settings(batch=128, micro_batch=128)
    plain = Trainer(large, [corpus], compiled=False)
    run = Trainer(large, [corpus])
    run.capacity = run.loader.capacity = 256
    assert run.loader.make(8)[0].masked > 256
    assert losses(run, range(6, 9)) == pytest.approx(
        losses(plain, range(6, 9)), rel=1e-2
    )
    assert counters["stats"]["unique_graphs"] == 0
    run.close()
    plain.close()


def test_dropout_drops_the_share_that_it_should():
    queries = torch.randn(8, 8, 128, 128, device="cuda", dtype=torch.bfloat16)
    values = torch.eye(128, device="cuda", dtype=torch.bfloat16).expand_as(queries)
    keep_exact(0.1)
    weights = F.scaled_dot_product_attention(
        queries, queries.flip(2), values, dropout_p=0.1
    )
    assert float((weights == 0).float().mean()) == pytest.approx(0.1, abs=0.002)
    ones = torch.ones(1024, 1024, device="cuda")
    for drop in (dropout, torch.compile(dropout)):
        assert float((drop(ones, 0.1) == 0).float().mean()) == pytest.approx(
            0.1, abs=0.002
        )
        assert float(drop(ones, 0.1).mean()) == pytest.approx(1, abs=0.002)


# --- Fine-tuning ----------------------------------------------------------------------


def test_finetuning_replays_its_compiled_step(folder, dataset, counters):
    found = []
    for options in (None, WHOLE):
        run = begin(folder, dataset, options, dropout=0.0, epochs=1)
        found.append([float(run.step(step)) for step in range(run.steps)])
    assert run.has_compiled and run.compiled is not None  # it did not fall back
    assert found[1] == pytest.approx(found[0], rel=1e-2)
    assert counters["inductor"]["cudagraph_skips"] == 0


@pytest.mark.parametrize("compiler", [None, WHOLE])
def test_finetuning_never_waits_for_the_device(folder, padded, compiler):
    run = begin(folder, padded, compiler, precision="bf16", epochs=1)
    for step in range(3):
        run.step(step)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for step in range(3, run.steps):  # one epoch: its order is on the device
            run.step(step)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert run.has_compiled is (compiler is not None)


def test_padded_rows_in_bf16_with_dropout(folder, padded, deterministic, counters):
    given = {"precision": "bf16", "dropout": 0.1, "epochs": 20}
    first, again = (begin(folder, padded, **given) for _ in range(2))
    found = [float(first.step(step)) for step in range(first.steps)]
    assert first.has_compiled and first.compiled is not None
    assert counters["inductor"]["cudagraph_skips"] == 0
    assert sum(found[:6]) / 96 == pytest.approx(0.7, abs=0.1)  # ln 2: it knows nothing
    assert sum(found[-6:]) < 0.7 * sum(found[:6])
    assert [float(again.step(step)) for step in range(6)] == pytest.approx(
        found[:6], rel=1e-3
    )


def test_finetuning_goes_on_from_its_state(folder, dataset):
    run, resumed = (begin(folder, dataset, epochs=1) for _ in range(2))
    for step in range(4):
        run.step(step)
    weights = {name: p.detach().clone() for name, p in run.trained.items()}
    moments = {name: moment.clone() for name, moment in run.moments().items()}
    resumed.restore(weights, moments, 4)
    expected = [float(run.step(step)) for step in range(4, 8)]
    found = [float(resumed.step(step)) for step in range(4, 8)]
    assert found == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("family", ["esm", "hyena"])
def test_the_other_families_compile(tmp_path, family):
    if family == "esm":
        publish_esm(tmp_path / "published")
        released.convert(tmp_path / "published", "esm", tmp_path / "encoder")
    else:
        sizes = hyena.HyenaConfig(16, 2, 32, 66, 16, 5, 8, 2, 3, 10, 1e-5, 0.0)
        hyena.save(hyena.Hyena(sizes), tmp_path / "encoder")
    data = write_dataset(tmp_path / "data")  # some of its rows are shorter
    given = {
        "dataset": "made",
        "tokenization": "character" if family == "hyena" else "overlapping",
        "precision": "bf16",
        "dropout": 0.0,
    }
    found = []
    for compiler in (None, tuning.COMPILER):
        run = begin(tmp_path / "encoder", data, compiler, **given)
        found.append([float(run.step(step)) for step in range(3)])
    assert run.has_compiled and run.compiled is not None
    assert found[1] == pytest.approx(found[0], rel=2e-2)

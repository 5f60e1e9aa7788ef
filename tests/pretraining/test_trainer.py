"""A step of training: compiled or not, whole or in parts, the same numbers."""

import sys
import types

import pytest
import torch
from made.genome import MODERN, segment

from randommask.errors import InputError
from randommask.pretraining import gradient, monitor, trainer


def settings(**changes):
    made = segment(**changes).settings
    sizes = made.architecture.model_copy(update={"dropout": 0.0})
    return made.model_copy(update={"architecture": sizes})


def losses(made, steps):
    for step in steps:
        made.step(step)
    sums, stop = made.collect()
    made.close()
    assert not stop
    return [part["loss"] / part["masked"] for part in sums]


@pytest.fixture
def compiler(monkeypatch):
    """Compiled without a C++ compiler; counts the graphs that are made."""
    monkeypatch.setattr(trainer, "COMPILER", "aot_eager")
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield torch._dynamo.utils.counters["stats"]
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("precision", "more"),
    [
        ("fp32", {}),
        ("bf16", {"architecture": MODERN}),
        pytest.param("bf16", {}, marks=pytest.mark.sweep),
        pytest.param("fp32", {"architecture": MODERN}, marks=pytest.mark.sweep),
    ],
    ids=["bert", "modern", "bert-bf16", "modern-fp32"],
)
def test_compiled_once_and_equal(corpus, compiler, precision, more):
    told = settings(precision=precision, **more)
    plain = losses(trainer.Trainer(told, [corpus]), range(6))
    made = trainer.Trainer(told, [corpus], compiled=True)
    assert losses(made, range(6)) == pytest.approx(plain, rel=1e-3)
    assert compiler["unique_graphs"] == 1


def test_another_shape_after_the_warm_up_is_refused(corpus, compiler):
    made = trainer.Trainer(settings(), [corpus], compiled=True)
    for step in range(3):
        made.step(step)
    [batch, _] = made.loader.make(3)
    half = batch.__class__(
        0, batch.inputs_MT[:2], batch.positions_P, batch.targets_P, batch.masked
    )
    with pytest.raises(RuntimeError, match="recompil"):
        made.loss(half)
    made.close()


def test_a_batch_over_the_capacity_loses_no_label(corpus, compiler):
    large = {"batch": 128, "micro_batch": 128}
    plain = trainer.Trainer(settings(**large), [corpus])
    made = trainer.Trainer(settings(**large), [corpus], compiled=True)
    made.capacity = made.loader.capacity = 256
    [batch] = made.loader.make(8)
    assert batch.masked > 256
    assert losses(made, range(6, 9)) == pytest.approx(losses(plain, range(6, 9)))
    assert compiler["unique_graphs"] == 0


def test_steps_wait_for_the_end_of_their_stretch(corpus):
    one, many = (trainer.Trainer(settings(), [corpus]) for _ in range(2))
    single = []
    for step in range(4):
        one.step(step)
        single += one.collect()[0]
    for step in range(4):
        many.step(step)
    assert many.collect()[0] == single
    assert many.collect() == ([], False)
    one.step(4, stop=True)
    assert one.collect()[1]
    one.close()
    many.close()


def test_no_number_names_step_and_samples(corpus):
    made = trainer.Trainer(settings(), [corpus])
    made.step(0)
    with torch.no_grad():
        made.model.output_bias[7] = float("nan")
    made.step(1)
    with pytest.raises(InputError, match=r"step 1, samples 0 to 3: the loss is nan"):
        made.collect()
    made.close()


def test_gradients_stay_parts_of_one(corpus):
    made = trainer.Trainer(settings(), [corpus])
    losses(made, range(2))
    first = made.gradient.whole.data_ptr()
    offset = 0
    for parameter in made.model.parameters():
        assert parameter.grad.data_ptr() == first + 4 * offset
        offset += -(-parameter.numel() // gradient.ALIGNED) * gradient.ALIGNED
    assert offset == len(made.gradient.whole)


def test_the_gradient_is_the_sum_of_what_backward_gives(corpus):
    made = trainer.Trainer(settings(), [corpus])
    batches, whole = made.loader.make(0), made.gradient.whole
    for batch in batches:
        made.learn(batch)
    found = whole.clone()
    whole.zero_()
    for batch in batches:
        made.loss(batch).backward()
    assert torch.equal(whole, found) and found.any()
    made.close()


def watch(folder, **options):
    given = {"device": torch.device("cpu"), "flops": 1e6, "world": 1, "done": 0}
    given["tokens"] = 250
    given |= {"tensorboard": None, "label": "dnabert/step-4", **options}
    return monitor.Monitor(folder / "speed.csv", **given)


def test_speed_is_written_line_by_line(tmp_path):
    made = watch(tmp_path)
    assert made.tell(4, 0.0, {"loss": 8.0}) > 0
    made.tell(8, 0.0, {"loss": 7.0})
    lines = (tmp_path / "speed.csv").read_text().splitlines()
    assert lines[0] == ",".join(monitor.COLUMNS) and len(lines) == 3
    assert lines[1].startswith("4,") and ",," in lines[1]  # a CPU's rate is unknown
    assert lines[1].endswith(",0")  # GPUs


def test_utilisation_is_against_all_devices(tmp_path):
    assert monitor.peak("NVIDIA H100 80GB HBM3") == 989e12
    assert monitor.peak("NVIDIA H100 PCIe") == 756e12
    assert monitor.peak("Apple M3") is None
    made = watch(tmp_path, flops=1e9)
    made.rate = 2 * 1e15
    speed = made.tell(4, 0.0, {})
    use = float((tmp_path / "speed.csv").read_text().splitlines()[1].split(",")[3])
    assert use == pytest.approx(speed * 1e9 / 2e15, rel=1e-2)


def test_tensorboard_gets_the_numbers(tmp_path):
    made = watch(tmp_path, tensorboard=tmp_path / "board")
    made.tell(4, 0.0, {"loss": 8.0, "validation_loss": ""})
    made.close()
    [file] = (tmp_path / "board").iterdir()
    assert b"loss" in file.read_bytes() and b"tokens_per_s" in file.read_bytes()
    assert b"validation" not in file.read_bytes()


def test_wandb_only_where_asked_for(tmp_path, monkeypatch):
    told = []
    run = types.SimpleNamespace(
        log=lambda numbers, step: told.append((step, numbers["loss"])),
        finish=lambda: told.append("finished"),
    )
    fake = types.SimpleNamespace(init=lambda **options: told.append(options) or run)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    assert watch(tmp_path).wandb is None
    monkeypatch.setenv("WANDB_PROJECT", "dna")
    made = watch(tmp_path)
    made.tell(4, 0.0, {"loss": 8.0})
    made.close()
    options = {"project": "dna", "name": "dnabert/step-4", "resume": "allow"}
    options["id"] = "dnabert-step-4"
    assert told == [options, (4, 8.0), "finished"]
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(InputError, match="wandb is not installed"):
        watch(tmp_path)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_a_gradient_that_is_computed_twice_changes_nothing(corpus, dropout):
    made = segment().settings
    sizes = made.architecture.model_copy(update={"dropout": dropout})
    made = made.model_copy(update={"architecture": sizes})
    plain = trainer.Trainer(made, [corpus])
    twice = trainer.Trainer(made, [corpus], verify_every=2)
    again, learn = [], twice.learn
    twice.learn = lambda batch, warm: (again.append(batch.first), learn(batch, warm))[1]
    assert losses(twice, range(4)) == losses(plain, range(4))
    assert again == [0, 4] * 6
    for name, tensor in plain.snapshot().items():
        assert torch.equal(tensor, twice.snapshot()[name]), name


def test_a_gradient_that_differs_by_one_bit_stops_the_run(corpus):
    made, bits = trainer.Trainer(settings(), [corpus], verify_every=3), []
    add = made.gradient.add

    def flip(loss):
        add(loss)
        bits.append(loss)
        if len(bits) == 10:  # the second computation of step 3
            made.gradient.whole.view(torch.int32)[7] ^= 1

    made.gradient.add = flip
    with pytest.raises(InputError, match=r"step 3: its gradient, computed twice, diff"):
        for step in range(4):
            made.step(step)
    made.close()


def test_a_loss_that_is_no_number_is_told_as_such_when_it_is_computed_twice(corpus):
    made = trainer.Trainer(settings(), [corpus], verify_every=1)
    with torch.no_grad():
        made.model.output_bias[7] = float("nan")
    made.step(0)
    with pytest.raises(InputError, match="the loss is nan"):
        made.collect()
    made.close()

"""Seeds that take turns in one process end with what each has alone."""

import json
import os
import signal

import numpy as np
import pytest
import torch
from made.dataset import HPARAMS, hparams, made, planted, write
from made.kills import contents, in_child, killed, operations

from randommask import files
from randommask.errors import InputError
from randommask.finetuning import __main__ as finetuning
from randommask.finetuning import examples, turns
from randommask.finetuning.__main__ import Job, finetune, finetune_each
from randommask.finetuning.outputs import Clock
from randommask.finetuning.tuning import Tuning
from randommask.finetuning.turns import Turn
from randommask.training.optimizer import AdamW
from randommask.training.signals import Stop

pytestmark = pytest.mark.usefixtures("one_thread")

NAMES = {"metrics": ".json", "predictions": ".parquet", "history": ".csv"}
SEEDS = (1, 2, 3)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """A few rows, of which an epoch is 6 steps."""
    return made(tmp_path_factory.mktemp("data") / "few", rows=(96, 32, 32))


def paths(out, seed):
    return {n: out / f"seed{seed}" / (n + end) for n, end in NAMES.items()}


def jobs(out, seeds=SEEDS, changes=None, **shared):
    """A run for each seed; `changes` are what one of them has of its own."""
    changes = changes or {}
    return [
        Job(
            hparams(seed=s, **{"epochs": 2, **shared, **changes.get(s, {})}),
            paths(out, s),
        )
        for s in seeds
    ]


def alone(folder, dataset, out, *arguments, **changes):
    """The same runs, each in a process of its own but for what it has imported."""
    for job in jobs(out, *arguments, **changes):
        named = {f"{name}_path": path for name, path in job.paths.items()}
        finetune(folder, dataset, job.settings, **named)
    return contents(out)


@pytest.mark.parametrize("changes", [{}, {"train_rows": 64}, {"patience": 1}])
def test_three_seeds_together_are_three_runs(
    folder, dataset, tmp_path, capsys, changes
):
    expected = alone(folder, dataset, tmp_path / "alone", **changes)
    capsys.readouterr()
    finetune_each(folder, dataset, jobs(tmp_path / "together", **changes))
    assert contents(tmp_path / "together") == expected and len(expected) == 9
    said = capsys.readouterr().err.splitlines()
    assert [line[:8] for line in said[:3]] == ["seed 1: ", "seed 2: ", "seed 3: "]
    if not changes:  # they did take turns
        assert [line[:6] for line in said] == ["seed 1", "seed 2", "seed 3"] * 2


def test_data_is_read_and_tokenized_once(folder, dataset, tmp_path, monkeypatch):
    counts = []
    real = finetuning.examples.prepared.table

    def table(*arguments):
        counts.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(finetuning.examples.prepared, "table", table)
    begun, init = [], Tuning.__init__

    def note(self, *arguments, **options):
        init(self, *arguments, **options)
        begun.append(self)

    monkeypatch.setattr(Tuning, "__init__", note)
    finetune_each(folder, dataset, jobs(tmp_path, epochs=1))
    assert len(counts) == 3  # one a split
    assert len({id(run.inputs) for run in begun}) == 1
    begun.clear()
    finetune_each(folder, dataset, jobs(tmp_path / "few", epochs=1, train_rows=32))
    assert len({id(run.inputs) for run in begun}) == 3


def test_the_times_of_all_are_the_times_of_the_process():
    clocks = [Clock(3), Clock(3), Clock(3)]
    for clock in clocks:
        clock._before = (clock._before[0] - 30, clock._before[1] - 15)
    spent = clocks[0].spent()
    assert spent["seconds"] == pytest.approx(10, abs=0.5)
    assert spent["cores"] == pytest.approx(0.5, abs=0.05)
    for clock in clocks[1:]:
        clock.share(2)
        clock._before = (clock._before[0] - 30, clock._before[1] - 15)
    assert clocks[1].spent(5.0)["seconds"] == pytest.approx(5 + 10 + 15, abs=0.5)


def test_a_seed_that_diverges_takes_no_other_with_it(folder, dataset, tmp_path):
    changes = {2: {"learning_rate": 1e30, "warmup_steps": 0}}
    expected = alone(folder, dataset, tmp_path / "alone", SEEDS, changes)
    found = jobs(tmp_path / "together", SEEDS, changes)
    for job in found:
        job.paths["model"] = job.paths["metrics"].with_name("model")
    with pytest.raises(InputError, match="seed2/model: not written, as the loss was"):
        finetune_each(folder, dataset, found)
    ended = contents(tmp_path / "together")
    assert {name: ended[name] for name in expected} == expected
    assert "diverged loss" in ended["seed2/metrics.json"]["flags"]
    assert (tmp_path / "together/seed3/model/config.json").exists()
    assert not (tmp_path / "together/seed2/model").exists()


# --- Killed, stopped, gone on with ----------------------------------------------------


@pytest.mark.sweep
def test_killed_anywhere_they_go_on(folder, dataset, tmp_path, some_kills):
    def work(kill, out):
        kill.begin()
        finetune_each(folder, dataset, jobs(out, epochs=1), keep=True, save_seconds=0.0)

    whole = tmp_path / "whole"
    count = operations(lambda kill: work(kill, whole), tmp_path)
    expected = contents(whole)
    assert expected == alone(folder, dataset, tmp_path / "alone", epochs=1)
    assert count > 150
    for number in some_kills(count):
        out = tmp_path / str(number)
        assert killed(lambda kill, to=out: work(kill, to), number) == -9
        if number % 2:  # by Snakemake, where it has seen the job fail
            for path in out.glob("*/*"):
                if path.name != ".state":
                    files.remove(path)

        def again(to=out):
            finetune_each(folder, dataset, jobs(to, epochs=1), keep=True)

        assert in_child(again) == 0
        assert contents(out) == expected, number


@pytest.mark.parametrize("keep", [False, True])
def test_a_signal_stops_all_with_their_states(
    folder, dataset, tmp_path, monkeypatch, capsys, keep
):
    expected = alone(folder, dataset, tmp_path / "alone")
    taken, step = [], Tuning.step

    def stopped(self, number):
        taken.append(number)
        if len(taken) == 8:  # seed 2's third
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, number)

    with monkeypatch.context() as patched:
        patched.setattr(Tuning, "step", stopped)
        with pytest.raises(SystemExit) as ended:
            finetune_each(folder, dataset, jobs(tmp_path / "t"), keep=keep)
    assert ended.value.code == 128 + signal.SIGTERM
    assert taken == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    said = capsys.readouterr().err
    for line in ("seed 1: stopped after 4", "seed 2: stopped after 3"):
        assert line in said
    finetune_each(folder, dataset, jobs(tmp_path / "t"), keep=keep)
    said = capsys.readouterr().err
    assert said.count("going on from") == 3
    assert contents(tmp_path / "t") == expected


def no_step(*_):
    raise AssertionError("a step was taken")


def test_a_seed_that_is_added_is_the_only_one_to_train(
    folder, dataset, tmp_path, monkeypatch, capsys
):
    """Whatever made the others: single runs, or a process of several."""
    expected = alone(folder, dataset, tmp_path / "alone", (*SEEDS, 4))
    out = tmp_path / "grown"
    alone(folder, dataset, out, (1,))
    finetune_each(folder, dataset, jobs(out, (2, 3)), keep=True)
    capsys.readouterr()
    seeds, step = [], Tuning.step

    def note(self, number):
        seeds.append(self.settings.seed)
        return step(self, number)

    monkeypatch.setattr(Tuning, "step", note)
    finetune_each(folder, dataset, jobs(out, (*SEEDS, 4)), keep=True)
    assert {*seeds} == {4} and capsys.readouterr().err.count("made before: ") == 3
    assert contents(out) == expected
    # a file that is lost is given again by the state, unless that is lost, too
    monkeypatch.setattr(Tuning, "step", no_step)
    (out / "seed2/history.csv").unlink()
    finetune_each(folder, dataset, jobs(out), keep=True)
    assert contents(out) == expected
    files.remove(out / "seed2")
    with pytest.raises(AssertionError, match="a step was taken"):
        finetune_each(folder, dataset, jobs(out), keep=True)


def test_what_other_settings_data_or_weights_made_is_not_kept(
    folder, dataset, tmp_path, monkeypatch
):
    finetune_each(folder, dataset, jobs(tmp_path, (1,)), keep=True)
    monkeypatch.setattr(Tuning, "step", no_step)
    finetune_each(folder, dataset, jobs(tmp_path, (1,)), keep=True)
    with pytest.raises(AssertionError, match="a step was taken"):
        finetune_each(folder, dataset, jobs(tmp_path, (1,), epochs=3), keep=True)
    with pytest.raises(AssertionError, match="a step was taken"):  # unless told to
        finetune_each(folder, dataset, jobs(tmp_path / "none", (1,)))
    path = paths(tmp_path, 1)["metrics"]
    whole = json.loads(path.read_text())
    files.remove(path.parent / ".state")
    for key in ("encoder_sha256", "data_sha256"):
        path.write_text(json.dumps(whole | {key: {}}))
        with pytest.raises(AssertionError, match="a step was taken"):
            finetune_each(folder, dataset, jobs(tmp_path, (1,)), keep=True)
    for text in ("{", "[]"):
        path.write_text(text)
        with pytest.raises(AssertionError, match="a step was taken"):
            finetune_each(folder, dataset, jobs(tmp_path, (1,)), keep=True)


# --- As a GPU has it ------------------------------------------------------------------


def test_one_compiled_step_serves_all(folder, dataset):
    """Which is why their batches have one shape, and the seed is no part of a step."""
    compiled = []

    def backend(module, _):
        compiled.append(module)
        return module

    torch._dynamo.reset()
    compiler = {"backend": backend, "dynamic": False}
    settings = [hparams(seed=seed, epochs=1) for seed in SEEDS]
    [data, *_] = examples.read_each(dataset, settings)
    inputs, runs = None, []
    for one in settings:
        runs.append(Tuning(folder, data, one, compiler, inputs))
        inputs = runs[0].inputs
    for step in range(4):
        for run in runs:
            run.step(step)
    assert all(run.compiled and run.has_compiled for run in runs)
    assert len(compiled) == 1
    plain = Tuning(folder, data, settings[1], {"backend": "eager", "dynamic": False})
    for step in range(4):
        plain.step(step)
    for name, parameter in plain.trained.items():
        assert torch.equal(parameter, runs[1].trained[name])
    torch._dynamo.reset()


def test_each_step_is_issued_to_the_runs_own_stream(monkeypatch):
    from contextlib import contextmanager

    current = []

    @contextmanager
    def on(stream):
        current.append(stream)
        yield
        current.pop()

    seen = []

    def run(name):
        for _ in range(2):
            seen.append((name, list(current)))
            yield

    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: seen.append("waited"))
    turns.take([Turn(run("a"), stream="A"), Turn(run("b"))], Stop())
    assert seen == ["waited", *[("a", ["A"]), ("b", [])] * 2]


def test_the_optimizers_of_several_runs_share_nothing(folder, dataset, tmp_path):
    """A moment of one in the other would be seen in no score at once."""
    settings = [hparams(seed=seed) for seed in (1, 2)]
    data = examples.read(dataset, settings[0])
    first = Tuning(folder, data, settings[0])
    second = Tuning(folder, data, settings[1], inputs=first.inputs)
    assert isinstance(first.optimizer, AdamW)
    held = [
        {t.data_ptr() for t in (*run.trained.values(), *run.moments().values())}
        for run in (first, second)
    ]
    assert not held[0] & held[1]


# --- The command ----------------------------------------------------------------------


def test_the_command_takes_seeds_and_a_path_for_each(folder, dataset, tmp_path):
    expected = alone(folder, dataset, tmp_path / "alone", (5, 7), epochs=1)
    told = {key: value for key, value in HPARAMS.items() if key != "seed"}
    found = {seed: paths(tmp_path / "made", seed) for seed in (5, 7)}
    words = ["--encoder", folder, "--data", dataset, "--seeds", 5, 7]
    words += ["--hparams", json.dumps(told | {"epochs": 1})]
    for name in NAMES:
        words += [f"--{name}", *(found[seed][name] for seed in (5, 7))]
    finetuning.main(list(map(str, words)))
    assert contents(tmp_path / "made") == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["--seeds", "1", "2", "--metrics", "a"],
            "--metrics: found 1 paths, exp",
        ),
        (["--seeds", "1", "2", "--metrics", "a", "a"], "--metrics: found 1 paths"),
        (["--metrics", "a", "b"], "--metrics: found 2 paths, expected 1"),
        (["--seeds", "1", "1"], "--seeds: found .1, 1., expected no seed twice"),
        (["--seeds", "-1"], "seed: found -1"),
    ],
)
def test_seeds_and_paths_that_do_not_fit(words, expected):
    told = ["--encoder", "none", "--data", "none", "--hparams", json.dumps(HPARAMS)]
    with pytest.raises(InputError, match=expected):
        finetuning.main([*told, *words])


def test_a_regression_of_several_seeds_shares_its_scale(folder, tmp_path):
    splits = {}
    for index, name in enumerate(("train", "dev", "test")):
        sequences, labels = planted(index, 48, 2)
        splits[name] = sequences, 50.0 + np.stack([9.0 * labels], axis=1)
    data = write(tmp_path / "r", splits, "regression", targets=("one",))
    told = {"metric": "pearson", "epochs": 1}
    expected = alone(folder, data, tmp_path / "alone", **told)
    finetune_each(folder, data, jobs(tmp_path / "together", **told))
    assert contents(tmp_path / "together") == expected

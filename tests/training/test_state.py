"""A fine-tuning that was stopped anywhere ends as if it had not been."""

import json
import os
import signal
import subprocess
import sys

import pytest
import torch
from made.dataset import HPARAMS, hparams

from randommask import files, metrics
from randommask.errors import InputError
from randommask.finetuning.__main__ import finetune
from randommask.finetuning.tuning import Tuning
from randommask.training.state import StateFolder

torch.set_num_threads(1)
SETTINGS = {"epochs": 3}  # 20 steps each
VARYING = ("seconds", "peak_memory_bytes")


def run(folder, data, out, save_seconds=0.0, **changes):
    finetune(
        folder,
        data,
        hparams(**SETTINGS | changes),
        metrics_path=out / "metrics.json",
        predictions_path=out / "predictions.parquet",
        history_path=out / "history.csv",
        save_seconds=save_seconds,
    )


def results(out):
    """What a run wrote, but for what no two runs share; nothing else may lie there."""
    report = json.loads((out / "metrics.json").read_text())
    for name in VARYING:
        report.pop(name)
    assert sorted(path.name for path in out.iterdir()) == [
        "history.csv",
        "metrics.json",
        "predictions.parquet",
    ]
    bytes_ = (out / "predictions.parquet").read_bytes()
    return report, bytes_, (out / "history.csv").read_bytes()


@pytest.fixture(scope="module")
def whole(folder, dataset, tmp_path_factory):
    """The results of a run that nothing stopped: a short one, which keeps no state."""
    out = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StateFolder, "open", None)
        run(folder, dataset, out, save_seconds=60)
    return results(out)


class Killed(Exception):
    pass


def kill_at(monkeypatch, step):
    """Let the next run end in an exception before it takes that step."""
    take = Tuning.step

    def stopping(self, now):
        if now == step:
            raise Killed
        return take(self, now)

    monkeypatch.setattr(Tuning, "step", stopping)


@pytest.mark.parametrize("step", [1, 19, 20, 21, 59])
def test_stopped_anywhere_and_going_on(
    folder, dataset, tmp_path, whole, monkeypatch, capsys, step
):
    with monkeypatch.context() as patch:
        kill_at(patch, step)
        with pytest.raises(Killed):
            run(folder, dataset, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".state"]
    steps, take = [], Tuning.step
    monkeypatch.setattr(
        Tuning, "step", lambda self, now: (steps.append(now), take(self, now))[1]
    )
    run(folder, dataset, tmp_path)
    assert steps == list(range(step, 60))
    assert "going on from" in capsys.readouterr().err
    assert results(tmp_path) == whole


def command(folder, data, out, code):
    """Start the command in a process of its own, after `code`."""
    flags = ["--encoder", folder, "--data", data, "--save-seconds", "0"]
    for name in ("metrics.json", "predictions.parquet", "history.csv"):
        flags += [f"--{name.split('.')[0]}", out / name]
    flags += ["--hparams", json.dumps(HPARAMS | SETTINGS)]
    preamble = (
        "import os; from randommask import errors;"
        "from randommask.finetuning import __main__ as finetune, tuning"
    )
    lines = [preamble, "take = tuning.Tuning.step", code, "errors.run(finetune.main)"]
    return subprocess.run(
        [sys.executable, "-c", "\n".join(lines), *map(str, flags)],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)]
)
def test_a_killed_process_goes_on(folder, dataset, tmp_path, whole, number, status):
    code = f"""
def step(self, now):
    if now == 27:
        os.kill(os.getpid(), {int(number)})
    return take(self, now)
tuning.Tuning.step = step"""
    done = command(folder, dataset, tmp_path, code)
    assert done.returncode == status, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == [".state"]
    run(folder, dataset, tmp_path)
    assert results(tmp_path) == whole


def test_the_best_weights_so_far_are_kept(folder, dataset, tmp_path, monkeypatch):
    """With dev scores made up, the best epoch lies before the stop."""
    reports = []
    for name, step in (("stopped", 50), ("whole", None)):
        made_up = iter([0.1, 0.9, 0.3])
        with monkeypatch.context() as patch:
            patch.setattr(metrics, "choose", lambda *_, made_up=made_up: next(made_up))
            if step:
                with patch.context() as killing:
                    kill_at(killing, step)
                    with pytest.raises(Killed):
                        run(folder, dataset, tmp_path / name)
            run(folder, dataset, tmp_path / name)
        reports.append(results(tmp_path / name))
    assert reports[0] == reports[1] and reports[0][0]["best_epoch"] == 2


def test_a_state_of_other_settings_is_deleted_and_named(
    folder, dataset, tmp_path, monkeypatch, capsys
):
    with monkeypatch.context() as patch:
        kill_at(patch, 30)
        with pytest.raises(Killed):
            run(folder, dataset, tmp_path, learning_rate=1e-3)
    run(folder, dataset, tmp_path)
    said = capsys.readouterr().err
    assert "settings.learning_rate: 0.001 -> 0.003" in said
    assert "going on from" not in said
    assert len(results(tmp_path)[0]["test"]) > 1


@pytest.mark.parametrize("damaged", ["one", "both"])
def test_a_damaged_state_is_passed_over(
    folder, dataset, tmp_path, whole, monkeypatch, capsys, damaged
):
    with monkeypatch.context() as patch:
        kill_at(patch, 30)
        with pytest.raises(Killed):
            run(folder, dataset, tmp_path)
    kept = sorted(tmp_path.glob(".state/*/rolling-*.safetensors"))
    assert [path.stem for path in kept] == ["rolling-29", "rolling-30"]
    for path in kept if damaged == "both" else kept[1:]:
        path.write_bytes(path.read_bytes()[:1000])
    run(folder, dataset, tmp_path)
    said = capsys.readouterr().err
    assert f"warning: skipped: {kept[1]}" in said
    assert ("after 29 steps" in said) == (damaged == "one")
    assert results(tmp_path) == whole


def test_nothing_is_open_in_the_state_when_it_is_deleted(
    folder, dataset, tmp_path, whole, monkeypatch, nfs
):
    with monkeypatch.context() as patch:
        kill_at(patch, 30)
        with pytest.raises(Killed):
            run(folder, dataset, tmp_path)
    run(folder, dataset, tmp_path)
    assert results(tmp_path) == whole


def test_a_second_writer_is_refused(folder, dataset, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_at(patch, 30)
        with pytest.raises(Killed):
            run(folder, dataset, tmp_path)
    [state] = tmp_path.glob(".state/*")
    with (
        files.lock(state / "lock", wait=False),
        pytest.raises(InputError, match="being written by"),
    ):
        run(folder, dataset, tmp_path)


def test_sigterm_means_what_it_meant_before_once_a_run_is_over(
    folder, dataset, tmp_path
):
    before = signal.getsignal(signal.SIGTERM)
    run(folder, dataset, tmp_path, epochs=1)
    assert signal.getsignal(signal.SIGTERM) == before

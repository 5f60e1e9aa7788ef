"""A fine-tuning that was stopped anywhere ends as if it had not been."""

import json
import math
import os
import signal
import subprocess
import sys

import pytest
import torch
from made.dataset import HPARAMS, hparams
from made.kills import in_child
from safetensors.torch import save_file

from randommask import files, metrics
from randommask.errors import InputError
from randommask.finetuning.__main__ import finetune
from randommask.finetuning.tuning import Tuning
from randommask.training import state
from randommask.training.signals import Stop
from randommask.training.state import StateFolder

torch.set_num_threads(1)
SETTINGS = {"epochs": 3}  # 20 steps each
VARYING = ("seconds", "cores", "peak_memory_bytes")


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
    """What a run wrote, but for what no two runs share; only a state lies beside it."""
    report = json.loads((out / "metrics.json").read_text())
    for name in VARYING:
        report.pop(name)
    assert sorted({path.name for path in out.iterdir()} - {".state"}) == [
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
    ("number", "status"),
    [
        (signal.SIGKILL, -9),
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.sweep),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.sweep),
    ],
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
    assert "Traceback" not in done.stderr
    if status > 0:
        assert list(tmp_path.glob(".state/*/rolling-28.safetensors"))
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


def test_a_state_of_other_settings_is_put_aside_and_named(
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
    [aside] = tmp_path.glob(".state/aside/*")
    assert str(aside) in said and len(list(aside.glob("rolling-*"))) == 2
    assert len(results(tmp_path)[0]["test"]) > 1


def test_what_is_finished_is_given_its_name_again(
    folder, dataset, tmp_path, monkeypatch, capsys
):
    run(folder, dataset, tmp_path)
    made = results(tmp_path)
    for path in tmp_path.glob("*.*"):
        if path.name != ".state":
            path.unlink()
    monkeypatch.setattr(Tuning, "step", None)
    run(folder, dataset, tmp_path, save_seconds=60)
    assert "finished before" in capsys.readouterr().err
    assert results(tmp_path) == made


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
    folder, dataset, whole, monkeypatch, nfs
):
    with monkeypatch.context() as patch:
        kill_at(patch, 30)
        with pytest.raises(Killed):
            run(folder, dataset, nfs)
    run(folder, dataset, nfs)
    assert results(nfs) == whole


def test_a_second_writer_is_refused(folder, dataset, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        kill_at(patch, 30)
        with pytest.raises(Killed):
            run(folder, dataset, tmp_path)
    [kept] = tmp_path.glob(".state/*")
    with (
        files.lock(kept / "lock", wait=False),
        pytest.raises(InputError, match="being written by"),
    ):
        run(folder, dataset, tmp_path)


def test_sigterm_means_what_it_meant_before_once_a_run_is_over(
    folder, dataset, tmp_path
):
    before = signal.getsignal(signal.SIGTERM)
    run(folder, dataset, tmp_path, epochs=1)
    assert signal.getsignal(signal.SIGTERM) == before


# --- One bit --------------------------------------------------------------------------


def checkpoint(path):
    tensors = {"weights.a": torch.randn(40), "moments.a.exp_avg": torch.zeros(3)}
    state.write(path, tensors, {"step": 7, "rows": [{"loss": 0.1}], "best": -math.inf})
    return path


def test_every_flipped_bit_of_a_checkpoint_is_found_or_without_effect(tmp_path):
    path = checkpoint(tmp_path / "rolling-7.safetensors")
    weights, moments, progress = state.read(path)
    whole, found = path.read_bytes(), 0
    for position in range(0, 8 * len(whole), 7):
        damaged = bytearray(whole)
        damaged[position // 8] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        try:
            others = state.read(path)
        except InputError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            found += 1
            continue
        assert torch.equal(others[0]["a"], weights["a"])
        assert torch.equal(others[1]["a.exp_avg"], moments["a.exp_avg"])
        assert others[2] == progress
    assert found > 0.9 * 8 * len(whole) / 7


def test_a_checkpoint_from_before_there_were_checksums_is_read(tmp_path, capsys):
    path = tmp_path / "state.safetensors"
    save_file({"weights.a": torch.ones(2)}, path, {"state": json.dumps({"step": 3})})
    weights, _, progress = state.read(path)
    assert progress == {"step": 3} and weights["a"].sum() == 2
    assert "has no checksum" in capsys.readouterr().err
    assert state.checksum(path) == files.sha256(path)


def test_the_same_checkpoint_is_the_same_bytes(tmp_path):
    torch.manual_seed(0)
    one = checkpoint(tmp_path / "1.safetensors").read_bytes()
    torch.manual_seed(0)
    assert checkpoint(tmp_path / "2.safetensors").read_bytes() == one


# --- Signals and logs -----------------------------------------------------------------


def test_who_asks_twice_does_not_wait():
    def ask():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
        stop = Stop()
        with stop.heeding():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.status == 130
            os.kill(os.getpid(), signal.SIGINT)
        os._exit(3)

    assert in_child(ask) == -signal.SIGINT


def test_what_nohup_ignores_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        stop = Stop()
        with stop.heeding():
            os.kill(os.getpid(), signal.SIGHUP)
        assert stop.number is None
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_log_that_takes_no_more_ends_nothing():
    """As on a full disk; nor is anything left to write when the process ends."""
    code = """
import os, sys
from randommask.training.signals import unfailing_stderr
os.dup2(os.open(os.devnull, os.O_RDONLY), 2)
with unfailing_stderr():
    print("lost", file=sys.stderr)
    sys.stderr.write("lost")
    sys.stderr.flush()
"""
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment)
    assert done.returncode == 0

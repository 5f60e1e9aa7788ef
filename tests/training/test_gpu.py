"""GPUs of one machine, handed out: real processes, made-up GPUs."""

import os
import signal
import subprocess
import sys
import time

import pytest

from randommask.errors import InputError
from randommask.files import WORKFLOW
from randommask.training import gpu

# says which GPUs it got and waits until it may end
HOLD = """
import os, sys, time
from pathlib import Path
note = Path(sys.argv[1])
note.with_suffix(".tmp").write_text(os.environ["CUDA_VISIBLE_DEVICES"])
note.with_suffix(".tmp").rename(note)
while not Path(sys.argv[2]).exists():
    time.sleep(0.02)
sys.exit(7)
"""


@pytest.fixture
def machine(tmp_path):
    """Start holders on a machine with some GPUs; all are gone in the end."""
    started = []

    class Machine:
        gpus = "0,1"
        stop = tmp_path / "stop"

        def start(self, count, share, name):
            note = tmp_path / name
            words = ["--gpus", str(count), "--share", str(share), "--"]
            words += [sys.executable, "-c", HOLD, str(note), str(self.stop)]
            process = subprocess.Popen(
                [sys.executable, "-m", "randommask.training.gpu", *words],
                env={
                    **os.environ,
                    "PYTHONPATH": str(WORKFLOW),
                    "RANDOMMASK_GPUS": self.gpus,
                    "RANDOMMASK_LOCKS": str(tmp_path / "locks"),
                },
                stderr=subprocess.DEVNULL,
            )
            started.append(process)
            return process

        def got(self, name, seconds=10.0):
            """The GPUs that a holder has; None where it still waits."""
            end = time.monotonic() + seconds
            while not (tmp_path / name).exists():
                if time.monotonic() > end:
                    return None
                time.sleep(0.02)
            return (tmp_path / name).read_text()

    yield Machine()
    for process in started:
        process.kill()
        process.wait()


def test_two_exclusive_holders_never_meet(machine):
    machine.start(1, 1, "a")
    first = machine.got("a")
    machine.start(1, 1, "b")
    assert {first, machine.got("b")} == {"0", "1"}
    third = machine.start(1, 1, "c")
    assert machine.got("c", 0.8) is None  # it waits
    machine.stop.touch()
    assert machine.got("c") in ("0", "1")
    assert third.wait(10) == 7  # the command's own exit status


def test_many_at_once_are_never_two_on_one(tmp_path):
    alone = (
        "import os, time;"
        "place = os.environ['PLACE'] + os.environ['CUDA_VISIBLE_DEVICES'];"
        "os.mkdir(place); time.sleep(0.1); os.rmdir(place)"  # fails where one is there
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(WORKFLOW),
        "RANDOMMASK_GPUS": "0,1",
        "RANDOMMASK_LOCKS": str(tmp_path / "locks"),
        "PLACE": str(tmp_path / "gpu"),
    }
    words = [sys.executable, "-m", "randommask.training.gpu", "--gpus", "1", "--"]
    words += [sys.executable, "-c", alone]
    running = [subprocess.Popen(words, env=environment) for _ in range(8)]
    assert [process.wait(30) for process in running] == [0] * 8


def test_kill_9_lets_go(machine):
    machine.gpus = "3"
    first = machine.start(1, 1, "a")
    assert machine.got("a") == "3"
    machine.start(1, 1, "b")
    assert machine.got("b", 0.5) is None
    first.send_signal(signal.SIGKILL)
    assert machine.got("b") == "3"


def test_sigterm_reaches_the_command(machine):
    process = machine.start(2, 1, "a")
    assert machine.got("a") == "0,1"
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM


def test_one_that_waits_can_be_stopped(machine):
    machine.start(2, 1, "a")
    assert machine.got("a") == "0,1"
    waiting = machine.start(1, 1, "b")
    assert machine.got("b", 0.6) is None
    waiting.send_signal(signal.SIGTERM)
    assert waiting.wait(10) == -signal.SIGTERM


def test_small_ones_share_a_gpu_and_a_large_one_waits_its_turn(machine):
    machine.gpus = "0"
    for name in "ab":
        machine.start(1, 2, name)
        assert machine.got(name) == "0"
    machine.start(1, 1, "large")
    assert machine.got("large", 0.6) is None
    machine.start(1, 3, "late")  # there is a place for it, but it came later
    assert machine.got("late", 0.6) is None
    machine.stop.touch()
    assert machine.got("large") == "0" and machine.got("late") == "0"


# --- Within one process ---------------------------------------------------------------


def test_all_or_nothing_is_held(tmp_path):
    locks, others = gpu.Locks(tmp_path), gpu.Locks(tmp_path)
    assert locks._try(["0", "1"], 1, 1) == ["0"]
    assert others._try(["0", "1"], 2, 1) is None
    assert others._try(["0", "1"], 1, 1) == ["1"]  # nothing of the attempt is left
    assert others._try(["0", "1"], 1, 4) is None


def test_a_gpu_has_as_many_places_as_asked(tmp_path):
    locks = gpu.Locks(tmp_path)
    assert [locks._try(["0", "1"], 1, 2) for _ in range(5)] == [
        ["0"],
        ["0"],
        ["1"],
        ["1"],
        None,
    ]


def test_which_gpus_there_are(tmp_path, monkeypatch):
    assert gpu.visible({"RANDOMMASK_GPUS": "0, 2", "CUDA_VISIBLE_DEVICES": "5"}) == [
        "0",
        "2",
    ]
    assert gpu.visible({"CUDA_VISIBLE_DEVICES": "GPU-1,GPU-2"}) == ["GPU-1", "GPU-2"]
    assert gpu.visible({"CUDA_VISIBLE_DEVICES": ""}) == []
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpu.visible({}) == []
    fake = tmp_path / "nvidia-smi"
    fake.write_text("#!/bin/sh\necho 0\necho 1\n")
    fake.chmod(0o755)
    assert gpu.visible({}) == ["0", "1"]


def test_what_cannot_be_is_said(tmp_path, monkeypatch):
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.setenv(name, "")  # whatever is set here is taken back
    monkeypatch.setenv("RANDOMMASK_GPUS", "0")
    monkeypatch.setenv("RANDOMMASK_LOCKS", str(tmp_path))
    with pytest.raises(InputError, match=r"1 GPUs here \(0\), expected 2"):
        gpu.main(["--gpus", "2", "--", "true"])
    with pytest.raises(InputError, match="expected --gpus"):
        gpu.main(["--gpus", "1"])
    with pytest.raises(InputError, match="no-such-command: No such file"):
        gpu.main(["--gpus", "1", "--", "no-such-command"])

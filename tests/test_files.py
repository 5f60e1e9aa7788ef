"""What is written replaces its like, and never what is somebody else's."""

import errno
import fcntl
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest

from randommask import files, predict
from randommask.errors import InputError
from randommask.finetuning import outputs
from randommask.finetuning.__main__ import finetune
from randommask.report.figures import style


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def write(path, text="new"):
    files.write_text(path, text)


def make(path, *ours, name="a.txt"):
    with files.make_aside(path, *ours) as aside:
        aside.mkdir()
        (aside / name).write_text("new")


def test_a_file_is_replaced_and_stays_where_writing_fails(tmp_path):
    path = tmp_path / "deep" / "out.tsv"
    write(path, "old")
    with pytest.raises(RuntimeError), files.write_aside(path) as aside:
        aside.write_text("half")
        assert aside.suffix == ".tsv"
        raise RuntimeError
    assert path.read_text() == "old"
    write(path)
    assert path.read_text() == "new" and names(path.parent) == ["out.tsv"]


def test_a_file_never_replaces_a_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("precious")
    with pytest.raises(InputError, match="is a folder, expected the name of a file"):
        write(tmp_path)
    assert names(tmp_path) == ["notes.txt"]


def test_a_folder_replaces_no_file_and_nothing_of_others(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(InputError, match="is a file, expected the name of a folder"):
        make(tmp_path / "file")
    folder = tmp_path / "folder"
    folder.mkdir()
    make(folder)  # empty
    with pytest.raises(InputError, match=r"holds a\.txt, expected an empty folder"):
        make(folder)
    make(folder, "*.txt", name="b.txt")  # what the same work left
    assert names(folder) == ["b.txt"]
    (folder / "notes.md").write_text("precious")
    with pytest.raises(InputError, match=r"holds notes\.md"):
        make(folder, "*.txt")
    assert names(folder) == ["b.txt", "notes.md"]
    assert names(tmp_path) == ["file", "folder"]


def test_what_others_put_there_meanwhile_stays(tmp_path):
    folder = tmp_path / "folder"
    with pytest.raises(InputError, match="holds notes"), files.make_aside(folder):
        folder.mkdir()
        (folder / "notes").write_text("precious")
    assert names(folder) == ["notes"]


def test_commands_refuse_before_any_work(tmp_path):
    """There is no model, no encoder and no data, and that is not what they say."""
    (tmp_path / "notes").write_text("precious")
    with pytest.raises(InputError, match="is a folder"):
        predict.predict("none", tmp_path, fasta="none.fa")
    with pytest.raises(InputError, match="is a folder"):
        finetune("none", "none", None, metrics_path=tmp_path)
    with pytest.raises(InputError, match="holds notes"):
        finetune("none", "none", None, model_path=tmp_path)


def test_a_link_stays_and_what_it_leads_to_is_replaced(tmp_path):
    write(tmp_path / "disk" / "real.tsv", "old")
    (tmp_path / "link.tsv").symlink_to("disk/real.tsv")
    write(tmp_path / "link.tsv")
    assert (tmp_path / "link.tsv").is_symlink()
    assert (tmp_path / "disk" / "real.tsv").read_text() == "new"
    (tmp_path / "disk" / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "folder")
    make(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "disk" / "folder") == ["a.txt"]


def test_pipes_and_devices_are_written_to(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
    write(pipe)
    assert reader.communicate(timeout=60)[0] == b"new"
    write("/dev/null")
    assert pipe.is_fifo() and not os.path.isfile("/dev/null")


FEW = SimpleNamespace(
    splits={"test": SimpleNamespace(labels=np.arange(2))},
    type="classification",
    classes=2,
    targets=(),
)
WRITERS = {
    "text": lambda path: files.write_text(path, "new"),
    "history": lambda path: outputs.write_history(path, ["a"], [[1]]),
    "pictures": lambda path: style.save(plt.figure(), path, path),
    "parquet": lambda path: outputs.write_predictions(path, FEW, np.zeros((2, 2))),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_of_file_goes_down_a_pipe(tmp_path, kind):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    held = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # what is written waits here
    WRITERS[kind](pipe)
    assert os.read(held, 1 << 16)
    os.close(held)
    assert names(tmp_path) == ["pipe"] and pipe.is_fifo()


def test_a_link_that_leads_to_itself_is_refused(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for refuse in (write, make):
        with pytest.raises(InputError, match="leads to itself"):
            refuse(tmp_path / "loop")
    assert (tmp_path / "loop").is_symlink()


def test_a_folder_that_may_not_be_written_is_told_before_any_work(
    tmp_path, monkeypatch
):
    (tmp_path / "old").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    for check in (files.check_file, files.check_folder):
        with pytest.raises(InputError, match="may not be written to"):
            check(tmp_path / "deep" / "new")
    with pytest.raises(InputError, match="may not be written to"):
        files.check_folder(tmp_path / "old")
    with pytest.raises(InputError, match="may not be written to"):
        files.check_file("/dev/null")


def test_standard_output_is_added_to(tmp_path):
    """As in `predict ... --output /dev/stdout >> all.tsv`."""
    line = [sys.executable, "-c"]
    line += ["from randommask import files; files.write_text('/dev/stdout', 'new')"]
    (tmp_path / "all.tsv").write_text("old ")
    with open(tmp_path / "all.tsv", "a") as file:
        subprocess.run(line, stdout=file, check=True)
    assert (tmp_path / "all.tsv").read_text() == "old new"
    assert names(tmp_path) == ["all.tsv"]
    assert subprocess.run(line, capture_output=True, check=True).stdout == b"new"


def test_what_a_shell_opened_is_added_to(tmp_path):
    """As in `predict ... --output /dev/fd/3 3>> all.tsv`."""
    act = "from randommask import files; files.write_text('/dev/fd/3', 'new')"
    (tmp_path / "all.tsv").write_text("old ")
    line = f'"{sys.executable}" -c "{act}" 3>> all.tsv'
    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True)
    assert (tmp_path / "all.tsv").read_text() == "old new"
    assert names(tmp_path) == ["all.tsv"]


def test_only_what_a_dead_process_left_of_the_same_name_is_deleted(tmp_path):
    host = socket.gethostname()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = {
        f".s.tsv.{dead.pid}@{host}.aside.tsv": False,
        f".s.tsv.{os.getppid()}@{host}.aside.tsv": True,  # alive
        f".s.tsv.{dead.pid}@not-{host}.aside.tsv": True,  # nobody can say
        f".s.rc.tsv.{dead.pid}@{host}.aside.tsv": True,  # of another output
        f".s.{dead.pid}@{host}.aside": True,
    }
    for name in left:
        (tmp_path / name).write_text("half")
    # a process of our number, killed before we had it
    ours = tmp_path / f".folder.{os.getpid()}@{host}.aside"
    ours.mkdir()
    write(tmp_path / "s.tsv")
    make(tmp_path / "folder")
    stay = [name for name, stays in left.items() if stays]
    assert names(tmp_path) == sorted([*stay, "s.tsv", "folder"])


def test_what_another_host_left_is_deleted_after_a_week(tmp_path):
    half = tmp_path / ".out.5@elsewhere.aside"
    half.mkdir()
    (half / "part").write_text("half")
    week = time.time() - 8 * 86400
    os.utime(half, (week, week))
    make(tmp_path / "out")
    assert names(tmp_path) == [half.name, "out"]  # something in it is new
    os.utime(half / "part", (week, week))
    os.utime(half, (week, week))
    make(tmp_path / "out", "a.txt")
    assert names(tmp_path) == ["out"]


def test_a_name_that_only_looks_like_an_aside_is_left(tmp_path):
    host = socket.gethostname()
    theirs = [f".out.{'9' * 30}@{host}.aside", f".out.x@{host}.aside", ".out.aside"]
    for name in theirs:
        (tmp_path / name).write_text("precious")
    make(tmp_path / "out")
    assert names(tmp_path) == sorted([*theirs, "out"])


HOLD = """
import sys, time
from pathlib import Path
from randommask import files
with files.lock(Path(sys.argv[1]), wait=False):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds `lock`."""
    words = [sys.executable, "-c", HOLD, tmp_path / "lock"]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "held\n"
    yield child
    child.kill()
    child.wait()


def test_a_lock_is_its_holders_alone_and_says_whose(tmp_path, holder):
    with (
        pytest.raises(InputError, match=rf"being written by process {holder.pid} on"),
        files.lock(tmp_path / "lock", wait=False),
    ):
        pass


def test_who_waits_for_a_lock_gets_it_when_the_holder_is_killed(
    tmp_path, holder, capsys
):
    killer = threading.Timer(0.2, holder.kill)
    killer.start()
    with files.lock(tmp_path / "lock", wait=True):
        assert (tmp_path / "lock").read_text().startswith(f"process {os.getpid()} on")
    assert f"waiting for process {holder.pid}" in capsys.readouterr().err
    assert names(tmp_path) == []  # no lock is left


def test_a_holder_may_go_while_its_name_is_asked_for(tmp_path, holder, monkeypatch):
    """It deletes the file before it lets go: who waits then waits on."""

    def gone(*_, **__):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", gone)
    with (
        pytest.raises(InputError, match="being written by another process"),
        files.lock(tmp_path / "lock", wait=False),
    ):
        pass


def test_the_lock_of_another_is_not_deleted(tmp_path):
    """The folder was renamed, and another process made its like in the old place."""
    (tmp_path / "state").mkdir()
    with files.lock(tmp_path / "state" / "lock", wait=False):
        (tmp_path / "state").rename(tmp_path / "done")
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / "lock").touch()
    assert names(tmp_path / "state") == ["lock"]


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_told(tmp_path, monkeypatch, number):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with (
        pytest.raises(InputError, match=r"lock: cannot be locked \("),
        files.lock(tmp_path / "lock", wait=False),
    ):
        pass

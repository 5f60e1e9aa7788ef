"""What servers, disks and kills can do to one transfer."""

import errno
import os
import re
import signal
import socket
import subprocess
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from made import ROOT
from made.fetching import BODY, command, entry, fetch, found_in, parts_in, spec_of

from randommask.data import archive, progress, transfer
from randommask.errors import InputError


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that would have been made."""
    made = []
    monkeypatch.setattr(transfer.time, "sleep", made.append)
    return made


@pytest.mark.parametrize(
    ("told", "waited"), [("7", 7.0), ("86400", 120.0), ("0", 0.5), ("soon", 0.5)]
)
def test_a_busy_server_says_when_to_come_back(
    server, tmp_path, monkeypatch, pauses, told, waited
):
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.5)
    server.files["/a"] = BODY
    server.faults["/a"] = [{"Retry-After": told}]
    fetch(spec_of(server, "/a"), tmp_path / "out")
    assert pauses == [waited]
    assert (tmp_path / "out/data.bin").read_bytes() == BODY


def test_a_busy_server_may_say_it_by_date(server, tmp_path, pauses):
    server.files["/a"] = BODY
    date = datetime.now(UTC) + timedelta(seconds=40)
    server.faults["/a"] = [{"Retry-After": format_datetime(date, usegmt=True)}]
    fetch(spec_of(server, "/a"), tmp_path / "out")
    (waited,) = pauses
    assert 30 < waited <= 40


def test_a_server_that_never_answers_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(transfer, "TIMEOUT_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/a"
        spec = {"files": [{"name": "a", "urls": [url], "md5": "0" * 32}]}
        with pytest.raises(InputError, match=r"timed out|Timeout") as error:
            fetch(spec, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert capsys.readouterr().err.count("; again in") == transfer.TRIES - 1
    assert found_in(tmp_path) == []


def test_a_server_that_falls_silent_is_asked_for_the_rest(
    server, tmp_path, monkeypatch
):
    monkeypatch.setattr(transfer, "TIMEOUT_SECONDS", 0.2)
    server.files["/a"] = BODY
    server.faults["/a"] = [("hang", (1 << 20) + 5)]
    fetch(spec_of(server, "/a"), tmp_path / "out")
    assert (tmp_path / "out/data.bin").read_bytes() == BODY
    assert server.requests[1] == ("/a", f"bytes={(1 << 20) + 5}-")


def test_the_proxy_of_the_environment_is_asked(server, tmp_path, monkeypatch):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", server.url())
    server.files["http://data.example/a"] = BODY
    spec = {"files": [entry(server) | {"urls": ["http://data.example/a"]}]}
    fetch(spec, tmp_path / "out")
    assert server.requests == [("http://data.example/a", None)]
    assert (tmp_path / "out/data.bin").read_bytes() == BODY


def test_more_bytes_than_expected_are_not_taken(server, tmp_path):
    server.headers = False  # so that nothing is announced
    server.files["/a"] = BODY * 3
    with pytest.raises(InputError, match=f"more than the expected {len(BODY)} bytes"):
        fetch(spec_of(server, "/a"), tmp_path / "out")
    assert found_in(tmp_path) == []


class FullDisk:
    """A file on a disk with room for one more write."""

    def __init__(self, file):
        self.file, self.writes = file, 0

    def write(self, chunk):
        if self.writes:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.writes += 1
        return self.file.write(chunk)

    def flush(self):
        self.file.flush()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


def full_disk(path, mode="r", **options):
    file = open(path, mode, **options)  # noqa: SIM115
    return file if mode.startswith("r") else FullDisk(file)


def test_a_disk_that_gets_full_is_one_line_and_the_part_is_kept(
    server, tmp_path, monkeypatch
):
    server.files["/a"] = BODY
    with monkeypatch.context() as patch:
        patch.setattr(transfer, "open", full_disk, raising=False)
        with pytest.raises(InputError) as error:
            fetch(spec_of(server, "/a", "/b"), tmp_path / "out")
    assert server.requests == [("/a", None)]  # no other mirror helps
    (part,) = parts_in(tmp_path)
    kept = part.stat().st_size
    assert f"No space left on device ({kept} bytes are kept" in str(error.value)
    assert kept > 0 and part.read_bytes() == BODY[:kept]
    fetch(spec_of(server, "/a", "/b"), tmp_path / "out")
    assert server.requests[1:] == [("/a", f"bytes={kept}-")]
    assert (tmp_path / "out/data.bin").read_bytes() == BODY


def test_room_to_unpack_is_asked_for_before_the_first_byte(
    server, tmp_path, monkeypatch
):
    usage = archive.shutil.disk_usage(tmp_path)._replace(free=4 * len(BODY))
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda folder: usage)
    spec = spec_of(server, "/a", name="set.zip") | {"unpack": "zip"}
    with pytest.raises(InputError, match=f"needs {5 * len(BODY)} bytes of disk"):
        fetch(spec, tmp_path / "out")
    assert server.requests == []
    # Where the config has no size, the server's word comes before its first byte.
    server.files["/a"] = BODY
    spec["files"][0]["bytes"] = None
    with pytest.raises(InputError, match=f"needs {5 * len(BODY)} bytes of disk"):
        fetch(spec, tmp_path / "out")
    assert found_in(tmp_path) == []


def test_where_there_is_no_terminal_lines_tell_the_time_left(
    server, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(progress, "REPORT_SECONDS", 0.0)
    server.files["/a"] = BODY
    fetch(spec_of(server, "/a"), tmp_path / "out")
    first, *_, last = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"data\.bin: 0\.\d of 3\.1 MB, 0:00:0\d left", first)
    assert last == "data.bin: 3.1 of 3.1 MB"


def start(spec, output):
    return subprocess.Popen(
        command(spec, output),
        cwd=ROOT / "workflow",
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition):
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("nothing happened for ten seconds")


def test_after_kill_9_the_same_command_ends_with_the_same_bytes(server, tmp_path):
    server.files["/a"] = BODY
    server.faults["/a"] = [("hang", (2 << 20) + 5)]
    spec = spec_of(server, "/a")
    killed = start(spec, tmp_path / "out")
    wait_for(lambda: [p for p in parts_in(tmp_path) if p.stat().st_size > 2 << 20])
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (tmp_path / "out").exists()
    again = start(spec, tmp_path / "out")
    assert "waiting" not in again.communicate()[1]
    assert again.returncode == 0
    assert server.requests[1] == ("/a", f"bytes={(2 << 20) + 5}-")
    assert (tmp_path / "out/data.bin").read_bytes() == BODY
    assert sorted(p.name for p in tmp_path.iterdir()) == ["checksums.tsv", "out"]


def test_of_two_processes_one_fetches_and_the_other_waits(server, tmp_path):
    server.files["/a"] = BODY
    server.faults["/a"] = [("hang", 2 << 20)]
    spec = spec_of(server, "/a")
    first = start(spec, tmp_path / "out")
    wait_for(lambda: server.requests)
    second = start(spec, tmp_path / "out")
    said = second.stderr.readline()
    assert f"waiting for process {first.pid} on {socket.gethostname()}" in said
    server.released.set()
    assert first.communicate() and first.returncode == 0
    assert "out: is there already" in second.communicate()[1]
    assert second.returncode == 0
    assert server.requests == [("/a", None)]
    assert (tmp_path / "out/data.bin").read_bytes() == BODY

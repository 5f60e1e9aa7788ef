"""A download is whole and right, or an error; a broken one goes on where it stopped.

The servers are of this machine: 127.0.0.1, one for each test.
"""

import hashlib
import io
import json
import os
import re
import stat
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from randommask import archive, download, sources
from randommask.errors import InputError

ROOT = Path(__file__).parents[1]
BODY = bytes(range(256)) * 12_000  # about 3 MB, more than two pieces


class Server:
    """Files by path, what to do wrong with each request, and what was asked.

    `faults[path]` is a list, one entry a request: a status to answer with, `("cut", n)`
    to close after n bytes, `("shift", n)` to answer a range that starts n too late,
    None to do it right. When the list is used up, all goes right.
    """

    def __init__(self):
        self.files = {}
        self.faults = {}
        self.asked = []
        self.ranges = True
        self.headers = True
        handler = type("Handler", (Handler,), {"served": self})
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.thread = threading.Thread(
            target=self.http.serve_forever, args=(0.01,), daemon=True
        )

    def url(self, path):
        return f"http://127.0.0.1:{self.http.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    served: Server

    def log_message(self, *args):
        pass

    def do_GET(self):
        asked = self.headers.get("Range")
        self.served.asked.append((self.path, asked))
        faults = self.served.faults.get(self.path, [])
        fault = faults.pop(0) if faults else None
        if isinstance(fault, int) or self.path not in self.served.files:
            self.answer(fault or 404, b"no")
            return
        body, status, extra = self.served.files[self.path], 200, {}
        if asked and self.served.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            if start >= len(body):
                self.answer(416, b"")
                return
            if isinstance(fault, tuple) and fault[0] == "shift":
                start += fault[1]
            extra = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
            body, status = body[start:], 206
        sent = body
        if isinstance(fault, tuple) and fault[0] == "cut":
            sent = body[: fault[1]]
        self.answer(status, sent, len(body), extra)

    def answer(self, status, body, length=None, extra=None):
        self.send_response(status)
        if self.served.headers:
            self.send_header("Content-Length", str(length or len(body)))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)
    served = Server()
    served.thread.start()
    yield served
    served.http.shutdown()
    served.http.server_close()
    served.thread.join()


def entry(server, *paths, body=BODY, **changes):
    fields = {
        "name": "data.bin",
        "urls": [server.url(path) for path in paths],
        "sha256": hashlib.sha256(body).hexdigest(),
        "bytes": len(body),
    }
    return fields | changes


def spec_of(server, *paths, **changes):
    return {"files": [entry(server, *paths, **changes)]}


def parts_in(folder):
    return sorted(folder.glob(".*.part"))


def leave_part(spec, output, content):
    """Put `content` where a broken transfer would have left it."""
    (file,) = sources.parse("x", spec).files
    part = file.part(output)
    part.write_bytes(content)
    return part


@pytest.mark.parametrize("digest", ["md5", "sha256"])
@pytest.mark.parametrize("size", [len(BODY), None])
def test_a_file_arrives_whole(server, tmp_path, digest, size, capsys):
    server.files["/a"] = BODY
    sums = {"sha256": None, digest: hashlib.new(digest, BODY).hexdigest()}
    spec = spec_of(server, "/a", bytes=size, **sums)
    download.download("x", spec, tmp_path / "deep" / "out")
    assert os.listdir(tmp_path / "deep") == ["out"]
    assert (tmp_path / "deep/out/data.bin").read_bytes() == BODY
    assert "data.bin: 3.1 of 3.1 MB" in capsys.readouterr().err


def test_a_terminal_gets_a_bar(server, tmp_path, capsys, monkeypatch):
    server.files["/a"] = BODY
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    download.download("x", spec_of(server, "/a"), tmp_path / "out")
    assert "data.bin: 100%" in capsys.readouterr().err


def test_a_cut_transfer_goes_on_where_it_stopped(server, tmp_path):
    server.files["/a"] = BODY
    server.faults["/a"] = [("cut", 2 << 20)]
    download.download("x", spec_of(server, "/a"), tmp_path / "out")
    assert (tmp_path / "out/data.bin").read_bytes() == BODY
    (first, second) = server.asked
    assert first == ("/a", None)
    start = int(second[1].removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= 2 << 20
    assert parts_in(tmp_path) == []


def test_the_next_call_goes_on_where_the_last_one_gave_up(server, tmp_path):
    server.files["/a"] = BODY
    server.faults["/a"] = [("cut", 1 << 20), 503, 503]
    with pytest.raises(InputError, match=r"no mirror gave it: .*/a: HTTP 503"):
        download.download("x", spec_of(server, "/a"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (part,) = parts_in(tmp_path)
    size = part.stat().st_size
    assert size > 0
    download.download("x", spec_of(server, "/a"), tmp_path / "out")
    assert server.asked[-1] == ("/a", f"bytes={size}-")
    assert (tmp_path / "out/data.bin").read_bytes() == BODY


def test_a_whole_part_is_used_without_asking(server, tmp_path):
    spec = spec_of(server, "/absent")
    leave_part(spec, tmp_path / "out", BODY)
    download.download("x", spec, tmp_path / "out")
    assert server.asked == []
    assert (tmp_path / "out/data.bin").read_bytes() == BODY


@pytest.mark.parametrize(
    "part",
    [b"wrong start", BODY[:100] + b"x", BODY + b"too long", b"x" * len(BODY)],
)
def test_a_wrong_part_costs_one_more_transfer(server, tmp_path, part):
    server.files["/a"] = BODY
    spec = spec_of(server, "/a")
    leave_part(spec, tmp_path / "out", part)
    download.download("x", spec, tmp_path / "out")
    assert (tmp_path / "out/data.bin").read_bytes() == BODY
    assert len(server.asked) == 2


@pytest.mark.parametrize("fault", ["no ranges", "shifted range"])
def test_a_server_that_ignores_the_range_does_no_harm(server, tmp_path, fault):
    server.files["/a"] = BODY
    spec = spec_of(server, "/a")
    leave_part(spec, tmp_path / "out", BODY[:1000])
    if fault == "no ranges":
        server.ranges = False
    else:
        server.faults["/a"] = [("shift", 5)]
    download.download("x", spec, tmp_path / "out")
    assert (tmp_path / "out/data.bin").read_bytes() == BODY


def test_another_checksum_does_not_go_on_with_the_old_part(server, tmp_path):
    server.files["/a"] = BODY[::-1]
    part = leave_part(spec_of(server, "/a"), tmp_path / "out", BODY[:1000])
    spec = spec_of(server, "/a", body=BODY[::-1])
    download.download("x", spec, tmp_path / "out")
    assert server.asked == [("/a", None)]
    assert part.exists()


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_passing_failure_is_tried_again(server, tmp_path, status):
    server.files["/a"] = BODY
    server.faults["/a"] = [status, status]
    download.download("x", spec_of(server, "/a"), tmp_path / "out")
    assert len(server.asked) == 3


def test_a_lasting_failure_leads_to_the_next_mirror(server, tmp_path, capsys):
    server.files["/b"] = BODY
    download.download("x", spec_of(server, "/a", "/b"), tmp_path / "out")
    assert server.asked == [("/a", None), ("/b", None)]
    assert "/a: HTTP 404" in capsys.readouterr().err


def test_the_name_is_put_into_the_urls(server, tmp_path):
    server.files["/get/data.bin?x=1"] = BODY
    download.download("x", spec_of(server, "/get/{name}?x=1"), tmp_path / "out")
    assert (tmp_path / "out/data.bin").read_bytes() == BODY


def test_a_mirror_goes_on_with_what_another_has_begun(server, tmp_path):
    server.files["/a"] = server.files["/b"] = BODY
    server.faults["/a"] = [("cut", 2 << 20), 404]
    download.download("x", spec_of(server, "/a", "/b"), tmp_path / "out")
    path, asked = server.asked[-1]
    assert path == "/b"
    assert asked is not None
    assert (tmp_path / "out/data.bin").read_bytes() == BODY


def test_wrong_bytes_are_refused_with_both_sums_and_deleted(server, tmp_path):
    wrong = BODY[::-1]
    server.files["/a"] = wrong
    spec = spec_of(server, "/a")
    with pytest.raises(InputError) as error:
        download.download("x", spec, tmp_path / "out")
    message = str(error.value)
    assert f"sha256 is {hashlib.sha256(wrong).hexdigest()}" in message
    assert f"expected {hashlib.sha256(BODY).hexdigest()}" in message
    assert "\n" not in message
    assert len(server.asked) == 1
    assert list(tmp_path.iterdir()) == []
    server.files["/b"] = BODY
    download.download("x", spec_of(server, "/a", "/b"), tmp_path / "out")
    assert (tmp_path / "out/data.bin").read_bytes() == BODY


def test_both_checksums_count_where_both_are_given(server, tmp_path):
    server.files["/a"] = BODY
    with pytest.raises(InputError, match=r"md5 is .*, expected 0000"):
        download.download("x", spec_of(server, "/a", md5="0" * 32), tmp_path / "out")


def test_another_size_is_refused_before_it_is_fetched(server, tmp_path):
    server.files["/a"] = b"<html>too many users</html>"
    with pytest.raises(InputError, match=f"announces 27 bytes, expected {len(BODY)}"):
        download.download("x", spec_of(server, "/a"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_tells_no_length_is_held_to_size_and_checksum(server, tmp_path):
    server.headers = False
    server.files["/a"] = BODY
    server.faults["/a"] = [("cut", 1 << 20)]
    download.download("x", spec_of(server, "/a"), tmp_path / "out")
    assert (tmp_path / "out/data.bin").read_bytes() == BODY
    assert len(server.asked) == 2


def test_nobody_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE_SECONDS", 0.0)
    server = Server()
    url = server.url("/a")
    server.http.server_close()
    spec = {"files": [{"name": "a", "urls": [url], "md5": "0" * 32}]}
    with pytest.raises(InputError, match="no mirror gave it") as error:
        download.download("x", spec, tmp_path / "out")
    assert "\n" not in str(error.value)


def test_a_full_disk_is_told_before_anything_is_asked(server, tmp_path, monkeypatch):
    server.files["/a"] = BODY
    usage = archive.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(InputError, match=f"needs {len(BODY)} bytes .* only 1000 are"):
        download.download("x", spec_of(server, "/a"), tmp_path / "out")
    assert server.asked == []
    with pytest.raises(InputError, match=f"needs {len(BODY)} bytes"):
        download.download("x", spec_of(server, "/a", bytes=None), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_several_files_appear_together_or_not_at_all(server, tmp_path):
    server.files["/a"] = BODY
    files = [entry(server, "/a", name="a"), entry(server, "/b", name="b")]
    with pytest.raises(InputError, match="b: no mirror gave it"):
        download.download("x", {"files": files}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    server.files["/b"] = BODY
    server.asked.clear()
    download.download("x", {"files": files}, tmp_path / "out")
    assert server.asked == [("/b", None)]
    assert sorted(os.listdir(tmp_path / "out")) == ["a", "b"]
    assert parts_in(tmp_path) == []


def zipped(members):
    """Make the bytes of an archive from names, or `ZipInfo`s, and contents."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as made:
        for member, content in members:
            made.writestr(member, content)
    return sink.getvalue()


def fetch_zip(server, output, body):
    server.files["/z"] = body
    spec = spec_of(server, "/z", body=body, name="set.zip") | {"unpack": "zip"}
    download.download("x", spec, output)


def test_an_archive_is_unpacked_with_its_folders(server, tmp_path):
    members = [("GUE/", ""), ("GUE/EMP/H3/train.csv", "a"), ("GUE/README", "b")]
    fetch_zip(server, tmp_path / "out", zipped(members))
    found = [p for p in (tmp_path / "out").rglob("*") if p.is_file()]
    assert sorted(str(p.relative_to(tmp_path / "out")) for p in found) == [
        "GUE/EMP/H3/train.csv",
        "GUE/README",
    ]
    assert os.listdir(tmp_path) == ["out"]


def link_member():
    member = zipfile.ZipInfo("GUE/link")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("/etc/x", "a")], "member '/etc/x' leads out"),
        ([("GUE/../../x", "a")], "leads out"),
        ([("GUE\\..\\x", "a")], "leads out"),
        ([("C:/x", "a")], "leads out"),
        ([(link_member(), "/etc/passwd")], "member 'GUE/link' is a link"),
        ([("a", "1"), ("a/b", "2")], "cannot unpack"),
        ([("big", b"\0" * (20 << 20))], "unpacks to 20971520 bytes"),
    ],
)
def test_an_archive_that_means_harm_is_refused(server, tmp_path, members, message):
    with pytest.raises(InputError, match=message) as error:
        fetch_zip(server, tmp_path / "out", zipped(members))
    assert "set.zip" in str(error.value)
    assert not (tmp_path / "out").exists()
    assert [p for p in tmp_path.iterdir() if p.suffix != ".part"] == []


def test_a_damaged_archive_is_refused(server, tmp_path):
    body = zipped([("GUE/a", "ACGT" * 1000)])
    with pytest.raises(InputError, match=r"set\.zip: no sound zip archive"):
        fetch_zip(server, tmp_path / "out", body[: len(body) // 2])
    broken = body.replace(b"GUE/a", b"GUE/b", 1)
    with pytest.raises(InputError, match=r"set\.zip: no sound zip archive"):
        fetch_zip(server, tmp_path / "out", broken)


def test_a_local_file_is_linked(tmp_path, monkeypatch):
    (tmp_path / "own.fa").write_text(">a\nACGT\n")
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        download.download("x", {"path": "own.fa"}, tmp_path / "out")
        made = tmp_path / "out/own.fa"
        assert os.readlink(made) == str(tmp_path / "own.fa")
        assert made.read_text() == ">a\nACGT\n"


def test_the_entries_of_a_local_folder_are_linked(tmp_path):
    (tmp_path / "in/GUE/EMP").mkdir(parents=True)
    (tmp_path / "in/notes").write_text("x")
    download.download("x", {"path": str(tmp_path / "in")}, tmp_path / "out")
    assert sorted(os.listdir(tmp_path / "out")) == ["GUE", "notes"]
    assert (tmp_path / "out/GUE/EMP").is_dir()
    assert all(path.is_symlink() for path in (tmp_path / "out").iterdir())


def test_a_local_path_without_content_is_refused(tmp_path):
    def refused(path, message):
        with pytest.raises(InputError, match=message):
            download.download("x", {"path": str(path)}, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    refused(tmp_path / "absent", "source x: .*absent: no such file or folder")
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", "the folder is empty")
    (tmp_path / "folder/file").touch()
    refused(tmp_path / "folder", "file: the file is empty")
    refused(tmp_path / "folder/file", "file: the file is empty")
    (tmp_path / "folder/file").unlink()
    (tmp_path / "folder/link").symlink_to("nowhere")
    refused(tmp_path / "folder", "link: a link to nothing")


FILE = {"name": "a", "urls": ["https://example.org/a"], "md5": "0" * 32}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ([], "found [], expected an object"),
        ({}, "found none of path, files and hub"),
        ({"path": "a", "files": []}, "found path, files of path, files and hub"),
        ({"hub": {}}, "released encoder weights are not supported yet"),
        ({"path": ""}, "path is ''"),
        ({"path": "a", "unpack": "zip"}, "unknown key 'unpack', expected path"),
        ({"files": []}, "files is [], expected a list"),
        ({"files": [FILE], "unpack": "tar"}, "unpack is 'tar', expected 'zip'"),
        ({"files": ["a"]}, "an entry of files is 'a'"),
        ({"files": [FILE, FILE]}, "two files have the same name"),
        ({"files": [FILE | {"name": "../a"}]}, "name is '../a'"),
        ({"files": [FILE | {"name": ".a"}]}, "name is '.a'"),
        ({"files": [FILE | {"urls": []}]}, "a: urls is []"),
        ({"files": [FILE | {"urls": ["file:///etc/passwd"]}]}, "a: urls is ['file:"),
        ({"files": [FILE | {"md5": None}]}, "a: found no checksum"),
        ({"files": [FILE | {"md5": "abc"}]}, "md5 is 'abc', expected 32 hex digits"),
        ({"files": [FILE | {"bytes": 0}]}, "bytes is 0, expected a whole number"),
        ({"files": [FILE | {"size": 3}]}, "unknown key 'size'"),
    ],
)
def test_a_wrong_spec_is_named(tmp_path, spec, message):
    with pytest.raises(InputError, match=re.escape(message)) as error:
        download.download("x", spec, tmp_path / "out")
    assert str(error.value).startswith("source x")


def test_the_command_says_what_is_wrong_in_one_line(tmp_path):
    (tmp_path / "own.fa").write_text(">a\nACGT\n")

    def command(hparams):
        words = ["--name", "own", "--hparams", hparams, "--output", tmp_path / "out"]
        return subprocess.run(
            [sys.executable, "-m", "randommask.download", *words],
            cwd=ROOT / "workflow",
            capture_output=True,
            text=True,
            check=False,
        )

    done = command(json.dumps({"path": str(tmp_path / "own.fa")}))
    assert (done.returncode, done.stderr) == (0, "")
    failed = command('{"path": "/no/such"}')
    assert failed.returncode == 1
    assert failed.stderr == ("error: source own: /no/such: no such file or folder\n")

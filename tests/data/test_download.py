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
import zipfile

import pytest
from made import ROOT, loopback
from made.fetching import (
    BODY,
    content,
    entry,
    fetch,
    found_in,
    leave_part,
    ledger_of,
    parts_in,
    spec_of,
)

from randommask.data import archive, transfer
from randommask.errors import InputError


@pytest.mark.parametrize("digest", ["md5", "sha256"])
@pytest.mark.parametrize("size", [len(BODY), None])
def test_a_file_arrives_whole(server, tmp_path, digest, size, capsys):
    server.files["/a"] = BODY
    sums = {"sha256": None, digest: hashlib.new(digest, BODY).hexdigest()}
    spec = spec_of(server, "/a", bytes=size, **sums)
    fetch(spec, tmp_path / "deep" / "out")
    assert found_in(tmp_path / "deep") == ["out"]
    assert (tmp_path / "deep/out/data.bin").read_bytes() == BODY
    assert "data.bin: 3.1 of 3.1 MB" in capsys.readouterr().err


def test_a_terminal_gets_a_bar(server, tmp_path, capsys, monkeypatch):
    server.files["/a"] = BODY
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    fetch(spec_of(server, "/a"), tmp_path / "out")
    assert "data.bin: 100%" in capsys.readouterr().err


def test_a_cut_transfer_goes_on_where_it_stopped(server, tmp_path):
    server.files["/a"] = BODY
    server.faults["/a"] = [("cut", 2 << 20)]
    fetch(spec_of(server, "/a"), tmp_path / "out")
    assert (tmp_path / "out/data.bin").read_bytes() == BODY
    (first, second) = server.requests
    assert first == ("/a", None)
    start = int(second[1].removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= 2 << 20
    assert parts_in(tmp_path) == []


def test_the_next_call_goes_on_where_the_last_one_gave_up(server, tmp_path):
    server.files["/a"] = BODY
    server.faults["/a"] = [("cut", 1 << 20), 503, 503, 503]  # what came is progress
    with pytest.raises(InputError, match=r"no mirror gave it: .*/a: HTTP 503"):
        fetch(spec_of(server, "/a"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    (part,) = parts_in(tmp_path)
    size = part.stat().st_size
    assert size > 0
    fetch(spec_of(server, "/a"), tmp_path / "out")
    assert server.requests[-1] == ("/a", f"bytes={size}-")
    assert (tmp_path / "out/data.bin").read_bytes() == BODY


def test_a_whole_part_is_used_without_asking(server, tmp_path):
    spec = spec_of(server, "/absent")
    leave_part(spec, tmp_path / "out", BODY)
    fetch(spec, tmp_path / "out")
    assert server.requests == []
    assert (tmp_path / "out/data.bin").read_bytes() == BODY


@pytest.mark.parametrize(
    "part",
    [b"wrong start", BODY[:100] + b"x", BODY + b"too long", b"x" * len(BODY)],
)
def test_a_wrong_part_costs_one_more_transfer(server, tmp_path, part):
    server.files["/a"] = BODY
    spec = spec_of(server, "/a")
    leave_part(spec, tmp_path / "out", part)
    fetch(spec, tmp_path / "out")
    assert (tmp_path / "out/data.bin").read_bytes() == BODY
    assert len(server.requests) == 2


@pytest.mark.parametrize("fault", ["no ranges", "shifted range"])
def test_a_server_that_ignores_the_range_does_no_harm(server, tmp_path, fault):
    server.files["/a"] = BODY
    spec = spec_of(server, "/a")
    leave_part(spec, tmp_path / "out", BODY[:1000])
    if fault == "no ranges":
        server.ranges = False
    else:
        server.faults["/a"] = [("shift", 5)]
    fetch(spec, tmp_path / "out")
    assert (tmp_path / "out/data.bin").read_bytes() == BODY


def test_another_checksum_does_not_go_on_with_the_old_part(server, tmp_path):
    server.files["/a"] = BODY[::-1]
    part = leave_part(spec_of(server, "/a"), tmp_path / "out", BODY[:1000])
    spec = spec_of(server, "/a", body=BODY[::-1])
    fetch(spec, tmp_path / "out")
    assert server.requests == [("/a", None)]
    assert not part.exists()


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_a_passing_failure_is_tried_again(server, tmp_path, status):
    server.files["/a"] = BODY
    server.faults["/a"] = [status, status]
    fetch(spec_of(server, "/a"), tmp_path / "out")
    assert len(server.requests) == 3


def test_a_lasting_failure_leads_to_the_next_mirror(server, tmp_path, capsys):
    server.files["/b"] = BODY
    fetch(spec_of(server, "/a", "/b"), tmp_path / "out")
    assert server.requests == [("/a", None), ("/b", None)]
    assert "/a: HTTP 404" in capsys.readouterr().err


def test_the_name_is_put_into_the_urls(server, tmp_path):
    server.files["/get/data.bin?x=1"] = BODY
    fetch(spec_of(server, "/get/{name}?x=1"), tmp_path / "out")
    assert (tmp_path / "out/data.bin").read_bytes() == BODY


def test_a_mirror_goes_on_with_what_another_has_begun(server, tmp_path):
    server.files["/a"] = server.files["/b"] = BODY
    server.faults["/a"] = [("cut", 2 << 20), 404]
    fetch(spec_of(server, "/a", "/b"), tmp_path / "out")
    path, wanted = server.requests[-1]
    assert path == "/b"
    assert wanted is not None
    assert (tmp_path / "out/data.bin").read_bytes() == BODY


def test_mirrors_of_the_config_come_first_and_are_held_to_the_same_sums(
    server, tmp_path, capsys
):
    """A folder without it, one with wrong bytes, an address that has it."""
    (tmp_path / "none").mkdir()
    (tmp_path / "bad/x").mkdir(parents=True)
    (tmp_path / "bad/x/data.bin").write_bytes(BODY[::-1])
    server.files["/m/x/data.bin"] = BODY
    mirrors = [tmp_path / "none", tmp_path / "bad", server.url("/m/")]
    fetch(spec_of(server, "/a"), tmp_path / "out", [*map(str, mirrors)])
    assert server.requests == [("/m/x/data.bin", None)]
    assert (tmp_path / "out/data.bin").read_bytes() == BODY
    said = capsys.readouterr().err
    assert "none/x/data.bin: No such file" in said
    assert f"sha256 is {hashlib.sha256(BODY[::-1]).hexdigest()}" in said
    assert ledger_of(tmp_path / "out")[0][4:] == ["pinned", server.url("/m/x/data.bin")]


def test_a_mirrors_copy_goes_on_with_what_a_server_has_begun(server, tmp_path):
    (tmp_path / "m/x").mkdir(parents=True)
    (tmp_path / "m/x/data.bin").write_bytes(BODY)
    spec = spec_of(server, "/a")
    leave_part(spec, tmp_path / "out", BODY[:1000])
    fetch(spec, tmp_path / "out", [str(tmp_path / "m")])
    assert server.requests == []
    assert (tmp_path / "out/data.bin").read_bytes() == BODY
    assert (tmp_path / "m/x/data.bin").read_bytes() == BODY


def test_wrong_bytes_are_refused_with_both_sums_and_deleted(server, tmp_path):
    wrong = BODY[::-1]
    server.files["/a"] = wrong
    spec = spec_of(server, "/a")
    with pytest.raises(InputError) as error:
        fetch(spec, tmp_path / "out")
    message = str(error.value)
    assert f"sha256 is {hashlib.sha256(wrong).hexdigest()}" in message
    assert f"expected {hashlib.sha256(BODY).hexdigest()}" in message
    assert "\n" not in message
    assert len(server.requests) == 1
    assert found_in(tmp_path) == []
    server.files["/b"] = BODY
    fetch(spec_of(server, "/a", "/b"), tmp_path / "out")
    assert (tmp_path / "out/data.bin").read_bytes() == BODY


def test_both_checksums_count_where_both_are_given(server, tmp_path):
    server.files["/a"] = BODY
    with pytest.raises(InputError, match=r"md5 is .*, expected 0000"):
        fetch(spec_of(server, "/a", md5="0" * 32), tmp_path / "out")


def test_another_size_is_refused_before_it_is_fetched(server, tmp_path):
    server.files["/a"] = b"<html>too many users</html>"
    with pytest.raises(InputError, match=f"announces 27 bytes, expected {len(BODY)}"):
        fetch(spec_of(server, "/a"), tmp_path / "out")
    assert found_in(tmp_path) == []


def test_a_server_that_tells_no_length_is_held_to_size_and_checksum(server, tmp_path):
    server.headers = False
    server.files["/a"] = BODY
    server.faults["/a"] = [("cut", 1 << 20)]
    fetch(spec_of(server, "/a"), tmp_path / "out")
    assert (tmp_path / "out/data.bin").read_bytes() == BODY
    assert len(server.requests) == 2


def test_nobody_there_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.0)
    server = loopback.Server()
    url = server.url("/a")
    server.http.server_close()
    spec = {"files": [{"name": "a", "urls": [url], "md5": "0" * 32}]}
    with pytest.raises(InputError, match="no mirror gave it") as error:
        fetch(spec, tmp_path / "out")
    assert "\n" not in str(error.value)


def test_a_full_disk_is_told_before_anything_is_asked(server, tmp_path, monkeypatch):
    server.files["/a"] = BODY
    usage = archive.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(archive.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(InputError, match=f"needs {len(BODY)} bytes .* only 1000 are"):
        fetch(spec_of(server, "/a"), tmp_path / "out")
    assert server.requests == []
    with pytest.raises(InputError, match=f"needs {len(BODY)} bytes"):
        fetch(spec_of(server, "/a", bytes=None), tmp_path / "out")
    assert found_in(tmp_path) == []


def test_several_files_appear_together_or_not_at_all(server, tmp_path):
    server.files["/a"] = BODY
    files = [entry(server, "/a", name="a"), entry(server, "/b", name="b")]
    with pytest.raises(InputError, match="b: no mirror gave it"):
        fetch({"files": files}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    server.files["/b"] = BODY
    server.requests.clear()
    fetch({"files": files}, tmp_path / "out")
    assert server.requests == [("/b", None)]
    assert content(tmp_path / "out") == ["a", "b"]
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
    fetch(spec, output)


def test_an_archive_is_unpacked_with_its_folders(server, tmp_path):
    members = [("GUE/", ""), ("GUE/EMP/H3/train.csv", "a"), ("GUE/README", "b")]
    fetch_zip(server, tmp_path / "out", zipped(members))
    found = [p for p in (tmp_path / "out").rglob("[!.]*") if p.is_file()]
    assert sorted(str(p.relative_to(tmp_path / "out")) for p in found) == [
        "GUE/EMP/H3/train.csv",
        "GUE/README",
    ]
    assert found_in(tmp_path) == ["out"]


def link_member():
    member = zipfile.ZipInfo("GUE/link")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    return member


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([("a", "1"), ("a/b", "2")], "no sound zip archive"),
        ([("a", "1"), ("../a", "2")], "two members called a"),
        ([("..", "1")], "no sound zip archive"),
        ([("big", b"\0" * (20 << 20))], "unpacks to 20971520 bytes"),
    ],
)
def test_an_archive_that_means_harm_is_refused(server, tmp_path, members, message):
    with pytest.raises(InputError, match=message) as error:
        fetch_zip(server, tmp_path / "out", zipped(members))
    assert "set.zip" in str(error.value)
    assert not (tmp_path / "out").exists()
    assert found_in(tmp_path) == [".out.parts"]


def test_nothing_is_unpacked_outside_and_no_link(server, tmp_path):
    members = ["/a", "../b", "GUE/../../c", "..\\d", "C:/e"]
    body = zipped([*((name, "x") for name in members), (link_member(), "/etc/passwd")])
    fetch_zip(server, tmp_path / "deep" / "out", body)
    found = [path for path in tmp_path.rglob("*") if path.name != ".fetched.json"]
    assert all(not path.is_symlink() for path in found)
    made = {str(path.relative_to(tmp_path)) for path in found if path.is_file()}
    assert len(made) == len(members) + 2  # the link, and the ledger of checksums
    made.remove("deep/ledger/checksums.tsv")
    assert all(name.startswith("deep/out/") for name in made)


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
        fetch({"path": "own.fa"}, tmp_path / "out")
        made = tmp_path / "out/own.fa"
        assert os.readlink(made) == str(tmp_path / "own.fa")
        assert made.read_text() == ">a\nACGT\n"


def test_the_entries_of_a_local_folder_are_linked(tmp_path):
    (tmp_path / "in/GUE/EMP").mkdir(parents=True)
    (tmp_path / "in/notes").write_text("x")
    fetch({"path": str(tmp_path / "in")}, tmp_path / "out")
    assert content(tmp_path / "out") == ["GUE", "notes"]
    assert (tmp_path / "out/GUE/EMP").is_dir()
    assert all(path.is_symlink() for path in (tmp_path / "out").iterdir())


def test_a_local_path_without_content_is_refused(tmp_path):
    def refused(path, message):
        with pytest.raises(InputError, match=message):
            fetch({"path": str(path)}, tmp_path / "out")
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
        ([], "found [], expected one of path, files, hub and encoder"),
        ({}, "found {}, expected one of path, files, hub and encoder"),
        ({"path": "a", "files": []}, "expected one of path, files, hub and encoder"),
        ({"hub": {}}, "hub: no key 'repository'"),
        ({"hub": {"rename": {"a": "b"}, "repository": "a"}}, 'repository: found "a"'),
        ({"encoder": []}, "encoder: found [], expected keys with values"),
        ({"encoder": {"repository": "a/b"}}, "encoder: no key 'revision'"),
        ({"encoder": {"path": "a", "revision": "b"}}, "unknown key 'revision'"),
        ({"files": [FILE], "otherwise": {}}, "expected a list"),
        ({"files": [FILE], "otherwise": [{"path": "a"}]}, "one of files and hub"),
        ({"path": ""}, 'path: found ""'),
        ({"path": "a", "unpack": "zip"}, "unknown key 'unpack'; known: path"),
        ({"files": []}, "files: found [], expected a list of at least 1"),
        ({"files": [FILE], "unpack": "tar"}, 'unpack: found "tar", expected zip'),
        ({"files": ["a"]}, 'files.0: found "a"'),
        ({"files": [FILE, FILE]}, "files: two files are called 'a'"),
        ({"files": [FILE | {"name": "../a"}]}, 'name: found "../a"'),
        ({"files": [FILE | {"name": ".a"}]}, 'name: found ".a"'),
        ({"files": [FILE | {"urls": []}]}, "files.0.urls: found []"),
        ({"files": [FILE | {"urls": ["file:///etc/passwd"]}]}, 'found "file:'),
        ({"files": [FILE | {"md5": "abc"}]}, 'md5: found "abc"'),
        ({"files": [FILE | {"bytes": 0}]}, "bytes: found 0, expected at least 1"),
        ({"files": [FILE | {"size": 3}]}, "unknown key 'size'"),
    ],
)
def test_a_wrong_spec_is_named(tmp_path, spec, message):
    with pytest.raises(InputError, match=re.escape(message)) as error:
        fetch(spec, tmp_path / "out")
    assert str(error.value).startswith("source x")


def test_the_command_says_what_is_wrong_in_one_line(tmp_path):
    (tmp_path / "own.fa").write_text(">a\nACGT\n")

    def command(hparams):
        words = ["--name", "own", "--hparams", hparams, "--output", tmp_path / "out"]
        words += ["--checksums", tmp_path / "checksums.tsv"]
        return subprocess.run(
            [sys.executable, "-m", "randommask.data.download", *words],
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

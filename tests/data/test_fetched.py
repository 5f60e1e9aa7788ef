"""A file that was changed after its download is noticed by whoever reads it."""

import os

import pytest
from made import ROOT
from made.fetching import BODY, content, entry, fetch

from randommask import files
from randommask.data import fetched, prepare, shards
from randommask.encoders import released
from randommask.errors import InputError

FASTA = b">chr1\nACGTACGTAC\n"
CSV = b"sequence,label\n" + b"ACGTACGT,0\nGGGTACGT,1\n"


@pytest.fixture
def folder(server, tmp_path):
    server.files |= {"/a": BODY, "/b": FASTA}
    both = [entry(server, "/a"), entry(server, "/b", name="g.fa", body=FASTA)]
    fetch({"files": both}, tmp_path / "out")
    return tmp_path / "out"


def refused(folder, message):
    with pytest.raises(InputError, match=message) as error:
        fetched.verify(folder)
    assert f"delete {folder} and fetch it again" in str(error.value)
    assert "\n" not in str(error.value)


def test_an_untouched_folder_passes_without_being_read(folder, monkeypatch):
    monkeypatch.setattr(fetched.files, "sha256", None)
    fetched.verify(folder)


def test_another_time_alone_is_no_edit(folder):
    os.utime(folder / "data.bin", (1, 1))
    fetched.verify(folder)


def test_an_edited_file_is_named_with_both_sums(folder):
    before = fetched.files.sha256(folder / "data.bin")
    (folder / "data.bin").write_bytes(BODY[::-1])
    after = fetched.files.sha256(folder / "data.bin")
    refused(folder, f"data.bin: edited .* sha256 is {after}, expected {before}")


def test_a_deleted_file_and_an_added_one_are_named(folder):
    (folder / ".DS_Store").touch()
    fetched.verify(folder)
    (folder / "more.fa").touch()
    refused(folder, "more.fa: added since")
    (folder / "more.fa").unlink()
    (folder / "g.fa").unlink()
    refused(folder, "g.fa: deleted since")


def test_an_edited_folder_is_fetched_again_when_asked(server, tmp_path):
    server.files["/a"] = BODY
    for _ in range(2):
        fetch({"files": [entry(server, "/a")]}, tmp_path / "out")
    assert len(server.requests) == 1
    (tmp_path / "out/data.bin").write_bytes(b"x")
    with pytest.raises(InputError, match="delete it or name another"):
        fetch({"files": [entry(server, "/a")]}, tmp_path / "out")
    assert len(server.requests) == 1
    assert (tmp_path / "out/data.bin").read_bytes() == b"x"
    files.remove(tmp_path / "out")
    fetch({"files": [entry(server, "/a")]}, tmp_path / "out")
    assert (tmp_path / "out/data.bin").read_bytes() == BODY


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        "null",
        '{"source": "x", "spec": {}, "files": 3}',
        '{"source": "x", "spec": {}, "files": [{"file": "g.fa"}]}',
        '{"source": "x", "spec": {}, "files": [{"file": "g.fa", "bytes": "1", '
        '"mtime_ns": 1, "sha256": ""}]}',
    ],
)
def test_a_list_of_another_form_is_one_line(folder, text):
    (folder / fetched.LIST).write_text(text)
    refused(folder, r"\.fetched\.json: no list of a fetch")
    assert not fetched.is_made(folder, "x", {"path": "x"})


def test_links_and_made_folders_pass(tmp_path):
    (tmp_path / "own.fa").write_bytes(FASTA)
    fetch({"path": str(tmp_path / "own.fa")}, tmp_path / "out")
    (tmp_path / "own.fa").write_bytes(FASTA * 2)
    fetched.verify(tmp_path / "out")
    fetched.verify(tmp_path / "out/own.fa")
    assert content(tmp_path / "out") == ["own.fa"]


def edit(path):
    path.write_bytes(path.read_bytes().replace(b"ACGT", b"ACCT"))


def test_the_genome_is_checked_before_it_is_read(folder, tmp_path):
    (folder / "data.bin").touch()
    shards.tokenize(folder, tmp_path / "corpus", "g", None)
    edit(folder / "g.fa")
    with pytest.raises(InputError, match=r"g\.fa: edited since it was fetched"):
        shards.tokenize(folder, tmp_path / "corpus2", "g", None)
    assert not (tmp_path / "corpus2").exists()


def test_the_benchmark_is_checked_before_it_is_read(server, tmp_path):
    body = CSV
    server.files["/train"] = body
    fetch({"files": [entry(server, "/train", body=body)]}, tmp_path / "gue")
    edit(tmp_path / "gue/data.bin")
    words = ["--source", tmp_path / "gue", "--output", tmp_path / "set"]
    words += ["--datasets", ROOT / "config/datasets.tsv", "--dataset", "EMP-H3"]
    with pytest.raises(InputError, match=r"data\.bin: edited since it was fetched"):
        prepare.main([*map(str, words), "--hparams", "{}"])


def test_an_encoder_is_checked_before_it_is_converted(folder, tmp_path):
    edit(folder / "g.fa")
    with pytest.raises(InputError, match=r"g\.fa: edited since it was fetched"):
        released.convert(folder, "bert", tmp_path / "encoder")

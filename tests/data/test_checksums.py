"""Trust on first use: what came once must come again; all of it is in the ledger."""

import hashlib
import threading

import pytest
from made.fetching import BODY, content, entry, fetch, found_in, ledger_of, spec_of

from randommask import files
from randommask.data import checksums
from randommask.errors import InputError

OTHER = BODY[::-1]


def unpinned(server, path="/a", **changes):
    return spec_of(server, path, sha256=None, bytes=None, **changes)


def sha256(body):
    return hashlib.sha256(body).hexdigest()


def test_a_file_without_a_checksum_is_recorded_and_must_come_again(server, tmp_path):
    server.files["/a"] = BODY
    fetch(unpinned(server), tmp_path / "out")
    row = ["x", "data.bin", str(len(BODY)), sha256(BODY), "first-use", server.url("/a")]
    assert ledger_of(tmp_path / "out") == [row]
    files.remove(tmp_path / "out")
    server.files["/a"] = OTHER
    with pytest.raises(InputError) as error:
        fetch(unpinned(server), tmp_path / "out")
    message = str(error.value)
    assert f"sha256 is {sha256(OTHER)}, expected {sha256(BODY)}" in message
    assert "checksums.tsv; if the change is meant, delete its row" in message
    assert "\n" not in message
    assert found_in(tmp_path) == []
    assert ledger_of(tmp_path / "out") == [row]
    server.files["/b"] = BODY  # another address may have what came first
    spec = unpinned(server)
    spec["files"][0]["urls"].append(server.url("/b"))
    fetch(spec, tmp_path / "out")
    assert ledger_of(tmp_path / "out") == [row]


def test_a_row_that_is_deleted_lets_other_bytes_in(server, tmp_path):
    server.files["/a"] = BODY
    fetch(unpinned(server), tmp_path / "out")
    files.remove(tmp_path / "out")
    server.files["/a"] = OTHER
    ledger = tmp_path / "ledger" / "checksums.tsv"
    ledger.write_text(ledger.read_text().splitlines()[0] + "\n")
    fetch(unpinned(server), tmp_path / "out")
    assert ledger_of(tmp_path / "out")[0][3] == sha256(OTHER)


def test_a_part_of_unknown_bytes_is_not_gone_on_with(server, tmp_path):
    server.files["/a"] = BODY
    server.faults["/a"] = [("cut", 2 << 20)]
    fetch(unpinned(server), tmp_path / "out")
    assert server.requests == [("/a", None), ("/a", None)]
    assert (tmp_path / "out/data.bin").read_bytes() == BODY


def test_of_recorded_bytes_it_is(server, tmp_path):
    server.files["/a"] = BODY
    fetch(unpinned(server), tmp_path / "out")
    files.remove(tmp_path / "out")
    server.faults["/a"] = [("cut", 2 << 20)]
    fetch(unpinned(server), tmp_path / "out")
    assert server.requests[2][1] is not None
    assert (tmp_path / "out/data.bin").read_bytes() == BODY


def test_a_pinned_file_is_in_the_ledger_too_and_the_config_may_change_it(
    server, tmp_path
):
    server.files["/a"] = BODY
    fetch(spec_of(server, "/a"), tmp_path / "out")
    assert ledger_of(tmp_path / "out")[0][3:5] == [sha256(BODY), "pinned"]
    server.files["/a"] = OTHER
    files.remove(tmp_path / "out")
    fetch(spec_of(server, "/a", body=OTHER), tmp_path / "out")
    (row,) = ledger_of(tmp_path / "out")
    assert row[3:5] == [sha256(OTHER), "pinned"]


def test_the_ledger_is_the_same_whatever_came_first(server, tmp_path):
    server.files |= {"/a": BODY, "/b": OTHER}
    specs = {"one": spec_of(server, "/a"), "two": unpinned(server, "/b")}
    ledgers = []
    for order in (["one", "two"], ["two", "one", "one"]):
        folder = tmp_path / "-".join(order)
        for name in order:
            fetch(specs[name], folder / name, name=name)
        ledgers.append((folder / "ledger/checksums.tsv").read_bytes())
    assert ledgers[0] == ledgers[1]
    assert ledgers[0].count(b"\n") == 3


def test_many_writers_lose_no_row(tmp_path):
    path = tmp_path / "checksums.tsv"

    def write(source):
        for number in range(5):
            row = checksums.Row(source, f"f{number}", 1, "0" * 64, "pinned", "here")
            checksums.record(path, [row])

    writers = [threading.Thread(target=write, args=(f"s{n}",)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(checksums.read(path)) == 20
    assert content(tmp_path) == ["checksums.tsv"]
    assert found_in(tmp_path) == ["checksums.tsv"]  # no lock is left


def test_other_bytes_recorded_meanwhile_are_refused(tmp_path):
    path = tmp_path / "checksums.tsv"
    rows = [checksums.Row("s", "f", 1, d * 64, "first-use", "here") for d in "01"]
    checksums.record(path, rows[:1])
    with pytest.raises(InputError, match=f"s: f: sha256 is {'1' * 64}, expected 0"):
        checksums.record(path, rows[1:])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\n", "expected the columns source, file, bytes"),
        ("\t".join(checksums.HEADER) + "\nx\ty\n", r"line 2: found \['x', 'y'\]"),
    ],
)
def test_a_ledger_of_another_form_is_named(server, tmp_path, text, message):
    (tmp_path / "ledger").mkdir()
    (tmp_path / "ledger/checksums.tsv").write_text(text)
    with pytest.raises(InputError, match=message):
        fetch({"files": [entry(server, "/a")]}, tmp_path / "out")

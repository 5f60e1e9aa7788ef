"""What bad servers send is never taken for the file, nor holds us up.

Each kind is asked for a file without a checksum first, where whatever comes could
become what is expected from then on; the ledger then says nothing of it, and a server
that has the file, asked next, is believed.
"""

import gzip
import json
import os
import random
import re
import socket
import subprocess
import threading
import time
import zipfile
from contextlib import contextmanager, suppress
from io import BytesIO

import httpx2
import pytest
from made import ROOT
from made.fetching import command, fetch, found_in, ledger_of, parts_in

from randommask import files
from randommask.data import checksums, download, formats, transfer
from randommask.data.sources import RemoteFile
from randommask.errors import InputError, shown
from randommask.experiment import flags

FASTA = b">chr1\n" + b"ACGTACGTGA\n" * 3000
PACKED = gzip.compress(FASTA, mtime=0)
EMPTY_BLOCK = formats.LAST_BLOCK
BLOCKED = PACKED[:3] + b"\x04" + PACKED[4:10] + b"\x06\0BC\x02\0\xff\0" + PACKED[10:]
SAFE = json.dumps({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}})
SAFE = len(SAFE).to_bytes(8, "little") + SAFE.encode() + bytes(8)


def zipped():
    sink = BytesIO()
    with zipfile.ZipFile(sink, "w") as made:
        made.writestr("GUE/train.csv", "sequence,label\nACGT,0\n")
    return sink.getvalue()


GOOD = {
    "g.fa": FASTA,
    "g.fa.gz": PACKED,
    "b.fa.gz": BLOCKED + EMPTY_BLOCK,
    "set.zip": zipped(),
    "t.csv": b"sequence,label\nACGT,0\n",
    "t.tsv": b"\xef\xbb\xbfid\tlabel\na\t0\n",
    "t.txt": b"[PAD]\n[UNK]\n",
    "config.json": b'{"model_type": "bert"}',
    "model.safetensors": SAFE,
    "t.parquet": b"PAR1" + bytes(100) + b"PAR1",
    "data.bin": bytes(range(256)) * 400,
}
PAGES = (
    b"<!DOCTYPE html><html><title>Sign in</title></html>",
    b"\xef\xbb\xbf\n  <HTML>too many users",
    "<html>Anmelden</html>".encode("utf-16"),
    b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
)


class Rude:
    """A server that does with each connection what it is told, however wrong."""

    def __init__(self, act):
        self.act, self.asked = act, []
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.ended = threading.Event()
        threading.Thread(target=self.accept, daemon=True).start()

    def url(self, path="/f", login=""):
        return f"http://{login}127.0.0.1:{self.listening.getsockname()[1]}{path}"

    def accept(self):
        with suppress(OSError):
            while True:
                line, _ = self.listening.accept()
                threading.Thread(target=self.answer, args=(line,), daemon=True).start()

    def answer(self, line):
        with line, suppress(OSError):
            asked = b""
            while b"\r\n\r\n" not in asked:
                asked += line.recv(1 << 16)
            self.asked.append(asked.decode("latin-1"))
            self.act(self, line)


@contextmanager
def rude(act):
    server = Rude(act)
    try:
        yield server
    finally:
        server.ended.set()
        server.listening.close()


def send(line, body=b"", status="200 OK", **headers):
    head = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    line.sendall("\r\n".join([f"HTTP/1.1 {status}", *head, "", ""]).encode() + body)


def told(body, status="200 OK", **headers):
    """Answers with all of a body and its length."""
    return lambda server, line: send(
        line, body, status, Content_Length=len(body), **headers
    )


def untold(body, **headers):
    """Closes the line after the body, and never says how long it was to be."""
    return lambda server, line: send(line, body, Connection="close", **headers)


def chunked(*chunks):
    def act(server, line):
        send(line, Transfer_Encoding="chunked")
        for chunk in chunks:
            line.sendall(b"%x\r\n%s\r\n" % (len(chunk), chunk))

    return act


def dripping(head, drop):
    """Sends a little again and again, for as long as anybody listens."""

    def act(server, line):
        line.sendall(head)
        while not server.ended.wait(0.02):
            line.sendall(drop)

    return act


def endless(server, line):
    send(line, Transfer_Encoding="chunked")
    while not server.ended.is_set():
        line.sendall(b"10000\r\n" + b"A" * 65536 + b"\r\n")


OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = OK + b"Content-Length: 3000000\r\n\r\n"
HOSTILE = {
    **{
        f"page {n} as {name}": (name, told(page, Content_Type="text/plain"))
        for n, page in enumerate(PAGES)
        for name in ("g.fa", "g.fa.gz", "data.bin")
    },
    "a page by its type": ("data.bin", told(b"Sign in", Content_Type="text/html")),
    "a page in a zip's place": ("set.zip", told(PAGES[0])),
    "a message in a table's place": ("t.csv", told(b"too many requests\n")),
    "a message with a comma": ("t.csv", told(b"Too many users, sign in\nto get it\n")),
    "JSON in a table's place": ("t.csv", told(b'{"error": "login", "code": 7}')),
    "JSON in a list's place": ("t.txt", told(b'{"error": "login"}')),
    "a message by its type": ("data.bin", told(b"login", Content_Type="text/plain")),
    "a message in JSON's place": ("config.json", told(b"not found")),
    "JSON in a genome's place": ("g.fa.gz", told(b'{"error": "login"}')),
    "a page, packed": ("g.fa.gz", told(gzip.compress(PAGES[0]))),
    "nothing": ("data.bin", told(b"")),
    "nothing, no length": ("g.fa", untold(b"")),
    "nothing, 204": ("data.bin", lambda server, line: send(line, status="204 No")),
    "half, no length": ("g.fa", untold(FASTA[: len(FASTA) // 2])),
    "half of unknown bytes, no length": ("data.bin", untold(b"\1" * 1000)),
    "half a gzip, no length": ("g.fa.gz", untold(PACKED[:-20])),
    "half a gzip, and its length": ("g.fa.gz", told(PACKED[:-20])),
    "a bgzip without its end": ("b.fa.gz", told(BLOCKED)),
    "a gzip with a wrong bit": ("g.fa.gz", told(PACKED[:50] + b"!" + PACKED[51:])),
    "half a zip": ("set.zip", told(zipped()[:-30])),
    "half a safetensors": ("model.safetensors", told(SAFE[:-4])),
    "half a parquet": ("t.parquet", told(GOOD["t.parquet"][:-4])),
    "half a JSON": ("config.json", told(b'{"model_type": ')),
    "less than announced": (
        "g.fa",
        lambda server, line: send(line, FASTA[:99], Content_Length=len(FASTA)),
    ),
    "chunks that break off": ("g.fa", chunked(FASTA[:500])),
    "packed on the way": ("g.fa", told(PACKED, Content_Encoding="gzip")),
    "packed on the way, unknown": ("data.bin", told(b"x", Content_Encoding="br")),
    "packed twice": (
        "g.fa.gz", told(gzip.compress(PACKED), Content_Encoding="gzip"),
    ),
    "a part, unasked": (
        "g.fa",
        told(FASTA[:99], "206 Partial", Content_Range=f"bytes 0-98/{len(FASTA)}"),
    ),
    "a part, of nothing": ("data.bin", told(b"x" * 99, "206 Partial")),
    "a drop now and then": ("data.bin", dripping(LENGTH, b"x")),
    "an endless head": ("data.bin", dripping(OK, b"X-A: b\r\n")),
    "an endless status": ("data.bin", dripping(b"HTTP/1.1 ", b"2")),
    "drops in chunks": (
        "data.bin", dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ),
    "a chunk's endless length": (
        "data.bin", dripping(OK + b"Transfer-Encoding: chunked\r\n\r\n1;", b"a"),
    ),
    "silence": ("data.bin", lambda server, line: server.ended.wait(20)),
    "silence after the head": ("data.bin", dripping(LENGTH, b"")),
    "a body without an end": ("data.bin", endless),
    "noise": ("data.bin", lambda server, line: line.sendall(b"\0\xff" * 5000)),
    "a loop": ("data.bin", lambda server, line: send(
        line, status="302 Found", Location="/f", Content_Length=0)),
    "elsewhere": ("data.bin", lambda server, line: send(
        line, status="302 Found", Location="file:///etc/passwd", Content_Length=0)),
    "nowhere": ("data.bin", lambda server, line: send(
        line, status="302 Found", Location="http://[", Content_Length=0)),
}  # fmt: skip


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(transfer, "TIMEOUT_SECONDS", 0.4)
    monkeypatch.setattr(transfer, "MAX_UNTOLD_BYTES", 1 << 20)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def unpinned(name, *urls):
    return {"files": [{"name": name, "urls": list(urls)}]}


@pytest.mark.parametrize("kind", HOSTILE)
def test_nothing_of_a_hostile_server_is_believed(tmp_path, kind):
    name, act = HOSTILE[kind]
    output = tmp_path / "out"
    with rude(act) as bad, rude(told(GOOD[name])) as good:
        began = time.monotonic()
        with pytest.raises(InputError) as error:
            fetch(unpinned(name, bad.url()), output)
        assert "\n" not in str(error.value) and len(str(error.value)) < 400
        assert time.monotonic() - began < 10
        assert not output.exists()
        assert not (tmp_path / "ledger" / "checksums.tsv").exists()
        fetch(unpinned(name, bad.url(), good.url()), output)
    assert (output / name).read_bytes() == GOOD[name]
    assert found_in(tmp_path) == ["out"]


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("how", [told, chunked, "in pieces"])
def test_the_files_themselves_are_taken(tmp_path, name, how):
    body = GOOD[name]
    halves = (body[: len(body) // 2], body[len(body) // 2 :])
    act = chunked(*halves, b"") if how == "in pieces" else how(body)
    if how is chunked:
        act = chunked(body, b"")
    with rude(act) as server:
        fetch(unpinned(name, server.url()), tmp_path / "out")
    assert (tmp_path / "out" / name).read_bytes() == body


@pytest.mark.parametrize(
    "name",
    ["g.fa.gz", "b.fa.gz", "set.zip", "model.safetensors", "t.parquet", "config.json"],
)
def test_what_tells_its_own_end_needs_no_length(tmp_path, name):
    with rude(untold(GOOD[name])) as server:
        fetch(unpinned(name, server.url()), tmp_path / "out")
    assert (tmp_path / "out" / name).read_bytes() == GOOD[name]


def test_a_gzip_that_is_called_packed_is_itself(tmp_path):
    """As of Apache's `AddEncoding x-gzip .gz`."""
    with rude(told(PACKED, Content_Encoding="x-gzip")) as server:
        fetch(unpinned("g.fa.gz", server.url()), tmp_path / "out")
    assert (tmp_path / "out/g.fa.gz").read_bytes() == PACKED


def test_nobody_is_led_from_https_to_http(tmp_path, monkeypatch):
    def answer(request):
        if request.url.scheme == "https":
            address = f"http://{request.url.host}/g.fa?signature=s3cret"
            return httpx2.Response(302, headers={"location": address})
        return httpx2.Response(200, content=iter([FASTA]))

    client = httpx2.Client
    monkeypatch.setattr(
        transfer.httpx2,
        "Client",
        lambda **options: client(**options, transport=httpx2.MockTransport(answer)),
    )
    with pytest.raises(InputError, match="leads from https to http://a") as error:
        fetch(unpinned("g.fa", "https://a/g.fa"), tmp_path / "out")
    assert "s3cret" not in str(error.value)
    fetch(unpinned("g.fa", "http://a/g.fa"), tmp_path / "out")
    assert (tmp_path / "out/g.fa").read_bytes() == FASTA


def test_a_slow_mirror_keeps_what_came_and_the_next_goes_on(tmp_path):
    body = GOOD["data.bin"]

    def rest(server, line):
        start = int(re.search(r"range: bytes=(\d+)-", server.asked[-1].lower())[1])
        span = f"bytes {start}-{len(body) - 1}/{len(body)}"
        told(body[start:], "206 Partial", Content_Range=span)(server, line)

    spec = unpinned("data.bin")
    spec["files"][0] |= {"sha256": files.hashlib.sha256(body).hexdigest()}
    head = OK + b"Content-Length: %d\r\n\r\n" % len(body)
    with rude(dripping(head + body[:777], b"")) as slow, rude(rest) as good:
        spec["files"][0]["urls"] = [slow.url(), good.url()]
        fetch(spec, tmp_path / "out")
    assert "bytes=777-" in good.asked[0]
    assert (tmp_path / "out/data.bin").read_bytes() == body


@pytest.mark.parametrize("same", [True, False])
def test_the_same_version_without_a_checksum_is_gone_on_with(tmp_path, same):
    """The server says by its ETag whether it is; another one sends all anew."""
    new = FASTA if same else FASTA.replace(b"GA\n", b"CC\n")

    def act(server, line):
        if len(server.asked) == 1:
            head = {"Content_Length": len(FASTA), "ETag": '"1"'}
            send(line, FASTA[:1234], **head)
        elif same:
            span = f"bytes 1234-{len(FASTA) - 1}/{len(FASTA)}"
            told(FASTA[1234:], "206 Partial", Content_Range=span, ETag='"1"')(
                server, line
            )
        else:
            told(new, ETag='"2"')(server, line)

    with rude(act) as server:
        fetch(unpinned("g.fa", server.url()), tmp_path / "out")
        assert len(server.asked) == 2
        asked = server.asked[1].lower()
    assert "range: bytes=1234-" in asked and 'if-range: "1"' in asked
    assert (tmp_path / "out/g.fa").read_bytes() == new


def test_a_killed_transfer_has_every_byte_that_came(tmp_path):
    with rude(dripping(LENGTH + b"x" * 12_345, b"")) as server:
        spec = unpinned("data.bin", server.url())
        spec["files"][0]["sha256"] = "0" * 64
        killed = subprocess.Popen(
            command(spec, tmp_path / "out"), cwd=ROOT / "workflow"
        )
        for _ in range(1000):
            if [p for p in parts_in(tmp_path) if p.stat().st_size >= 12_345]:
                break
            time.sleep(0.02)
        killed.kill()
        killed.wait()
    (part,) = parts_in(tmp_path)
    assert part.stat().st_size == 12_345


def test_a_hub_that_drips_is_not_waited_for(tmp_path, monkeypatch):
    place = {"repository": "lab/dna", "revision": "main"}
    with rude(dripping(OK, b"X-A: b\r\n")) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url(""))
        with pytest.raises(InputError, match=r"no whole answer in 0\.8 s"):
            fetch({"encoder": place}, tmp_path / "out")


def test_a_whole_part_without_a_checksum_is_looked_at_first(tmp_path):
    """It may be what a killed try had no time to look at."""
    good = b'{"model_type": "bert"}'
    part = tmp_path / "part"
    part.write_bytes(b"<html>Sign in</html>".ljust(len(good)))
    with rude(told(good)) as server, transfer.open_client() as client:
        file = RemoteFile(
            name="config.json",
            urls=(server.url(),),
            digests={},
            bytes=len(good),
            is_pinned=False,
            is_fixed=True,
        )
        transfer.fetch(client, file, part)
    assert part.read_bytes() == good


def test_a_ledger_that_cannot_be_written_is_told_before_any_byte(tmp_path):
    with rude(told(FASTA)) as server:
        with pytest.raises(InputError, match="is a folder, expected the name of a fi"):
            download.download(
                "x", unpinned("g.fa", server.url()), tmp_path / "out", tmp_path
            )
        assert server.asked == []


# --- What is shown -----------------------------------------------------------------

SECRET = ("s3cret", "t0ken", "us3r")


def places_with_secrets(tmp_path):
    return [
        path
        for path in tmp_path.rglob("*")
        if path.is_file() and any(word in path.read_text("latin-1") for word in SECRET)
    ]


@pytest.mark.parametrize("is_pinned", [True, False])
def test_a_password_of_a_mirror_is_shown_nowhere(tmp_path, capsys, is_pinned):
    """Neither where it works nor where it does not."""
    login, path = "us3r:s3cret@", "/m/x/g.fa?key=t0ken#t0ken"
    sums = {"sha256": files.hashlib.sha256(FASTA).hexdigest()} if is_pinned else {}
    with rude(told(b"no", "403 Forbidden")) as bad, rude(told(FASTA)) as good:
        spec = unpinned("g.fa", bad.url(path, login), good.url(path, login))
        spec["files"][0] |= sums
        fetch(spec, tmp_path / "out", [bad.url("/m", login)])
        assert "authorization: basic" in good.asked[0].lower()
        assert "t0ken" in good.asked[0]
        fetch(spec, tmp_path / "out")  # is there already
        with pytest.raises(InputError) as error:
            fetch(unpinned("g.fa", bad.url(path, login)), tmp_path / "other")
        origin = good.url("/m/x/g.fa?key=***#***")
    said = capsys.readouterr()
    assert not any(word in said.err + said.out + str(error.value) for word in SECRET)
    assert places_with_secrets(tmp_path) == []
    assert ledger_of(tmp_path / "out")[0][5] == origin


def test_a_password_of_an_older_ledger_is_not_shown_on(tmp_path):
    row = ["x", "f", "1", "0" * 64, "first-use", "http://us3r:s3cret@h/f?key=t0ken"]
    path = tmp_path / "checksums.tsv"
    path.write_text("\t".join(checksums.HEADER) + "\n" + "\t".join(row) + "\n")
    (found,) = checksums.read(path).values()
    assert found.origin == "http://h/f?key=***"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://us3r:s3cret@h/f",
        "http://us3r:s3cret@h:port/f",
        "http://us3r:s3cret@/f?a=t0ken&t0ken",
        "http://us3r@h/f?a=b:t0ken,t0ken&c=t0ken);t0ken",
    ],
)
def test_no_error_shows_a_password(tmp_path, url):
    with pytest.raises(InputError) as error:
        fetch(unpinned("g.fa", url), tmp_path / "out")
    assert not any(word in str(error.value) for word in SECRET)


def test_what_is_public_in_an_address_stays():
    for text in (
        "https://zenodo.org/record/1/files/a.fa?download=1: HTTP 404",
        "lab/dna@main: 3 of 4; a@b",
        "https://h/a/b@c/d.txt?id=1&export=download&confirm=t",
    ):
        assert shown(text) == text
    assert shown('["https://u:p@h/m"]') == '["https://h/m"]'


def test_snakemake_is_not_given_a_password_to_show(tmp_path):
    mirrors = ["https://us3r:s3cret@h/m"]
    text = flags.flag(mirrors, str(tmp_path))
    assert text.startswith("@") and json.loads(flags.read(text)) == mirrors
    assert os.stat(text[1:]).st_mode & 0o077 == 0
    assert flags.flag(["https://h/m"], str(tmp_path)) == '["https://h/m"]'


def test_random_bytes_are_no_file_of_a_known_kind(tmp_path):
    """Nor does any of them, or a part of a good one, make a check fail otherwise."""
    draw = random.Random(1)
    for name, body in GOOD.items():
        for _ in range(60):
            cut = draw.randrange(len(body))
            changed = body[:cut] + b"\xff" + body[cut + 1 :]
            made = draw.choice([draw.randbytes(200), body[:cut], changed])
            (tmp_path / "file").write_bytes(made)
            said = formats.problem(tmp_path / "file", name)
            assert said is None or "\n" not in said
            if len(made) == 200 and name != "data.bin":
                assert said

"""One reader: whatever a file is packed in and however its lines end, the same rows."""

import gzip
import hashlib
import os
import struct
import subprocess
import sys
import zlib

import pytest
from made import ROOT

from randommask import genome, reading
from randommask.errors import InputError

FASTA = b">a first\nACGT\nNNAC\n>b\nggg\n" + b">c\n" + b"ACGTTGCA\n" * 40
END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")


def bgzip(data, size=50, end=END):
    packed = b""
    for first in range(0, len(data), size):
        part = data[first : first + size]
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15)
        body = deflate.compress(part) + deflate.flush()
        packed += b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0"
        packed += struct.pack("<H", len(body) + 25) + body
        packed += struct.pack("<II", zlib.crc32(part), len(part))
    return packed + end


def records(path):
    found = genome.records(path, genome.Tally(), table=genome.LETTERS)
    return [(r.number, r.name, bytes(r.letters).decode(), r.problem) for r in found]


EXPECTED = [
    (1, "a", "ACGTNNAC", None),
    (2, "b", "GGG", None),
    (3, "c", "ACGTTGCA" * 40, None),
]
FORMS = {
    "plain": FASTA,
    "mark": b"\xef\xbb\xbf" + FASTA,
    "crlf": FASTA.replace(b"\n", b"\r\n"),
    "cr": FASTA.replace(b"\n", b"\r"),
    "mixed": FASTA.replace(b"first\n", b"first\r").replace(b"\n>b\n", b"\r>b\r\n"),
    "no end": FASTA.rstrip(),
    "rna": FASTA.replace(b"T", b"U").replace(b"UUGCA", b"uTGCA"),
    "gzip": gzip.compress(FASTA),
    "members": gzip.compress(FASTA[:33]) + gzip.compress(FASTA[33:]),
    "padded": gzip.compress(FASTA) + b"\0" * 700,
    "bgzip": bgzip(FASTA),
    "bgzips": bgzip(FASTA[:90]) + bgzip(FASTA[90:]),
    "packed mark": gzip.compress(b"\xef\xbb\xbf" + FASTA.replace(b"\n", b"\r\n")),
}


@pytest.mark.parametrize("block", [1, 5, 1 << 20])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read_alike(tmp_path, monkeypatch, form, block):
    monkeypatch.setattr(reading, "BLOCK_BYTES", block)
    monkeypatch.setattr(reading, "PACKED_BYTES", max(block, 7))
    path = tmp_path / "in"
    path.write_bytes(FORMS[form])
    assert records(path) == EXPECTED


@pytest.mark.parametrize("kept", range(1, len(bgzip(FASTA))))
def test_a_bgzip_that_ends_anywhere_early_is_refused(tmp_path, kept):
    path = tmp_path / "in"
    path.write_bytes(bgzip(FASTA)[:kept])
    with pytest.raises(InputError, match=r"truncated|not FASTA"):
        records(path)


@pytest.mark.parametrize(
    ("packed", "said"),
    [
        (gzip.compress(FASTA, mtime=0) + b"more", r"gzip: .more. behind its end"),
        (gzip.compress(FASTA, mtime=0)[:-5] + b"\0\0\0\0\0", "broken gzip"),
        (b"\x1f\x8b\x08" + b"\xff" * 90, "gzip"),
    ],
)
def test_a_broken_gzip_is_one_line(tmp_path, packed, said):
    path = tmp_path / "in"
    path.write_bytes(packed)
    with pytest.raises(InputError, match=said) as caught:
        records(path)
    assert "\n" not in str(caught.value)


def test_a_pipe_is_read_once_and_known_by_its_bytes(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    packed = bgzip(FASTA)
    # The first byte alone: a pipe may give any number of them.
    script = f"import sys,time; f=open({str(path)!r}, 'wb', 0); data={packed!r}\n"
    script += "f.write(data[:1]); time.sleep(0.1); f.write(data[1:])"
    writer = subprocess.Popen([sys.executable, "-c", script])
    digest = hashlib.sha256()
    found = [name for name, _ in genome.read_fasta(path, digest=digest)]
    assert writer.wait() == 0
    assert found == ["a", "b", "c"]
    assert digest.hexdigest() == hashlib.sha256(packed).hexdigest()


def test_a_genome_may_come_through_a_pipe(tmp_path):
    command = [sys.executable, "-m", "randommask.data.shards", "--source", "/dev/stdin"]
    command += ["--hparams", '{"genome": "g", "chromosomes": null}', "--output"]
    for name, words in (("piped", {"input": FASTA}), ("whole", {})):
        if name == "whole":
            (tmp_path / "stdin").write_bytes(FASTA)
            command[4] = str(tmp_path / "stdin")
        done = subprocess.run(
            [*command, str(tmp_path / name)],
            env={"PYTHONPATH": str(ROOT / "workflow")},
            capture_output=True,
            check=True,
            **words,
        )
        # Two N that stand for no base are told once.
        assert done.stderr.decode().count("2 letters other than ACGT") == 1
    read = [
        (tmp_path / name / "manifest.json").read_text() for name in ("piped", "whole")
    ]
    assert read[0] == read[1]


# --- tables --------------------------------------------------------------------------

TABLE = "id,sequence,note\na,ACGT,x\nb,GG,\n"


def rows(path, needed=("sequence",), optional=("id",)):
    return [tuple(row) for row in reading.table(path, needed, optional)]


@pytest.mark.parametrize(
    "text",
    [
        TABLE,
        "\ufeff" + TABLE,
        TABLE.replace("\n", "\r\n"),
        TABLE.replace("\n", "\r"),
        TABLE.replace(",", "\t"),
        '"id","sequence","note"\n"a","ACGT","one, two ""and"" three"\nb,"GG",\n',
        TABLE.rstrip("\n"),
    ],
)
def test_rows_of_every_form_are_read_alike(tmp_path, text):
    for name, data in (("plain", text.encode()), ("gz", gzip.compress(text.encode()))):
        (tmp_path / name).write_bytes(data)
        assert rows(tmp_path / name) == [
            (2, {"sequence": "ACGT", "id": "a"}, None),
            (3, {"sequence": "GG", "id": "b"}, None),
        ]


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    (tmp_path / "in").write_text("\nsequence,id\n\nAC,1\n  \nGT\nA,2,3\n")
    assert rows(tmp_path / "in") == [
        (4, {"sequence": "AC", "id": "1"}, None),
        (6, {}, "found 1 cells, expected 2"),
        (7, {}, "found 3 cells, expected 2"),
    ]


@pytest.mark.parametrize(
    "cell", ['"5 prime', '5,"prime', 'x,"', '"""', '"a""', '"a" b"', '"a"b']
)
def test_a_quote_out_of_place_swallows_no_row(tmp_path, cell):
    """Another such quote further down would close it, and the rows between be gone."""
    text = f"sequence,note\nAC,ok\nAC,{cell}\nAC,ok\nAC,{cell}\nAC,ok\n"
    (tmp_path / "in").write_text(text)
    with pytest.raises(InputError, match=r"in: line 3: .*, expected a row"):
        rows(tmp_path / "in", optional=())


def test_long_cells_are_read_whole(tmp_path):
    (tmp_path / "in").write_text(f'sequence\n"{"ACGT" * 50_000}"\n')
    assert rows(tmp_path / "in")[0][1]["sequence"] == "ACGT" * 50_000

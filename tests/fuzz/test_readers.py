"""Every reader against spoilt inputs; `fuzz.spoiling` says what counts as a fault."""

import gzip
import io
import json
import math
import shutil
import tempfile
import zipfile
from hashlib import sha256
from pathlib import Path

import httpx2 as httpx
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from made import ROOT
from made.dataset import HPARAMS, made
from safetensors.torch import save

from fuzz.spoiling import fuzz, read, spoilt
from randommask import genome, reading
from randommask.data import archive, hub, prepared, splits
from randommask.data.sources import Repository
from randommask.encoders import published
from randommask.encoders.weights import read_weights
from randommask.experiment import datasets, file
from randommask.experiment.check import check
from randommask.experiment.hparams import Finetuning

IUPAC = "ACGTURYSWKMBDHVN"


@pytest.fixture(scope="module")
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


# --- Plain readings -------------------------------------------------------------------


def plain_lines(data: bytes) -> list[bytes]:
    data = data.removeprefix(b"\xef\xbb\xbf")
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")


def plain_letters(text: str) -> str | None:
    """Upper case, U as T; None where a letter is none or there is none."""
    upper = text.upper() if text.isascii() else "!"
    return upper.replace("U", "T") if upper and set(upper) <= set(IUPAC) else None


def plain_fasta(data: bytes) -> list[tuple[str, str | None]] | None:
    lines = plain_lines(data)
    while lines and not lines[0].strip(b" \t\n\v\f\r"):
        del lines[0]
    if lines:
        lines[0] = lines[0].lstrip(b" \t\n\v\f\r")
    if not lines or not lines[0].startswith(b">"):
        return None
    found = []
    for line in lines:
        if line.startswith(b">"):
            head = line[1:].replace(b"\t", b" ").replace(b"\v", b" ")
            words = [w for w in head.replace(b"\f", b" ").split(b" ") if w]
            name = words[0].decode(errors="replace") if words else ""
            found.append([name, ""])
        else:
            for space in b" \t\v\f":
                line = line.replace(bytes([space]), b"")
            found[-1][1] += line.decode("latin-1")
    return [(name, plain_letters(text)) for name, text in found]


def plain_cells(line: str, delimiter: str) -> list[str] | None:
    """The cells of a line letter by letter; None where a quote is out of place."""
    cells, cell, state = [], "", "start"
    for letter in line:
        if state == "quoted":
            if letter == '"':
                state = "closed"
            else:
                cell += letter
        elif letter == delimiter:
            cells.append(cell)
            cell, state = "", "start"
        elif letter == '"' and state == "closed":
            cell, state = cell + '"', "quoted"
        elif state == "closed":
            return None
        elif letter == '"' and state == "start":
            state = "quoted"
        else:
            cell, state = cell + letter, "open"
    return None if state == "quoted" else [*cells, cell]


def plain_table(data: bytes) -> list[list[str] | None] | None:
    """The rows below the header, None for a ragged one; None without a sound table."""
    try:
        lines = [line.decode() for line in plain_lines(data)]
    except UnicodeDecodeError:
        return None
    lines = [line for line in lines if line.strip(" ")]
    if not lines:
        return None
    delimiter = "\t" if "\t" in lines[0] else ","
    rows = [plain_cells(line, delimiter) for line in lines]
    if None in rows:
        return None
    head, *rows = rows
    if head.count("sequence") != 1 or head.count("label") != 1:
        return None
    places = head.index("sequence"), head.index("label")
    return [
        [row[at] for at in places] if len(row) == len(head) else None for row in rows
    ]


# --- Sequences ------------------------------------------------------------------------

FASTA = b">a first\nACGTNNRY\nacgu\n\n>b\tx\nGGGG\n>c\nAC GT\n" + b"ACGT" * 30 + b"\n"
ODD = (b"\r", b"\r\n", b"\n>", b">", b"\n>\n", b"\xef\xbb\xbf", b"\0", b"U", b"-", b" ")
ODD += (b"\n>d\n\n>e\nAC", b"\t", b"\f", b"*", b"\xff")


@fuzz
@given(data=spoilt(FASTA, ODD), block=st.integers(1, 60), packed=st.booleans())
def test_fasta(folder, data, block, packed):
    path = folder / "x.fa"
    path.write_bytes(gzip.compress(data) if packed else data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK_BYTES", block)
        found = read(
            "fasta",
            lambda: list(genome.records(path, genome.Tally(), table=genome.LETTERS)),
        )
    if packed or not data.startswith(b"\x1f\x8b"):
        expected = plain_fasta(data)
        if found is not None:
            found = [
                (r.name, None if r.problem else bytes(r.letters).decode())
                for r in found
            ]
        assert found == expected


@fuzz
@given(data=spoilt(gzip.compress(FASTA * 3, mtime=0)))
def test_gzip(folder, data):
    path = folder / "x.fa.gz"
    path.write_bytes(data)
    found = read("gzip", lambda: b"".join(reading.blocks(path)))
    if found is not None and data.startswith(b"\x1f\x8b"):
        assert found == gzip.decompress(data)


TABLE = b'sequence,label,note\nACGTAC,0,"a, b"\nacgtuu,1,\n"GGNGGG",0,x\n'
CELLS = (b'"', b",", b"\n", b"\r", b"\t", b'""', b'"\n', b"\xff", b"\0", b"sequence")
CELLS += (b"\xef\xbb\xbf", b" ", b"-1", b"1e9", b"U", "é".encode(), b"\n\n")


@fuzz
@given(data=spoilt(TABLE, CELLS))
def test_table(folder, data):
    path = folder / "x.csv"
    path.write_bytes(data)
    found = read("table", lambda: list(reading.table(path, ["sequence", "label"])))
    if found is not None:
        found = [None if r.problem else list(r.cells.values()) for r in found]
    assert found == plain_table(data)


@fuzz
@given(data=spoilt(TABLE, CELLS))
def test_benchmark_csv(folder, data):
    (folder / "train.csv").write_bytes(data)
    row = datasets.Dataset(
        "own", "own", str(folder), "Fly", 6, 2, (), "mcc", 1, 1, 1.0, False, False,
        None, None, None,
    )  # fmt: skip
    found = read("benchmark_csv", lambda: splits.read_split(folder, row, "train", 3)[0])
    if found is not None:
        expected = plain_table(data)
        assert found["sequence"].to_pylist() == [plain_letters(s) for s, _ in expected]
        assert found["label"].to_pylist() == [int(label) for _, label in expected]


STARR = b"Dev_log2_enrichment\tHk_log2_enrichment\n1.5\t-2\n.5\t1e-3\n3\t4\n"


@fuzz
@given(
    letters=spoilt(b">a\nACGT\n>b\nGGGG\n>c\nTTTT\n", ODD),
    numbers=spoilt(STARR, (b"nan", b"inf", b"\t", b"\n", b"1e999", b"_", b'"', b"\r")),
)
def test_deepstarr(folder, letters, numbers):
    (folder / "Sequences_Val.fa").write_bytes(letters)
    (folder / "Sequences_activity_Val.txt").write_bytes(numbers)
    row = datasets.Dataset(
        "EAP", "EAP", "deepstarr", "Fly", 4, None, ("dev", "hk"), "pearson", 1, 1, 1.0,
        False, False, None, None, None,
    )  # fmt: skip
    found = read("deepstarr", lambda: splits.read_split(folder, row, "dev", 3)[0])
    if found is not None:
        assert found["sequence"].to_pylist() == [s for _, s in plain_fasta(letters)]
        lines = [line.decode() for line in plain_lines(numbers) if line.strip(b" ")]
        delimiter = "\t" if "\t" in lines[0].removeprefix("\ufeff") else ","
        head, *rows = [plain_cells(line, delimiter) for line in lines]
        for label, name in (("dev", "Dev"), ("hk", "Hk")):
            at = head.index(f"{name}_log2_enrichment")
            values = found[f"label_{label}"].to_pylist()
            assert values == [float(row[at]) for row in rows]
            assert all(map(math.isfinite, values))


# --- What the user writes -------------------------------------------------------------

LIST = b"\n".join((ROOT / "config/datasets.tsv").read_bytes().splitlines()[:4]) + b"\n"


@fuzz
@given(data=spoilt(LIST, (b"\t", b"\n", b"\r", b'"', b"\xff", b"0", b"-", b"nan")))
def test_tsv_list(folder, data):
    path = folder / "datasets.tsv"
    path.write_bytes(data)
    found = read("tsv_list", lambda: datasets.read(path))
    if found is not None:
        lines = data.decode("utf-8-sig").splitlines()
        head, *rows = [line.split("\t") for line in lines if line]
        for dataset, row in zip(found, rows, strict=True):
            cells = dict(zip(head, row, strict=False))
            for key in ("dataset", "task", "source", "species"):
                assert getattr(dataset, key) == cells[key].strip()
            for key in ("bases", "epochs", "batch_size", "train_rows"):
                assert str(getattr(dataset, key)) == cells[key].strip().lstrip("0")
            assert dataset.learning_rate == float(cells["learning_rate"])


CONFIG = (ROOT / "config/demo.yaml").read_bytes()[:1200]  # more takes long to read
MARKS = (b": ", b"- ", b"\n", b"&a ", b"*a", b"!!python/object:os.system ", b"[", b"{")
MARKS += (b"<<: ", b'"', b"\t", b"\xff", b"null", b"1e999", b"[" * 1500, b"? ")


@fuzz
@given(data=spoilt(CONFIG, MARKS))
def test_yaml_config(folder, data):
    path = folder / "config.yaml"
    path.write_bytes(data)
    found = read("yaml_config", lambda: file.read(path))
    if found is not None:
        assert found == yaml.safe_load(data.decode())
        if isinstance(found, dict):
            read("yaml_config", lambda: check(file.whole(found)))


VALUES = (
    b"NaN",
    b"-1",
    b"1e999",
    b"null",
    b"true",
    b'"',
    b"{",
    b"[" * 3000,
    b",",
    b"9",
)


@fuzz
@given(data=spoilt(json.dumps(HPARAMS).encode(), VALUES))
def test_json_hparams(folder, data):
    text = data.decode("latin-1")
    found = read("json_hparams", lambda: Finetuning.parse(text))
    if found is not None and not text.startswith("@"):
        for key, value in json.loads(text).items():
            mine = getattr(found, key)
            assert (list(mine) if isinstance(mine, tuple) else mine) == value


# --- What was made ------------------------------------------------------------------


@pytest.fixture(scope="module")
def data(folder):
    return made(folder / "data", rows=(9, 3, 3))


@fuzz
@given(drawn=st.data())
def test_parquet(data, drawn):
    path = data / "train.parquet"
    whole = path.with_name("whole")
    if not whole.exists():
        shutil.copy(path, whole)
    path.write_bytes(drawn.draw(spoilt(whole.read_bytes())))
    known = prepared.summary(data)
    found = read("parquet", lambda: prepared.table(data, "train", known))
    if found is not None:
        assert found == pq.read_table(whole)
    # Without a checksum, as predictions are, no more than a line.
    read("parquet", lambda: prepared.parquet(path, path.read_bytes()))


@fuzz
@given(drawn=st.data())
def test_json_summary(data, drawn):
    path = data / "summary.json"
    whole = path.with_name("whole.json")
    if not whole.exists():
        shutil.copy(path, whole)
    path.write_bytes(drawn.draw(spoilt(whole.read_bytes(), VALUES)))
    found = read("json_summary", lambda: prepared.summary(data))
    if found is not None:
        plain = json.loads(path.read_text())
        assert [found.dataset, found.type, found.classes, list(found.targets)] == [
            plain[key] for key in ("dataset", "type", "classes", "targets")
        ]
        for split in ("train", "dev", "test"):
            part = plain["splits"].get(split)
            expected = part.get("sha256") if isinstance(part, dict) else None
            assert found.sha256[split] == expected
    shutil.copy(whole, path)


WEIGHTS = save({"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2).half()})
HEADER = (b"F32", b"I64", b"BOOL", b"F8_E4M3", b"9", b"[", b"{", b'"', b"-1", b"C64")


@fuzz
@given(data=spoilt(WEIGHTS, HEADER))
def test_safetensors(folder, data):
    path = folder / "model.safetensors"
    path.write_bytes(data)
    found = read("safetensors", lambda: read_weights(path))
    if found is not None:
        size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + size])
        header.pop("__metadata__", None)
        assert found.keys() == header.keys()
        for name, entry in header.items():
            start, end = entry["data_offsets"]
            raw = data[8 + size + start : 8 + size + end]
            assert list(found[name].shape) == entry["shape"]
            assert bytes(found[name].reshape(-1).view(torch.uint8).tolist()) == raw
    weights = read("safetensors", lambda: published.read(folder))
    for tensor in (weights or {}).values():
        assert tensor.dtype == torch.float32 and tensor.isfinite().all()


def zipped():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("GUE/a/train.csv", "sequence,label\n" + "ACGT,1\n" * 30)
        file.writestr("GUE/a/dev.csv", "x")
        file.writestr("GUE/b/", "")
    return buffer.getvalue()


@fuzz
@given(data=spoilt(zipped(), (b"PK\x03\x04", b"../", b"/", b"\0", b"\xff\xff\xff\xff")))
def test_zip(folder, data):
    path, target = folder / "x.zip", folder / "unpacked" / "inner"
    path.write_bytes(data)
    shutil.rmtree(target.parent, ignore_errors=True)
    target.mkdir(parents=True)
    found = read("zip", lambda: archive.unpack(path, target, "x.zip"))
    assert [p.name for p in target.parent.iterdir()] == ["inner"]
    if found is not None:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            members = [file.read(m) for m in file.infolist() if not m.is_dir()]
        assert sorted(found.values()) == sorted(sha256(m).hexdigest() for m in members)


LISTING = json.dumps(
    {
        "id": "lab/dna",
        "sha": "5" * 40,
        "siblings": [
            {"rfilename": "config.json", "size": 2, "blobId": "1"},
            {
                "rfilename": "model.safetensors",
                "size": 9,
                "blobId": "2",
                "lfs": {"sha256": "a" * 64, "size": 9, "pointerSize": 1},
            },
        ],
    }
).encode()


@fuzz
@given(data=spoilt(LISTING, (b"null", b"[", b"{", b"-1", b"../", b'"', b"true", b"0")))
def test_hub_listing(data):
    class Session:
        @staticmethod
        def get(url, **_):
            request = httpx.Request("GET", url)
            return httpx.Response(200, content=data, request=request)

    repository = Repository("model", "lab/dna", "main")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.hf_api.get_session", Session)
        patch.setattr(hub, "persist", lambda _, call: call())
        found = read("hub_listing", lambda: hub.resolve(repository))
    if found is not None:
        plain = {e["rfilename"]: e for e in json.loads(data)["siblings"]}
        for one in found:
            entry = plain[one.name]
            assert one.bytes == entry.get("size")
            lfs = entry.get("lfs")
            assert one.digests == ({"sha256": lfs["sha256"]} if lfs else {})

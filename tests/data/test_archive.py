"""An archive that lies about its sizes writes no more than it declares."""

import errno
import io
import os
import random
import struct
import tracemalloc
import zipfile
import zlib

import pytest

from randommask import errors, files
from randommask.data import archive
from randommask.errors import InputError

REAL, DECLARED = 40 << 20, 10


@pytest.fixture
def out(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def lying(checksum_of):
    """40 MiB of zeros, declared as 10 bytes with the checksum of so many zeros."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("zeros", b"\0" * REAL)
    body = bytearray(sink.getvalue())
    central = body.index(b"PK\x01\x02")
    sums = struct.pack("<I", zlib.crc32(b"\0" * checksum_of))
    for start, offset in ((0, 14), (central, 16)):
        body[start + offset : start + offset + 4] = sums
        size = start + offset + 8
        body[size : size + 4] = struct.pack("<I", DECLARED)
    return bytes(body)


def test_the_real_size_is_refused_where_the_checksum_is_of_all_bytes(tmp_path, out):
    (tmp_path / "a.zip").write_bytes(lying(REAL))
    with pytest.raises(InputError, match=r"a\.zip: no sound zip archive .*CRC"):
        archive.unpack(tmp_path / "a.zip", out, "a.zip")
    assert (out / "zeros").stat().st_size <= DECLARED


def test_no_more_than_the_declared_size_is_unpacked(tmp_path, out):
    (tmp_path / "a.zip").write_bytes(lying(DECLARED))
    tracemalloc.start()
    archive.unpack(tmp_path / "a.zip", out, "a.zip")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (out / "zeros").read_bytes() == b"\0" * DECLARED
    assert peak < REAL / 4


def test_one_body_under_many_names_counts_many_times(tmp_path, out):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("one", b"\0" * (1 << 20))
        first = made.infolist()[0]
        for number in range(200):  # overlapping: all point at the same bytes
            twin = zipfile.ZipInfo(f"twin{number}")
            for part in ("CRC", "compress_size", "file_size", "header_offset"):
                setattr(twin, part, getattr(first, part))
            twin.compress_type = first.compress_type
            made.filelist.append(twin)
    with pytest.raises(InputError, match="unpacks to 210763776 bytes"):
        archive.unpack(tmp_path / "a.zip", out, "a.zip")
    assert list(out.iterdir()) == []


def test_a_disk_that_gets_full_is_one_line(tmp_path, out, monkeypatch):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr("a", b"ACGT")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def unpack():
        with files.make_aside(out) as aside:
            aside.mkdir()
            archive.unpack(tmp_path / "a.zip", aside, "a.zip")

    monkeypatch.setattr(zipfile.shutil, "copyfileobj", full)
    with pytest.raises(SystemExit, match=f"error: {out}: no space left on device"):
        errors.run(unpack)
    assert (tmp_path / "a.zip").exists()


@pytest.mark.parametrize("method", [0, 8, 12, 14])
def test_a_damaged_archive_is_unpacked_whole_or_refused_in_one_line(tmp_path, method):
    draw = random.Random(method)
    held = {"GUE/a.csv": b"ACGT" * 300, "GUE/b/c.csv": draw.randbytes(300)}
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as made:
        for name, body in held.items():
            made.writestr(name, body)
    refused = 0
    for number in range(400):
        body = bytearray(sink.getvalue())
        for _ in range(draw.choice((1, 1, 2, 4))):
            body[draw.randrange(len(body))] = draw.choice((0, 255, draw.randrange(256)))
        if draw.random() < 0.2:
            del body[draw.randrange(len(body)) :]
        folder = tmp_path / str(number)
        folder.mkdir()
        (tmp_path / "made.zip").write_bytes(body)
        try:
            sums = archive.unpack(tmp_path / "made.zip", folder, "made.zip")
        except InputError as error:
            refused += 1
            assert str(error).startswith("made.zip: ") and "\n" not in str(error)
        else:  # what was hit was a name, a date or a right, or an unused byte
            bodies = {(folder / name).read_bytes() for name in sums}
            assert bodies <= set(held.values())
    assert refused > 200

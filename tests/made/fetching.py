"""Small sources, and what a fetch of one leaves."""

import hashlib
import json
import os
import sys

from randommask.data import download, sources

BODY = bytes(range(256)) * 12_000  # about 3 MB, more than two pieces


def entry(server, *paths, body=BODY, **changes):
    """One entry of `files`, pinned to `body`."""
    fields = {
        "name": "data.bin",
        "urls": [server.url(path) for path in paths],
        "sha256": hashlib.sha256(body).hexdigest(),
        "bytes": len(body),
    }
    return fields | changes


def spec_of(server, *paths, **changes):
    """A source of one file."""
    return {"files": [entry(server, *paths, **changes)]}


def fetch(spec, output, mirrors=(), name="x"):
    """Fetch with the ledger of checksums in the folder `ledger` beside `output`."""
    folder = output.parent / "ledger"
    folder.mkdir(parents=True, exist_ok=True)
    download.download(name, spec, output, folder / "checksums.tsv", mirrors)


def found_in(folder):
    """What lies there but the folder of the ledger."""
    return sorted(path.name for path in folder.iterdir() if path.name != "ledger")


def content(folder):
    """What lies there unhidden."""
    return sorted(name for name in os.listdir(folder) if not name.startswith("."))


def parts_in(folder):
    """What broken transfers left."""
    return sorted(folder.glob(".*.parts/*"))


def leave_part(spec, output, content):
    """Put `content` where a broken transfer would have left it."""
    (file,) = sources.parse("x", spec).files
    part = file.part(output)
    part.parent.mkdir()
    part.write_bytes(content)
    return part


def ledger_of(output):
    """The rows of the ledger, without its header."""
    lines = (output.parent / "ledger" / "checksums.tsv").read_text().splitlines()
    return [line.split("\t") for line in lines[1:]]


def command(spec, output, *flags):
    """The words of the command that fetches `x`."""

    words = ["--name", "x", "--hparams", json.dumps(spec), "--output", output]
    words += ["--checksums", output.parent / "checksums.tsv", *flags]
    return [sys.executable, "-m", "randommask.data.download", *map(str, words)]

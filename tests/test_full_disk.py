"""A disk that gets full in the middle of any output: one line, and nothing half made.

`RLIMIT_FSIZE` cuts each file at any byte, for anybody and without a disk to fill. Where
a small file system may be mounted, that is tried too.
"""

import errno
import json
import os
import re
import resource
import subprocess
import sys
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from made.dataset import HPARAMS, made, tiny_encoder
from made.fetching import BODY, entry
from made.genome import make_corpus

from randommask import errors
from randommask.data import download, leaks, shards
from randommask.encoders import folder, untrained
from randommask.experiment.hparams import Initial
from randommask.finetuning import __main__ as finetuning
from randommask.finetuning import no_model, outputs
from randommask.measures import attention
from randommask.predict import __main__ as predicting
from randommask.report.figures import style

GENOME = ">a\n" + "ACGTTGCA" * 2000 + "\n"
INITIAL = {
    "seed": 1,
    "k": 3,
    "tokenization": "overlapping",
    "architecture": {
        "layers": 1,
        "hidden": 16,
        "heads": 2,
        "feed_forward": 32,
        "positions": 64,
        "dropout": 0.1,
    },
}
ONE_EPOCH = json.dumps(HPARAMS | {"epochs": 1, "batch_size": 8})
ATTENTION = {"tokens": 12, "windows": 2, "seed": 1, "held_out": [], "encoder": "e"}
NAMES = (
    "tokenize",
    "initialise",
    "copy an encoder",
    "predict",
    "a fine-tuned model",
    "a run's metrics",
    "a run's history",
    "predictions",
    "a control",
    "leaks",
    "attention",
    "a figure",
    "download",
    "ledger",
)
NO_MODEL = {
    key: HPARAMS[key] for key in ("encoder", "dataset", "task", "metric", "seed")
} | {"tokenization": "character"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """What the commands read."""
    root = tmp_path_factory.mktemp("inputs")
    (root / "genome.fa").write_text(GENOME)
    (root / "few.fa").write_text("".join(f">{n}\n{'ACGT' * 9}\n" for n in range(9)))
    make_corpus(root / "corpus", {"a": "ACGTTGCA" * 500})
    tiny_encoder(root / "encoder")
    (root / "encoder" / "README.md").write_text("made")
    made(root / "data", rows=(32, 16, 16))
    words = ["--encoder", root / "encoder", "--data", root / "data"]
    words += ["--hparams", ONE_EPOCH, "--model", root / "model"]
    finetuning.main([*map(str, words)])
    return root


def commands(root, out, server):
    """What writes, by name: words of a command that makes `out` or files in it."""
    few = SimpleNamespace(labels=np.arange(4000) % 2)
    data = SimpleNamespace(
        splits={"test": few}, type="classification", classes=2, targets=()
    )
    genome = '{"genome": "g", "chromosomes": null}'
    tuning = ["--encoder", root / "encoder", "--data", root / "data"]
    tuning += ["--hparams", ONE_EPOCH]
    attend = ["--encoder", root / "encoder", "--hparams", json.dumps(ATTENTION)]
    attend += ["--corpus", root / "corpus" / "manifest.json"]
    none = ["--data", root / "data", "--hparams", json.dumps(NO_MODEL)]
    spec = {"files": [entry(server, "/a")]}

    def run(main, *words):
        return lambda: main([*map(str, words)])

    return {
        "tokenize": run(
            shards.main, "--source", root / "genome.fa", "--hparams", genome,
            "--output", out / "corpus",
        ),
        "initialise": lambda: untrained.write(out / "e", Initial(**INITIAL)),
        "copy an encoder": lambda: copied(root / "encoder", out / "e"),
        "predict": run(
            predicting.main, "--model", root / "model", "--fasta", root / "few.fa",
            "--output", out / "p.tsv",
        ),
        "a fine-tuned model": run(finetuning.main, *tuning, "--model", out / "m"),
        "a run's metrics": run(finetuning.main, *tuning, "--metrics", out / "m.json"),
        "a run's history": run(finetuning.main, *tuning, "--history", out / "h.csv"),
        "predictions": lambda: outputs.write_predictions(
            out / "p.parquet", data, np.random.default_rng(1).random((4000, 2))
        ),
        "a control": run(no_model.main, *none, "--metrics", out / "m.json"),
        "leaks": run(leaks.main, "--data", root / "data", "--output", out / "l.json"),
        "attention": run(
            attention.main, *attend, "--npz", out / "a.npz", "--csv", out / "a.csv"
        ),
        "a figure": lambda: style.save(plt.figure(), out / "f.png", out / "f.pdf"),
        "download": lambda: download.download(
            "x", spec, out / "resources" / "x", out / "checksums.tsv"
        ),
        "ledger": lambda: download.checksums.record(
            out / "checksums.tsv",
            [download.checksums.Row("x", str(n), 1, "0" * 64, "pinned", "h")
             for n in range(50)],
        ),
    }  # fmt: skip


def copied(source, output):
    """Called in a process that ends with it; a link would take no room."""

    def refuse(*paths):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    os.link = refuse
    folder.copy_encoder(source, output)


def in_child(act, most=None):
    """Exit status, and what is said, where no file may have more than `most` bytes."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            os.dup2(writing, 2)
            sys.stderr = os.fdopen(writing, "w", buffering=1)
            if most is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            try:
                errors.run(act)
                status = 0
            except SystemExit as error:
                print(error.code, file=sys.stderr)
                status = 1
        except BaseException as error:
            print(f"Traceback {error!r}", file=sys.stderr)
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading) as said:
        text = said.read()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), text


def files_in(folder):
    return {path for path in folder.rglob("*") if path.is_file()}


def check(out, status, said):
    """It failed in one line, with nothing that looks like a result."""
    assert status == 1, said
    lines = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "Traceback" not in said and len(lines) == 1, said
    assert re.search("too large|space left|are free", lines[0]), said
    assert str(out) in lines[0]
    # what came of a transfer is kept, and the ledger may be older than the failure
    left = [path for path in files_in(out) if ".parts" not in str(path)]
    assert not [path for path in left if "aside" in path.name], left
    assert {path.name for path in left} <= {"checksums.tsv", "f.png", "a.npz"}


@pytest.fixture
def acts(inputs, server):
    server.files["/a"] = BODY
    return lambda out: commands(inputs, out, server)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_gets_no_larger(tmp_path, acts, name):
    assert (*acts(tmp_path),) == NAMES
    whole = tmp_path / "whole"
    whole.mkdir()
    status, said = in_child(acts(whole)[name])
    assert status == 0, said
    largest = max(path.stat().st_size for path in files_in(whole))
    # A second run's record may be shorter, by some digits of its seconds and bytes.
    for number, most in enumerate((0, 1, largest // 2, largest - 9)):
        out = tmp_path / str(number)
        out.mkdir()
        check(out, *in_child(acts(out)[name], most))


@pytest.fixture
def mount(tmp_path):
    """Mount a file system of so many bytes, until the test ends."""
    made = tmp_path / "small"
    made.mkdir()

    def mounted(size):
        words = ["mount", "-t", "tmpfs", "-o", f"size={size}", "small", made]
        if subprocess.run(words, capture_output=True).returncode:
            pytest.skip("nothing may be mounted here")
        return made

    yield mounted
    subprocess.run(["umount", made], capture_output=True)


@pytest.mark.sweep
@pytest.mark.parametrize("name", NAMES)
def test_a_disk_that_is_full(tmp_path, acts, mount, name):
    whole = tmp_path / "whole"
    whole.mkdir()
    assert in_child(acts(whole)[name])[0] == 0
    pages = sum(-(-path.stat().st_size // 4096) for path in files_in(whole))
    for share in (0, 0.4, 0.8):
        # one page at least, or there is no bound; a folder takes none
        size = 4096 * max(1, int(share * pages))
        if size >= 4096 * pages:
            continue
        out = mount(size)
        check(out, *in_child(acts(out)[name]))
        subprocess.run(["umount", out], check=True)

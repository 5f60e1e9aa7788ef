"""`snakemake resources` gets all that jobs need, and no other job uses the network."""

import ast
import gzip
import io
import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest
import yaml
from made import ROOT
from made.typed import snakemake

from randommask.data import checksums, fetched
from randommask.experiment import form
from randommask.experiment.file import read, whole
from randommask.experiment.runs import resources
from randommask.experiment.sections import Experiment

COMMIT = "a" * 40
RELEASED = ("dnabert-released", "hyenadna", "hyenadna-own", "nt")
NETWORK = {"httpx2", "huggingface_hub", "requests", "urllib", "http", "ftplib"}


OFFLINE = {"urllib.parse", "urllib.parse.quote"}
PACKAGE = ROOT / "workflow" / "randommask"
# what fetches, and the doctor, who looks whether anything could be fetched
ONLINE = {
    *("data.download", "data.hub", "data.server", "data.transfer"),
    "doctor.needs",
}


def imported(path):
    """The packages that a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
    return {name.removeprefix("randommask.") for name in names}


def test_only_the_download_uses_the_network():
    uses = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): imported(path)
        for path in sorted(PACKAGE.rglob("*.py"))
    }
    online = {
        module
        for module, names in uses.items()
        if any(name.split(".")[0] in NETWORK for name in names if name not in OFFLINE)
    }
    assert online == ONLINE
    for module, names in uses.items():
        if module not in {*ONLINE, "doctor.__main__"}:
            assert not names & ONLINE, f"{module} imports {names & ONLINE}"
    rules = "".join(p.read_text() for p in (ROOT / "workflow/rules").glob("*.smk"))
    bodies = re.split(r"^ *(?:use rule \w+ as|rule) (\w+)", rules, flags=re.M)
    commands = {
        name: re.findall(r"-m randommask\.([\w.]+)", body)
        for name, body in zip(bodies[1::2], bodies[2::2], strict=True)
    }
    asking_rules = {name for name, runs in commands.items() if "data.download" in runs}
    assert asking_rules == {"download_genome"}  # whose command the others use


def test_a_job_runs_where_there_is_no_network(tmp_path):
    (tmp_path / "g.fa").write_text(">chr1\nACGTACGT\n")
    code = (
        "import socket\n"
        "def refuse(*args): raise RuntimeError('the network was used')\n"
        "socket.socket.connect = socket.getaddrinfo = refuse\n"
        "from randommask.data import shards\n"
        "shards.main()\n"
    )
    words = ["--source", "g.fa", "--output", "out", "--hparams"]
    subprocess.run(
        [sys.executable, "-c", code, *words, '{"genome": "g", "chromosomes": null}'],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "workflow")},
        check=True,
    )
    assert (tmp_path / "out/manifest.json").exists()


def test_what_the_papers_tables_need():
    config = whole(read(ROOT / "config/config.yaml"))
    released = [f"encoders/{name}" for name in RELEASED]
    config["benchmark"]["datasets"] = str(ROOT / "config/datasets.tsv")
    found = resources(form.read(Experiment, config))
    assert found == ["deepstarr", *released, "gue", "hg38"]
    config["benchmark"]["include"] = ["SSP"]
    rows = config["tables"]["table3"]["rows"]
    pretraining = {"pretraining": "overlapping"}
    config["tables"]["table2"]["rows"] = [row | pretraining for row in rows[4:6]]
    del rows[0:4]
    found = resources(form.read(Experiment, config))
    assert found == ["encoders/dnabert-released", "gue", "hg38"]


# --- The whole, once ------------------------------------------------------------------


def run(folder, *words):
    done = snakemake(*words, folder=folder)
    return done.stdout + done.stderr


@pytest.fixture
def clone(server, tmp_path, monkeypatch):
    """The repository with some of the paper's config, its sources on the server."""
    monkeypatch.setenv("HF_ENDPOINT", server.url())
    for name in ("workflow", "config", "profiles", "envs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copyfile(ROOT / "Snakefile", tmp_path / "Snakefile")
    config = yaml.safe_load((tmp_path / "config/config.yaml").read_text())
    genome = gzip.compress(b">chr1\nACGTACGT\n", mtime=0)
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as made:
        made.writestr("GUE/EMP/H3/train.csv", "sequence,label\nACGTACGT,0\n")
    bodies = {"hg38.fa.gz": genome, "GUE_v2.zip": sink.getvalue()}
    for source in config["sources"].values():
        for file in source["files"]:
            path = f"/{file['name']}"
            server.files[path] = bodies.get(file["name"], b">a\nACGT\n")
            name = file["name"]
            file.clear()
            file |= {"name": name, "urls": [server.url(path)]}
    body = {"config.json": b"{}", "pytorch_model.bin": b"PK\x03\x04", "model.py": b"x"}
    for encoder in config["encoders"].values():
        if released := encoder.get("released"):
            released.pop("files", None)
            names = (released["revision"],)
            server.add_repository(released["repository"], body, COMMIT, names=names)
    config["benchmark"]["include"] = ["SSP"]
    del config["ablations"]
    for table in config["tables"].values():
        kept = ("nt", "dnabert")
        table["rows"] = [row for row in table["rows"] if row["encoder"] in kept]
    (tmp_path / "config/config.yaml").write_text(yaml.safe_dump(config))
    return tmp_path


def test_one_command_fetches_all_and_nothing_twice(clone, server):
    run(clone, "resources", "--scheduler", "greedy")
    root = clone / "resources"
    found = {
        str(path.relative_to(root))
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }
    assert found == {
        "checksums.tsv",
        "encoders/nt/config.json",
        "encoders/nt/pytorch_model.bin",
        "gue/GUE/EMP/H3/train.csv",
        "hg38/hg38.fa.gz",
    }
    ledger = checksums.read(root / "checksums.tsv")
    assert len(ledger) == 4
    assert ledger["encoders/nt", "config.json"].origin.endswith(f"@{COMMIT}")
    for folder in ("hg38", "gue", "encoders/nt"):
        assert (root / folder / fetched.LIST).exists()
        fetched.verify(root / folder)
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}
    server.requests.clear()
    path = clone / "config/config.yaml"
    path.write_text(path.read_text().replace("mirrors: []", "mirrors: [elsewhere]"))
    assert "Nothing to be done" in run(clone, "resources")
    assert server.requests == []
    assert before == {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}

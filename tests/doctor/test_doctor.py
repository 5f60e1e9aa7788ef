"""What `doctor` says of good and bad machines: fakes on PATH, made folders."""

import fcntl
import os
import resource
import shutil
import socket
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
import yaml
from made import ROOT

from randommask.doctor import __main__ as doctor
from randommask.doctor import machine, needs
from randommask.doctor.finding import ask
from randommask.experiment import encoders, file, form
from randommask.experiment.sections import Experiment
from randommask.plan import __main__ as plan

PAPER = file.whole(file.read(ROOT / "config" / "config.yaml"))
LINEAR = {"control": "kmer-linear", "grid": {"k": [3], "strength": [1]}}


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A PATH of its own; call it with a name and a script to put a command there."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name, script):
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    return put


def states(findings):
    return [(finding.state, finding.subject) for finding in findings]


def said(findings):
    return "\n".join(map(str, findings))


def test_a_command_that_is_absent_fails_or_hangs(commands, monkeypatch):
    assert ask("none-such") == (False, "not found")
    commands("bad", "echo wrong >&2; exit 3")
    assert ask("bad") == (False, "wrong")
    commands("good", "echo yes")
    assert ask("good") == (True, "yes")
    monkeypatch.setattr("randommask.doctor.finding.ASK_SECONDS", 0.2)
    commands("slow", "exec /bin/sleep 5")
    assert ask("slow") == (False, "no answer (TimeoutExpired)")


# --- SLURM --------------------------------------------------------------------------


def test_without_slurm_nothing_is_wrong(commands):
    [finding] = machine.slurm()
    assert finding.state == "ok" and "leave out --profile slurm" in str(finding)


def test_a_broken_sacct_is_no_problem_while_squeue_is_asked(commands):
    commands("sbatch", "")
    commands("squeue", "")
    commands("sacct", "echo accounting storage is disabled >&2; exit 1")
    found = list(machine.slurm())
    assert [finding.state for finding in found] == ["ok", "ok"]
    assert "accounting storage is disabled" in said(found)


def test_a_broken_sacct_is_a_problem_where_it_is_asked(commands, tmp_path):
    commands("sbatch", "")
    commands("squeue", "")
    commands("sacct", "exit 1")
    profile = tmp_path / "workflow" / "profiles" / "slurm" / "config.yaml"
    profile.parent.mkdir(parents=True)
    profile.write_text("executor: slurm\n")  # the plugin's default is sacct
    found = list(machine.slurm(tmp_path))
    assert ("problem", "accounting") in states(found)
    assert "slurm-status-command: squeue" in said(found)
    commands("sacct", "exit 0")
    assert {finding.state for finding in machine.slurm(tmp_path)} == {"ok"}


def test_a_dead_controller_and_short_memories_are_said(commands):
    commands("sbatch", "")
    commands("squeue", "echo Unable to contact slurm controller >&2; exit 1")
    [finding] = machine.slurm()
    assert finding.state == "problem" and "Unable to contact" in str(finding)
    commands("squeue", "")
    commands("scontrol", "echo 'MinJobAge               = 30 sec'")
    assert ("warning", "slurm") in states(machine.slurm())
    commands("scontrol", "echo 'MinJobAge               = 300 sec'")
    assert ("warning", "slurm") not in states(machine.slurm())


# --- GPUs, packages, limits ---------------------------------------------------------


def test_gpus_are_named_and_old_ones_marked(commands):
    assert states(machine.gpus()) == [("warning", "gpu")]
    commands("nvidia-smi", "echo 'Tesla V100, 7.0, 16384 MiB'")
    found = list(machine.gpus())
    assert ("warning", "bf16") in states(found) and "precision: fp32" in said(found)
    commands("nvidia-smi", "echo 'A100, 8.0, 40960 MiB'; echo 'A100, 8.0, 40960 MiB'")
    found = list(machine.gpus())
    assert "2 x A100 (8.0, 40960 MiB)" in said(found)
    assert ("ok", "bf16") in states(found)
    # more than torch sees here
    commands("nvidia-smi", "for i in 1 2 3 4 5 6 7 8 9; do echo 'A100, 8.0, 1'; done")
    assert ("problem", "torch") in states(machine.gpus())
    commands("nvidia-smi", "echo driver mismatch >&2; exit 9")
    assert "driver mismatch" in said(machine.gpus())


def test_packages_are_compared_with_the_lock(tmp_path, monkeypatch):
    (tmp_path / "envs").mkdir()
    environment = {"dependencies": ["python", {"pip": ["numpy==1.0", "absent==1.0"]}]}
    (tmp_path / "envs" / "model.yaml").write_text(yaml.safe_dump(environment))
    lock = tmp_path / "requirements.lock"
    installed = {"numpy": "2.0+cpu", "snakemake": "9.1"}

    def version(name):
        if name not in installed:
            raise machine.PackageNotFoundError(name)
        return installed[name]

    monkeypatch.setattr(machine, "version", version)
    lock.write_text("# pins\nnumpy==2.0\nsnakemake==9.1\n")
    assert states(machine.packages(tmp_path)) == [("ok", "packages")]
    lock.write_text("numpy==2.1\nsnakemake==9.1\n")
    assert "numpy 2.0 (lock: 2.1)" in said(machine.packages(tmp_path))
    lock.write_text("numpy==2.0\nsnakemake==9.1\nruff==1\n")
    assert states(machine.packages(tmp_path)) == [("warning", "packages")]
    lock.write_text("numpy==2.0\nabsent==1.0\n")
    assert states(machine.packages(tmp_path)) == [("problem", "packages")]


def test_other_pythons(monkeypatch):
    for here, state in (((3, 10), "problem"), ((3, 12), "ok"), ((3, 14), "warning")):
        monkeypatch.setattr(machine.sys, "version_info", here)
        assert states(machine.python()) == [(state, "python")]


def test_limits_and_ports(monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (256, 4096))
    usage = shutil.disk_usage("/")._replace(free=10**6)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage)
    found = list(machine.limits())
    assert states(found) == [("warning", "open files"), ("warning", "tmp")]
    assert "ulimit -n" in said(found)
    assert states(machine.ports())[-1] == ("ok", "ports")
    monkeypatch.setattr(socket, "gethostname", lambda: "no.such.host.invalid")
    assert states(machine.ports())[0] == ("warning", "network")


# --- What a config needs ------------------------------------------------------------


@pytest.fixture
def config(tmp_path, monkeypatch):
    """The paper's config in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return {**PAPER}


@pytest.fixture
def paper(config):
    return of(config)


def of(config):
    """The experiment of a config that nobody has checked."""
    return form.read(Experiment, config)


def job(folder, **wildcards):
    """A job that downloads an encoder into a folder of `resources`."""
    return plan.Job("download_encoder", wildcards, [], [f"{folder}/nt"], 0, 1)


def test_disk_is_what_plan_says(paper, monkeypatch):
    """The same bytes, written alike: what stays, and what a segment has beside."""
    told = encoders.segment(paper, "dnabert", 480_000)
    out = "results/pretrain/dnabert/step-480000"
    planned = [plan.Job("pretrain", {}, [], [out], 8, 16, told), job("resources")]
    planned[1].wildcards["released"] = "nt"
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda p: usage._replace(free=10**9))
    [finding] = needs.disk(paper, planned)
    assert finding.state == "problem"
    printed = plan.report(planned, plan.Estimator(paper, None), 8, 16, 400.0)
    whole = next(line for line in printed if line.startswith("all ")).split()
    assert f"free, {whole[-2]} {whole[-1]} needed" in finding.found
    beside = next(line for line in printed if line.startswith("disk while a segment"))
    amount = beside.partition(": ")[2].partition(" more")[0]
    assert f" and {amount} while a segment runs" in finding.found
    monkeypatch.setattr(shutil, "disk_usage", lambda p: usage._replace(free=10**12))
    assert states(needs.disk(paper, planned)) == [("ok", "disk")]


def test_where_nothing_can_be_planned_the_disk_is_a_warning(paper):
    [finding] = needs.planned_disk(paper, "none.yaml", None)
    assert (
        finding.state == "warning"
        and "not known: none.yaml: no such file" in finding.found
    )


def test_each_disk_is_told_by_itself(paper, tmp_path, monkeypatch):
    disks = {"/": 5, str(tmp_path): 6}
    monkeypatch.setattr(needs, "_device", lambda path: disks[str(path)])
    usage = shutil.disk_usage("/")
    free = {"/": 10**8, str(tmp_path): 10**12}
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: usage._replace(free=free[str(path)])
    )
    planned = [job("resources", released="nt"), job("/elsewhere", released="nt")]
    text = said(needs.disk(paper, planned))
    assert "ok       disk        1 TB free" in text
    assert "problem  disk        100 MB free" in text and "free some in /," in text


def test_clock_and_locks(paper, tmp_path, monkeypatch):
    found = list(needs.file_system(paper))
    assert states(found) == [("ok", "clock"), ("ok", "locks")]
    assert os.listdir(tmp_path) == []  # nothing is left behind
    times = iter([1.0, 1.0])
    monkeypatch.setattr(needs.time, "time", lambda: next(times))
    assert ("warning", "clock") in states(needs.file_system(paper))
    monkeypatch.undo()


def test_a_file_system_without_locks(paper, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", lambda file, how: None)
    assert ("problem", "locks") in states(needs.file_system(paper))

    def refuse(file, how):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert "No locks available" in said(needs.file_system(paper))


def test_a_folder_that_cannot_be_written(paper, monkeypatch):
    def refuse(**options):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(needs.tempfile, "NamedTemporaryFile", refuse)
    assert states(needs.file_system(paper)) == [("problem", "results")]


class Server(BaseHTTPRequestHandler):
    def do_HEAD(self):
        known = ("/here", "/api/datasets/lab/gue/revision/1", "/mirror/far/a")
        self.send_response(200 if self.path in known else 404)
        self.end_headers()

    def log_message(self, *words):
        pass


@pytest.fixture
def server():
    served = HTTPServer(("127.0.0.1", 0), Server)
    thread = Thread(target=served.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{served.server_port}"
    served.shutdown()
    thread.join()
    served.server_close()


def test_mirrors_are_asked_in_their_order(config, server, tmp_path):
    def remote(*paths):
        urls = [f"{server}/{path}" for path in paths]
        return {"files": [{"name": "a", "urls": urls, "md5": "0" * 32}]}

    config["encoders"] = {"linear": LINEAR}
    config["sources"] = {"good": remote("gone", "here"), "bad": remote("gone")}
    found = list(needs.sources(of(config), offline=False))
    assert states(found) == [("ok", "source"), ("problem", "source")]
    assert "good: 127.0.0.1 answers" in said(found)
    assert "bad: no place answers" in said(found)
    assert list(needs.sources(of(config), offline=True)) == []
    (tmp_path / "resources" / "bad").mkdir(parents=True)
    assert said(needs.sources(of(config), offline=False)).count("problem") == 0


def test_every_place_of_a_download_counts(config, server, tmp_path, monkeypatch):
    """Another place, a hub, a mirror's address, a mirror's folder; an encoder's too."""
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server)
    gone = [{"name": "a", "urls": [f"{server}/gone"], "md5": "0" * 32}]
    hub = {"repository": "lab/gue", "revision": "1", "rename": {"a": "a"}}
    config["sources"] = {
        "gue": {"files": gone, "otherwise": [{"hub": hub}]},
        "far": {"files": gone},
        "near": {"files": gone},
        "lost": {"files": gone, "otherwise": [{"hub": hub | {"revision": "2"}}]},
    }
    (tmp_path / "near").mkdir()
    config["mirrors"] = [str(tmp_path), f"{server}/mirror"]
    place = {"repository": "lab/nt", "revision": "1", "family": "esm"}
    config["encoders"] = {"nt": {"released": place}}
    found = {
        finding.found.split(":")[0]: finding.state
        for finding in needs.sources(of(config), offline=False)
    }
    problems = {name for name, state in found.items() if state == "problem"}
    assert problems == {"lost", "encoders/nt"} and len(found) == 5


def test_local_copies(config, tmp_path):
    (tmp_path / "mine").mkdir()
    config["sources"] = {
        "made": {"path": "results/world"},
        "mine": {"path": "mine"},
        "lost": {"path": "nowhere"},
    }
    found = list(needs.sources(of(config), offline=True))
    assert [finding.state for finding in found] == ["ok", "ok", "problem"]
    assert "lost: no nowhere" in said(found)


def test_a_problem_is_the_exit_status(commands, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "config.yaml"
    lost = {name: {"path": "nowhere"} for name in ("gue", "deepstarr")}
    config = {
        "experiment": {"name": "mine"},
        "encoders": {"linear": LINEAR},
        "sources": {"hg38": {"files": [{"name": "a", "urls": ["https://a"]}]}, **lost},
    }
    path.write_text(yaml.safe_dump(config))
    monkeypatch.setattr(machine, "packages", lambda: iter(()))
    monkeypatch.setattr(needs, "planned_disk", lambda *told: iter(()))
    with pytest.raises(SystemExit) as stopped:
        doctor.main(["--offline", "--configfile", str(path)])
    assert stopped.value.code == 1
    lines = capsys.readouterr().out.splitlines()
    assert all(line.split()[0] in ("ok", "warning", "problem") for line in lines)
    assert sum(line.startswith("problem") for line in lines) == 2
    (tmp_path / "nowhere").mkdir()
    doctor.main(["--offline", "--configfile", str(path)])

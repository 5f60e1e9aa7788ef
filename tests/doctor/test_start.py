"""What Snakemake is told around a run: GPUs that are not there, refusals, failures."""

import os
import re
import time
from types import SimpleNamespace

import pytest
from made import ROOT

from randommask.doctor import cluster, start
from randommask.errors import InputError
from randommask.experiment import encoders, file, flags
from randommask.training import gpu, launch

PAPER = file.load(ROOT / "config" / "config.yaml")
DEMO = file.load(ROOT / "config" / "demo.yaml")


@pytest.fixture(autouse=True)
def bare(tmp_path, monkeypatch):
    """A machine without GPUs, and no word about it."""
    monkeypatch.chdir(tmp_path)
    for name in (launch.ON_CPU, launch.FAKE, "RANDOMMASK_GPUS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


class Resources(dict):
    """As Snakemake's: names are attributes too."""

    __getattr__ = dict.__getitem__


def job(rule, command=None, log=(), threads=1, wildcards=None, **resources):
    return SimpleNamespace(
        rule=SimpleNamespace(name=rule),
        wildcards_dict=wildcards or {},
        input=[],
        output=[],
        log=list(log),
        threads=threads,
        resources=Resources(resources),
        shellcmd=command,
    )


def pretraining(experiment, encoder, step):
    told = encoders.segment(experiment, encoder, step)
    text = flags.flag(told, ".snakemake/randommask")
    return job("pretrain", f"python -m x --hparams '{text}'", gpu=1)


def test_weeks_on_processors_are_refused_before_they_begin(monkeypatch):
    planned = [pretraining(PAPER, "dnabert", 480_000), job("table")]
    with pytest.raises(InputError) as refused:
        start.on_this_machine(PAPER, planned, 2)
    said = str(refused.value)
    assert "no GPU, and 1 jobs ask for one (1 pretrain): on its 2 cores" in said
    assert "--profile slurm" in said and "make demo" in said
    monkeypatch.setenv(launch.ON_CPU, "1")
    assert start.on_this_machine(PAPER, planned, 2) is None  # none asks for one now
    monkeypatch.delenv(launch.ON_CPU)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert start.on_this_machine(PAPER, planned, 2) is None


def test_minutes_on_processors_are_said_and_done():
    said = start.on_this_machine(DEMO, [pretraining(DEMO, "dnabert", 2400)], 2)
    assert "this machine has no GPU" in said
    assert re.search(r"take at least [1-9]\d? min$", said)
    assert start.on_this_machine(DEMO, [job("table")], 2) is None


def test_a_job_with_gpus_that_sees_none_stops(monkeypatch, capsys):
    gpu.expect(0)
    with pytest.raises(InputError, match="was given 2 GPUs and sees none"):
        gpu.expect(2)
    monkeypatch.setenv(launch.FAKE, "1")
    gpu.expect(2)
    assert "fake GPUs" in capsys.readouterr().err


def test_jobs_on_processors_by_name_are_given_no_gpu(monkeypatch):
    resources = Resources(gpu=8)
    assert launch.launcher(None, resources).startswith("torchrun")
    monkeypatch.setenv(launch.ON_CPU, "1")
    assert launch.gpus_a_node(None, resources) == 0
    assert launch.launcher(None, resources) == "python -m"
    assert launch.device(None, resources) == "CUDA_VISIBLE_DEVICES="


def test_a_job_that_fits_no_node_is_named(monkeypatch):
    node = cluster.Nodes("main", True, {"a100": 2, "": 2}, 2, 600, 8, 16_000, True)
    monkeypatch.setattr(cluster, "nodes", lambda: ([node], ""))
    assert start.on_slurm([job("finetune", gpu=1, runtime=60)]) == []
    wide = job("pretrain", gpu=8)
    [finding] = start.on_slurm([wide, wide, job("finetune", gpu=1)])
    assert "pretrain: asks 8 GPUs a node, nodes of" in str(finding)
    [finding] = start.on_slurm([job("finetune", gpu=1, gpu_model="h100")])
    assert "1 GPUs h100 a node" in str(finding)


def test_what_one_line_names_is_tried_once(tmp_path):
    began = time.time() - 1
    log = tmp_path / "finetune.log"
    log.write_text("epoch 1\nerror: train.csv: line 3: no label\n\n")
    assert start.is_refused([log], began)
    assert not start.is_refused([log], began + 3600)  # of a run before this one
    log.write_text("epoch 1\nerror: old\nTraceback\ntorch.OutOfMemoryError: CUDA\n")
    assert not start.is_refused([log], began)
    for passing in (
        "/r/.state/step-1500: being written by process 7 on a, SLURM job 67; wait",
        "/r/history.csv: no space left on device",
        "hg38.fa.gz: no mirror gave it: example: timed out",
    ):
        log.write_text(f"error: {passing}\n")
        assert not start.is_refused([log], began)
    log.write_text("step 10 of 100\n")  # killed, or out of time
    assert not start.is_refused([log], began)
    assert not start.is_refused([tmp_path / "none.log"], began)


def test_failures_are_listed_with_their_cause_and_log(tmp_path):
    log = tmp_path / "b.log"
    log.write_text("a\nerror: x.csv: empty\n")
    os.utime(log)
    gone = tmp_path / "gone.log"
    failed = [
        job("prepare", log=[gone], wildcards={"dataset": "SSP"}),
        job("finetune", log=[log], wildcards={"encoder": "a", "seed": "1"}),
    ]
    assert list(start.failures(failed)) == [
        f"finetune encoder=a, seed=1: x.csv: empty ({log})",
        "prepare dataset=SSP: no word of it; see Snakemake's log",
    ]

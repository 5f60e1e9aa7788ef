"""Profiles: Snakemake reads them, and each rule gets the GPUs that it should."""

import json
import os
import re
from importlib.util import find_spec

import pytest
import yaml
import yte
from made import ROOT
from made.typed import snakemake

PROFILES = ROOT / "workflow" / "profiles"
RULES = {"pretrain", "finetune", "model"}
TARGET = "results/models/dnabert/overlapping/EMP-H3"
PLUGINS = {
    "lsf": ["snakemake_executor_plugin_lsf"],
    "kubernetes": [
        "snakemake_executor_plugin_kubernetes",
        "snakemake_storage_plugin_fs",
    ],
}
# Keys of Snakemake itself; a plugin's begin with its name.
KEYS = {
    "executor",
    "jobs",
    "retries",
    "keep-going",
    "rerun-incomplete",
    "show-failed-logs",
    "latency-wait",
    "default-resources",
    "set-resources",
    "set-threads",
    "container-image",
    "default-storage-provider",
    "default-storage-prefix",
}


def read(name):
    return yaml.safe_load((PROFILES / name / "config.yaml").read_text())


def planned(profile, **environment):
    """The jobs of a dry run under a profile."""
    paths = [str(ROOT / "workflow" / "plugins"), os.environ.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    words = ["-n", "--logger", "plan", "--profile", str(profile), "--", TARGET]
    done = snakemake(*words, **environment)
    jobs = map(json.loads, done.stdout.splitlines())
    return {job["rule"]: job for job in jobs}


def test_local_jobs_wait_for_free_gpus():
    jobs = planned(PROFILES / "local", RANDOMMASK_GPUS="0,1,2")
    command = " ".join(jobs["pretrain"]["command"].split())
    alone = (
        "python -m randommask.training.gpu --gpus 3 --share 1 -- torchrun --standalone"
    )
    assert command.startswith(alone)
    assert jobs["pretrain"]["resources"]["gpu_parts"] == 12  # all there are
    command = " ".join(jobs["model"]["command"].split())
    shared = "python -m randommask.training.gpu --gpus 1 --share 4 --"
    assert command.startswith(f"{shared} python -m randommask.finetuning")
    assert jobs["model"]["resources"]["gpu_parts"] == 1


def test_local_counts_the_gpus(monkeypatch):
    text = (PROFILES / "local" / "config.yaml").read_text()
    for named, count in (("0,1,2,3", 4), ("5", 1)):
        monkeypatch.setenv("RANDOMMASK_GPUS", named)
        made = yte.process_yaml(text)
        assert made["resources"] == [f"gpu_parts={4 * count}"]
        assert made["set-resources"]["pretrain"]["gpu"] == count
        assert made["set-resources"].keys() == RULES


def test_a_scheduler_hands_out_its_gpus_itself():
    jobs = planned(PROFILES / "slurm")
    assert jobs["pretrain"]["resources"]["gpu"] == 8
    for rule in RULES & jobs.keys():
        assert "randommask.training.gpu" not in jobs[rule]["command"]


@pytest.mark.parametrize("name", PLUGINS)
def test_profiles_for_other_schedulers(name):
    profile = read(name)
    assert profile["executor"] == name
    unknown = {key for key in profile if not key.startswith(f"{name}-")} - KEYS
    assert not unknown
    assert profile["set-resources"].keys() == profile["set-threads"].keys() == RULES
    assert all(entry["gpu"] > 0 for entry in profile["set-resources"].values())
    assert profile["retries"] > 0
    text = (PROFILES / name / "config.yaml").read_text()
    assert "Untested on hardware" in text


def as_read(name, folder):
    """The profile; without its plugins, all of it that Snakemake itself understands."""
    if all(map(find_spec, PLUGINS[name])):
        return PROFILES / name
    kept = KEYS - {"executor", "default-storage-provider", "default-storage-prefix"}
    profile = {key: value for key, value in read(name).items() if key in kept}
    (folder / "config.yaml").write_text(yaml.safe_dump(profile))
    return folder


@pytest.mark.parametrize("name", PLUGINS)
def test_profiles_for_other_schedulers_give_jobs_their_gpus(name, tmp_path):
    jobs = planned(as_read(name, tmp_path))
    assert jobs["pretrain"]["resources"]["gpu"] == 8
    assert jobs["model"]["resources"]["gpu"] == 1
    if name == "lsf":
        extra = jobs["pretrain"]["resources"]["lsf_extra"]
        assert extra == "-gpu num=8:j_exclusive=yes"


def test_retries_stand_in_profiles_only():
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        assert not re.search(r"^ +retries:", path.read_text(), re.M)

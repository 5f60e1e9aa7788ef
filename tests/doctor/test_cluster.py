"""What would wait for ever in SLURM's queue is told before it is sent there."""

import os
import tempfile

import pytest
import yaml
from made import ROOT

from randommask.doctor import cluster, machine
from randommask.errors import InputError

SLURM = str(ROOT / "workflow" / "profiles" / "slurm")
# partition, GPUs, nodes, time limit, cores, MB, state: two nodes of two GPUs
SMALL = "main*|gpu:fake:2|2|infinite|64|256000|up"
LARGE = "big|gpu:a100:8(S:0-1)|4|2-00:00:00|128|1000000+|up"


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """A PATH of its own; call it with a name and what that command prints."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def put(name, *lines, fails=False):
        (folder / name).write_text(
            "#!/bin/sh\n"
            + "".join(f'echo "{line}"{" >&2" * fails}\n' for line in lines)
            + f"exit {int(fails)}\n"
        )
        (folder / name).chmod(0o755)

    put("sbatch")
    return put


def put_profile(folder, **told):
    (folder / "mine").mkdir()
    path = folder / "mine" / "config.yaml"
    path.write_text(yaml.safe_dump({"executor": "slurm", **told}))
    return str(path.parent)


def said(profile):
    return "\n".join(map(str, cluster.profile(profile)))


def test_slurm_where_there_is_none(commands, tmp_path):
    (tmp_path / "bin" / "sbatch").unlink()
    [finding] = cluster.profile(SLURM)
    assert finding.state == "problem" and "there is no sbatch here" in str(finding)
    assert said(None) == ""
    assert said(str(ROOT / "workflow" / "profiles" / "local")) == ""


def test_eight_gpus_of_nodes_with_two(commands):
    commands("sinfo", SMALL)
    [finding] = cluster.profile(SLURM)  # the profile as it comes
    assert finding.state == "problem" and finding.subject == "nodes"
    assert (
        "pretrain: asks 8 GPUs a node, nodes of partition main have 2; lower its gpu"
    ) in str(finding)
    commands("sinfo", LARGE.replace("big", "big*"), SMALL.replace("*", ""))
    assert said(SLURM) == (
        "ok       nodes       6 listed, of up to 8 GPUs: each rule finds some"
    )


@pytest.mark.parametrize(
    ("own", "found"),
    [
        ({"gpu": 9}, "asks 9 GPUs a node, nodes of partition big have 8"),
        ({"gpu": 1, "gpu_model": "h100"}, "asks 1 GPUs h100 a node, nodes of"),
        ({"gpu": 8, "gpu_model": "a100"}, ""),
        ({"gres": "gpu:9", "nodes": 2}, "asks 9 GPUs a node"),
        ({"gres": "gpu:t4:1"}, "asks 1 GPUs t4 a node, nodes of partition big have 0"),
        ({"gres": "gpu:a100:8", "nodes": 5}, "asks 5 nodes, 4 of partition big have"),
        ({"gpu": 16, "nodes": 2}, ""),
        ({"gpu": 18, "nodes": 2}, "asks 9 GPUs a node"),
        ({"mem_mb": 2_000_000}, "asks 2e+06 MB, nodes of partition big have 1e+06"),
        ({"runtime": "3d"}, "asks 72 hours, nodes of partition big have 48"),
        ({"runtime": "1d12h"}, ""),
        ({"runtime": 3000}, "asks 50 hours"),
        ({"slurm_partition": "bgi"}, "no partition bgi, found main, big"),
        ({"slurm_partition": "main"}, ""),
        ({"gpu": "attempt * 2", "runtime": "f(x)"}, ""),  # not known here
        ({"gpu": 8, "nodes": 0}, ""),
        ({"gpu": "nan", "mem_mb": "inf"}, ""),
        (5, ""),
    ],
)
def test_what_no_node_has(commands, tmp_path, own, found):
    commands("sinfo", SMALL, LARGE)
    default = {"slurm_partition": "big", "mem_mb": 8000}
    rules = {"set-resources": {"pretrain": own}}
    text = said(put_profile(tmp_path, **{"default-resources": default}, **rules))
    if found:
        assert text.count("problem") == 1 and f"pretrain: {found}" in text
    else:
        assert text.startswith("ok       nodes")


def test_profiles_may_be_lists_and_ask_for_threads(commands, tmp_path):
    commands("sinfo", SMALL)
    profile = put_profile(
        tmp_path,
        **{
            "default-resources": ["slurm_partition=main", "runtime=60"],
            "set-resources": ["finetune:gpu=4", "finetune:mem_mb=8000"],
            "set-threads": ["embed=65"],
        },
    )
    text = said(profile)
    assert "finetune: asks 4 GPUs a node" in text and "embed: asks 65 threads" in text
    assert text.count("problem") == 2


def test_a_partition_that_is_down_and_a_sinfo_that_fails(commands, tmp_path):
    profile = put_profile(tmp_path)
    commands("sinfo", SMALL.replace("up", "down"))
    assert "other rules: partition main is not up" in said(profile)
    commands("sinfo", "Unable to contact", fails=True)
    [finding] = cluster.profile(profile)
    assert finding.state == "warning" and "sinfo: Unable to contact" in str(finding)
    commands("sinfo", "nothing|of|the|kind")
    assert "it lists no partition" in said(profile)


def test_accounts(commands, tmp_path):
    commands("sinfo", SMALL)
    profile = put_profile(tmp_path, **{"default-resources": {"slurm_account": "lab"}})
    commands("sacctmgr", "lab", "lab", "class")
    assert "ok       account     lab" in said(profile)
    commands("sacctmgr", "class", "group")
    assert "problem  account     no lab, yours are class, group" in said(profile)
    commands("sacctmgr", "accounting storage is disabled", fails=True)
    assert "warning  account     lab: sacctmgr tells none of yours (acc" in said(
        profile
    )
    commands("sacctmgr")
    assert "warning  account" in said(profile)


def test_a_profile_is_found_where_snakemake_finds_it(commands, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own"))
    assert "mine: no config.yaml there" in said("mine")
    (tmp_path / "own" / "snakemake").mkdir(parents=True)
    put_profile(tmp_path / "own" / "snakemake")
    commands("sinfo", SMALL)
    assert said("mine").startswith("ok")
    (tmp_path / "own/snakemake/mine/config.yaml").write_text("a: [")
    with pytest.raises(InputError, match="not YAML"):
        said("mine")


def states(findings):
    return [(finding.state, finding.subject) for finding in findings]


def test_a_home_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_CACHE_HOME", "SNAKEMAKE_OUTPUT_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert states(machine.home()) == [("ok", "home")]
    assert os.listdir(tmp_path) == []
    monkeypatch.setenv("HOME", "/proc")
    [finding] = machine.home()
    assert "the cache: /proc/.cache/snakemake cannot be written" in str(finding)
    assert "set HOME or XDG_CACHE_HOME" in str(finding)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert states(machine.home()) == [("ok", "home")]
    monkeypatch.setenv("SNAKEMAKE_OUTPUT_CACHE", "/proc/shared")
    assert states(machine.home()) == [("problem", "home")]
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SNAKEMAKE_OUTPUT_CACHE", str(tmp_path / "file" / "below"))
    assert states(machine.home()) == [("problem", "home")]


def test_no_temporary_folder_at_all(monkeypatch):
    def refuse():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", refuse)
    assert ("problem", "tmp") in states(machine.limits())

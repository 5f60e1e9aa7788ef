"""The commands of the README, planned: the paper's jobs, and what stops a run."""

import base64
import csv
import json
import os
import re
import shlex
import shutil
import subprocess

import pytest
import yaml
from made import ROOT
from made.encoders import publish_esm
from made.typed import SNAKEMAKE, planned, snakemake

from randommask.plan.clean import RECORDS
from randommask.plan.jobs import entries

PAPER_JOBS = {
    "all": 1,
    "download_genome": 1,
    "download_gue": 1,
    "download_deepstarr": 1,
    "download_encoder": 4,
    "tokenize": 1,
    "pretrain": 27,  # 7 segments of 4 encoders, one of them from another's first
    "milestone": 12,
    "encoder": 3,
    "convert_encoder": 4,
    "prepare": 28,
    "initialise": 1,
    "finetune": (8 + 4) * 28 * 3,  # Table 3's rows and Table 2's four more, sets, seeds
    "kmer_linear": 28 * 3,
    "no_model": 28 * 3,
    "leaks": 28,
    "table": 7,  # tables 1, 2, 4 and 5, the statistics, the data sets, their leaks
    "table3": 1,  # and its averages
    "audit": 1,
    "embed": 2,
    "attend": 3,
    "figure": 7,  # Figures 1 to 5, the data sets, the ranks
    "observations": 1,
    "report": 1,
}


@pytest.fixture
def clone(tmp_path):
    """The files of the repository, without results."""
    keep = ("Snakefile", "workflow", "config", "profiles", "envs", "slurm")
    for name in keep:
        source = ROOT / name
        if source.is_symlink():
            (tmp_path / name).symlink_to(os.readlink(source))
        elif source.is_dir():
            shutil.copytree(source, tmp_path / name, symlinks=True)
        else:
            shutil.copyfile(source, tmp_path / name)
    return tmp_path


HERE = pytest.param(["all"], marks=pytest.mark.sweep)


@pytest.mark.parametrize("words", [["--profile", "slurm", "all"], HERE])
def test_the_papers_jobs(clone, words):
    jobs = planned(*words, folder=clone)
    assert jobs.pop("total") == sum(PAPER_JOBS.values())
    assert jobs == PAPER_JOBS


def test_the_readmes_picture_shows_these_rules():
    picture = (ROOT / "docs" / "rulegraph.svg").read_text()
    assert set(re.findall(r">(\w+)</text>", picture)) == PAPER_JOBS.keys()


def test_one_table_plans_what_it_needs(clone):
    jobs = planned("results/tables/table3.csv", folder=clone)
    assert jobs["finetune"] == 8 * 28 * 3
    assert jobs["kmer_linear"] == jobs["no_model"] == 28 * 3
    assert not {"report", "table", "figure", "embed"} & jobs.keys()


def test_one_ablation_plans_its_encoders_only(clone):
    jobs = planned("results/ablations/curriculum.csv", folder=clone)
    assert jobs["ablation"] == 1 and jobs["encoder"] == 9
    assert jobs["pretrain"] == 29
    assert jobs["finetune"] == 9 * 7 * 3
    assert jobs["attend"] == jobs["purity"] == 9 and "embed" not in jobs


def test_rivals_are_pretrained_with_every_seed_and_k_mers_are_ranked_once(clone):
    target = "results/demo/ablations/rivals.csv"
    jobs = planned(target, "--configfile", "config/demo.yaml", folder=clone)
    assert jobs["rank_kmers"] == 1
    assert jobs["pretrain"] == 3 * (5 * 2 + 1 + 1)  # two branch after the first half
    assert jobs["encoder"] == 7 * 3 and jobs["finetune"] == 7 * 3 * 3
    assert jobs["attend"] == jobs["purity"] == 7  # of one pretraining each


@pytest.mark.sweep
def test_a_release_plans_what_stands_in_it(clone):
    jobs = planned("results/release/randommask-100k", folder=clone)
    assert jobs["release"] == 1 and jobs["pretrain"] == 3
    assert jobs["finetune"] == 2 * 5 * 3
    assert jobs["kmer_linear"] == jobs["no_model"] == 5 * 3
    for encoder, kind in (("nt", "made elsewhere"), ("untrained", "a control")):
        target = f"results/release/{encoder}"
        done = snakemake("-n", target, folder=clone, check=False)
        assert done.returncode != 0
        assert f"{target}: {kind}, expected" in done.stdout + done.stderr


def planned_commands(folder, *targets, config="config/config.yaml"):
    """What the jobs of a dry run would run."""
    words = ("-n", "--logger", "plan", "--configfile", config)
    plugins = str(folder / "workflow" / "plugins")
    done = snakemake(*words, "--", *targets, folder=folder, PYTHONPATH=plugins)
    jobs = [json.loads(line) for line in done.stdout.splitlines() if line[:1] == "{"]
    return [job["command"] for job in jobs if job["command"]]


@pytest.mark.sweep
def test_no_argument_of_the_papers_commands_is_long(clone):
    """What is longer, the report's config, is in a file that is there."""
    targets = ("all", "ablations", "results/release/randommask-100k")
    commands = planned_commands(clone, *targets)
    words = [word for command in commands for word in shlex.split(command)]
    assert max(len(word.encode()) for word in words) <= 8192
    files = {word[1:] for word in words if word.startswith("@")}
    assert files and all((clone / name).stat().st_size > 8000 for name in files)


def test_the_smoke_test_plans_every_kind_of_job_for_two_data_sets(clone):
    """Few jobs; of the demo's rules only two controls are left out."""
    words = ("--profile", "workflow/profiles/demo", "--configfile")
    smoke = planned(*words, "config/smoke.yaml", "--", "all", folder=clone)
    demo = planned(*words, "config/demo.yaml", "--", "all", folder=clone)
    assert demo.keys() - smoke.keys() == {"kmer_linear", "no_model"}
    assert smoke["prepare"] == 2 and smoke["finetune"] == 4 and smoke["pretrain"] == 2
    assert smoke["total"] < 50 < demo["total"]


def test_every_path_in_a_command_is_quoted(clone):
    """Places with a space and an apostrophe; of a segment that goes on, too."""
    place = "results of mine's/x"
    config = yaml.safe_load((clone / "config" / "demo.yaml").read_text())
    config["pathvars"] = {
        "results": place,
        "resources": f"{place}/resources",
        "logs": f"{place}/logs",
    }
    for source in config["sources"].values():
        source["path"] = source["path"].replace("results/demo", place)
    (clone / "mine.yaml").write_text(yaml.safe_dump(config))
    made = ["report.html", "ablations/curriculum.csv", "release/randommask"]
    made += ["models/dnabert/overlapping/TF-H-0", "ro-crate-metadata.json"]
    targets = [f"{place}/{name}" for name in made]
    commands = planned_commands(clone, *targets, config="mine.yaml")
    assert len(commands) > 100
    starts = set()
    for command in commands:
        words = shlex.split(command)
        paths = [word for word in words if "results of" in word or "mine's" in word]
        assert paths and all(place in word for word in paths), command
        if "--from" in words:
            starts.add(words[words.index("--from") + 1])
    assert f"{place}/pretrain/dnabert/step-1600" in starts


@pytest.mark.sweep
def test_clean_demo_deletes_nothing_of_ones_own(clone, monkeypatch):
    """docs/extending.md puts it beside the demo's results.

    Nor what another config made where the demo would: its record has other settings.
    """
    own = {
        "encoders/mine/config.json",
        "pretrain/mine/step-200/history.csv",
        "pretrain/dnabert/.state/step-9-00000000/rolling-1.safetensors",
        "finetune/dnabert/overlapping/my-marks/seed1/metrics.json",
        "ablations/mine.csv",
        "ablations/curriculum.csv",
        "notes.txt",
    }
    of_the_demo = {
        "encoders/dnabert-half/config.json",
        "pretrain/dnabert/step-2400/history.csv",
        "finetune/dnabert/overlapping/TF-H-0/seed1/metrics.json",
        "corpus/synthetic/manifest.json",
        "tables/table3.md",
    }
    results, logs = clone / "results" / "demo", clone / "logs" / "demo"
    shard, log = results / "corpus/synthetic/chr1.npy", logs / "encoders/mine.log"
    ready = clone / ".venv" / ".ready"
    paths = [*(results / name for name in own | of_the_demo), shard, log, ready]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in ("Makefile", "requirements.lock"):
        shutil.copy2(ROOT / name, clone)

    monkeypatch.chdir(clone)
    profile = "workflow/profiles/demo"
    for entry in entries(["all", "ablations"], None, profile, "--forceall"):
        command = entry["command"] or ""
        if "results/demo/ablations/curriculum.csv" in entry["output"]:
            command = command.replace("--hparams '{", '--hparams \'{"other": 1, ')
        for output in entry["output"]:
            name = base64.b64encode(output.encode()).decode()
            if os.path.exists(output):
                record = {"rule": entry["rule"], "shellcmd": command}
                RECORDS.mkdir(parents=True, exist_ok=True)
                (RECORDS / name).write_text(json.dumps(record))

    def clean_demo(*words):
        return subprocess.run(
            ["make", "clean-demo", *words],
            cwd=clone,
            capture_output=True,
            text=True,
            check=True,
            input="",
            env={**os.environ, "PATH": f"{SNAKEMAKE.parent}:{os.environ['PATH']}"},
        )

    done = clean_demo()
    listed = set(re.findall(r"^results/demo/(.*)$", done.stdout, re.MULTILINE))
    folders = {name.rpartition("/")[0] for name in of_the_demo}
    assert listed - {"corpus/synthetic/chr1.npy"} <= of_the_demo | folders
    assert len(listed) == len(of_the_demo) + 1
    assert "no record tells: results/demo/ablations/curriculum.csv" in done.stdout
    assert "YES=1 deletes without asking" in done.stdout
    assert all(path.exists() for path in paths)
    clean_demo("YES=1")
    left = {
        str(path.relative_to(results)) for path in results.rglob("*") if path.is_file()
    }
    assert left == own
    assert not (results / "tables").exists() and log.exists()


@pytest.mark.sweep
def test_encoders_that_share_a_beginning_train_it_once(clone):
    jobs = planned("ablations", folder=clone)
    path = clone / "config" / "ablations.yaml"
    apart = yaml.safe_load(path.read_text())
    for entry in apart["encoders"].values():
        entry.pop("from", None)
    path.write_text(yaml.safe_dump(apart))
    assert planned("ablations", folder=clone)["pretrain"] - jobs["pretrain"] == 23
    assert jobs["ablation"] == 11


def test_the_ablation_of_the_docs(clone):
    """The example under "Ablations and releases", as it is printed."""
    text = (ROOT / "docs" / "running.md").read_text()
    example = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.S)[1])
    path = clone / "config" / "ablations.yaml"
    apart = yaml.safe_load(path.read_text())
    for key, own in example.items():
        apart.setdefault(key, {}).update(own)
    path.write_text(yaml.safe_dump(apart))
    jobs = planned("results/ablations/phases.csv", folder=clone)
    assert jobs["pretrain"] == 3 + 6 + 4  # baseline to 100,000, then each its own


def test_a_target_runs_without_cores(clone):
    snakemake("results/tables/table1.csv", folder=clone)
    with open(clone / "results/tables/table1.csv", newline="") as file:
        assert len(list(csv.DictReader(file))) >= 7


def test_an_unknown_target_is_refused(clone):
    done = snakemake("-n", "results/encoders/dnabrt", folder=clone, check=False)
    assert done.returncode != 0


def test_a_misspelt_key_stops_the_run_by_name(clone):
    path = clone / "config" / "config.yaml"
    path.write_text(path.read_text().replace("learning_rate: 1.0e-4", "lr: 1.0e-4"))
    done = snakemake("-n", "all", folder=clone, check=False)
    assert done.returncode != 0
    assert "pretrain: unknown key 'lr'" in done.stdout + done.stderr
    assert "additionalProperties" not in done.stdout + done.stderr


def test_no_password_of_a_mirror_is_shown(clone):
    """Snakemake shows the command that fails, and keeps its parameters."""
    path = clone / "config" / "config.yaml"
    mirror = "http://us3r:s3cret@127.0.0.1:9/m?key=t0ken"
    path.write_text(path.read_text().replace("mirrors: []", f"mirrors: ['{mirror}']"))
    changed = path.read_text().replace("https://hgdownload.soe.ucsc.edu", mirror)
    path.write_text(changed)
    done = snakemake("-p", "--cores", 1, "resources/hg38", folder=clone, check=False)
    assert done.returncode != 0 and "--mirrors @" in done.stdout + done.stderr
    for word in ("us3r", "s3cret", "t0ken"):
        assert word not in done.stdout + done.stderr
        found = [
            each.relative_to(clone).as_posix()
            for each in clone.rglob("*")
            if each.is_file() and word in each.read_text("latin-1")
        ]
        assert set(map(os.path.dirname, found)) == {"config", ".snakemake/randommask"}


def test_released_encoders_stop_with_one_line(clone, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(clone / "hub"))
    done = snakemake("results/encoders/nt", folder=clone, check=False)
    assert done.returncode != 0
    [log] = (clone / "logs" / "download" / "encoders").glob("nt.log")
    assert "error: source encoders/nt" in log.read_text()
    assert not (clone / "resources" / "encoders" / "nt").exists()


@pytest.mark.sweep
def test_a_released_encoder_at_hand_is_converted(clone):
    publish_esm(clone / "resources" / "encoders" / "nt")
    snakemake("results/encoders/nt", "--cores", 1, folder=clone)
    config = json.loads((clone / "results/encoders/nt/config.json").read_text())
    assert (config["model_type"], config["k"]) == ("esm", 3)

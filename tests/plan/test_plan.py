"""What `plan` says of the paper, of parts of it, and of work that is done."""

import json
import math
import os
import re
import shutil
import sys
from pathlib import Path

import pytest
from made import ROOT, typed

from randommask.errors import InputError
from randommask.experiment import encoders, file
from randommask.plan import __main__ as plan
from randommask.plan import speeds

PAPER = file.load(ROOT / "config" / "config.yaml")


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """The files of the repository, without results; the working directory."""
    for name in ("Snakefile", "workflow", "config", "profiles", "envs"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, tmp_path / name)
    os.symlink("workflow/profiles/slurm", tmp_path / "slurm")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def forked(monkeypatch):
    """Snakemake without its imports; two tests have the command that users have."""

    def run(words, *, env, **_):
        assert words[:3] == [sys.executable, "-m", "snakemake"]
        args = [str(typed.SNAKEMAKE), *words[3:]]
        return typed.run({"args": args, "cwd": os.getcwd(), "env": env})

    monkeypatch.setattr("randommask.plan.jobs.subprocess.run", run)


def job(rule, hparams=None, needs=(), makes=(), gpus=0, **wildcards):
    return plan.Job(rule, wildcards, list(needs), list(makes), gpus, 1, hparams)


def pretraining(start, end, gpus=8, before=()):
    told = encoders.segment(PAPER, "dnabert", 480_000)
    told = told.model_copy(update={"start": start, "end": end, "milestones": ()})
    return job("pretrain", told, before, [f"step-{end}"], gpus)


def lines(jobs, gpus=8, rate=None, experiment=PAPER):
    return plan.report(jobs, plan.Estimator(experiment, rate), gpus, math.inf, 400.0)


def test_the_papers_encoder_takes_the_papers_two_days(clone):
    printed = lines([pretraining(0, 480_000)])
    row = next(line for line in printed if line.startswith("pretrain")).split()
    assert row[:3] == ["pretrain", "1", "480,000"] and row[5] == "7.16e+19"
    assert float(row[6]) == pytest.approx(8 * 48, rel=0.01)
    hours = re.search(r"wall time on 8 GPUs: at least ([\d.]+) h", "\n".join(printed))[
        1
    ]
    assert float(hours) == pytest.approx(48, rel=0.01)
    energy = re.search(r"energy: ([\d.]+) kWh", "\n".join(printed))[1]
    assert float(energy) == pytest.approx(8 * 48 * 0.4, rel=0.01)


def test_a_given_speed_is_used_and_said(clone):
    printed = "\n".join(lines([pretraining(0, 480_000)], rate=435e12))
    assert "435 TFLOP/s a GPU (given)" in printed
    hours = float(re.search(r"wall time on 8 GPUs: at least ([\d.]+) h", printed)[1])
    assert hours == pytest.approx(7.17e19 / 435e12 / 8 / 3600, rel=0.01)
    baseline = speeds.given(PAPER, 1000.0)  # at 571 million FLOP a token
    assert baseline == pytest.approx(5.70e11, rel=0.01)
    with pytest.raises(InputError, match="--tokens-per-second: 0"):
        speeds.given(PAPER, 0.0)


def test_segments_wait_for_each_other(clone):
    first, second = (
        pretraining(0, 240_000),
        pretraining(240_000, 480_000, 8, ["step-240000"]),
    )
    together = "\n".join(lines([first, second], gpus=16))
    hours = float(re.search(r"wall time on 16 GPUs: at least ([\d.]+) h", together)[1])
    assert hours == pytest.approx(48, rel=0.01)


def speed_file(folder, gpus, tokens_per_s):
    folder.mkdir(parents=True)
    rows = ["step,seconds,tokens_per_s,utilisation,memory_gib,loader_share,gpus"]
    rows += [f"100,10,{tokens_per_s},0.4,10,0.0,{gpus}"] * 3
    (folder / "speed.csv").write_text("\n".join(rows) + "\n")


def test_the_measured_speed_of_what_is_nearest_in_size_is_taken(clone):
    speed_file(clone / "results/pretrain/dnabert/step-30000", 4, 4_000_000)
    speed_file(clone / "results/pretrain/dnabert-mini/step-30000", 1, 9_000_000)
    speed_file(clone / "results/pretrain/randommask/.state/step-60000-ab", 0, 1000)
    found = speeds.pretraining(PAPER, clone / "results")
    assert sorted(speed.on_gpu for speed in found) == [False, True, True]
    base = speeds.nearest(found, 571e6, True)
    assert base == pytest.approx(1e6 * 569.4e6, rel=0.01)
    assert speeds.nearest(found, 571e6, False) == pytest.approx(1000 * 570e6, rel=0.01)
    assert speeds.nearest(found, 20e6, True) < base
    assert speeds.nearest([], 571e6, True) is None
    printed = "\n".join(lines([pretraining(0, 480_000)]))
    assert "569 TFLOP/s a GPU (pretraining, measured here)" in printed


def test_a_finished_run_gives_the_speed_of_finetuning(clone):
    place = clone / "results/finetune/dnabert/overlapping/SSP/seed1"
    place.mkdir(parents=True)
    run = {
        "dataset": "SSP",
        "architecture": {**PAPER.architectures["base"].values(), "k": 6},
        "settings": {
            "tokenization": "overlapping",
            "epochs": 10,
            "batch_size": 32,
            "truncate": False,
        },
        "rows": {"train": 1000, "dev": 100, "test": 100},
        "device": "NVIDIA A100",
        "seconds": 100.0,
    }
    (place / "metrics.json").write_text(json.dumps(run))
    [speed] = speeds.finetuning(PAPER, clone / "results")
    passes = 10 * (3 * 1000 + 100) + 100
    each = 397 * (2 * 84_934_656 + 4 * 12 * 397 * 768)
    assert speed.on_gpu and speed.rate == pytest.approx(passes * each / 100)


@pytest.mark.sweep
def test_seeds_together_cost_what_they_cost_alone(forked, clone, capsys):
    """One job, the work of all of them; of those that are not there yet."""
    target = "results/finetune/dnabert/overlapping/SSP/seed{}/metrics.json"
    targets = [target.format(seed) for seed in (1, 2, 3)]
    path = clone / "config/config.yaml"

    def planned():
        found = plan.jobs(targets, None, "slurm")
        found = [job for job in found if job.rule == "finetune"]
        estimator = plan.Estimator(PAPER, None)
        work = [estimator.estimate(job).work for job in found]
        return len(found), sum(one.flops for one in work), sum(x.steps for x in work)

    single = planned()
    text = path.read_text()
    path.write_text(text.replace("\nfinetune:\n", "\nfinetune:\n  together: true\n"))
    together = planned()
    assert (single[0], together[0]) == (3, 1)
    assert together[1:] == pytest.approx(single[1:])
    for name in ("metrics.json", "predictions.parquet", "history.csv"):
        made = clone / target.format(2)
        made.parent.mkdir(parents=True, exist_ok=True)
        (made.parent / name).write_text("{}")
    left = planned()
    assert left[0] == 1 and left[1:] == pytest.approx([2 / 3 * x for x in single[1:]])


def test_rules_without_cost_stand_together(clone):
    printed = lines([job("table1"), job("audit"), job("tokenize", genome="hg38")])
    assert any(line.startswith("2 other rules") for line in printed)
    assert any("3.09 GB" in line for line in printed if line.startswith("tokenize"))
    gue = "\n".join(lines([job("download_gue")]))
    assert "not counted: bytes of gue" in gue


# --- Snakemake's own plan -----------------------------------------------------------


@pytest.mark.sweep
def test_the_paper_on_a_cluster_costs_what_the_readme_says(clone, capsys):
    plan.main(["--profile", "slurm"])
    printed = capsys.readouterr().out
    rows = {line[:20].strip(): line.split() for line in printed.split("\n")}
    readme = (ROOT / "README.md").read_text()
    table = re.findall(r"^\| (\w+) \| ([\d,]+) \| ([\d,.]+) \| (.+) \|$", readme, re.M)
    assert [name for name, *_ in table] == ["finetune", "pretrain", "all"]
    for name, jobs, hours, disk in table:
        assert (rows[name][1], *rows[name][-3:]) == (jobs, hours, *disk.split())
    [least] = re.findall(r"at least (\d+) hours on 8 GPUs, ([\d,]+) kWh, and", readme)
    hours = float(re.search(r"on 8 GPUs: at least ([\d,.]+) h", printed)[1])
    energy = float(re.search(r"energy: ([\d,.]+) kWh", printed)[1].replace(",", ""))
    assert (round(hours), round(energy)) == (
        int(least[0]),
        int(least[1].replace(",", "")),
    )
    assert rows["pretrain"][1:3] == ["27", "1,890,000"]  # 4 x 480,000 less 30,000
    assert float(rows["pretrain"][5]) == pytest.approx(2.14e20, rel=0.01)
    assert rows["finetune"][1] == f"{(8 + 4) * 28 * 3:,}"
    assert "wall" in "\n".join(rows)


def test_finished_work_counts_as_nothing(forked, clone, capsys):
    target = "results/tables/table1.csv"
    [planned] = plan.jobs([target], None, None)
    assert planned.rule == "table" and target in planned.outputs
    for path in planned.outputs:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).touch()
    plan.main([target])
    assert capsys.readouterr().out == "nothing to be done\n"


def test_the_demo_takes_minutes(forked, clone, capsys):
    """Start-up, counts of k-mers and t-SNE cost by their size, as training does."""
    plan.main(
        [
            "--configfile",
            "config/demo.yaml",
            *["--profile", "workflow/profiles/demo", "--cores", "2"],
        ]
    )
    [least] = re.findall(r"on 2 cores: at least (\d+) min", capsys.readouterr().out)
    assert 3 <= int(least) <= 8


def test_a_misspelt_target_is_told_the_nearest(forked, clone):
    for word, near in (
        ("reprot", "report"),
        ("results/tabels/table3.csv", "results/tables/table3.csv"),
    ):
        with pytest.raises(InputError) as error:
            plan.jobs([word], None, None)
        assert str(error.value).startswith(f"snakemake: {word}: no")
        assert str(error.value).endswith(f"; did you mean {near}?")


@pytest.mark.parametrize("flag", ["--gpus", "--cores"])
def test_nothing_runs_on_no_device(flag):
    with pytest.raises(InputError, match=f"^{flag}: 0, expected 1 or more$"):
        plan.main([flag, "0"])


@pytest.mark.parametrize("flag", ["--tflops", "--tokens-per-second", "--watts"])
@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf"])
def test_no_speed_is_no_plan(flag, value):
    with pytest.raises(InputError, match=f"^{flag}: {value}, expected more than 0$"):
        plan.main([f"{flag}={value}"])


def test_an_unknown_target_is_one_line(clone):
    with pytest.raises(
        InputError, match="No rule to produce results/nothing"
    ) as caught:
        plan.jobs(["results/nothing"], None, None)
    assert "\n" not in str(caught.value)
    Path("other").mkdir()
    Path("other/config.yaml").write_text("executor: absent\n")
    with pytest.raises(InputError, match=r"^snakemake: argument --executor.*'absent'"):
        plan.jobs(["all"], None, "other")


def test_the_config_is_the_one_that_snakemake_reads(clone):
    assert file.config_path("mine.yaml", "slurm") == Path("mine.yaml")
    assert file.config_path(None, "slurm") == Path("config/config.yaml")
    demo = file.config_path(None, "workflow/profiles/demo")
    assert file.load(demo).experiment.name == "demo"
    with pytest.raises(InputError, match=r"mine\.yaml: no such file"):
        file.load("mine.yaml")

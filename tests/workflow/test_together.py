"""`finetune.together`: the seeds of a cell in one job, the files of single jobs."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from made import ROOT, typed
from made.config import micro
from made.kills import contents
from made.typed import planned, snakemake

pytestmark = pytest.mark.sweep  # off by default
CELL = "finetune/randommask/overlapping/CPD-tata"


def say(world, seeds=(1, 2, 3), **finetune):
    """Write the config with these keys of `finetune`, all paths relative."""
    config = micro(Path())
    config["benchmark"]["include"] = ["CPD-tata", "EAP"]
    config["seeds"] = [*seeds]
    config["finetune"] |= finetune
    (world / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))


def run(world, *words, **options):
    flags = ("--snakefile", ROOT / "Snakefile", "--configfile", "config.yaml")
    zero = [f"{rule}:gpu=0" for rule in ("pretrain", "finetune", "model")]
    one = [f"{rule}=1" for rule in ("pretrain", "finetune", "model")]
    told = ("--set-resources", *zero, "--set-threads", *one)
    return snakemake(*words, *flags, *told, folder=world, **options)


def jobs(world, *words):
    """Jobs of each rule in a dry run; none where there is nothing to be done."""
    output = run(world, "-n", *words).stdout
    if "Nothing to be done" in output:
        return {}
    return typed.jobs(output)


def runs(seeds=(1, 2, 3)):
    return [f"results/{CELL}/seed{seed}/metrics.json" for seed in seeds]


def log(world, name="seeds"):
    return (world / f"logs/{CELL}/{name}.log").read_text()


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """A world with the three runs of a cell, each by a job of its own."""
    world = tmp_path_factory.mktemp("single") / "it's here"
    world.mkdir()
    say(world)
    run(world, *runs())
    return world


@pytest.fixture
def world(single, tmp_path):
    """A copy of it, with times and Snakemake's records."""
    copy = tmp_path / "copy"
    shutil.copytree(single, copy, symlinks=True)
    say(copy)
    return copy


def forget(world, seeds=(1, 2, 3)):
    for path in runs(seeds):
        shutil.rmtree((world / path).parent)


def test_a_cell_is_one_job_with_the_same_files(single, world):
    forget(world)
    say(world, together=True)
    assert jobs(world, *runs())["finetune"] == 1
    run(world, *runs())
    assert contents(world / "results" / CELL) == contents(single / "results" / CELL)
    assert {path.name for path in (world / "logs" / CELL).iterdir()} >= {"seeds.log"}
    assert "seed 3: " in log(world)
    assert (world / "logs/benchmarks" / CELL / "seeds.tsv").exists()
    # single jobs have nothing to do then
    assert jobs(world, *runs()) == {}
    say(world)
    assert jobs(world, *runs()) == {}


def test_switching_it_on_plans_nothing(world):
    say(world, together=True)
    assert jobs(world, *runs()) == {}
    say(world, together=True, dropout=0.2)
    assert jobs(world, *runs())["finetune"] == 1


@pytest.mark.parametrize("has_state", [True, False])
def test_a_seed_that_is_added_trains_alone(world, has_state):
    """Whichever jobs made the others: these have no state, those of one job have."""
    if has_state:
        forget(world)
        say(world, together=True)
        run(world, *runs())
    before = contents(world / "results" / CELL)
    four = (*range(1, 5),)
    say(world, four, together=True)
    run(world, *runs(four))
    after = contents(world / "results" / CELL)
    assert before.items() <= after.items() and len(after) == 12
    assert log(world).count("made before: ") == 3
    assert "epoch 1" in log(world) and "seed 1: " not in log(world)
    assert jobs(world, *runs(four)) == {}


def test_a_seed_that_is_lost_trains_alone(single, world):
    say(world, together=True)
    forget(world, [2])
    assert jobs(world, *runs())["finetune"] == 1
    run(world, *runs())
    assert log(world).count("made before: ") == 2
    assert contents(world / "results" / CELL) == contents(single / "results" / CELL)


def test_an_encoder_made_again_trains_all(world):
    """And one with the same weights, but newer, none."""
    say(world, together=True)
    encoder = world / "results/encoders/randommask"
    (encoder / ".snakemake_timestamp").touch()
    assert jobs(world, *runs()).get("finetune", 1) == 1
    run(world, *runs(), "--forcerun", "finetune")
    assert log(world).count("made before: ") == 3
    assert jobs(world, *runs()) == {}
    for path in map(world.joinpath, runs()):
        told = json.loads(path.read_text())
        told["encoder_sha256"]["model.safetensors"] = "another"
        path.write_text(json.dumps(told))
    run(world, *runs(), "--forcerun", "finetune")
    assert "made before" not in log(world) and "seed 3: " in log(world)


def test_a_job_that_fails_loses_no_seed(world):
    """Snakemake deletes what a failed job has written: the state gives it again."""
    forget(world)
    say(world, together=True)
    blocked = world / f"results/{CELL}/seed3/metrics.json"
    blocked.mkdir(parents=True)
    (blocked / "mine").touch()
    done = run(world, runs()[0], check=False)
    assert done.returncode != 0
    assert "is a folder" in log(world)
    shutil.rmtree(blocked)
    run(world, *runs())
    assert len(contents(world / "results" / CELL)) == 9


def test_the_papers_cells(tmp_path):
    for name in ("Snakefile", "workflow", "config", "profiles", "envs"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, tmp_path / name)
    path = tmp_path / "config/config.yaml"
    text = path.read_text()
    assert "\nfinetune:\n" in text
    path.write_text(text.replace("\nfinetune:\n", "\nfinetune:\n  together: true\n"))
    assert planned("all", folder=tmp_path)["finetune"] == (8 + 4) * 28

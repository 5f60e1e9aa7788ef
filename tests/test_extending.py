"""docs/extending.md as it is written: every entry, row, module and command on it."""

import csv
import gzip
import json
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from made_config import micro
from made_encoders import publish_bert
from safetensors.torch import save_file

from randommask import config as checker
from randommask.errors import InputError

ROOT = Path(__file__).parents[1]
SCHEMA = ROOT / "workflow" / "schemas" / "config.schema.yaml"
BIN = Path(sys.executable).parent
PAGE = (ROOT / "docs" / "extending.md").read_text()
SECTIONS = dict(
    part.split("\n", 1) for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
)
ENVIRONMENT = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}


def blocks(kind, text=PAGE):
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def sequences(rows, bases, seed=0):
    draw = random.Random(seed)
    return ["".join(draw.choices("ACGT", k=bases)) for _ in range(rows)]


def write_data(folder):
    """What the page says lies in `data`."""
    (folder / "fly").mkdir(parents=True)
    plain = "".join(f">chr{i}\n{row}\n" for i, row in enumerate(sequences(2, 20_000)))
    (folder / "fly" / "fly.fa").write_text(plain)
    with gzip.open(folder / "yeast.fa.gz", "wt") as file:
        file.write(f">chrI\n{sequences(1, 20_000, 1)[0]}\n")
    (folder / "my-marks").mkdir()
    for seed, split in enumerate(("train", "dev", "test")):
        rows = [f"{row},{i % 3}" for i, row in enumerate(sequences(24, 60, seed))]
        text = "\n".join(["sequence,label", *rows]) + "\n"
        (folder / "my-marks" / f"{split}.csv").write_text(text)
    publish_bert(folder / "my-checkpoint", positions=512)
    (folder / "average").mkdir()
    keys = json.loads(re.search(r"`(\{\"model_type\".*?\})`", PAGE)[1])
    (folder / "average" / "config.json").write_text(json.dumps(keys))
    torch.manual_seed(0)
    table = torch.randn(4 ** keys["k"] + 5, keys["hidden"])
    save_file({"embedding.weight": table}, folder / "average" / "model.safetensors")


def with_entries(config):
    """The config with every entry of the page put in under its key."""
    for block in blocks("yaml"):
        for key, entries in yaml.safe_load(block).items():
            config.setdefault(key, {}).update(entries)
    return config


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone in which all of the page was done; its targets, made in one run."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("Snakefile", "Makefile", "workflow", "config", "profiles", "envs"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, folder / name)
    write_data(folder / "data")
    [copy] = [line for line in blocks("sh")[0].splitlines() if line.startswith("cp ")]
    subprocess.run(copy.split(), cwd=folder, check=True)
    config = micro(folder)  # the demo's, smaller still
    config["pathvars"] = {name: name for name in ("results", "resources", "logs")}
    for source in config["sources"].values():
        source["path"] = os.path.relpath(source["path"], folder)
    config["benchmark"]["include"] = "all"
    config = with_entries(config)
    (folder / "config" / "mine.yaml").write_text(yaml.safe_dump(config))
    with open(folder / "config" / "datasets.tsv", "a") as file:
        file.write(blocks("tsv")[0])
    [module] = blocks("python", SECTIONS["A family of encoders"])
    (folder / "workflow/randommask/families/average.py").write_text(module)
    commands = [line.split() for line in "".join(blocks("sh")).splitlines()]
    asked = [words for words in commands if words[0] == "snakemake"]
    flags = ["--configfile", "config/mine.yaml"]
    assert all(words[2:] == flags for words in asked)
    targets = [words[1] for words in asked]
    free = [f"{rule}:gpu=0" for rule in ("pretrain", "finetune")]
    one = [f"{rule}=1" for rule in ("pretrain", "finetune")]
    done = subprocess.run(
        [
            "snakemake",
            *targets,
            *flags,
            "--set-resources",
            *free,
            "--set-threads",
            *one,
        ],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.fixture
def extended(monkeypatch):
    """The demo's config with every entry, where the page's module is there too."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(checker, "FAMILIES", [*checker.FAMILIES, "average"])
    config = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    return with_entries(config)


def test_the_demos_own_config_takes_every_entry(extended):
    checker.check(extended, SCHEMA)


def test_two_genomes_make_one_corpus(clone):
    assert (clone / "results/encoders/two-species/model.safetensors").exists()
    for genome, names in {"yeast": ["chrI"], "fly": ["chr0", "chr1"]}.items():
        path = clone / f"results/corpus/{genome}/manifest.json"
        found = json.loads(path.read_text())["chromosomes"]
        assert [chromosome["name"] for chromosome in found] == names
    card = (clone / "results/encoders/two-species/README.md").read_text()
    assert "yeast.fa.gz" in card and "fly.fa" in card


def metrics(clone, encoder, dataset):
    run = clone / f"results/finetune/{encoder}/overlapping/{dataset}/seed1"
    return json.loads((run / "metrics.json").read_text())


def test_a_dataset_is_one_row(clone):
    assert metrics(clone, "untrained", "my-marks")["rows"]["train"] == 24


def test_a_curriculum_is_one_entry(clone):
    path = clone / "results/pretrain/growing/step-200/history.csv"
    with open(path, newline="") as file:
        spans = {int(line["max_span"]) for line in csv.DictReader(file)}
    assert spans == {4, 8, 12}


def test_a_checkpoint_is_one_entry(clone):
    found = metrics(clone, "my-checkpoint", "CPD-tata")
    assert found["architecture"]["k"] == 3 and found["architecture"]["layers"] == 2


def test_a_family_is_one_module_and_one_entry(clone):
    assert metrics(clone, "average", "CPD-tata")["architecture"]["hidden"] == 16
    kept = json.loads((clone / "results/encoders/average/config.json").read_text())
    assert kept["model_type"] == "average"


def test_a_table_is_one_entry(clone):
    text = (clone / "results/ablations/mine.md").read_text()
    assert "Does a growing curriculum help?" in text
    assert "with one seed it cannot be told" in text or "No row is best" in text
    for form in ("tex", "png", "pdf"):
        assert (clone / f"results/ablations/mine.{form}").stat().st_size


def clean(clone, command):
    """Do what `make` would do, but for setting up `.venv`."""
    shown = subprocess.run(
        [*command.split(), "--dry-run", "--old-file", ".venv/.ready"],
        cwd=clone,
        capture_output=True,
        text=True,
        check=True,
    )
    [said] = [line for line in shown.stdout.splitlines() if "ablation.clean" in line]
    subprocess.run(said, shell=True, cwd=clone, env=ENVIRONMENT, check=True)


def test_the_page_takes_its_group_away_again(clone):
    """The last test of the clone."""
    lines = "".join(blocks("sh")).splitlines()
    listed, deleted = [line for line in lines if line.startswith("make ")]
    results = clone / "results"
    clean(clone, listed)
    assert (results / "ablations/mine.csv").exists()
    assert (results / "pretrain" / "growing").exists()
    clean(clone, deleted)
    assert not list(results.glob("ablations/mine*"))
    assert not (results / "pretrain" / "growing").exists()
    assert not (results / "finetune" / "growing").exists()
    for kept in ("pretrain/dnabert", "encoders/two-species", "finetune/average"):
        assert (results / kept).exists()


WRONG = {
    "A genome, or several": (
        ("encoders", "two-species", "genomes"),
        ["yeats"],
        "no genome 'yeats'.*did you mean 'yeast'",
    ),
    "A curriculum": (
        ("encoders", "growing", "curriculum", 1, "until"),
        100,
        "encoders.growing.curriculum: until 100 after 100, expected steps that grow",
    ),
    "A pretrained checkpoint": (
        ("encoders", "my-checkpoint", "released", "path"),
        "",
        'my-checkpoint.released.path: found ""',
    ),
    "A family of encoders": (
        ("encoders", "average", "released", "family"),
        "avrage",
        "average.released.family: no family 'avrage'",
    ),
    "A table": (
        ("ablations", "mine", "rows", 1, "encoder"),
        "grwing",
        "row 'growing': no encoder 'grwing'.*did you mean 'growing'",
    ),
}


@pytest.mark.parametrize("section", WRONG)
def test_a_wrong_entry_is_one_line(section, extended):
    path, value, message = WRONG[section]
    place = extended
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InputError, match=message) as error:
        checker.check(extended, SCHEMA)
    assert "\n" not in str(error.value)

"""docs/extending.md as it is written: every entry, row, module and command on it."""

import csv
import gzip
import hashlib
import json
import math
import os
import random
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
import yaml
from made import ROOT
from made.config import micro
from made.encoders import publish_bert, publish_hf
from safetensors.torch import save_file

from randommask.encoders import families
from randommask.errors import InputError
from randommask.experiment import check as checker
from randommask.experiment import encoders, file, places

BIN = Path(sys.executable).parent
PAGE = (ROOT / "docs" / "extending.md").read_text()
SECTIONS = dict(
    part.split("\n", 1) for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
)
ENVIRONMENT = {
    **os.environ,
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "CUDA_VISIBLE_DEVICES": "",
}


def blocks(kind, text=PAGE):
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(program):
    lines = "".join(blocks("sh")).splitlines()
    return [line for line in lines if line.startswith(f"{program} ")]


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
    (folder / "my-factors").mkdir()
    for seed, split in enumerate(("train", "dev", "test"), 5):
        drawn = enumerate(sequences(24, 60, seed))
        rows = [f"{row},{i % 2},{i % 3 // 2}" for i, row in drawn]
        text = "\n".join(["sequence,CTCF,GAF", *rows]) + "\n"
        (folder / "my-factors" / f"{split}.csv").write_text(text)
    publish_bert(folder / "my-checkpoint", positions=512)
    publish_hf(folder / "theirs", "modernbert", positions=512)
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
            kept = config.get(key, {})
            config[key] = entries if isinstance(kept, str) else kept | entries
    return config


def smaller(folder):
    """The demo's config in its own places, every number of `micro`."""
    demo = yaml.safe_load((ROOT / "config" / "demo.yaml").read_text())
    kept = {key: demo[key] for key in ("pathvars", "sources", "benchmark")}
    return {**micro(folder), **kept}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A clone in which all of the page is written and nothing made."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("Snakefile", "Makefile", "workflow", "config", "profiles", "envs"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, folder / name)
    write_data(folder / "data")
    for line in commands("cp"):
        subprocess.run(line.split(), cwd=folder, check=True)
    config = with_entries(smaller(folder))
    (folder / "config" / "mine.yaml").write_text(yaml.safe_dump(config))
    with open(folder / config["benchmark"]["datasets"], "a") as file:
        file.write("".join(blocks("tsv")))
    [module] = blocks("python", SECTIONS["A family of encoders"])
    (folder / "workflow/randommask/encoders/families/average.py").write_text(module)
    return folder


def typed(line, folder):
    """What Snakemake says to a line as it is typed."""
    done = subprocess.run(
        line.split(), cwd=folder, env=ENVIRONMENT, capture_output=True, text=True
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-5000:]
    return said


FLAGS = "--configfile config/mine.yaml"
# Side by side on a few cores; where a job runs is no part of what it is.
SMALL = (
    "--set-resources pretrain:gpu=0 finetune:gpu=0 --set-threads pretrain=1 finetune=1"
)


@pytest.fixture(scope="module")
def clone(place):
    """The same with its targets made: all in one run, a thread a job."""
    lines = [line for line in commands("snakemake") if line.endswith(f" {FLAGS}")]
    assert len(lines) == 11
    targets = [line.split()[1] for line in lines]
    typed(f"snakemake {' '.join(targets)} {FLAGS} {SMALL}", place)
    return place


@pytest.fixture
def extended(place, monkeypatch):
    """The demo's config with every entry, where the page's module is there too."""
    monkeypatch.chdir(place)
    monkeypatch.setattr(checker, "FAMILIES", [*checker.FAMILIES, "average"])
    modules = place / "workflow/randommask/encoders/families"
    monkeypatch.setattr(encoders, "_FAMILIES", modules)
    return with_entries(file.read(ROOT / "config" / "demo.yaml"))


def check(config):
    """As the Snakefile does it."""
    places.check(checker.check(config))


def test_the_demos_own_config_takes_every_entry(extended):
    check(extended)


@pytest.mark.sweep
def test_a_config_of_twenty_lines_makes_a_table(place):
    [text] = blocks("yml")
    assert text.count("\n") <= 22
    (place / "config" / "own.yaml").write_text(text)
    [line] = [line for line in commands("snakemake") if line.endswith("own.yaml")]
    typed(f"{line} {SMALL}", place)
    with open(place / "results/mine/tables/table3.csv", newline="") as table:
        found = {row["row"]: float(row["mean"]) for row in csv.DictReader(table)}
    assert found.keys() == {"spans of 4", "growing"}
    own = "--configfile config/own.yaml -n"
    with pytest.raises(AssertionError, match="roles: no key 'baseline', whose encoder"):
        typed(f"snakemake results/mine/figures/fig2.png {own}", place)


@pytest.mark.sweep
def test_two_genomes_make_one_corpus(clone):
    assert (clone / "results/demo/encoders/two-species/model.safetensors").exists()
    for genome, names in {"yeast": ["chrI"], "fly": ["chr0", "chr1"]}.items():
        path = clone / f"results/demo/corpus/{genome}/manifest.json"
        found = json.loads(path.read_text())["chromosomes"]
        assert [chromosome["name"] for chromosome in found] == names
    card = (clone / "results/demo/encoders/two-species/README.md").read_text()
    assert "yeast.fa.gz" in card and "fly.fa" in card


def metrics(clone, encoder, dataset, tokens="overlapping"):
    run = clone / f"results/demo/finetune/{encoder}/{tokens}/{dataset}/seed1"
    return json.loads((run / "metrics.json").read_text())


@pytest.mark.sweep
def test_a_dataset_is_one_row(clone):
    assert metrics(clone, "untrained", "my-marks")["rows"]["train"] == 24
    path = clone / "results/demo/benchmark/my-marks/leaks.json"
    assert json.loads(path.read_text())["leaks"]["exact"]["verdict"] == "none"


@pytest.mark.sweep
def test_several_labels_are_one_row_too(clone):
    found = metrics(clone, "untrained", "my-factors")
    assert found["metric"] == "mcc" and {"mcc_0", "mcc_1"} <= found["test"].keys()


@pytest.mark.sweep
def test_a_curriculum_is_one_entry(clone):
    path = clone / "results/demo/pretrain/growing/step-200/history.csv"
    with open(path, newline="") as file:
        spans = {int(line["max_span"]) for line in csv.DictReader(file)}
    assert spans == {4, 8, 12}


@pytest.mark.sweep
def test_a_checkpoint_is_one_entry(clone):
    found = metrics(clone, "my-checkpoint", "CPD-tata")
    assert found["architecture"]["k"] == 3 and found["architecture"]["layers"] == 2


@pytest.mark.sweep
def test_released_weights_go_on_on_another_species(clone):
    made = clone / "results/demo"
    theirs = made / "encoders/my-checkpoint/model.safetensors"
    card = " ".join((made / "encoders/on-yeast/README.md").read_text().split())
    assert (
        f"weights of `my-checkpoint` (model.safetensors of SHA-256 `{sha(theirs)}`"
        in (card)
    )
    assert "yeast.fa.gz" in card and "fly.fa" not in card
    assert "200 of 200 steps" in card and (made / "pretrain/on-yeast/step-100").exists()


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.sweep
def test_a_probe_is_one_entry(clone):
    found = metrics(clone, "dnabert-probe", "CPD-tata")
    assert found["best_epoch"] is None and found["architecture"]["strength"] <= 10
    assert found["architecture"]["hidden"] == 64


@pytest.mark.sweep
def test_a_family_is_one_module_and_one_entry(clone):
    assert metrics(clone, "average", "CPD-tata")["architecture"]["hidden"] == 16
    kept = json.loads((clone / "results/demo/encoders/average/config.json").read_text())
    assert kept["model_type"] == "average"


@pytest.mark.sweep
def test_any_encoder_of_transformers_is_one_entry(clone):
    found = metrics(clone, "theirs", "CPD-tata", "own")["architecture"]
    assert found["positions"] == 512 and len(found["tokenizer"]) == 64
    kept = json.loads((clone / "results/demo/encoders/theirs/config.json").read_text())
    assert kept["model_type"] == "modernbert" and kept["read_as"]["family"] == "hf"


@pytest.mark.sweep
def test_one_more_row_in_another_list_redoes_nothing_else(clone):
    """Neither the world nor another dataset, nor what is fine-tuned on it."""
    config = yaml.safe_load((clone / "config" / "mine.yaml").read_text())
    table = (clone / config["benchmark"]["datasets"]).read_text()
    config["benchmark"]["datasets"] = "config/more.tsv"
    row = blocks("tsv")[0].replace("my-marks\t", "more\t", 1)
    (clone / "config" / "more.tsv").write_text(table + row)
    (clone / "more.yaml").write_text(yaml.safe_dump(config))
    runs = "results/demo/finetune/{}/overlapping/{}/seed1/metrics.json"
    old = [runs.format(encoder, "CPD-tata") for encoder in ("my-checkpoint", "dnabert")]
    new = runs.format("untrained", "more")
    flags = "--configfile more.yaml --dry-run"
    said = typed(f"snakemake {' '.join(old)} {new} {flags}", clone)
    jobs = re.findall(r"^(?:local)?rule (\w+):", said, re.MULTILINE)
    assert sorted(jobs) == ["finetune", "prepare"]


@pytest.mark.sweep
def test_a_table_is_one_entry(clone):
    text = (clone / "results/demo/ablations/mine.md").read_text()
    assert "Does a growing curriculum help?" in text
    assert "with one seed it cannot be told" in text or "No row is best" in text
    for form in ("tex", "png", "pdf"):
        assert (clone / f"results/demo/ablations/mine.{form}").stat().st_size


GROWING, MINE = ("encoders", "growing"), ("encoders", "my-checkpoint", "released")
ENTRY = {"curriculum": [{"until": 200, "max_span": 4}], "steps": 200, "warmup_steps": 2}
NAMED = "expected a name: text of letters, digits, '-', '.' and '_'"
WRONG = [  # where, what stands there, what is said
    (("encoders", "two-species", "genomes"), ["yeats"], "no genome 'yeats'.*'yeast'"),
    (("genomes", "gue"), {"chromosomes": None}, "genomes: no genome 'gue', expected"),
    (
        ("genomes", "fly"),
        {"chromosomes": "2L"},
        'chromosomes: found "2L", expected a list',
    ),
    (("sources", "yeast", "path"), "data/x.fa", "sources.yeast.path: data/x.fa: no su"),
    (("sources", "my yeast"), {"path": "data/fly"}, f'"my yeast", {NAMED}'),
    (("sources", "encoders"), {"path": "data/fly"}, "sources: 'encoders' is a place"),
    ((*GROWING, "curriculum", 1, "until"), 100, "growing.curriculum: until 100 after"),
    ((*GROWING, "steps"), 200.0, "growing.steps: found 200.0, expected a whole"),
    ((*GROWING, "learning_rate"), math.inf, "learning_rate: found Infinity, expected"),
    ((*GROWING, "from"), {"encoder": "dnabert", "step": 1600}, "fewer than steps 200"),
    (("encoders", "my growing"), ENTRY, f'encoders: found "my growing", {NAMED}'),
    (("encoders", "my/growing"), ENTRY, f'encoders: found "my/growing", {NAMED}'),
    (("encoders", "my/step-3"), ENTRY, f'encoders: found "my/step-3", {NAMED}'),
    (("encoders", 2024), ENTRY, f"encoders: found 2024, {NAMED}"),
    ((1,), {}, "config: unknown key '1'; known: experiment"),
    ((*MINE, "path"), "", 'my-checkpoint.released.path: found ""'),
    ((*MINE, "path"), "data/x", "my-checkpoint.released.path: data/x: no such file or"),
    ((*MINE, "repository"), "a/b", "expected family, and either path or"),
    (("encoders", "average", "released", "family"), "avrage", "no family 'avrage'"),
    (("ablations", "mine", "rows", 1, "encoder"), "grwing", "row 'growing': no"),
    (("ablations", "mine", "datasets"), "SSP", 'found "SSP", expected all, or a list'),
    (("pathvars", "results"), "results/mine/", "expected a folder, without"),
    (("benchmark", "datasets"), "config", "config: no such file"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG)
def test_a_wrong_entry_is_one_line(path, value, message, extended):
    place = extended
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(InputError, match=message) as error:
        check(extended)
    assert "\n" not in str(error.value) and len(str(error.value)) < 250


OWN = "source is 'data/my-marks'; a folder of one's own starts with ./, ../ or /"
WRONG_ROWS = [  # in the page's row: what stands there, what instead, what is said
    ("./data", "data", rf"task is 'marks', expected one of EMP.*\({OWN}\)"),
    ("marks\t./data", "EMP\tdata", rf"train_rows is '', expected a .*\({OWN}\)"),
    ("./data/my-marks", "./data/marks", "data/marks/train.csv: no such file"),
    ("\t60\t", "\tlong\t", "bases is 'long', expected a positive number$"),
    ("\tmcc", "\tmmc", "metric is 'mmc', expected one of mcc, pearson"),
    ("no\tyes\t\t\t", "no", "found 12 columns, expected 16"),
    ("\t", " ", "found 1 columns, expected 16"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG_ROWS)
def test_a_wrong_row_is_one_line(old, new, message, extended, tmp_path):
    table = Path("config/datasets.tsv").read_text()
    path = tmp_path / "datasets.tsv"
    path.write_text(table + blocks("tsv")[0].replace(old, new))
    extended["benchmark"]["datasets"] = str(path)
    with pytest.raises(InputError, match=message) as error:
        check(extended)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


def test_a_family_without_one_of_its_functions_is_one_line(monkeypatch):
    half = ModuleType("half")
    half.__file__ = "families/half.py"
    half.TOKENIZATIONS = half.read_config = half.tokenize = half.load = ()
    monkeypatch.setitem(sys.modules, "randommask.encoders.families.half", half)
    monkeypatch.setitem(families.MODULES, "half", "half")
    with pytest.raises(InputError, match=r"^families/half\.py: no save, which a fam"):
        families.named("half", "config.json")

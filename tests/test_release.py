"""A released folder checks itself, and notices what was changed."""

import csv
import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from made_results import EXPERIMENT, make_run

from randommask import checkpoint, metrics
from randommask.errors import InputError
from randommask.release import __main__ as command
from randommask.release import plan, reproduce

ROOT = Path(__file__).parents[1]
SEEDS = [1, 2]
ROWS = [{"label": "RandomMask", "encoder": "mine", "tokenization": "overlapping"}]
SETS = {"CPD-tata": 2, "SSP": 3, "EAP": None}


def write_run(finetuned, dataset, classes, seed):
    """A run with predictions, and the score that they have."""
    draw = np.random.default_rng(seed)
    if classes:
        labels = draw.integers(0, classes, 60)
        values = draw.dirichlet(np.ones(classes), 60).astype(np.float32)
        values[:40] += np.eye(classes, dtype=np.float32)[labels[:40]]
        columns = {"label": labels, **{f"p{i}": values[:, i] for i in range(classes)}}
        score = metrics.score("classification", labels, values)["mcc"]
    else:
        labels = draw.normal(size=(60, 2))
        values = (labels + draw.normal(size=(60, 2))).astype(np.float32)
        columns = {
            "label_dev": labels[:, 0],
            "label_hk": labels[:, 1],
            "y_dev": values[:, 0],
            "y_hk": values[:, 1],
        }
        score = metrics.score("regression", labels, values)["pearson"]
    path = make_run(finetuned, "mine", "overlapping", dataset, seed, score=score)
    table = pa.table({"row": np.arange(60), **columns})
    pq.write_table(table, path.with_name("predictions.parquet"))


@pytest.fixture
def sources(tmp_path):
    """What the jobs leave: an encoder, its last segment, its runs."""
    for folder, names in (
        ("encoder", checkpoint.ENCODER_FILES),
        ("step", ("history.csv", "spans.csv")),
    ):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_text(f"{name}\n")
    (tmp_path / "encoder" / "README.md").write_text("# mine\n\nA DNA encoder.\n")
    for dataset, classes in SETS.items():
        for seed in SEEDS:
            write_run(tmp_path / "finetune", dataset, classes, seed)
    return tmp_path


def release(sources, rows=ROWS, **changes):
    hparams = {
        "experiment": EXPERIMENT,
        "encoder": "mine",
        "rows": rows,
        "datasets": list(SETS) if rows else [],
        "recipe": {"encoder": "mine", "seeds": SEEDS},
    } | changes
    flags = {
        "encoder": sources / "encoder",
        "pretrained": sources / "step",
        "runs": sources / "finetune",
        "datasets": ROOT / "config" / "datasets.tsv",
        "hparams": json.dumps(hparams),
        "output": sources / "out" / "mine",
    }
    command.main([str(word) for key, v in flags.items() for word in (f"--{key}", v)])
    return sources / "out" / "mine"


def check(folder):
    """The command that the card names, with nothing of ours on the path."""
    words = re.search(r"```sh\n(python .*?)\n```", (folder / "README.md").read_text())[
        1
    ]
    return subprocess.run(
        [sys.executable, "-I", *words.split()[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        env={},
    )


def test_who_has_only_the_folder_gets_every_score_of_the_table(sources):
    folder = release(sources).rename(sources / "elsewhere")
    done = check(folder)
    assert done.returncode == 0, done.stderr
    with open(folder / "table.csv", newline="") as file:
        table = {line["dataset"]: line for line in csv.DictReader(file)}
    assert table.keys() == SETS.keys()
    for dataset, line in table.items():
        assert f"RandomMask, overlapping, {dataset}: {line['metric']}" in done.stdout
        assert f"{float(line['mean']):.2f} per cent over 2 seeds" in done.stdout
        assert f"| {dataset} | {line['metric']} |" in (folder / "README.md").read_text()
    assert "README.md" in (folder / "SHA256SUMS").read_text()
    subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True
    )


def test_the_card_is_the_encoders_and_stays_as_it_was_there(sources):
    folder = release(sources)
    text = (folder / "README.md").read_text()
    assert text.startswith("# mine\n\nA DNA encoder.\n\n## Results\n\n> Made: invented")
    assert (sources / "encoder" / "README.md").read_text().count("\n") == 3
    assert json.loads((folder / "recipe.json").read_text())["encoder"] == "mine"
    weights = (folder / "model.safetensors").read_text()
    assert weights == (sources / "encoder" / "model.safetensors").read_text()


def test_changed_predictions_are_noticed(sources):
    folder = release(sources)
    path = folder / "runs" / "overlapping" / "SSP" / "seed2" / "predictions.parquet"
    pq.write_table(pq.read_table(path).slice(5), path)
    done = check(folder)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("not the file that SHA256SUMS lists")


def test_a_table_that_its_predictions_do_not_give_is_noticed(sources):
    folder = release(sources)
    path = folder / "table.csv"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    [first, line, *rest] = path.read_text().splitlines()
    cells = line.split(",")
    cells[4] = str(float(cells[4]) + 0.01)
    path.write_text("\n".join([first, ",".join(cells), *rest]) + "\n")
    after = hashlib.sha256(path.read_bytes()).hexdigest()
    listed = folder / "SHA256SUMS"
    listed.write_text(listed.read_text().replace(before, after))
    done = check(folder)
    assert done.returncode == 1 and "error: table.csv has" in done.stderr


def test_its_scores_are_ours():
    draw = np.random.default_rng(0)
    for classes in (2, 3, 5):
        labels = draw.integers(0, classes, 200)
        named = np.where(draw.random(200) < 0.5, labels, draw.integers(0, classes, 200))
        counts = metrics.confusion(labels, np.eye(classes)[named])
        assert reproduce.mcc(labels, named, classes) == pytest.approx(
            metrics.mcc(counts)
        )
    assert reproduce.mcc(labels, np.zeros(200, int), 5) == 0.0
    assert reproduce.pearson(np.arange(3.0), np.ones(3)) == 0.0


def test_an_encoder_in_no_table_is_released_without_one(sources):
    folder = release(sources, rows=[])
    assert not (folder / "table.csv").exists()
    assert "stands in no table" in (folder / "README.md").read_text()


def test_a_missing_file_is_one_line_and_nothing_is_left(sources):
    (sources / "finetune/mine/overlapping/SSP/seed1/predictions.parquet").unlink()
    with pytest.raises(
        InputError, match=r"SSP/seed1/predictions.parquet: no such file"
    ):
        release(sources)
    assert not (sources / "out" / "mine").exists()


def test_twice_the_same_bytes(sources):
    made = [(release(sources) / "SHA256SUMS").read_bytes() for _ in range(2)]
    assert made[0] == made[1]


def test_the_row_is_of_the_first_table_that_has_the_encoder(monkeypatch):
    monkeypatch.chdir(ROOT)
    paper = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    for encoder, label, datasets in (
        ("randommask", "+RandomMask", 28),
        ("spans-10", "spans of 10", 7),
    ):
        found = plan.table(paper, encoder)
        assert [row["label"] for row in found["rows"]] == [label]
        assert len(found["datasets"]) == datasets
    recipe = plan.recipe(paper, "dnabert-10k")
    assert (recipe["pretrained_as"], recipe["step"]) == ("dnabert", 10000)
    assert recipe["pretraining"]["curriculum"] == [{"until": 10000, "max_span": 6}]
    assert recipe["finetuning"]["overlapping"]["SSP"]["epochs"] == 10
    assert "/" not in json.dumps(recipe)  # nothing of where things lie here

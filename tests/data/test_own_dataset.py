"""A dataset of one's own: one row in the list, one folder with three files."""

import json
import re

import numpy as np
import pytest
from made import ROOT
from made.typed import snakemake

from randommask.data import prepare
from randommask.errors import InputError
from randommask.experiment import datasets, file, runs
from randommask.experiment.check import check
from randommask.experiment.hparams import Run
from randommask.finetuning import examples

ROWS = {  # name: task, classes, targets, metric
    "mine-five": ("cells", "5", "", "mcc"),
    "mine-two": ("cells", "", "liver,Heart_2", "pearson"),
    "mine-one": ("cells", "", "liver", "pearson"),
}


@pytest.fixture
def own(tmp_path):
    """Three datasets of one's own below `data`, and their rows after the paper's."""
    rng = np.random.default_rng(0)
    lines = (ROOT / "config" / "datasets.tsv").read_text().splitlines()
    for name, (task, classes, targets, metric) in ROWS.items():
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        for split, count in {"train": 20, "dev": 10, "test": 10}.items():
            sequences = rng.choice(list("ACGT"), (count, 30))
            columns = {"sequence": ["".join(letters) for letters in sequences]}
            if classes:
                columns["label"] = np.arange(count) % int(classes)
            else:
                # a column that nobody wants stands between
                columns["note"] = ["x"] * count
                for target in targets.split(","):
                    columns[target] = rng.normal(size=count)
            rows = [
                ",".join(map(str, row)) for row in zip(*columns.values(), strict=True)
            ]
            text = "\n".join([",".join(columns), *rows]) + "\n"
            (folder / f"{split}.csv").write_text(text)
        cells = [name, task, f"./data/{name}", "Fly", "30", classes, targets, metric]
        cells += ["2", "8", "1e-4", "no", "yes", "", "", ""]
        lines.append("\t".join(cells))
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "datasets.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


def prepared(own, name):
    listed = own / "config" / "datasets.tsv"
    flags = {
        "--source": own / "data" / name,
        "--datasets": listed,
        "--dataset": name,
        "--hparams": "{}",
        "--output": own / "out" / name,
    }
    prepare.main([str(word) for pair in flags.items() for word in pair])
    row = datasets.find(datasets.read(listed), name, listed)
    run = Run(
        encoder="any",
        tokenization="overlapping",
        dataset=name,
        task=row.task,
        metric=row.metric,
        seed=1,
    )
    return examples.read(own / "out" / name, run)


def test_five_classes_become_what_finetuning_takes(own):
    data = prepared(own, "mine-five")
    assert (data.type, data.classes, data.outputs) == ("classification", 5, 5)
    assert data.splits["dev"].labels.tolist() == [0, 1, 2, 3, 4] * 2
    assert [len(row) for row in data.splits["train"].sequences] == [30] * 20
    summary = json.loads((own / "out/mine-five/summary.json").read_text())
    assert summary["task"] == "cells"
    assert summary["published"] == {"train": None, "dev": None, "test": None}
    assert summary["warnings"] == []


@pytest.mark.parametrize(("name", "outputs"), [("mine-two", 2), ("mine-one", 1)])
def test_columns_of_numbers_become_what_finetuning_takes(own, name, outputs):
    data = prepared(own, name)
    assert (data.type, data.classes, data.outputs) == ("regression", None, outputs)
    assert data.targets == ("liver", "Heart_2")[:outputs]
    lines = (own / "data" / name / "test.csv").read_text().splitlines()[1:]
    expected = [[float(cell) for cell in line.split(",")[2:]] for line in lines]
    assert data.splits["test"].labels.tolist() == expected


def test_a_target_that_no_column_has_is_named(own):
    path = own / "data" / "mine-two" / "dev.csv"
    path.write_text(path.read_text().replace("Heart_2", "heart_2"))
    with pytest.raises(InputError, match=r"dev\.csv: found no column Heart_2"):
        prepared(own, "mine-two")


@pytest.fixture
def paper(own, monkeypatch):
    """The paper's config beside the datasets of one's own, in that folder."""
    monkeypatch.chdir(own)
    return file.whole(file.read(ROOT / "config" / "config.yaml"))


def test_the_check_takes_own_tasks_and_wants_their_files(own, paper):
    paper["recipes"]["table5"] = {"cells": {"epochs": 3}}
    experiment = check(paper)
    rows = {row.dataset: row for row in runs.benchmark(experiment)}
    assert runs.recipe(experiment, "table5", rows["mine-five"])["epochs"] == 3
    assert runs.recipe(experiment, "table5", rows["SSP"])["epochs"] == 10
    for row in rows.values():
        assert bool(runs.own_files(row)) == row.dataset.startswith("mine")

    (own / "data" / "mine-one" / "dev.csv").unlink()
    message = "mine-one: data/mine-one/dev.csv: no such file"
    with pytest.raises(InputError, match=re.escape(message)):
        check(paper)
    # what is not there is left out where the config says so
    paper["benchmark"]["include"] = "present"
    present = [row.dataset for row in runs.benchmark(check(paper))]
    assert "mine-one" not in present and "mine-two" in present


def test_the_workflow_prepares_it_and_again_where_a_file_is_edited(own):
    for name in ("Snakefile", "workflow", "profiles", "envs"):
        (own / name).symlink_to(ROOT / name)
    for name in ("config.yaml", "ablations.yaml", "published"):
        (own / "config" / name).symlink_to(ROOT / "config" / name)

    def run(*words):
        done = snakemake("--cores", 1, *words, folder=own)
        return done.stdout + done.stderr

    target = "results/benchmark/mine-two/summary.json"
    run(target)
    summary = json.loads((own / target).read_text())
    assert summary["targets"] == ["liver", "Heart_2"]
    assert "Nothing to be done" in run("-n", target)
    path = own / "data" / "mine-two" / "test.csv"
    path.write_text(path.read_text().lower().replace("heart_2", "Heart_2"))
    assert "rule prepare" in run("-n", target)


def test_the_papers_rows_stay_as_they_are():
    listed = datasets.read(ROOT / "config" / "datasets.tsv")
    assert not any(dataset.own_folder for dataset in listed)
    assert {dataset.task for dataset in listed} == set(datasets.TASKS)


def test_the_rows_that_the_readme_shows_are_good(tmp_path):
    text = (ROOT / "config" / "README.md").read_text()
    rows = re.search(r"An example of each:\n\n```\n(.*?)```", text, re.S)[1]
    path = tmp_path / "datasets.tsv"
    header = (ROOT / "config" / "datasets.tsv").read_text().splitlines()[0]
    path.write_text(f"{header}\n{rows}")
    marks, activity, factors = datasets.read(path)
    assert (marks.classes, marks.own_folder) == (5, "data/my-marks")
    assert (activity.targets, activity.own_folder) == (
        ("liver", "heart"),
        "/data/my-activity",
    )
    assert (factors.targets, factors.metric) == (("CTCF", "POLR2A"), "mcc")

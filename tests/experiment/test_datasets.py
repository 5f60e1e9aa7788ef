"""`config/datasets.tsv` is the published list, and a wrong row is one clear line."""

import csv
import re

import pytest
from made import ROOT

from randommask.errors import InputError
from randommask.experiment import datasets

CONFIG = ROOT / "config"

GOOD = {
    "dataset": "EMP-H3",
    "task": "EMP",
    "source": "EMP/H3",
    "species": "Yeast",
    "bases": "500",
    "classes": "2",
    "targets": "",
    "metric": "mcc",
    "epochs": "100",
    "batch_size": "32",
    "learning_rate": "3e-5",
    "single_nucleotide": "yes",
    "regional": "no",
    "train_rows": "11971",
    "dev_rows": "1497",
    "test_rows": "1497",
}
REGRESSION = GOOD | {
    "dataset": "EAP",
    "task": "EAP",
    "source": "deepstarr",
    "classes": "",
    "targets": "dev,hk",
    "metric": "pearson",
}


def write(path, *rows, columns=tuple(GOOD), newline="\n"):
    lines = ["\t".join(columns)]
    lines += ["\t".join(row.get(column, "") for column in columns) for row in rows]
    path.write_bytes((newline.join(lines) + newline).encode())
    return path


def test_the_list_has_the_published_datasets_in_the_order_of_the_tasks():
    listed = datasets.read(CONFIG / "datasets.tsv")
    with open(CONFIG / "published" / "table3.csv", encoding="utf-8", newline="") as f:
        published = {row["dataset"]: row for row in csv.DictReader(f)}
    by_task = sorted(
        published, key=lambda name: datasets.TASKS.index(published[name]["task"])
    )
    assert [dataset.dataset for dataset in listed] == by_task
    for dataset in listed:
        assert dataset.task == published[dataset.dataset]["task"]
        assert dataset.metric == published[dataset.dataset]["metric"]
    assert len(listed) == 28


def test_the_list_has_the_papers_hyperparameters():
    # The second table of the paper's appendix.
    expected = {
        "EMP": (32, 100, 3e-5),
        "TF-M": (32, 10, 1e-4),
        "TF-H": (32, 10, 1e-4),
        "PD": (32, 5, 1e-4),
        "CPD": (32, 10, 1e-4),
        "SSP": (32, 10, 1e-4),
        "EAP": (64, 10, 1e-4),
    }
    for dataset in datasets.read(CONFIG / "datasets.tsv"):
        found = (dataset.batch_size, dataset.epochs, dataset.learning_rate)
        assert found == expected[dataset.task]
        assert dataset.single_nucleotide
        assert dataset.regional == (dataset.task in ("PD", "CPD", "EAP"))


def test_a_promoter_set_is_the_sum_of_its_parts():
    listed = {d.dataset: d for d in datasets.read(CONFIG / "datasets.tsv")}
    for task in ("PD", "CPD"):
        for split in datasets.SPLITS:
            parts = [
                listed[f"{task}-{part}"].rows[split] for part in ("tata", "notata")
            ]
            assert listed[f"{task}-all"].rows[split] == sum(parts)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_rows_are_read_in_order(tmp_path, newline):
    path = write(tmp_path / "d.tsv", REGRESSION, GOOD, newline=newline)
    eap, h3 = datasets.read(path)
    assert (eap.type, eap.classes, eap.targets) == ("regression", None, ("dev", "hk"))
    assert (h3.type, h3.classes, h3.targets) == ("classification", 2, ())
    assert h3.rows == {"train": 11971, "dev": 1497, "test": 1497}
    assert datasets.find([eap, h3], "EMP-H3", path) is h3


def test_a_dataset_of_ones_own_has_its_task_and_may_have_no_counts(tmp_path):
    own = {"source": "./data//mine/", "task": "enhancers", "test_rows": ""}
    path = write(tmp_path / "d.tsv", GOOD | own, REGRESSION)
    mine, eap = datasets.read(path)
    assert (mine.task, mine.own_folder) == ("enhancers", "data/mine")
    assert mine.rows == {"train": 11971, "dev": 1497, "test": None}
    assert eap.own_folder is None
    assert datasets.rank(mine.task) > datasets.rank(eap.task) > datasets.rank("EMP")
    for source in ("/abs/mine", "../mine"):
        [row] = datasets.read(write(path, GOOD | {"source": source}))
        assert row.own_folder == source


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (GOOD | {"bases": "5OO"}, "bases is '5OO', expected a positive number"),
        (GOOD | {"epochs": "0"}, "epochs is '0'"),
        (GOOD | {"train_rows": "1_000"}, "train_rows is '1_000'"),
        (GOOD | {"learning_rate": "nan"}, "learning_rate is 'nan'"),
        (GOOD | {"learning_rate": "fast"}, "learning_rate is 'fast'"),
        (GOOD | {"metric": "f1"}, "metric is 'f1', expected one of mcc, pearson"),
        (GOOD | {"task": "TFM"}, "task is 'TFM', expected one of EMP"),
        (GOOD | {"regional": "true"}, "regional is 'true', expected yes or no"),
        (GOOD | {"species": ""}, "species is ''"),
        (GOOD | {"source": "EMP/../H3"}, "source is 'EMP/../H3'"),
        (GOOD | {"source": "./"}, "source is './', expected a folder of GUE"),
        (GOOD | {"source": "./x", "task": "a b"}, "task is 'a b', expected a name"),
        (GOOD | {"dev_rows": ""}, "dev_rows is '', expected a positive number"),
        (GOOD | {"classes": "1"}, "classes is 1, expected at least 2"),
        (GOOD | {"classes": ""}, "classes is empty, expected at least 2"),
        (GOOD | {"classes": "two"}, "classes is 'two'"),
        (GOOD | {"targets": "dev"}, "metric mcc, but targets is 'dev'"),
        (REGRESSION | {"targets": ""}, "metric pearson, but targets is empty"),
        (REGRESSION | {"targets": "dev,dev"}, "targets is 'dev,dev'"),
        (REGRESSION | {"classes": "2"}, "metric pearson, but classes is 2"),
        (GOOD | {"dataset": "a/b"}, "dataset is 'a/b'"),
        (GOOD | {"dataset": ""}, "dataset is ''"),
    ],
)
def test_a_wrong_cell_is_named(tmp_path, row, message):
    path = write(tmp_path / "d.tsv", GOOD | {"dataset": "first"}, row)
    with pytest.raises(InputError, match=re.escape(message)) as error:
        datasets.read(path)
    assert str(error.value).startswith(f"{path}: line 3")
    assert "\n" not in str(error.value)


def test_wrong_columns_are_named(tmp_path):
    path = tmp_path / "d.tsv"
    write(path, GOOD, columns=[c for c in GOOD if c != "regional"])
    with pytest.raises(InputError, match="line 1: found no column regional"):
        datasets.read(path)
    write(path, GOOD, columns=[*GOOD, "colour"])
    with pytest.raises(InputError, match="line 1: unknown column 'colour'"):
        datasets.read(path)
    write(path, GOOD, columns=[*GOOD, "task"])
    with pytest.raises(InputError, match="more than one column task"):
        datasets.read(path)


def test_a_ragged_row_a_repeated_dataset_and_an_empty_list_are_refused(tmp_path):
    path = write(tmp_path / "d.tsv", GOOD, GOOD)
    with pytest.raises(InputError, match="line 3: dataset EMP-H3 is listed twice"):
        datasets.read(path)
    path.write_text(write(path, GOOD).read_text() + "EMP-H4\tEMP\n")
    with pytest.raises(InputError, match="line 3: found 2 columns, expected 16"):
        datasets.read(path)
    with pytest.raises(InputError, match="found no dataset"):
        datasets.read(write(path))
    with pytest.raises(InputError, match="no such file"):
        datasets.read(tmp_path / "absent.tsv")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="not UTF-8"):
        datasets.read(path)


def test_an_unknown_dataset_is_answered_with_the_known_ones(tmp_path):
    path = write(tmp_path / "d.tsv", GOOD, REGRESSION)
    with pytest.raises(InputError, match=r"no dataset EMP-H5, .* EMP-H3, EAP"):
        datasets.find(datasets.read(path), "EMP-H5", path)


def test_tabs_that_an_editor_trimmed_are_no_cells_lost(tmp_path):
    cells = ["mine", "cells", "./data", "Fly", "30", "2", "", "mcc", "1", "8", "1e-4"]
    whole = tmp_path / "whole.tsv"
    row = "\t".join([*cells, "no", "yes", "", "", ""])
    whole.write_text("\t".join(datasets.COLUMNS) + "\n" + row + "\n")
    trimmed = tmp_path / "trimmed.tsv"
    trimmed.write_text(whole.read_text().replace("\t\t\t\n", "\n"))
    assert trimmed.read_text() != whole.read_text()
    assert datasets.read(trimmed) == datasets.read(whole)

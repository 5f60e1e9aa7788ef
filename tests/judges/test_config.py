"""The paper's config against the settings that papers and their code print.

`config/published/settings.csv` says of each where it stands. The yaml and the list of
data sets are read here as plain files, not by the code that the workflow reads them
with.
"""

import csv
from collections import defaultdict

import yaml
from made import ROOT

CONFIG = ROOT / "config"


def number(text):
    try:
        return float(text)
    except ValueError:
        return str(text)


def lines(path, **options):
    with (CONFIG / path).open(newline="") as file:
        return list(csv.DictReader(file, **options))


def at(found, key):
    for part in key.split("."):
        found = found[int(part)] if isinstance(found, list) else found[part]
    return found


def test_every_printed_setting_stands_in_the_config(verdict):
    config = yaml.safe_load((CONFIG / "config.yaml").read_text())
    tasks = defaultdict(lambda: defaultdict(set))
    for row in lines("datasets.tsv", delimiter="\t"):
        for key in ("epochs", "batch_size", "learning_rate"):
            tasks[row["task"]][key].add(row[key])
    printed = lines("published/settings.csv")
    assert len({row["key"] for row in printed}) == len(printed) > 50
    differ = []
    for row in printed:
        assert row["where"], row
        if row["key"].startswith("datasets."):
            _, task, key = row["key"].split(".")
            found = tasks[task][key]
        else:
            value = at(config, row["key"])
            found = set(value) if row["key"] == "pretrain.genomes" else {value}
        if set(map(number, found)) != {number(row["printed"])}:
            differ.append((row["key"], found, row["printed"]))
    what = f"printed settings that the config has otherwise, of {len(printed)}"
    verdict(what, "the papers and their code", len(differ), 0)
    assert not differ


def test_the_vocabulary_and_the_phases_are_as_many_as_printed(verdict):
    config = yaml.safe_load((CONFIG / "config.yaml").read_text())
    vocabulary = 4 ** config["pretrain"]["k"] + 5
    verdict("words of the vocabulary", "paper, section 5.1", abs(vocabulary - 4101), 0)
    phases = config["curricula"]["randommask"]
    verdict("phases", "paper, section 4", abs(len(phases) - 5), 0)
    last = phases[-1]["until"] - config["pretrain"]["steps"]
    verdict("end of the last phase", "paper, section 5.1", abs(last), 0)


def test_28_data_sets_of_7_tasks(verdict):
    rows = lines("datasets.tsv", delimiter="\t")
    verdict("data sets", "paper, abstract", abs(len(rows) - 28), 0)
    verdict("tasks", "paper, abstract", abs(len({r["task"] for r in rows}) - 7), 0)
    columns = {row["task"] for row in lines("published/table3.csv")} - {""}
    assert {row["task"] for row in rows} >= columns

"""The tables against a second, naive computation from invented metrics."""

import csv
import json
import re
import statistics

import pytest
from made.results import (
    CONFIG,
    DATASETS,
    EXPERIMENT,
    ROWS2,
    ROWS3,
    dataset_lines,
    make_run,
    make_runs,
    make_summary,
    metrics_path,
    score,
)

from randommask.errors import InputError
from randommask.report.tables import datapage, marks, sheet
from randommask.report.tables.__main__ import main

TASK = {line["dataset"]: line["task"] for line in dataset_lines()}


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def table(folder, which, hparams, runs=None, extra=()):
    """Run the command; give the folder that its files are in."""
    flags = [which, "--hparams", json.dumps({"experiment": EXPERIMENT} | hparams)]
    if which != "datasets":
        flags += ["--datasets", str(CONFIG / "datasets.tsv")]
    flags += ["--tex", str(folder / f"{which}.tex")]
    if runs is not None:
        published = CONFIG / "published" / f"{which}.csv"
        flags += ["--runs", str(runs), "--published", str(published)]
    if which in ("table4", "table5"):
        flags += ["--published", str(CONFIG / "published" / "recipes.csv")]
    if which == "table3":
        flags += ["--averages", str(folder / "table3_averages.csv")]
    for kind in ("csv", "md"):
        flags += [f"--{kind}", str(folder / f"{which}.{kind}")]
    main([*flags, *extra])
    return folder


def table3(folder, runs, rows=ROWS3, datasets=DATASETS, seeds=(0, 1, 2), extra=()):
    hparams = {"rows": rows, "datasets": list(datasets), "seeds": list(seeds)}
    return table(folder, "table3", hparams, runs, extra)


def published3():
    lines = read(CONFIG / "published" / "table3.csv")
    return {(line["row"], line["dataset"]): line["value_percent"] for line in lines}


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Every run of Tables 2 and 3, and both tables."""
    folder = tmp_path_factory.mktemp("full")
    make_runs(folder / "finetune", [*ROWS3, *ROWS2], DATASETS, (0, 1, 2))
    table3(folder, folder / "finetune")
    hparams = {"rows": ROWS2, "datasets": DATASETS, "seeds": [0, 1, 2]}
    return table(folder, "table2", hparams, folder / "finetune")


def test_table3_equals_the_naive_one(full):
    lines = read(full / "table3.csv")
    assert ",".join(lines[0]) == (
        "row,encoder,tokenization,task,dataset,metric,"
        "mean,sd,seeds,published,delta,gain,gain_low,gain_high,note"
    )
    assert len(lines) == len(ROWS3) * 28
    printed = published3()
    for line in lines:
        name = (line["encoder"], line["tokenization"], line["dataset"])
        scores = [100 * score(*name, seed) for seed in (0, 1, 2)]
        assert float(line["mean"]) == pytest.approx(statistics.mean(scores), abs=6e-5)
        assert float(line["sd"]) == pytest.approx(statistics.stdev(scores), abs=6e-5)
        assert line["seeds"] == "3"
        assert line["note"] == ""
        beside = printed.get((line["row"], line["dataset"]))
        if beside is None:
            assert line["published"] == line["delta"] == ""
        else:
            assert float(line["published"]) == float(beside)
            delta = statistics.mean(scores) - float(beside)
            assert float(line["delta"]) == pytest.approx(delta, abs=6e-5)


def test_averages_equal_the_naive_ones(full):
    lines, sets = read(full / "table3.csv"), {"mcc": "MCC sets", "pearson": None}
    for average in read(full / "table3_averages.csv"):
        own = [
            line
            for line in lines
            if line["row"] == average["row"]
            and average["task"] in (line["task"], sets[line["metric"]])
        ]
        assert int(average["datasets"]) == len(own)
        ours = statistics.mean(float(line["mean"]) for line in own)
        assert float(average["mean"]) == pytest.approx(ours, abs=2e-4)
        if own[0]["published"]:
            theirs = statistics.mean(float(line["published"]) for line in own)
            assert float(average["published"]) == pytest.approx(theirs, abs=1e-4)
            assert float(average["delta"]) == pytest.approx(ours - theirs, abs=2e-4)
        else:
            assert average["published"] == average["delta"] == ""


def cells(folder, column):
    """What stands in a column of the printed Table 3, by row."""
    found, place = {}, None
    for line in (folder / "table3.md").read_text().splitlines():
        parts = [part.strip() for part in line.strip("|").split("|")]
        if parts[0] == "Row":
            place = parts.index(column) if column in parts else None
        elif parts[0] == "Gain":
            place = None
        elif line.startswith("|") and place and parts[0] != "---":
            found[parts[0]] = parts[place]
    return found


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    """Four rows whose seeds spread by 1 point: leads of 20, of 4, of 0.4."""
    folder = tmp_path_factory.mktemp("apart")
    means = dict(zip(("EMP-H3", "CPD-tata", "EAP"), (0.2, 0.04, 0.004), strict=True))
    for name, lead in means.items():
        for place, row in enumerate(ROWS3):
            for seed in (0, 1, 2):
                value = 0.8 - lead * place + 0.01 * (seed - 1)
                run = (row["encoder"], row["tokenization"], name, seed)
                make_run(folder / "finetune", *run, score=value)
    return table3(folder, folder / "finetune", datasets=means)


def test_best_is_bold_and_second_underlined_where_the_lead_is_large(apart):
    # Tukey's q of 4 rows and 8 degrees of freedom is 4.529; s = 1 point, 3 seeds
    least = 4.529 / 3**0.5
    for dataset, first, second in (
        ("EMP-H3", "**80.00** ± 1.00", "<u>60.00</u> ± 1.00"),
        ("CPD-tata", "**80.00** ± 1.00", "<u>76.00</u> ± 1.00"),
        ("EAP", "80.00 ± 1.00", "79.60 ± 1.00"),
    ):
        found = cells(apart, dataset)
        marks = [text.split(" (")[0] for text in found.values()]
        assert marks[:2] == [first, second]
        assert not any("*" in text or "<u>" in text for text in marks[2:])
        assert found["smallest difference"] == f"{least:.2f}"
    text = (apart / "table3.md").read_text()
    assert f"> {EXPERIMENT['notice']}" in text
    assert "smallest difference that 3 seeds can show: q s / sqrt(n)" in text


def test_a_row_that_no_seed_changes_makes_no_other_look_surer(tmp_path):
    """The linear control's seeds are all equal."""
    for place, row in enumerate(ROWS3[:3]):
        for seed in (0, 1, 2):
            value = 0.8 - 0.1 * place + (0.01 * (seed - 1) if place else 0)
            run = (row["encoder"], row["tokenization"], "EMP-H3", seed)
            make_run(tmp_path / "finetune", *run, score=value)
    folder = table3(tmp_path, tmp_path / "finetune", ROWS3[:3], ["EMP-H3"])
    # q of 3 rows and the 4 degrees of freedom of the two rows that spread
    assert cells(folder, "EMP-H3")["smallest difference"] == f"{5.040 / 3**0.5:.2f}"


def test_one_seed_and_no_row_of_random_weights_marks_nothing(tmp_path):
    make_runs(tmp_path / "finetune", ROWS3, ["EMP-H3"], (0,))
    folder = table3(tmp_path, tmp_path / "finetune", datasets=["EMP-H3"], seeds=(0,))
    text = (folder / "table3.md").read_text()
    assert "**" not in text and "<u>" not in text
    assert "so no number is marked as the best" in text


def test_every_cell_of_the_csv_stands_in_the_printed_forms(full):
    markdown, latex = ((full / f"table3.{kind}").read_text() for kind in ("md", "tex"))
    for line in read(full / "table3.csv"):
        assert f"{float(line['mean']):.2f}" in markdown
        assert f"{float(line['mean']):.2f}" in latex
        assert line["dataset"] in markdown


def test_table2_equals_the_naive_one(full):
    printed = {
        (line["pretrained"], line["finetune_tokenization"]): line
        for line in read(CONFIG / "published" / "table2.csv")
    }
    gains = {}
    for line in read(full / "table2.csv"):
        name = (line["encoder"], line["tokenization"])
        sets = [dataset for dataset in DATASETS if TASK[dataset] == line["task"]]
        by_seed = [
            statistics.mean(100 * score(*name, dataset, seed) for dataset in sets)
            for seed in (0, 1, 2)
        ]
        assert float(line["mean"]) == pytest.approx(statistics.mean(by_seed), abs=1e-4)
        assert float(line["sd"]) == pytest.approx(statistics.stdev(by_seed), abs=1e-4)
        assert (line["datasets"], line["seeds"]) == (str(len(sets)), "3")
        beside = float(printed[line["label"], line["tokenization"]][line["task"]])
        assert float(line["published"]) == beside
        sign = 1 if line["tokenization"] == "overlapping" else -1
        gain = sign * statistics.mean(by_seed) / 7
        gains[line["label"]] = gains.get(line["label"], 0.0) + gain
    text = (full / "table2.md").read_text()
    for label, gain in gains.items():
        line = next(x for x in text.splitlines() if x.startswith(f"| {label} | "))
        assert label in line
        below = text[text.index("Overlapping minus") :]
        row = next(x for x in below.splitlines() if x.startswith(f"| {label} |"))
        assert float(row.split("|")[-2].split()[0]) == pytest.approx(gain, abs=6e-3)


def test_the_distance_to_each_control_is_told(tmp_path):
    labels = ("+RandomMask", "no pretraining", "k-mer counts, linear")
    names = ("randommask", "untrained", "kmer-linear")
    rows = [
        ROWS3[0] | {"label": label, "encoder": name, "published": None}
        for label, name in zip(labels, names, strict=True)
    ]
    scores = ({"SSP": 0.8, "EAP": 0.6}, {"SSP": 0.5, "EAP": 0.45}, {"SSP": 0.9})
    for name, own in zip(names, scores, strict=True):
        for dataset, value in own.items():
            path = (tmp_path / "finetune", name, "overlapping", dataset, 0)
            make_run(*path, score=value)
    hparams = {"rows": rows, "datasets": ["SSP", "EAP"], "seeds": [0]}
    told = {}
    for controls in ([], ["untrained", "kmer-linear"], ["kmer-linear", "other"]):
        more = hparams | {"controls": controls}
        table(tmp_path, "table3", more, tmp_path / "finetune", ["--partial"])
        text = (tmp_path / "table3.md").read_text()
        told[len(told)] = re.findall(r"Mean distance over n data sets to (.*)", text)
    assert told[0] == []
    assert told[1] == [
        '"no pretraining": "+RandomMask" +22.50 (n = 2).',
        '"k-mer counts, linear": "+RandomMask" -10.00 (n = 1).',
    ]
    [line] = told[2]
    assert '"+RandomMask" -10.00 (n = 1), "no pretraining" -40.00' in line


def test_one_seed_has_no_spread(tmp_path):
    make_runs(tmp_path / "finetune", ROWS3[:2], ["SSP"], [5])
    folder = table3(tmp_path, tmp_path / "finetune", ROWS3[:2], ["SSP"], [5])
    assert {line["sd"] for line in read(folder / "table3.csv")} == {""}
    text = (folder / "table3.md").read_text()
    assert "One seed" in text
    assert "\u00b1" not in text


def test_missing_runs_are_empty_cells_and_listed(tmp_path):
    datasets = ["PD-all", "PD-tata", "SSP"]
    make_runs(tmp_path / "finetune", ROWS3[:2], datasets, [0, 1])
    for seed in (0, 1):
        gone = (ROWS3[0]["encoder"], "overlapping", "PD-tata", seed)
        metrics_path(tmp_path / "finetune", *gone).unlink()
    metrics_path(tmp_path / "finetune", "dnabert", "overlapping", "SSP", 1).unlink()
    cell = (tmp_path, tmp_path / "finetune", ROWS3[:3], datasets, [0, 1])
    folder = table3(*cell, extra=["--partial"])
    cells = {(d["row"], d["dataset"]): d for d in read(folder / "table3.csv")}
    assert cells["NT*", "PD-tata"]["mean"] == cells["NT*", "PD-tata"]["delta"] == ""
    assert cells["NT*", "PD-tata"]["note"] == "no run"
    assert cells["DNABERT", "SSP"]["note"] == "no run of seed 1"
    assert cells["DNABERT", "SSP"]["seeds"] == "1"
    averages = {(d["row"], d["task"]): d for d in read(folder / "table3_averages.csv")}
    assert averages["NT*", "PD"]["mean"] == averages["NT*", "PD"]["delta"] == ""
    assert averages["DNABERT", "PD"]["mean"] != ""
    text = (folder / "table3.md").read_text()
    assert r'No run, so the cell is empty: "NT\*": PD-tata.' in text
    assert '"+RandomMask": every cell' in text


def test_flags_are_marked_and_carried(tmp_path):
    make_runs(tmp_path / "finetune", ROWS3[:2], ["SSP"], [0, 1])
    flagged = ("dnabert", "overlapping", "SSP", 1)
    make_run(tmp_path / "finetune", *flagged, score=0.0, flags=["constant predictions"])
    folder = table3(tmp_path, tmp_path / "finetune", ROWS3[:2], ["SSP"], [0, 1])
    line = next(d for d in read(folder / "table3.csv") if d["row"] == "DNABERT")
    assert line["note"] == "seed 1: constant predictions"
    assert '\u2020 "DNABERT", SSP: seed 1' in (folder / "table3.md").read_text()
    assert r"$^{\dagger}$" in (folder / "table3.tex").read_text()


def test_missing_runs_fail_unless_partial_tables_are_asked_for(tmp_path):
    datasets = ["PD-all", "PD-tata", "SSP"]
    make_runs(tmp_path / "runs", ROWS3[:1], ["SSP"], [0])
    rows = ROWS3[:3]
    for which, shown in (("table3", rows), ("table2", ROWS2[:2])):
        hparams = {"rows": shown, "datasets": datasets, "seeds": [0]}
        with pytest.raises(InputError) as error:
            table(tmp_path, which, hparams, tmp_path / "runs")
        count = len(shown) * len(datasets) - 1
        assert f"missing or unreadable and left out: {count} (" in str(error.value)
        assert "/nt/" in str(error.value) and "no such file" in str(error.value)
        assert str(error.value).count("no such file") == 5
        assert f"; and {count - 5} more" in str(error.value) or count == 5
        text = (tmp_path / f"{which}.md").read_text()
        assert "No run, so the cell is empty" in text
        again = (tmp_path / f"{which}.csv").read_bytes()
        table(tmp_path, which, hparams, tmp_path / "runs", ["--partial"])
        assert (tmp_path / f"{which}.csv").read_bytes() == again


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"encoder": "nt"}, "encoder: found 'nt'"),
        ({"dataset": "EAP"}, "dataset: found 'EAP'"),
        ({"seed": 7}, "seed: found 7"),
        ({"score": None}, "score: found None"),
        ({"score": 71.0}, "score: found 71.0"),
        ("half", "not JSON"),
        ("list", "found list, expected an object"),
    ],
)
def test_an_unusable_run_is_named_and_its_cell_stays_empty(tmp_path, change, words):
    make_runs(tmp_path, ROWS3[1:2], ["SSP"], [0, 1])
    run = ("dnabert", "overlapping", "SSP", 1)
    path = metrics_path(tmp_path, *run)
    if change == "half":
        path.write_text(path.read_text()[:40])
    elif change == "list":
        path.write_text("[]")
    else:
        make_run(tmp_path, *run, **change)
    with pytest.raises(InputError) as error:
        table3(tmp_path, tmp_path, ROWS3[1:2], ["SSP"], [0, 1])
    assert f"{path}: {words}" in str(error.value)
    [line] = read(tmp_path / "table3.csv")
    assert (line["seeds"], line["sd"], line["note"]) == ("1", "", "no run of seed 1")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"settings": {"epochs": 4}}, "epochs: found 4, expected 3"),
        ({"data_sha256": {"test": "b"}}, "data_sha256: found {'test': 'b'}, expected"),
        ({"encoder_sha256": "b"}, "encoder_sha256: found 'b', expected 'a'"),
    ],
)
def test_runs_made_differently_are_refused_with_both_names(tmp_path, change, words):
    shared = {"data_sha256": {"test": "a"}, "encoder_sha256": "a"}
    run = ("dnabert", "overlapping", "SSP")
    first = make_run(tmp_path, *run, 0, **shared)
    second = make_run(tmp_path, *run, 1, **(shared | change))
    for extra in ((), ["--partial"]):
        with pytest.raises(InputError) as error:
            table3(tmp_path, tmp_path, ROWS3[1:2], ["SSP"], [0, 1], extra)
        assert str(first) in str(error.value) and str(second) in str(error.value)
        assert words in str(error.value)
        assert not (tmp_path / "table3.csv").exists()


def test_an_unknown_published_row_or_dataset_is_refused(tmp_path):
    with pytest.raises(InputError, match="no published row 'BERT'"):
        table3(tmp_path, tmp_path, [ROWS3[1] | {"published": "BERT"}], ["SSP"])
    with pytest.raises(InputError, match="no dataset EMP-H9"):
        table3(tmp_path, tmp_path, ROWS3, ["EMP-H9"])
    with pytest.raises(InputError, match="unknown key 'colour'"):
        table(tmp_path, "table1", {"datasets": ["SSP"], "colour": "red"})
    with pytest.raises(InputError, match="a second 'DNABERT'"):
        table3(tmp_path, tmp_path, [ROWS3[1], ROWS3[1]], ["SSP"])


def test_a_second_time_gives_the_same_bytes(full, tmp_path):
    table3(tmp_path, full / "finetune")
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (full / path.name).read_bytes()


def test_table1_is_the_printed_one(tmp_path):
    table(tmp_path, "table1", {"datasets": DATASETS})
    lines = {line["task"]: line for line in read(tmp_path / "table1.csv")}
    assert " ".join(lines) == "EMP TF-M TF-H PD CPD SSP EAP"
    assert lines["EAP"]["type"] == "REG"
    assert lines["PD"]["regional_level"] == "yes"
    assert [int(d["datasets"]) for d in lines.values()] == [10, 5, 5, 3, 3, 1, 1]
    text = (tmp_path / "table1.md").read_text()
    assert "| Species | Yeast | Mouse | Human |" in text
    assert "| Data sets | 10 | 5 | 5 | 3 | 3 | 1 | 1 |" in text


def test_recipes_are_the_printed_ones(tmp_path):
    settings = {"optimizer": "AdamW", "betas": [0.9, 0.999], "weight_decay": 0.0}
    keys = {"epochs": int, "batch_size": int, "learning_rate": float}
    datasets = {
        line["dataset"]: {key: kind(line[key]) for key, kind in keys.items()}
        for line in dataset_lines()
    }
    hparams = {
        "recipe": "table5",
        "settings": settings,
        "datasets": datasets,
        "used": True,
    }
    table(tmp_path, "table5", hparams)
    text = (tmp_path / "table5.md").read_text()
    assert "| Printed by the paper | EMP | TF | CPD | PD | SSP | EAP |" in text
    assert "| Batch size | 32 | 32 | 32 | 32 | 32 | 64 |" in text
    assert "| Training epochs | 100 | 10 | 10 | 5 | 10 | 10 |" in text
    assert "| Learning rate | 3e-5 | 1e-4 | 1e-4 | 1e-4 | 1e-4 | 1e-4 |" in text
    assert "0.9, 0.999" in text
    assert "Ours, of the recipe" not in text  # nothing differs, nothing is added
    datasets["TF-H-2"]["epochs"] = 3
    table(tmp_path, "table5", hparams | {"settings": settings | {"clip": 1.0}})
    lines = read(tmp_path / "table5.csv")
    listed = [
        (d["value"], d["printed"])
        for d in lines
        if (d["setting"], d["group"]) == ("epochs", "TF")
    ]
    assert listed == [("10, 3", "10")]
    printed, ours = (tmp_path / "table5.md").read_text().split("| Ours, of the recipe")
    assert "| Training epochs | 100 | 10 | 10 |" in printed and "Clip" not in printed
    assert "| Training epochs | 100 | 10, 3 | 10 |" in ours and "| Clip | 1 |" in ours
    with pytest.raises(InputError, match="recipe: found 'table5'"):
        table(tmp_path, "table4", hparams)


def test_data_page(tmp_path):
    names = ["SSP", "EMP-H3", "EMP-H4", "EAP"]
    paths = [make_summary(tmp_path, name) for name in names]
    paths.append(make_summary(tmp_path, "PD-all", warnings=["test: all alike"]))
    table(tmp_path, "datasets", {}, extra=["--summaries", *map(str, paths)])
    lines = read(tmp_path / "datasets.csv")
    assert [line["dataset"] for line in lines[::3]] == [
        "EMP-H3",
        "EMP-H4",
        "PD-all",
        "SSP",
        "EAP",
    ]
    test = next(d for d in lines if (d["dataset"], d["split"]) == ("SSP", "test"))
    assert (test["in_train"], test["in_dev"], test["duplicates"]) == ("4", "5", "2")
    assert (test["rows_in_train"], test["repeated"]) == ("4", "1")
    train = next(d for d in lines if (d["dataset"], d["split"]) == ("SSP", "train"))
    assert (train["in_train"], train["rows_in_train"]) == ("", "")
    assert (test["largest_class"], test["published"]) == ("0.6", "4562")
    assert "EMP-H3 & EMP & " in (tmp_path / "datasets.tex").read_text()
    text = (tmp_path / "datasets.md").read_text()
    assert text.count("Warning") == 2
    assert "Warning, 4 alike, in EMP-H3, EMP-H4, SSP, EAP; such as EMP-H3: " in text
    assert "Warning: PD-all: test: all alike" in text


def leaking(dev_rows, test_rows):
    def leak(first, second, rows):
        return {"sequences": min(rows, 2), f"{first}_rows": 9, f"{second}_rows": rows}

    return {
        "train-dev": leak("train", "dev", dev_rows),
        "train-test": leak("train", "test", test_rows),
        "dev-test": leak("dev", "test", 0),
    }


def test_data_page_says_what_leaks_mean(tmp_path):
    def page(settings, *leaks):
        paths = [
            make_summary(
                tmp_path, name, leaks=leaking(*pair), settings=settings, warnings=[]
            )
            for name, pair in zip(DATASETS, leaks, strict=False)
        ]
        return datapage.meaning(datapage.read(paths))

    kept = {"max_rows": None, "drop_leaks": False}
    first, second = page(kept, (0, 0), (3, 1), (0, 1))
    assert first == (
        "Dev and test rows whose sequence stands in train as well: 5, in 2 of 3 data"
        " sets (EMP-H3K14ac 4 (2 %), EMP-H3K36me3 1 (0.5 %)). The benchmark is used as"
        " published: on these rows a model can remember what it was shown, and the"
        " scores of these data sets may be too high."
    )
    assert second.startswith(
        "Training rows that repeat an earlier one's sequence: 6, in 3 of 3 data sets"
    )
    many = page(kept, *[(1, 1)] * 8)[0]
    assert "16, in 8 of 8 data sets (most in EMP-H3 2 (1 %)" in many
    assert "and 2 more)" in many
    assert page(kept, (0, 0))[0] == (
        "No dev or test row has a sequence that stands in train too."
    )
    dropped = page({"max_rows": 99, "drop_leaks": True}, (0, 1))[0]
    assert "test rows (of those kept here) whose sequence stood in train" in dropped
    assert "were dropped, so the scores are not those of the benchmark" in dropped


def test_tables_take_a_task_that_the_paper_does_not_have(tmp_path):
    header, *lines = (CONFIG / "datasets.tsv").read_text().splitlines()
    own = "mine enhancers ./mine Fly 99  a,b pearson 1 2 1e-4 no yes   "
    listed = tmp_path / "datasets.tsv"
    listed.write_text("\n".join([header, own.replace(" ", "\t"), *lines]) + "\n")
    names = ["mine", "SSP"]
    make_runs(tmp_path / "finetune", [*ROWS3, *ROWS2], names, [0])
    shared = {"datasets": names, "seeds": [0]}
    recipe = {"recipe": "table5", "used": True, "settings": {}}
    recipe["datasets"] = {name: {"epochs": 3} for name in names}
    for which, hparams in {
        "table1": {"datasets": names},
        "table2": shared | {"rows": ROWS2},
        "table3": shared | {"rows": ROWS3},
        "table5": recipe,
    }.items():
        runs = tmp_path / "finetune" if "rows" in hparams else None
        table(tmp_path, which, hparams, runs, ["--datasets", str(listed)])
    cell = next(
        d
        for d in read(tmp_path / "table3.csv")
        if (d["row"], d["dataset"]) == ("DNABERT", "mine")
    )
    assert (cell["task"], cell["metric"]) == ("enhancers", "pearson")
    assert (cell["published"], cell["delta"]) == ("", "")
    expected = 100 * score("dnabert", "overlapping", "mine", 0)
    assert float(cell["mean"]) == pytest.approx(expected, abs=1e-4)
    text = (tmp_path / "table3.md").read_text()
    assert "Pearson, not MCC: mine." in text and f"{expected:.2f}" in text
    for which in ("table1", "table2", "table5"):
        lines = (tmp_path / f"{which}.md").read_text().splitlines()
        head = next(line for line in lines if line.startswith("|"))
        last = "mine" if which == "table2" else "enhancers"
        assert head.index("SSP") < head.index(last)  # others come last


def test_data_page_refuses_what_is_no_summary(tmp_path):
    path = tmp_path / "summary.json"
    path.write_text("{}")
    with pytest.raises(InputError, match="no 'dataset'"):
        datapage.read([path])
    twice = make_summary(tmp_path, "SSP")
    with pytest.raises(InputError, match="a second summary of SSP"):
        datapage.read([twice, twice])


def test_ranks_follow_what_is_printed():
    assert marks.ranks([70.004, 70.0, 69.0]) == [1, 1, 2]
    assert marks.ranks([None, 70.0]) == [0, 0]
    assert sheet.signed(-0.004) == "0.00"

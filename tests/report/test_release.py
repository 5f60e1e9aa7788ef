"""A released folder checks itself, and notices what was changed."""

import csv
import hashlib
import json
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import ModelCard
from made import ROOT
from made.results import EXPERIMENT, make_run

from randommask import files, metrics
from randommask.encoders.folder import ENCODER_FILES
from randommask.errors import InputError
from randommask.experiment import file, releases
from randommask.experiment.check import check as check_config
from randommask.experiment.sections import License
from randommask.report.release import __main__ as command
from randommask.report.release import card, reproduce

SEEDS = [1, 2]
SETS = {"CPD-tata": 2, "SSP": 3, "EAP": None}
HEAD = "---\nlibrary_name: transformers\nlicense: unknown\n---\n\n"
HISTORY = "step,loss\n10,3.5\n20,3.25\n30,3.0\n"


def row(label, encoder):
    names = {"label": label, "encoder": encoder, "tokenization": "overlapping"}
    return names | {"published": None}


ROWS = [row("RandomMask", "mine")]
CONTROLS = [row("No pretraining", "random"), row("k-mer counts", "linear")]


def columns_of(labels, values):
    """What predictions.parquet has, and the task type that it tells."""
    if labels.ndim == 1:
        named = {f"p{i}": values[:, i] for i in range(values.shape[1])}
        return {"label": labels, **named}, "classification"
    sides = zip(("dev", "hk"), labels.T, values.T, strict=True)
    named = {}
    for name, label, value in sides:
        named |= {f"label_{name}": label, f"y_{name}": value}
    return named, "regression"


def write_run(finetuned, encoder, dataset, seed, spoil=None):
    """A run with predictions, and the score and flags that they have."""
    classes = SETS[dataset]
    draw = np.random.default_rng([seed, *encoder.encode()])
    if classes:
        labels = draw.integers(0, classes, 60)
        values = draw.dirichlet(np.ones(classes), 60).astype(np.float32)
        values[:40] += np.eye(classes, dtype=np.float32)[labels[:40]]
    else:
        labels = draw.normal(size=(60, 2))
        values = (labels + draw.normal(size=(60, 2))).astype(np.float32)
    if spoil is not None:
        spoil(values)
    columns, kind = columns_of(labels, values)
    score = metrics.score(kind, labels, values)[metrics.CHOSEN_BY[kind]]
    flags = metrics.flags(kind, values)
    run = (encoder, "overlapping", dataset, seed)
    path = make_run(finetuned, *run, score=score, flags=flags)
    table = pa.table({"row": np.arange(60), **columns})
    pq.write_table(table, path.with_name("predictions.parquet"))


@pytest.fixture
def sources(tmp_path):
    """What the jobs leave: an encoder, its last segment, its runs and the controls'."""
    for folder, names in (
        ("encoder", ENCODER_FILES),
        ("step", ("history.csv", "spans.csv")),
    ):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).write_text(
                HISTORY if name.endswith(".csv") else f"{name}\n"
            )
    text = f"{HEAD}# its-parent\n\nA DNA encoder.\n"
    (tmp_path / "encoder" / "README.md").write_text(text)
    for encoder in ("mine", "random", "linear"):
        for dataset in SETS:
            for seed in SEEDS:
                write_run(tmp_path / "finetune", encoder, dataset, seed)
    return tmp_path


def release(sources, *words, rows=ROWS, benchmark=None, **changes):
    hparams = {
        "experiment": EXPERIMENT,
        "encoder": "mine",
        "license": None,
        "table": {"rows": rows, "datasets": list(SETS) if rows else []},
        "controls": {"rows": CONTROLS, "datasets": ["CPD-tata", "EAP"]},
        "recipe": {
            "encoder": "mine",
            "pretrained_as": "mine",
            "step": 30,
            "pretraining": {
                "genomes": ["hg38"],
                "curriculum": [{"until": 30, "max_span": 6}],
                "architecture": {},
            },
            "chromosomes": {"hg38": None},
            "random_weights": {},
            "benchmark": benchmark or {},
            "finetuning": {},
            "seeds": SEEDS,
        },
    }
    hparams["recipe"] |= changes.pop("recipe", {})
    if not rows:
        hparams["controls"] = hparams["table"]
    flags = {
        "encoder": sources / "encoder",
        "pretrained": sources / "step",
        "runs": sources / "finetune",
        "datasets": ROOT / "config" / "datasets.tsv",
        "hparams": json.dumps(hparams | changes),
        "output": sources / "out" / "mine",
    }
    named = [str(word) for key, v in flags.items() for word in (f"--{key}", v)]
    files.remove(flags["output"])
    command.main([*named, *words])
    return sources / "out" / "mine"


def check(folder):
    """The command that the card names, with nothing of ours on the path."""
    text = (folder / "README.md").read_text()
    words = re.search(r"```sh\n(python .*?)\n```", text)[1]
    return subprocess.run(
        [sys.executable, "-I", *words.split()[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        env={},
    )


def table_of(folder):
    with open(folder / "table.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_who_has_only_the_folder_gets_every_score_of_the_table(sources):
    folder = release(sources).rename(sources / "elsewhere")
    done = check(folder)
    assert done.returncode == 0, done.stderr
    table = table_of(folder)
    made = [(line["encoder"], line["dataset"]) for line in table]
    assert made[:3] == [("mine", name) for name in SETS] and len(made) == 3 + 2 * 2
    text = (folder / "README.md").read_text()
    for line in table:
        mean, sd = float(line["mean"]), float(line["sd"])
        said = f"{line['row']}, {line['dataset']}: {line['metric']}"
        assert f"{said} {mean:.2f} +- {sd:.2f} per cent over 2 seeds" in done.stdout
        assert f" {mean:.2f} \u00b1 {sd:.2f} |" in text
    subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True
    )


def test_the_controls_stand_beside_it(sources):
    text = (release(sources) / "README.md").read_text()
    assert "| data set | metric | RandomMask | No pretraining | k-mer counts |" in text
    assert re.search(r"\| SSP \| MCC \| \S+ \u00b1 \S+ \|  \|  \|", text)
    assert re.search(r'to "No pretraining": "RandomMask" \S+ \(n = 2\)', text)
    assert "The first column is this encoder" in text


def test_the_head_may_be_edited_and_nothing_else(sources):
    folder = release(sources)
    path = folder / "README.md"
    path.write_text(path.read_text().replace("license: unknown", "license: mit"))
    done = check(folder)
    assert done.returncode == 0, done.stderr
    (folder / "recipe.json").write_text("{}")
    done = check(folder)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("not the file that SHA256SUMS lists")


def test_nothing_in_it_is_a_second_name_of_a_result(sources):
    folder = release(sources)
    linked = [p for p in folder.rglob("*") if p.is_file() and p.stat().st_nlink > 1]
    assert not linked
    assert (sources / "encoder" / "README.md").read_text().endswith("A DNA encoder.\n")
    weights = (folder / "model.safetensors").read_text()
    assert weights == (sources / "encoder" / "model.safetensors").read_text()


def test_a_hub_reads_license_and_scores_in_the_head(sources):
    folder = release(sources, benchmark={"max_rows": 60})
    data = ModelCard((folder / "README.md").read_text()).data
    assert (data.license, data.datasets) == ("unknown", ["hg38"])
    assert data.metrics == ["matthews_correlation", "pearsonr"]
    assert data.model_name == "mine"
    own = [line for line in table_of(folder) if line["encoder"] == "mine"]
    for found, line in zip(data.eval_results, own, strict=True):
        assert found.dataset_type == line["dataset"]
        assert found.metric_value == pytest.approx(float(line["mean"]) / 100)
        assert found.metric_args == {"tokenization": "overlapping", "seeds": 2}
        # nobody takes a cut or a made data set for the published one
        assert "at most 60 rows; Made: invented" in found.dataset_name


def test_the_license_of_the_config_is_the_heads():
    assert card.license_of(None) == {"license": "unknown"}
    assert card.license_of(License(id="CC-BY-4.0")) == {"license": "cc-by-4.0"}
    own = License(id="our-terms", link="https://example.org/terms")
    assert set(card.license_of(own).items()) == {
        ("license", "other"),
        ("license_name", own.id),
        ("license_link", own.link),
    }


def test_a_config_may_name_a_license(monkeypatch):
    monkeypatch.chdir(ROOT)
    demo = file.whole(file.read("config/demo.yaml"))
    demo["experiment"]["license"] = {"id": "CC-BY-4.0"}
    found = releases.page(check_config(demo), "randommask")["license"]
    assert found == {"id": "CC-BY-4.0"}
    demo["experiment"]["license"] = {"id": "our terms"}
    with pytest.raises(InputError, match=r"experiment\.license\.id: found"):
        check_config(demo)


def test_the_card_is_the_encoders_under_its_own_name(sources):
    text = (release(sources) / "README.md").read_text()
    assert "---\n\n# mine\n\nA DNA encoder.\n\n## Results\n\n> Made: invented" in text
    taken = {"pretrained_as": "its-parent", "step": 20}
    folder = release(sources, recipe=taken)
    text = (folder / "README.md").read_text()
    assert (
        "# mine\n\nThe weights of `its-parent` as they were after 20 steps.\n" in text
    )
    for name in ("history.csv", "spans.csv"):  # what came later is not of these weights
        assert (folder / name).read_text() == "step,loss\n10,3.5\n20,3.25\n"
    assert (release(sources) / "spans.csv").read_text() == HISTORY


def test_a_card_without_a_head_is_one_line(sources):
    (sources / "encoder" / "README.md").write_text("# mine\n")
    with pytest.raises(InputError, match=r"README\.md: no head"):
        release(sources)


def test_what_was_cut_or_dropped_is_said_above_the_table(sources):
    whole = (release(sources) / "README.md").read_text()
    assert "Test split, after" in whole and "dropped" not in whole
    cut = {"max_rows": 1200, "drop_leaks": True}
    text = (release(sources, benchmark=cut) / "README.md").read_text()
    assert "Test split, at most 1,200 rows, after" in text
    assert "Training rows with a sequence of dev or test were dropped." in text


def test_changed_predictions_are_noticed(sources):
    folder = release(sources)
    (path,) = folder.glob("runs/mine/overlapping/SSP/seed2/predictions.parquet")
    pq.write_table(pq.read_table(path).slice(5), path)
    done = check(folder)
    assert done.returncode == 1
    assert done.stderr.strip().endswith("not the file that SHA256SUMS lists")


@pytest.mark.parametrize("column", ["mean", "sd"])
def test_a_table_that_its_predictions_do_not_give_is_noticed(sources, column):
    folder = release(sources)
    path = folder / "table.csv"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    lines = table_of(folder)
    lines[0][column] = str(float(lines[0][column]) + 0.01)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    after = hashlib.sha256(path.read_bytes()).hexdigest()
    listed = folder / "SHA256SUMS"
    listed.write_text(listed.read_text().replace(before, after))
    done = check(folder)
    assert done.returncode == 1 and "CPD-tata: table.csv has mean" in done.stderr


def one_class(values):
    values[:, 0] = 9


def one_missing(values):
    values[3, 0] = np.nan


@pytest.mark.parametrize(
    ("dataset", "spoil", "flag"),
    [
        ("CPD-tata", one_class, metrics.CONSTANT),
        ("EAP", one_class, metrics.CONSTANT),
        ("CPD-tata", one_missing, metrics.NON_FINITE),
        ("EAP", one_missing, metrics.NON_FINITE),
    ],
)
def test_what_is_odd_about_a_run_is_told_and_checks(sources, dataset, spoil, flag):
    write_run(sources / "finetune", "mine", dataset, 2, spoil)
    folder = release(sources)
    note = f"seed 2: {flag}"
    [line] = [
        line
        for line in table_of(folder)
        if (line["encoder"], line["dataset"]) == ("mine", dataset)
    ]
    assert line["note"] == note
    text = (folder / "README.md").read_text()
    assert f'- \u2020 "RandomMask", {dataset}: {note}.' in text
    done = check(folder)
    assert done.returncode == 0, done.stderr
    assert f"over 2 seeds ({note})" in done.stdout


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
    text = (folder / "README.md").read_text()
    assert "stands in no table" in text and "reproduce" not in text
    assert ModelCard(text).data.eval_results is None


def test_a_missing_run_stops_it_or_is_told(sources):
    run = sources / "finetune/mine/overlapping/SSP/seed1/metrics.json"
    run.unlink()
    with pytest.raises(InputError, match=r"runs missing .*SSP/seed1/metrics\.json"):
        release(sources)
    assert not (sources / "out" / "mine").exists()
    folder = release(sources, "--partial")
    assert '"RandomMask", SSP: no run of seed 1' in (folder / "README.md").read_text()
    assert not list(folder.glob("runs/mine/overlapping/SSP/seed1"))
    run.parent.with_name("seed2").rename(sources / "aside")
    folder = release(sources, "--partial")
    text = (folder / "README.md").read_text()
    assert 'No run, so the cell is empty: "RandomMask": SSP.' in text
    assert "RandomMask, SSP: no run\n" in check(folder).stdout
    assert len(ModelCard(text).data.eval_results) == len(SETS) - 1


def test_a_missing_file_is_one_line_and_nothing_is_left(sources):
    (sources / "finetune/mine/overlapping/SSP/seed1/predictions.parquet").unlink()
    with pytest.raises(
        InputError, match=r"SSP/seed1/predictions.parquet: no such file"
    ):
        release(sources)
    assert not (sources / "out" / "mine").exists()


def test_twice_the_same_bytes(sources):
    folder = release(sources)
    first = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    release(sources)
    assert first == {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def paper(monkeypatch):
    monkeypatch.chdir(ROOT)
    return file.whole(file.read("config/config.yaml"))


def test_the_row_is_of_the_first_table_that_has_the_encoder(paper):
    for encoder, label, datasets in (
        ("randommask", "+RandomMask (overlapping tokens)", 28),
        ("spans-10", "spans of 10 (overlapping tokens)", 7),
    ):
        found = releases.shown(check_config(paper), encoder)
        assert [row.label for row in found.rows] == [label]
        assert len(found.datasets) == datasets


def test_two_labels_of_the_same_runs_are_one_row(paper):
    rows = paper["tables"]["table3"]["rows"]
    [known] = [row for row in rows if row["encoder"] == "randommask"]
    rows.append(known | {"label": "the same again"})
    experiment = check_config(paper)
    assert len(releases.shown(experiment, "randommask").rows) == 1
    # two tokenizations
    assert len(releases.shown(experiment, "nonoverlapping").rows) == 2


def test_controls_are_table_3s_and_random_weights_of_its_architecture_and_k(paper):
    for encoder, controls, datasets in (
        ("randommask", ["untrained", "kmer-linear", "no-model"], 28),
        ("dnabert-10k", ["untrained", "kmer-linear", "no-model"], 5),
        ("dnabert-mini", ["kmer-linear", "no-model"], 5),
        ("k3", ["kmer-linear", "no-model"], 5),
    ):
        found = releases.controls(check_config(paper), encoder)
        assert [row.encoder for row in found.rows] == controls
        assert len(found.datasets) == datasets
    table = paper["tables"]["table3"]
    table["datasets"] = ["EMP-H3"]
    found = releases.controls(check_config(paper), "dnabert-10k")
    assert found.datasets == ["EMP-H3"]
    table["rows"] = [row for row in table["rows"] if row["encoder"] == "dnabert"]
    assert releases.controls(check_config(paper), "dnabert-10k").rows == []


def test_the_recipe_has_every_setting(paper):
    paper["benchmark"] |= {"max_rows": 500, "drop_leaks": True}
    recipe = releases.recipe(check_config(paper), "dnabert-10k")
    assert (recipe["pretrained_as"], recipe["step"]) == ("dnabert", 10000)
    assert recipe["pretraining"]["curriculum"] == [{"until": 10000, "max_span": 6}]
    assert recipe["chromosomes"]["hg38"][-1] == "chrY"
    assert recipe["benchmark"] == {"max_rows": 500, "drop_leaks": True, "k": 6}
    for encoder in ("dnabert-10k", "untrained"):
        assert recipe["finetuning"][encoder]["overlapping"]["TF-M-0"]["epochs"]
    counts = recipe["finetuning"]["kmer-linear"]["overlapping"]["TF-M-0"]
    assert counts["k"] == [3, 4, 5, 6]
    assert recipe["random_weights"]["untrained"]["architecture"]["layers"] == 12
    assert "/" not in json.dumps(recipe)  # nothing of where things lie here


def test_what_is_not_pretrained_here_is_refused_by_name(paper):
    for encoder, kind in (("nt", "made elsewhere"), ("untrained", "a control")):
        with pytest.raises(
            InputError, match=f"results/release/{encoder}: {kind}, .*: dnabert, "
        ):
            releases.tables(check_config(paper), encoder)

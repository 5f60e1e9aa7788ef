"""Every rule run once, small, and what is planned anew when something changes."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from made import ROOT
from made.config import micro
from made.typed import snakemake

from randommask.experiment.pages import FIGURES, TABLES


def results_of(world):
    return world.parent / "what's made"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A demo so small that it runs in a minute, its results beside its folder."""
    folder = tmp_path_factory.mktemp("world") / "it's here"
    folder.mkdir()
    config = micro(folder, results_of(folder))
    keys = ("label", "encoder", "tokenization")
    first = config["tables"]["table3"]["rows"][:2]
    rows = [{key: row[key] for key in keys} for row in first]
    taken = {
        "label": "on the way",
        "encoder": "dnabert-4",
        "tokenization": "overlapping",
    }
    config["encoders"]["dnabert-4"] = {"milestone": {"encoder": "dnabert", "step": 4}}
    group = {"question": "Do spans matter?", "datasets": ["CPD-tata"]}
    config["ablations"] = {"spans": group | {"rows": [*rows, taken]}}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    return folder


def small(world, *words, **options):
    """Run in the world's folder, which has nothing of the repository."""
    flags = ("--snakefile", ROOT / "Snakefile", "--configfile", "config.yaml")
    zero = [f"{rule}:gpu=0" for rule in ("pretrain", "finetune", "model")]
    rules = ("pretrain", "finetune", "model", "embed", "kmer_linear")
    one = [f"{rule}=1" for rule in rules]
    told = ("--set-resources", *zero, "--set-threads", *one)
    return snakemake(*words, *flags, *told, folder=world, **options)


def targets_of(world):
    """What together takes every rule."""
    results = results_of(world)
    return [
        results / "report.html",
        results / "ablations" / "spans.csv",
        results / "models" / "randommask" / "overlapping" / "CPD-tata",
        results / "release" / "randommask",
        results / "ro-crate-metadata.json",
    ]


@pytest.fixture(scope="module")
def finished(world):
    """The same with every rule run."""
    small(world, *targets_of(world))
    return world


def test_every_rule_runs(finished):
    results = results_of(finished)
    for target in targets_of(finished):
        assert target.exists()
    for number in range(1, 6):
        assert (results / "tables" / f"table{number}.tex").stat().st_size
        assert (results / "figures" / f"fig{number}.pdf").stat().st_size
    assert (results / "figures" / "datasets.pdf").stat().st_size
    assert (results / "tables" / "statistics.tex").stat().st_size
    assert (results / "figures" / "ranks.pdf").stat().st_size
    page = (results / "report.html").read_text()
    assert "commit of the workflow" in page and "core-hours" in page
    with open(results / "tables" / "table3.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == 6 * 4 and all(row["mean"] for row in table)
    for page in ("tables/table3.md", "report.html"):
        text = (results / page).read_text()
        for control in ("No pretraining", "k-mer counts, linear", "No model"):
            assert re.search(f"distance .* to .*{control}.*DNABERT.*n = 4", text)
    page = (results / "ablations" / "spans.md").read_text()
    assert page.startswith("# Ablation spans: Do spans matter?") and "Purity" in page
    assert (results / "ablations" / "spans.png").stat().st_size
    published = results / "release" / "randommask"
    check = [sys.executable, "-I", "reproduce.py"]
    said = subprocess.run(check, cwd=published, capture_output=True, text=True, env={})
    assert said.returncode == 0, said.stderr
    assert (
        said.stdout.count("per cent over 1 seed") == 4 * 4
    )  # three controls beside it
    crate = json.loads((results / "ro-crate-metadata.json").read_text())
    listed = {entity["@id"] for entity in crate["@graph"]}
    assert {"report.html", "tables/table3.csv", "config.yaml"} <= listed
    scores = pq.read_table(results / "scores" / "scores.parquet")
    assert scores.num_rows == len([*(results / "finetune").rglob("metrics.json")])
    run = results / "finetune/randommask/overlapping/CPD-tata/seed1/metrics.json"
    kept = results / "models/randommask/overlapping/CPD-tata"
    assert any(kept.iterdir())
    assert json.loads(run.read_text())["encoder"] == "randommask"
    # the model is the same run again: nothing of it is planned a second time
    assert "Nothing to be done" in small(finished, "-n", *targets_of(finished)).stdout


def test_short_commands_are_forked_and_measure_themselves(finished):
    """Snakemake has measured only who waited for them; pretraining is not forked."""
    run = "finetune/randommask/overlapping/CPD-tata/seed1"
    held = json.loads((results_of(finished) / run / "metrics.json").read_text())
    found = {}
    for job in (run, "pretrain/randommask/step-24"):
        with open(finished / f"logs/benchmarks/{job}.tsv", newline="") as file:
            [line] = csv.DictReader(file, delimiter="\t")
        found[job] = 0.0 if line["max_rss"] in ("NA", "-") else float(line["max_rss"])
    assert found[run] < 100 < 150 < held["peak_memory_bytes"] / 2**20
    assert found["pretrain/randommask/step-24"] > 150


def test_snakemakes_report_shows_every_table_and_figure(finished):
    small(finished, *targets_of(finished), "--report", "shown.html")
    shown = (finished / "shown.html").read_text()
    listed = re.search(r"var categories = (\{.*?\});", shown)[1]
    listed = {name: parts["Other"] for name, parts in json.loads(listed).items()}
    assert listed.keys() == {"Report", "Tables", "Figures", "Ablations"}
    expected = {f"{name}.csv" for name in (*TABLES, "observations")} | {"audit.md"}
    assert {Path(path).name for path in listed["Tables"]} == expected
    expected = {f"{name}.png" for name in FIGURES}
    assert {Path(path).name for path in listed["Figures"]} == expected
    for words in ("<strong>Table 3.</strong>", "<strong>Figure 5.</strong>"):
        assert words in shown.replace("\\u003c", "<").replace("\\u003e", ">")


def test_another_number_of_gpus_retrains_nothing(finished):
    report = results_of(finished) / "report.html"
    flags = ("--snakefile", ROOT / "Snakefile", "--configfile", "config.yaml")
    gpus = ("--set-resources", "pretrain:gpu=4", "--resources", "gpu=4")
    done = snakemake("-n", report, *flags, *gpus, folder=finished)
    assert "Nothing to be done" in done.stdout


def test_partial_tables_are_of_the_runs_there_are(finished):
    results = results_of(finished)
    table = results / "tables" / "table3.csv"
    run = results / "finetune/randommask/overlapping/CPD-tata/seed1"
    aside = run.with_name("aside")
    run.rename(aside)
    try:
        published = results / "release" / "randommask"
        targets = (table, results / "tables" / "statistics.csv", published)
        small(finished, *targets, "--config", "partial=True")
        with open(table, newline="") as file:
            empty = [row for row in csv.DictReader(file) if not row["mean"]]
        assert [(x["encoder"], x["dataset"]) for x in empty] == [
            ("randommask", "CPD-tata")
        ]
        assert "No run, so the cell is empty" in (published / "README.md").read_text()
    finally:
        aside.rename(run)
    said = small(finished, "-n", results / "report.html").stdout
    assert "rule table3" in said and "rule finetune" not in said
    small(finished, results / "report.html")
    assert "Nothing to be done" in small(finished, "-n", results / "report.html").stdout


def test_changing_one_encoder_replans_it_and_its_descendants_only(finished):
    path = finished / "config.yaml"
    before = path.read_text()
    config = yaml.safe_load(before)
    config["encoders"]["nonoverlapping"]["learning_rate"] = 1e-3
    path.write_text(yaml.safe_dump(config, sort_keys=False))
    try:
        output = small(finished, "-n", results_of(finished) / "report.html").stdout
    finally:
        path.write_text(before)
    touched = set(re.findall(r"(?:segment|encoder|milestone)=([\w-]+)", output))
    assert touched == {"nonoverlapping"}
    assert not re.findall(
        r"^(?:local)?rule (prepare|tokenize|synthesize):", output, re.M
    )
    assert re.findall(r"rule (pretrain):", output) == ["pretrain"] * 2


CUT = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x4c\x4a"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("missing.fa", None, "no such file"),
        ("text.fa", b"hello\n", "FASTA"),
        pytest.param("cut.fa.gz", CUT, "gz", marks=pytest.mark.sweep),
    ],
)
def test_a_bad_genome_stops_with_one_line_and_leaves_nothing(
    world, tmp_path, name, content, message
):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    config = micro(tmp_path)
    config["sources"]["synthetic"] = {"path": str(tmp_path / name)}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    target = tmp_path / "results" / "corpus" / "synthetic" / "manifest.json"
    done = small(tmp_path, target, check=False)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    if content is not None:
        said = (tmp_path / "logs" / "corpus" / "synthetic.log").read_text()
        assert said.startswith("error: ") and said.count("\n") == 1
        assert message.lower() in said.lower()
    assert name in said
    assert not target.exists()

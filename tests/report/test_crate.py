"""A finished run described for other programs: read back, held against its files."""

import json
from urllib.parse import unquote

import pandas as pd
import pytest
import yaml
from huggingface_hub import DatasetCard
from made import ROOT
from made.results import EXPERIMENT, ROWS3, make_run

from randommask import __version__, files
from randommask.data.checksums import HEADER
from randommask.errors import InputError
from randommask.report.release import crate

CITATION = ROOT / "CITATION.cff"
VERSIONS = {"randommask": "0.2.0", "torch": "2.13.0", "numpy": "2.4.6"}
CONFIG = {"mirrors": ["https://me:secret@example.org/data"], "seeds": [1, 2]}


@pytest.fixture
def results(tmp_path):
    """A small results folder, and the ledger of what was fetched."""
    root = tmp_path / "results"
    for place in ("report.html", "tables/table3.csv", "tables/table3.md"):
        files.write_text(root / place, f"made: {place}\n")
    files.write_text(root / "figures/fig 5.png", "no picture\n")
    files.write_text(root / "tables/.hidden~", "not listed\n")
    for row in ROWS3[:2]:
        for seed in (1, 2):
            run = (row["encoder"], "overlapping", "EMP-H3", seed)
            told = {"versions": VERSIONS, "rows": {"test": 9}, "metric": "mcc"}
            told |= {"test": {"mcc": 0.5}, "flags": ["odd", "very"]}
            make_run(root / "finetune", *run, **told)
    cells = ("hg38", "hg38.fa.gz", "7", "0" * 64, "pinned", "https://example.org/hg38")
    lines = ["\t".join(HEADER), "\t".join(cells)]
    (tmp_path / "checksums.tsv").write_text("\n".join(lines) + "\n")
    return root


def describe(root, **keys):
    hparams = {"experiment": EXPERIMENT, "config": CONFIG} | keys
    crate.main([
        f"--results={root}", f"--repository={ROOT}",
        f"--checksums={root.parent / 'checksums.tsv'}",
        f"--hparams={json.dumps(hparams)}", f"--config={root / 'config.yaml'}",
        f"--scores={root / 'scores/scores.parquet'}",
        f"--card={root / 'scores/README.md'}",
        f"--output={root / 'ro-crate-metadata.json'}",
    ])  # fmt: skip
    whole = json.loads((root / "ro-crate-metadata.json").read_text())
    entities = {entity["@id"]: entity for entity in whole["@graph"]}
    assert len(entities) == len(whole["@graph"])
    return entities


def references(value):
    if isinstance(value, dict):
        if value.keys() == {"@id"}:
            yield value["@id"]
        else:
            for one in value.values():
                yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def test_the_crate_is_closed_and_its_files_are_there(results):
    entities = describe(results)
    used = set(references([*entities.values()]))
    assert used - entities.keys() == {crate.SPECIFICATION}  # which needs no entity
    about = entities["ro-crate-metadata.json"]
    assert about["about"] == {"@id": "./"}
    assert about["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    parts = [entities[name] for name in references(entities["./"]["hasPart"])]
    listed = {part["@id"] for part in parts if part["@type"] == "File"}
    assert listed == {
        *(
            "report.html",
            "tables/table3.csv",
            "tables/table3.md",
            "figures/fig%205.png",
        ),
        *("config.yaml", "scores/scores.parquet", "scores/README.md"),
    }
    for name in listed:
        path = results / unquote(name)
        assert entities[name]["sha256"] == files.sha256(path)
        assert entities[name]["contentSize"] == str(path.stat().st_size)
    folders = {part["@id"] for part in parts if part["@type"] == "Dataset"}
    assert folders == {"finetune/"} and (results / "finetune").is_dir()


def test_it_says_who_made_what_from_what(results):
    entities = describe(results)
    root, action, program = (entities[x] for x in ("./", "#run", "#randommask"))
    assert {"name", "description", "datePublished", "license"} <= root.keys()
    assert root["description"] == EXPERIMENT["notice"]
    assert root["mentions"] == {"@id": "#run"} and action["@type"] == "CreateAction"
    assert action["instrument"] == {"@id": "#randommask"}
    assert [*references(action["object"])] == [
        "config.yaml",
        "#download/hg38/hg38.fa.gz",
    ]
    assert "report.html" in references(action["result"])
    assert entities["#download/hg38/hg38.fa.gz"]["url"] == "https://example.org/hg38"
    assert program["version"] == __version__
    assert program["license"] == {"@id": "https://spdx.org/licenses/MIT"}
    cited = yaml.safe_load(CITATION.read_text())
    authors = [entities[name]["name"] for name in references(program["author"])]
    assert authors == [author["name"] for author in cited["authors"]]
    needed = [entities[name] for name in references(program["softwareRequirements"])]
    found = {(one["name"], one["version"]) for one in needed}
    assert found == {("torch", "2.13.0"), ("numpy", "2.4.6")}
    assert [*references(root["citation"])] == ["https://arxiv.org/abs/2310.07644"]


def test_the_license_is_the_experiments(results):
    assert describe(results)["./"]["license"] == {"@id": "#no-license"}
    entities = describe(results, license={"id": "cc-by-4.0"})
    place = "https://spdx.org/licenses/cc-by-4.0"
    assert entities["./"]["license"] == {"@id": place} and place in entities
    card = DatasetCard.load(results / "scores" / "README.md")
    assert card.data.license == "cc-by-4.0"


def test_the_config_is_readable_and_keeps_secrets(results):
    describe(results)
    text = (results / "config.yaml").read_text()
    assert "secret" not in text and yaml.safe_load(text)["seeds"] == [1, 2]


def test_the_scores_are_a_table_that_a_hub_shows(results):
    describe(results)
    card = DatasetCard.load(results / "scores" / "README.md")
    [config] = card.data.configs
    [file] = config["data_files"]
    scores = pd.read_parquet(results / "scores" / file["path"])
    assert len(scores) == 4 and "4 fine-tunings of 2 encoders" in card.text
    for _, line in scores.iterrows():
        place = (line.encoder, line.tokenization, line.dataset, f"seed{line.seed}")
        path = results.joinpath("finetune", *place, "metrics.json")
        metrics = json.loads(path.read_text())
        assert line.score == metrics["score"] and line.test_mcc == 0.5
        assert json.loads(line.settings) == metrics["settings"]
        assert line.version_torch == "2.13.0" and line["flags"] == "odd; very"
    for name in scores.columns:  # each is explained
        stem = name.split("_")[0]
        assert f"{name}" in card.text or f"{stem}_*" in card.text, name


def test_a_run_that_is_not_finished_is_refused(results):
    (results / "report.html").unlink()
    with pytest.raises(InputError, match=r"no report.html, expected a finished run"):
        describe(results)
    assert not (results / "config.yaml").exists()

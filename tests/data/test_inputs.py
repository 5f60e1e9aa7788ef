"""The page on the inputs is the configuration's, and says what is not verified."""

import pytest
import yaml
from made import ROOT

from randommask.data import facts
from randommask.errors import InputError
from randommask.experiment import datasets

CONFIG, FACTS = ROOT / "config" / "config.yaml", ROOT / "config" / "inputs.tsv"
LISTED = ROOT / "config" / "datasets.tsv"


def made(config, listed=None):
    rows = datasets.read(LISTED) if listed is None else listed
    return facts.page(config, rows, facts.read_facts(FACTS))


@pytest.fixture
def config():
    return yaml.safe_load(CONFIG.read_text())


def line(text, start):
    return next(one for one in text.splitlines() if one.startswith(f"| {start}"))


def test_the_committed_page_is_up_to_date(tmp_path):
    paths = {"config": CONFIG, "datasets": LISTED, "facts": FACTS}
    flags = [f"--{name}={path}" for name, path in paths.items()]
    facts.main([*flags, f"--output={tmp_path}/inputs.md"])
    text = (tmp_path / "inputs.md").read_text()
    assert text == (ROOT / "docs" / "inputs.md").read_text(), (
        "run: PYTHONPATH=workflow python -m randommask.data.facts " + " ".join(flags)
    )


def test_every_source_encoder_and_dataset_is_there(config):
    text = made(config)
    for name, spec in config["sources"].items():
        for file in spec.get("files", []):
            found = line(text, f"{name} | {file['name']} |")
            for kind in ("md5", "sha256"):
                assert file.get(kind, "") in found
    for name, entry in config["encoders"].items():
        if "released" in entry:
            assert entry["released"]["repository"] in line(text, f"{name} | ")[:200]
    for dataset in datasets.read(LISTED):
        for rows in dataset.rows.values():
            assert f" {rows:,} [" in line(text, f"{dataset.dataset} |")


def test_a_figure_that_is_changed_loses_its_standing(config, tmp_path):
    [hg38] = config["sources"]["hg38"]["files"]
    assert f"`{hg38['md5']}` [V]" in made(config)
    hg38["md5"], hg38["bytes"] = "0" * 32, 5
    found = line(made(config), "hg38 | hg38.fa.gz")
    assert f"`{'0' * 32}` [U]" in found and "| 5 [U]" in found
    # another count than the one a fact speaks of takes the next fact that fits
    path = tmp_path / "datasets.tsv"
    path.write_text(LISTED.read_text().replace("\t26438\t", "\t26483\t"))
    before, after = made(config), made(config, datasets.read(path))
    assert "| 26,438 [U]" in line(before, "EMP-H3K14ac")
    assert "| 26,483 [1]" in line(after, "EMP-H3K14ac")


def test_other_forms_of_a_source_are_read_too(config):
    config["sources"] = {
        "here": {"path": "data/here"},
        "there": {
            "files": [{"name": "a.gz", "urls": ["https://one.example/{name}"]}],
            "mirrors": [{"repository": "who/what", "revision": "abc"}],
            "otherwise": {"url": "https://two.example/a.gz"},
        },
    }
    config["encoders"]["nt"]["released"]["files"] = {
        "model.bin": {"bytes": 12, "sha256": "1" * 64},
        "vocab.txt": "2" * 64,
    }
    config["encoders"]["hyenadna"]["released"]["files"] = ["model.safetensors"]
    text = made(config, [])
    assert "data/here" in line(text, "here | ")
    assert "none known" in line(text, "there | a.gz")
    for address in (
        "`https://one.example/{name}`",
        "<https://two.example/a.gz>",
        "Hugging Face, who/what at abc",
    ):
        assert f"- there: {address}" in text
    assert f"sha256 `{'1' * 64}` [U]" in line(text, "nt | model.bin | 12 [U]")
    assert f"about 28.7 kB [1] | sha256 `{'2' * 64}`" in line(text, "nt | vocab.txt")
    assert "? [U] | none known" in line(text, "hyenadna | model.safetensors")


def test_a_dataset_of_ones_own_needs_no_fact(config, tmp_path):
    row = "mine\town\t./mine\tFly\t9\t3\t\tmcc\t1\t2\t1e-4\tno\tno\t1200\t\t7"
    path = tmp_path / "datasets.tsv"
    path.write_text(LISTED.read_text().splitlines()[0] + f"\n{row}\n")
    found = line(made(config, datasets.read(path)), "mine |")
    assert found.endswith("| 3 classes | 1,200 |  | 7 |")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\tb\n", "line 1: found a, b, expected input, file, fact"),
        ("{head}\nhg38\t*\n", "line 2: found 2 columns, expected 6"),
        ("{head}\na\t*\tmd5\t\tsure\t\n", "line 2: standing is 'sure', expected one"),
    ],
)
def test_a_bad_table_of_facts_is_one_line(tmp_path, text, message):
    path = tmp_path / "inputs.tsv"
    path.write_text(text.replace("{head}", "\t".join(facts.COLUMNS)))
    with pytest.raises(InputError, match=message):
        facts.read_facts(path)
    path.unlink()
    with pytest.raises(InputError, match="no such file"):
        facts.read_facts(path)

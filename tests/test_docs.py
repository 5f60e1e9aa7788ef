"""The site of docs/ builds, its notebook runs, and its numbers stand where it says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pandas
import pytest
from made import ROOT

DOCS = ROOT / "docs"


def test_the_site_builds_without_a_warning(tmp_path):
    words = ["build", "--strict", "--config-file", ROOT / "mkdocs.yml"]
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", *words, "--site-dir", tmp_path / "site"],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "WARNING" not in done.stderr
    built = {path.stem for path in (tmp_path / "site").glob("*.html")}
    assert {path.stem for path in DOCS.glob("*.md")} <= built
    assert {"index", "config", "results"} <= built
    home = (tmp_path / "site" / "index.html").read_text()
    assert 'src="demo.png"' in home and 'href="running.html"' in home
    for page in (tmp_path / "site").glob("*.html"):
        fetched = re.findall(
            r'<(?:script|link|img)[^>]+"(https?://[^"]+)', page.read_text()
        )
        assert not fetched, page.name


# --- The notebook ---------------------------------------------------------------------


def test_the_notebook_runs_as_it_is_written(tmp_path, monkeypatch, capsys):
    """Its cells in one process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    book = nbformat.read(DOCS / "predict.ipynb", as_version=4)
    nbformat.validate(book)
    names = {}
    for cell in book.cells:
        if cell.cell_type == "code":
            assert not cell.outputs and cell.execution_count is None
            exec(compile(cell.source, "predict.ipynb", "exec"), names)
    metrics = json.loads(Path("metrics.json").read_text())
    assert metrics["test"]["mcc"] > 0.8  # a motif at one place is easy
    found = pandas.read_csv("predictions.tsv", sep="\t")
    assert set(found.status) == {"ok"} and len(found) == 6
    planted = found.id.str.startswith("with-")
    assert found.p1[planted].min() > found.p1[~planted].max()


# --- Why is my number lower -----------------------------------------------------------

LOWER = (DOCS / "lower.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in LOWER.splitlines()
    if line.startswith("| ") and not line.startswith("| ---")
]
NUMBER = re.compile(r"(?<![\w.])[+-]?\d+(?:\.\d+)?(?![\w-])")


def sources_of(cell):
    """The files that a row names, as links or by their path."""
    named = re.findall(r"\]\(([^)#]+)\)", cell)
    paths = [DOCS / name for name in named]
    return paths + [ROOT / name for name in re.findall(r"`(config/[^`]+)`", cell)]


def numbers_in(path):
    text = path.read_text().replace(" ± ", " ")
    found = set(NUMBER.findall(text))
    return found | {number.lstrip("+") for number in found}


def quoted_by(row):
    """What a row takes from its source; of printed numbers, both that it sets aside."""
    text = " ".join(row[:2]) if len(row) == 3 and row[2].startswith("`") else row[-2]
    beside = r"from 300 to 1,200 rows|TF-\w|Table \d|of five sets|of 28|25, counted"
    return NUMBER.findall(re.sub(beside, "", text))


QUOTED = [row for row in ROWS if sources_of(row[-1]) and quoted_by(row)]


def test_there_are_numbers_to_hold_against_their_sources():
    assert len(QUOTED) >= 10


@pytest.mark.parametrize("row", QUOTED, ids=lambda row: row[0][:40])
def test_a_number_stands_where_the_page_says(row):
    known = set().union(*map(numbers_in, sources_of(row[-1])))
    numbers = quoted_by(row)
    for number in numbers:
        assert {number, number.lstrip("+")} & known, (number, row)


def test_randommask_is_best_on_as_many_as_the_page_says():
    printed = pandas.read_csv(ROOT / "config" / "published" / "table3.csv")
    table = printed.pivot(index="dataset", columns="row", values="value_percent")
    best = (table.idxmax(axis=1) == "+RandomMask").sum()
    assert f"| RandomMask is best on 26 of 28 | {best}, counted in" in LOWER


def test_the_settings_of_the_page_are_keys_of_a_config():
    """By their last part, as the tables of config/README.md have them."""
    documented = (ROOT / "config" / "README.md").read_text()
    keys = {key for row in ROWS for key in re.findall(r"`([a-z]+\.[\w.*]+)`", row[0])}
    assert len(keys) > 8
    for key in keys:
        assert f"`{key.rpartition('.')[2]}`" in documented, key

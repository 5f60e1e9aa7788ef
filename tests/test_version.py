"""One version, wherever it is written."""

import re
import tomllib

import yaml
from made import ROOT

import randommask


def test_every_file_has_the_same_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    text = (ROOT / "CHANGELOG.md").read_text()
    released = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$", text, re.M)
    written = [project["version"], citation["version"], released[0]]
    assert written == [randommask.__version__] * 3


def test_cards_name_the_program_as_its_citation_does(monkeypatch):
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["title"] == randommask.TITLE
    assert citation.get("repository-code") == randommask.ADDRESS
    monkeypatch.setattr(randommask, "ADDRESS", "https://example.org/dna")
    assert randommask.program() == f'"{citation["title"]}" (https://example.org/dna)'

"""One version, title, author and address, wherever they are written."""

import json
import re
import tomllib

import yaml
from made import ROOT
from packaging.version import Version

import randommask

CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_file_has_the_same_version():
    """The package's own is the source, which pyproject.toml reads; `.dev` is ahead."""
    own = Version(randommask.__version__)
    assert PROJECT["project"]["dynamic"] == ["version"]
    attribute = PROJECT["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    assert attribute == "randommask.__version__"
    assert CITATION["version"] == randommask.__version__
    text = (ROOT / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## \[(.+?)\](?: - \d{4}-\d\d-\d\d)?$", text, re.M)
    released = [Version(name) for name in headings if name != "Unreleased"]
    assert released == sorted(released, reverse=True)
    if own.is_devrelease:
        assert headings[0] == "Unreleased" and own > released[0]
    else:
        assert own == released[0]


def test_the_program_is_named_as_its_citation_does(monkeypatch):
    assert CITATION["title"] == randommask.TITLE
    address = CITATION.get("repository-code")
    assert address == randommask.ADDRESS
    assert PROJECT["project"].get("urls", {}).get("Repository") == address
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert site.get("repo_url") == address
    monkeypatch.setattr(randommask, "ADDRESS", "https://example.org/dna")
    assert randommask.program() == f'"{CITATION["title"]}" (https://example.org/dna)'


def test_a_deposit_is_described_as_the_citation_is():
    """`.zenodo.json` is what the archive reads, in a form of its own."""
    deposit = json.loads((ROOT / ".zenodo.json").read_text())
    authors = [author["name"] for author in CITATION["authors"]]
    assert [creator["name"] for creator in deposit["creators"]] == authors
    assert [author["name"] for author in PROJECT["project"]["authors"]] == authors
    assert deposit["title"] == CITATION["title"]
    assert deposit["version"] == CITATION["version"]
    assert deposit["license"] == CITATION["license"] == PROJECT["project"]["license"]
    assert deposit["upload_type"] == CITATION["type"]
    [paper] = CITATION["references"]
    [related] = deposit["related_identifiers"]
    number = re.search(r"\d{4}\.\d{5}", paper["notes"])[0]
    assert related["identifier"] == f"arXiv:{number}"
    assert paper["title"] in deposit["description"]

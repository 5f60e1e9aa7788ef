"""The worked examples in docstrings come out as they say."""

import doctest
from importlib import import_module

import pytest

from randommask.files import WORKFLOW

NAMES = [
    ".".join(path.relative_to(WORKFLOW).with_suffix("").parts)
    for path in sorted((WORKFLOW / "randommask").rglob("*.py"))
    if ">>> " in path.read_text(encoding="utf-8")
]


@pytest.mark.parametrize("name", NAMES)
def test_examples(name):
    found = doctest.testmod(import_module(name))
    assert found.attempted and not found.failed

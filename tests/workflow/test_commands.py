"""Every `python -m randommask...` that is written down is a command."""

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from made import ROOT

COMMAND = re.compile(r"-m (randommask(?:\.\w+)+)")
WRITTEN = [  # not the changelog, which tells of commands that are gone
    ROOT / "README.md",
    ROOT / "Makefile",
    *(
        path
        for folder in ("bench", "config", "docs", "profiles", "workflow")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".md", ".py", ".smk", ".yaml", ".tsv"}
    ),
]


def source(module):
    """The file that `python -m` runs; None where there is none."""
    spec = find_spec(module)
    if spec and spec.submodule_search_locations:
        spec = find_spec(f"{module}.__main__")
    return spec and Path(spec.origin)


def commands():
    found = {}
    for path in WRITTEN:
        for module in COMMAND.findall(path.read_text()):
            found.setdefault(module, path.relative_to(ROOT))
    return sorted(found.items())


def test_there_are_commands():
    assert len(commands()) > 20


@pytest.mark.parametrize(("module", "where"), commands())
def test_a_command_that_is_written_down_runs(module, where):
    file = source(module)
    assert file, f"{where}: no module {module}"
    assert 'if __name__ == "__main__":' in file.read_text(), f"{where}: {module}"

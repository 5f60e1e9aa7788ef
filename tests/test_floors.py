"""Imports point down: every room of the package knows its floor.

A module may import from its own room and from rooms on lower floors, so that a reader
who starts at the bottom never meets a word that is explained above. Imports within
functions count too.
"""

import ast
from pathlib import Path

import pytest

from randommask.files import WORKFLOW

PACKAGE = WORKFLOW / "randommask"
FLOORS = (
    {"errors", "metrics", "forking"},
    {"files", "reading"},
    {"genome"},
    {"kmers", "experiment"},
    {"data"},
    {"masking", "encoders"},
    {"training", "measures", "plan"},
    {"pretraining", "finetuning", "report", "doctor"},
    {"predict", "embed", "compare"},
    {"__main__"},
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE)
MODULES += sorted(path for path in PACKAGE.glob("*.py") if path.stem != "__init__")


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """The rooms that a module imports from, its own left out."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        rooms |= {
            name.split(".")[1] for name in names if name.startswith("randommask.")
        }
    return rooms - {room_of(path), "__version__"}


def test_every_room_has_a_floor():
    assert {room_of(path) for path in MODULES} == FLOOR.keys()


@pytest.mark.parametrize(
    "path", MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix()
)
def test_imports_point_down(path):
    floor = FLOOR[room_of(path)]
    wrong = {room for room in imported(path) if FLOOR[room] >= floor}
    assert not wrong


def test_the_package_has_few_entries():
    """A reader sees all of it at once."""
    entries = [p for p in PACKAGE.iterdir() if not p.name.startswith("__")]
    assert len(entries) <= 21


def test_no_circle_within_a_room():
    """Modules of one room import each other without a circle, at import time."""
    graph = {}
    for path in MODULES:
        name = ".".join(path.relative_to(WORKFLOW).with_suffix("").parts)
        graph[name.removesuffix(".__init__")] = path
    state = {}

    def visit(name, above):
        state[name] = "open"
        for node in ast.parse(graph[name].read_text(encoding="utf-8")).body:
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                other = whole if whole in graph else node.module
                if other not in graph or other == name:
                    continue
                assert state.get(other) != "open", [*above, name, other]
                if other not in state:
                    visit(other, [*above, name])
        state[name] = "done"

    for name in graph:
        if name not in state:
            visit(name, [])

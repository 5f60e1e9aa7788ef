"""Verdicts of judges that are not ours, and the table of them.

    JUDGED=docs/judged.md python -m pytest tests/judges

Each test holds our code against a library of the field, or against the plainest loop
that can be written down, and says what it compared and by how much the two differed. A
judge takes nothing of ours but what it judges.
"""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

HEAD = """# Judged

What other people's code, or the plainest loop, says of ours: what was compared, with
whom, the largest difference and the most that is let pass. Written by `make judges`;
each line is a test of `tests/judges`, and runs in `make sweep` too.
multimolecule is not in requirements.lock; its line is there where it was installed.

| what | judge | largest difference | bound |
|---|---|---:|---:|
"""
VERDICTS = pytest.StashKey[list]()


def pytest_configure(config):
    config.stash[VERDICTS] = []


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses
def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.sweep)


@pytest.fixture
def verdict(request) -> Callable[[str, str, float, float], None]:
    """Take down a verdict, and fail where the difference is over its bound."""

    def take(what: str, judge: str, difference: float, bound: float) -> None:
        line = f"| {what} | {judge} | {difference:.2g} | {bound:.4g} |"
        request.config.stash.setdefault(VERDICTS, []).append(line)
        assert difference <= bound, f"{what}: {difference} from {judge}"

    return take


def pytest_sessionfinish(session, exitstatus):
    path = os.environ.get("JUDGED")
    if path and exitstatus == 0:
        lines = session.config.stash.get(VERDICTS, [])
        Path(path).write_text(HEAD + "\n".join(lines) + "\n")

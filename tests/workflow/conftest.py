"""The workflow is tried in folders whose names have a space and an apostrophe."""

import pytest


@pytest.fixture
def tmp_path(tmp_path):
    """A folder that an unquoted command would not find."""
    folder = tmp_path / "it's here"
    folder.mkdir()
    return folder

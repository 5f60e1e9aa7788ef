"""What several tests are given."""

import hypothesis
import loopback
import pytest

from randommask import transfer

# a busy machine is slow, not wrong
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture
def server(monkeypatch):
    """A server of this machine that is asked again without a pause."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.0)
    with loopback.serving() as served:
        yield served

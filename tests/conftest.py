"""What several tests are given."""

import hypothesis
import pytest

# a busy machine is slow, not wrong
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


@pytest.fixture
def server(monkeypatch):
    """A server of this machine that is asked again without a pause."""
    # here: a machine for the GPU's tests need not have what downloads need
    from made import loopback

    from randommask.data import transfer

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.0)
    with loopback.serving() as served:
        yield served

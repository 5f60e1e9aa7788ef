"""What several tests are given."""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import hypothesis
import pytest

# a busy machine is slow, not wrong
hypothesis.settings.register_profile("patient", deadline=None)
hypothesis.settings.load_profile("patient")


LONGEST = (
    "test_workflow.py",
    "test_extending.py",
    "test_together.py",
    "test_pretrain.py",
    "test_field_statistics.py",
    "test_planned.py",
    "test_bench.py",
    "test_processes.py",
    "test_plan.py",
    "test_use.py",
    "test_state.py",
    "test_finetune.py",
    "test_trainer.py",
    "test_hostile.py",
)
gone = {*LONGEST} - {path.name for path in Path(__file__).parent.rglob("test_*.py")}
assert not gone, f"LONGEST names files that are not there: {gone}"


def pytest_collection_modifyitems(items):
    # Begun last, they would be waited for by processes that have nothing left to do.
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


def pytest_addoption(parser):
    parser.addoption(
        "--all-kills",
        action="store_true",
        help="kill at every operation on files, and not at one in so many",
    )


@pytest.fixture(scope="module")
def one_thread():
    """The same threads everywhere: another number adds up in another order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def some_kills(request):
    """Which of so many operations to be killed at, the first and the last included."""

    def chosen(count, tried=8):
        if request.config.getoption("--all-kills"):
            return range(1, count + 1)
        return sorted({1 + round(n * (count - 1) / (tried - 1)) for n in range(tried)})

    return chosen


@pytest.fixture
def server(monkeypatch):
    """A server of this machine that is tried again without a pause."""
    # here: a machine for the GPU's tests need not have what downloads need
    from made import loopback

    from randommask.data import transfer

    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transfer, "PAUSE_SECONDS", 0.0)
    with loopback.serving() as served:
        yield served


@pytest.fixture(params=["emulated", "mounted"])
def nfs(request, tmp_path):
    """A folder where deleting is as on NFS: what is open stays under another name."""
    made = tmp_path / "nfs"
    made.mkdir()
    if request.param == "emulated":
        keep_what_is_open(request.getfixturevalue("monkeypatch"))
        yield made
        return
    # libfuse does so on any of its mounts
    if shutil.which("bindfs") is None or not os.access("/dev/fuse", os.W_OK):
        pytest.skip("no bindfs, or no /dev/fuse: deleting is emulated alone")
    behind = tmp_path / "behind"
    behind.mkdir()
    subprocess.run(["bindfs", behind, made], check=True)
    yield made
    subprocess.run(["fusermount", "-u", made], check=True)


def keep_what_is_open(monkeypatch):
    """Emulate it for what this process has open."""
    unlink = os.unlink

    def unlink_unless_open(path, *, dir_fd=None):
        state = os.stat(path, dir_fd=dir_fd, follow_symlinks=False)
        is_open = f" {state.st_ino} " in Path("/proc/self/maps").read_text()
        for number in os.listdir("/proc/self/fd"):
            with suppress(OSError):  # the listing's own
                is_open |= os.path.samestat(os.fstat(int(number)), state)
        if not is_open:
            return unlink(path, dir_fd=dir_fd)
        kept = Path(path).with_name(f".nfs{state.st_ino:016x}")
        os.rename(path, kept, src_dir_fd=dir_fd, dst_dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", unlink_unless_open)


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A tiny encoder with random weights, which nobody changes."""
    from made.dataset import tiny_encoder

    return tiny_encoder(tmp_path_factory.mktemp("encoders") / "made")


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """Two classes to tell apart by a motif, which nobody changes."""
    from made.dataset import made

    return made(tmp_path_factory.mktemp("data") / "two")


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    """The manifest of two random chromosomes, which nobody changes."""
    from made.genome import random_corpus

    return random_corpus(tmp_path_factory.mktemp("corpus"))

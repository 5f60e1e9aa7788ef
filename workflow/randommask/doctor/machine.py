"""The machine and its scheduler: software, GPUs, SLURM, ports, limits."""

import os
import platform
import resource
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import yaml

from randommask import errors
from randommask.doctor.finding import Finding, ask, unwritable
from randommask.experiment.units import amount
from randommask.files import WORKFLOW

ROOT = WORKFLOW.parent
OLDEST, NEWEST = (3, 11), (3, 12)  # Pythons that the tests run with
MIN_JOB_AGE = 120  # seconds; with less SLURM's plugin leaves squeue for sacct
OPEN_FILES = 1024
TMP_BYTES = 2**30
PORTS = (20000, 30000)  # where a job over several nodes has its meeting point


def python() -> Iterator[Finding]:
    """The interpreter."""
    found, here = platform.python_version(), sys.version_info[:2]
    if here < OLDEST:
        yield Finding("problem", "python", found, "use Python 3.11 or 3.12")
    elif here > NEWEST:
        yield Finding("warning", "python", found, "tested with Python 3.11 and 3.12")
    else:
        yield Finding("ok", "python", found)


def packages(root: Path = ROOT) -> Iterator[Finding]:
    """Installed versions against requirements.lock; builds as +cpu are the same."""
    lock = dict(
        line.strip().split("==")
        for line in (root / "requirements.lock").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    )
    needed = {"snakemake"}
    for path in (root / "envs").glob("*.yaml"):
        listed = yaml.safe_load(path.read_text())["dependencies"][-1]["pip"]
        needed |= {pin.split("==")[0] for pin in listed}
    missing, other = [], []
    for name, pinned in lock.items():
        try:
            found = version(name).split("+")[0]
        except PackageNotFoundError:
            missing.append(name)
            continue
        if found != pinned:
            other.append(f"{name} {found} (lock: {pinned})")
    install = "pip install -r requirements.lock"
    if lacking := [name for name in missing if name in needed]:
        yield Finding("problem", "packages", f"no {errors.listing(lacking)}", install)
    elif missing:
        found = f"no {errors.listing(missing)}, for development only"
        yield Finding("warning", "packages", found, install)
    if other:
        found = f"other versions: {errors.listing(other)}"
        yield Finding("warning", "packages", found, install)
    if not missing and not other:
        yield Finding("ok", "packages", f"{len(lock)} as in requirements.lock")


def home() -> Iterator[Finding]:
    """Whether Snakemake can keep its files here and in the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    shared = os.environ.get("SNAKEMAKE_OUTPUT_CACHE")
    places = {
        "the working folder": (".snakemake", "start it in a folder of your own"),
        "the cache": (f"{cache}/snakemake", "set HOME or XDG_CACHE_HOME to a folder"),
        "SNAKEMAKE_OUTPUT_CACHE": (shared, "set it to a folder of yours"),
    }
    wrong = 0
    for what, (place, advice) in places.items():
        if place is not None and (refused := unwritable(Path(place))):
            found = f"{what}: {place} cannot be written ({refused})"
            yield Finding("problem", "home", found, advice)
            wrong += 1
    if not wrong:
        yield Finding("ok", "home", f"{cache} and the working folder can be written")


def gpus() -> Iterator[Finding]:
    """The GPUs of this machine, and whether torch sees them and bf16 is computed."""
    query = "--query-gpu=name,compute_cap,memory.total"
    works, said = ask("nvidia-smi", query, "--format=csv,noheader")
    if not works:
        reason = "no nvidia-smi" if said == "not found" else f"nvidia-smi: {said}"
        advice = "the demo and the slice run on CPUs; a cluster's GPUs are on its nodes"
        yield Finding("warning", "gpu", reason, advice)
        return
    rows = [line.split(", ") for line in said.splitlines()]
    kinds = ", ".join(dict.fromkeys(f"{r[0]} ({r[1]}, {r[2]})" for r in rows))
    yield Finding("ok", "gpu", f"{len(rows)} x {kinds}")
    if min(float(row[1]) for row in rows) < 8.0:
        found = "a GPU of compute capability below 8.0 does not compute in bf16"
        yield Finding("warning", "bf16", found, "set precision: fp32 in a config copy")
    else:
        yield Finding("ok", "bf16", "in hardware")
    import torch  # takes seconds: only where there are GPUs

    if (seen := torch.cuda.device_count()) < len(rows):
        found = f"torch {torch.__version__} sees {seen} of {len(rows)} GPUs"
        advice = "install a build of torch for the driver's CUDA; CUDA_VISIBLE_DEVICES?"
        yield Finding("problem", "torch", found, advice)
    else:
        yield Finding("ok", "torch", f"{torch.__version__} sees all GPUs")


def slurm(root: Path = ROOT) -> Iterator[Finding]:
    """Whether jobs can be sent, and which command tells their state."""
    if shutil.which("sbatch") is None:
        yield Finding("ok", "slurm", "none here", "leave out --profile slurm")
        return
    works, said = ask("squeue", "--me", "--noheader")
    if not works:
        yield Finding("problem", "slurm", f"squeue: {said}", "is slurmctld running?")
        return
    yield Finding("ok", "slurm", "squeue answers")
    try:
        version("snakemake-executor-plugin-slurm")
    except PackageNotFoundError:
        advice = "pip install -r requirements.lock"
        yield Finding("problem", "slurm", "no snakemake-executor-plugin-slurm", advice)
    profile = yaml.safe_load((root / "workflow/profiles/slurm/config.yaml").read_text())
    status = profile.get("slurm-status-command", "sacct")
    works, said = ask("sacct", "--noheader", "--allocations")
    if works:
        yield Finding("ok", "accounting", f"sacct answers; the profile asks {status}")
    elif status == "squeue":
        yield Finding("ok", "accounting", f"no sacct ({said}); the profile asks squeue")
    else:
        advice = "set slurm-status-command: squeue in slurm/config.yaml"
        yield Finding("problem", "accounting", f"sacct: {said}", advice)
    works, said = ask("scontrol", "show", "config")
    ages = [line for line in said.splitlines() if line.startswith("MinJobAge")]
    if works and ages and (age := int(ages[0].split("=")[1].split()[0])) < MIN_JOB_AGE:
        found = f"MinJobAge is {age} s: finished jobs leave squeue too soon"
        advice = (
            f"ask for {MIN_JOB_AGE} s, or lower slurm-init-seconds-before-status-checks"
        )
        yield Finding("warning", "slurm", found, advice)


def ports() -> Iterator[Finding]:
    """Whether processes of one job can find each other."""
    host = socket.gethostname()
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        found = f"the machine's own name {host} does not resolve"
        yield Finding("warning", "network", found, "add it to /etc/hosts")
    free = 0
    for port in range(*PORTS, (PORTS[1] - PORTS[0]) // 20):
        with socket.socket() as one:
            try:
                one.bind(("", port))
                free += 1
            except OSError:
                continue
    if free:
        yield Finding("ok", "ports", f"{free} of 20 tried are free")
    else:
        found = f"none free between {PORTS[0]} and {PORTS[1]}"
        advice = "pretraining over several nodes needs one"
        yield Finding("warning", "ports", found, advice)


def limits() -> Iterator[Finding]:
    """Open files and temporary space."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files < OPEN_FILES:
        found, advice = f"at most {files} at once", f"ulimit -n {OPEN_FILES}"
        yield Finding("warning", "open files", found, advice)
    else:
        yield Finding("ok", "open files", f"at most {files} at once")
    try:
        folder = tempfile.gettempdir()
    except OSError as error:
        advice = "set TMPDIR to a folder of yours"
        yield Finding("problem", "tmp", errors.reason(error), advice)
        return
    free = shutil.disk_usage(folder).free
    found = f"{amount(free, 'B')} free in {folder}"
    if free < TMP_BYTES:
        yield Finding("warning", "tmp", found, "set TMPDIR to a folder with 1 GiB")
    else:
        yield Finding("ok", "tmp", found)

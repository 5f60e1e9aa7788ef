"""Snakemake as a user types it."""

import os
import re
import subprocess
import sys
from pathlib import Path

from made import ROOT

SNAKEMAKE = Path(sys.executable).parent / "snakemake"


def snakemake(*words, folder=ROOT, check=True):
    done = subprocess.run(
        [SNAKEMAKE, *map(str, words)],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{SNAKEMAKE.parent}:{os.environ['PATH']}"},
    )
    if check:
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done


def planned(*words, folder=ROOT):
    """Number of jobs of each rule in a dry run."""
    output = snakemake("-n", *words, folder=folder).stdout
    stats = output[output.rindex("Job stats:") :]
    return {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", stats, re.M)}

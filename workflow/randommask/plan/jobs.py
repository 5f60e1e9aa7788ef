"""The jobs of Snakemake's plan, as its logger plug-in `plan` prints them."""

import itertools
import json
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from randommask.errors import InputError
from randommask.experiment.hparams import Finetuning, Pretraining
from randommask.files import WORKFLOW

PLUGINS = WORKFLOW / "plugins"
TRAINING = {"pretrain": Pretraining, "finetune": Finetuning, "model": Finetuning}
"""The rules of jobs that train, and what these are told."""


@dataclass(frozen=True)
class Job:
    """A job of Snakemake's plan."""

    rule: str
    wildcards: dict[str, str]
    inputs: list[str]
    outputs: list[str]
    gpus: int
    cores: int
    hparams: Pretraining | Finetuning | None = None
    """What a job is told that trains; of several runs one."""
    runs: int = 1
    """How many fine-tunings take turns in it."""


def jobs(targets: list[str], configfile: str | None, profile: str | None) -> list[Job]:
    """The jobs that Snakemake would run; `InputError` with its words where it fails."""
    return list(map(job_of, entries(targets, configfile, profile)))


def entries(
    targets: list[str], configfile: str | None, profile: str | None, *flags: str
) -> list[dict[str, Any]]:
    """The same as the plug-in `plan` prints them; `flags` are Snakemake's."""
    if configfile and not Path(configfile).is_file():
        raise InputError(f"{configfile}: no such file")
    words = [sys.executable, "-m", "snakemake", "--dry-run", "--logger", "plan", *flags]
    words += ["--configfile", configfile] if configfile else []
    words += ["--profile", profile] if profile else []
    paths = [str(PLUGINS), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [*words, "--", *targets],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
    )
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines()]
        skipped = ("Using ", "File ", "RuntimeWarning", "/")
        said = [line for line in said if line and not line.startswith(skipped)]
        near = [line for line in said if "did you mean" in line]
        usage = [line.partition(": error: ")[2] for line in said]
        said = near or list(filter(None, usage)) or said
        raise InputError(f"snakemake: {' '.join(said[:3]) or 'no dry run'}")
    lines = done.stdout.splitlines()
    return [json.loads(line) for line in lines if line.startswith('{"rule"')]


def job_of(entry: dict[str, Any]) -> Job:
    """A job as the plug-in prints it."""
    resources = entry["resources"]
    a_node = resources.get("gpu") or resources.get("gres", "gpu:0").rpartition(":")[2]
    words = shlex.split(entry["command"] or "")
    form, told, runs = TRAINING.get(entry["rule"]), None, 1
    if form:
        seeds = _seeds(words)
        more = {"seed": seeds[0]} if seeds else {}
        told = form.parse(words[words.index("--hparams") + 1], **more)
        # of a cell those that are there are left alone, unless all are made again
        places = {os.path.dirname(path) for path in entry["output"]}
        absent = [x for x in places if not os.path.exists(f"{x}/metrics.json")]
        runs = len(absent) or len(seeds) or 1
    return Job(
        entry["rule"],
        entry["wildcards"],
        entry["input"],
        entry["output"],
        int(a_node) * int(resources.get("nodes", 1)),
        entry["threads"],
        told,
        runs,
    )


def _seeds(words: list[str]) -> list[int]:
    """Those that a command's flag has."""
    after = words[words.index("--seeds") + 1 :] if "--seeds" in words else []
    return [int(word) for word in itertools.takewhile(str.isdigit, after)]

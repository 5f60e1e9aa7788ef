"""What Snakemake asks around a run: can it be done here, what failed, and why.

Rules pass it Snakemake's own jobs; of them `rule.name`, `wildcards_dict`, `resources`,
`threads`, `input`, `output`, `log` and `shellcmd` are read.

A run on this machine where no GPU is: jobs that ask for one are given its processors,
and the hours that `randommask.plan` counts are said; where these are more than
`MOST_HOURS` nothing is begun, unless RANDOMMASK_ON_CPU is set. A run on SLURM of which
some job fits no node is not begun either.
"""

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from errno import EDQUOT, EIO, ENOLCK, ENOSPC, ESTALE, ETIMEDOUT
from pathlib import Path
from typing import Any

from randommask.doctor import cluster
from randommask.doctor.finding import Finding
from randommask.errors import InputError
from randommask.experiment.sections import Experiment
from randommask.plan import __main__ as plan
from randommask.plan import schedule
from randommask.plan.jobs import job_of
from randommask.training import launch
from randommask.training.gpu import visible

MOST_HOURS = 14 * 24.0
TAIL_BYTES = 4096
MAY_PASS = (
    "being written by",  # a job of before, which ends, or is ended
    "no mirror gave it",  # the network
    *(
        os.strerror(number).lower()
        for number in (ENOSPC, EDQUOT, EIO, ESTALE, ENOLCK, ETIMEDOUT)
    ),
)
"""What is in an error of one line that another try may not meet again."""


def on_this_machine(
    experiment: Experiment, jobs: Iterable[Any], cores: int
) -> str | None:
    """What to say before a run without a GPU begins; None where there is one, or need.

    Raises `InputError` for a run that would take weeks.
    """
    wanting = [job for job in jobs if launch.gpus_a_node(None, job.resources)]
    if not wanting or visible(os.environ) or launch.is_fake(os.environ):
        return None
    counts = Counter(job.rule.name for job in wanting)
    listed = ", ".join(f"{count:,} {rule}" for rule, count in counts.most_common())
    hours = hours_without(experiment, wanting, cores)
    minutes = math.ceil(60 * hours)
    spent = f"{hours:,.1f} h" if minutes >= 60 else f"{minutes} min"
    said = (
        f"this machine has no GPU, and {len(wanting):,} jobs ask for one ({listed}):"
        f" on its {cores} cores they take at least {spent}"
    )
    if hours > MOST_HOURS and not os.environ.get(launch.ON_CPU):
        raise InputError(
            f"{said}. A cluster: --profile slurm; small: make demo, make slice; what it"
            " costs: python -m randommask.plan --profile slurm all; on these cores all"
            f" the same: {launch.ON_CPU}=1"
        )
    return said


def hours_without(experiment: Experiment, jobs: Iterable[Any], cores: int) -> float:
    """Hours of the jobs that train, on so many cores and no GPU, at least."""
    planned = [replace(job_of(entry(job)), gpus=0) for job in jobs]
    estimator = plan.Estimator(experiment, None)
    estimates = [estimator.estimate(job) for job in planned]
    return schedule.bound(plan.timed(planned, estimates), 0, cores) / 3600


def entry(job: Any) -> dict[str, Any]:
    """A job of Snakemake as the plug-in `plan` prints it."""
    resources = {
        name: value
        for name, value in job.resources.items()
        if isinstance(value, int | str)
    }
    return {
        "rule": job.rule.name,
        "wildcards": dict(job.wildcards_dict),
        "input": [str(path) for path in job.input],
        "output": [str(path) for path in job.output],
        "resources": resources,
        "threads": job.threads,
        "command": job.shellcmd,
    }


def on_slurm(jobs: Iterable[Any]) -> list[Finding]:
    """The problems of jobs that no node of this SLURM could ever run."""
    by_request: dict[cluster.Request, None] = {}
    for job in jobs:
        own: Mapping[str, Any] = dict(job.resources.items())
        by_request[cluster.request(job.rule.name, own, job.threads)] = None
    found = cluster.fits(list(by_request))
    return [finding for finding in found if finding.state == "problem"]


def is_refused(log: Iterable[Any], since: float) -> bool:
    """Whether a job ended with an error that another try would meet again.

    So do all that one line names, `error: ...`, in a log written since the run began,
    but for what may have passed by then (`MAY_PASS`).
    """
    for path in map(Path, log):
        if path.exists() and path.stat().st_mtime >= since:
            line = last_line(path).lower()
            return line.startswith("error: ") and not any(
                words in line for words in MAY_PASS
            )
    return False


def last_line(path: Path) -> str:
    """The last line of a log that says something."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def failures(jobs: Iterable[Any]) -> Iterator[str]:
    """A line for each job that failed: which, why, and where its log is."""
    for job in sorted(jobs, key=lambda job: (job.rule.name, str(job.wildcards_dict))):
        named = ", ".join(f"{k}={v}" for k, v in job.wildcards_dict.items())
        paths = [Path(str(path)) for path in job.log]
        path = next((path for path in paths if path.exists()), None)
        cause = last_line(path) if path else ""
        said = cause.removeprefix("error: ") or "no word of it; see Snakemake's log"
        where = f" ({path})" if path else ""
        yield f"{job.rule.name} {named}: {said}{where}".replace(" :", ":")

"""Is this machine or cluster fit for a config: one line a check, and what to do.

    python -m randommask.doctor [--configfile F] [--profile P] [--offline]

Run it where Snakemake will be run, with PYTHONPATH=workflow. Each line says ok, warning
or problem; with a problem the exit status is 1. `--offline` asks no server.
"""

import argparse
import os
import sys
from collections.abc import Iterator

from randommask.doctor import cluster, machine, needs
from randommask.doctor.finding import Finding
from randommask.doctor.genomes import genomes
from randommask.errors import run
from randommask.experiment.file import config_path, load
from randommask.experiment.sections import Experiment


def examine(
    experiment: Experiment,
    offline: bool,
    profile: str | None = None,
    configfile: str | None = None,
) -> Iterator[Finding]:
    """All checks, one after the other."""
    for check in (machine.python, machine.packages, machine.home, machine.gpus):
        yield from check()
    yield from machine.slurm()
    yield from cluster.profile(profile)
    yield from needs.planned_disk(experiment, configfile, profile)
    yield from needs.file_system(experiment)
    yield from needs.sources(experiment, offline)
    yield from genomes(experiment)
    yield from machine.ports()
    yield from machine.limits()


def main(argv: list[str] | None = None) -> None:
    """Print the findings; exit with 1 where one is a problem."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--configfile")
    parser.add_argument("--profile")
    parser.add_argument("--offline", action="store_true", help="ask no server")
    flags = parser.parse_args(argv)
    profile = flags.profile or os.environ.get("SNAKEMAKE_PROFILE")
    experiment = load(config_path(flags.configfile, profile))
    problems = 0
    for finding in examine(experiment, flags.offline, profile, flags.configfile):
        print(finding, flush=True)
        problems += finding.state == "problem"
    if problems:
        sys.exit(1)


if __name__ == "__main__":
    run(main)

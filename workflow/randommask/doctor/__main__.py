"""Is this machine or cluster fit for a config: one line a check, and what to do.

    python -m randommask.doctor [--configfile F] [--profile P] [--offline]

Run it where Snakemake will be run, with PYTHONPATH=workflow. Each line says ok, warning
or problem; with a problem the exit status is 1. `--offline` asks no server.
"""

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from randommask.doctor import experiment, machine
from randommask.doctor.finding import Finding
from randommask.errors import InputError, run
from randommask.experiment.file import config_path, read_config


def examine(config: dict[str, Any], offline: bool) -> Iterator[Finding]:
    """All checks, one after the other."""
    for check in (machine.python, machine.packages, machine.gpus, machine.slurm):
        yield from check()
    yield from experiment.disk(config)
    yield from experiment.file_system(config)
    yield from experiment.sources(config, offline)
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
    config = read_config(config_path(flags.configfile, flags.profile))
    if not isinstance(config, dict) or "pathvars" not in config:
        raise InputError("the config is no config of this workflow: no key 'pathvars'")
    problems = 0
    for finding in examine(config, flags.offline):
        print(finding, flush=True)
        problems += finding.state == "problem"
    if problems:
        sys.exit(1)


if __name__ == "__main__":
    run(main)

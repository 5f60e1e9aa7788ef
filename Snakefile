"""From a genome and a benchmark to the tables and figures of the paper."""

import os
import shlex
import sys

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.utils import min_version

min_version("9.12")

# A config that is named replaces this one; Snakemake would merge the two.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


sys.path.insert(0, os.path.join(workflow.basedir, "workflow"))

from randommask.errors import InputError
from randommask.experiment import check, encoders, runs
from randommask.experiment.file import read as read_config

try:
    for path in workflow.configfiles:  # Snakemake itself drops keys that stand twice
        read_config(os.path.relpath(path))
    check.check(
        config, os.path.join(workflow.basedir, "workflow/schemas/config.schema.yaml")
    )
    check.check_copies(config)
except InputError as error:
    raise WorkflowError(str(error)) from None

# Of a target in the place of another config Snakemake says only that no rule makes it.
for word in sys.argv[1:]:
    if word.startswith("results/"):
        place = config["pathvars"]["results"]
        if not word.startswith(f"{place}/"):
            logger.warning(f"{word}: the results of this config are in {place}/")

# The package is used from the clone, uninstalled, whatever the environment.
PACKAGE = shlex.quote(os.path.join(workflow.basedir, "workflow"))
shell.prefix(f"set -euo pipefail; export PYTHONPATH={PACKAGE}; ")


# Only with --sdm apptainer; envs/container.def makes it.
container: "envs/randommask.sif"


include: "workflow/rules/plan.smk"
include: "workflow/rules/genome.smk"
include: "workflow/rules/pretrain.smk"
include: "workflow/rules/benchmark.smk"
include: "workflow/rules/finetune.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/ablations.smk"
include: "workflow/rules/release.smk"


rule all:
    """The paper: every table, every figure, the audit, the observations, the report."""
    default_target: True
    input:
        "<results>/report.html",
    localrule: True

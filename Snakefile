"""From a genome and a benchmark to the tables and figures of the paper."""

import os
import sys

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger
from snakemake.pathvars import Pathvars
from snakemake.utils import min_version

min_version("9.12")

# The folder of this file, wherever it is used from: as a module, included, linked.
SOURCE = os.path.dirname(os.path.realpath(workflow.snakefile))
if not os.path.isdir(f"{SOURCE}/workflow/randommask"):
    raise WorkflowError(f"{SOURCE}: no package here; use a clone of the repository")
# The package is used from the clone, uninstalled, whatever the environment; jobs too.
PACKAGE = os.path.join(SOURCE, "workflow")
sys.path.insert(0, PACKAGE)
others = [x for x in os.environ.get("PYTHONPATH", "").split(":") if x != PACKAGE]
os.environ.update(PYTHONPATH=":".join(filter(None, [PACKAGE, *others])))

from randommask.errors import InputError
from randommask.experiment import file, places
from randommask.experiment.check import check
from randommask.files import at_hand

# A config that is named replaces this one; Snakemake would merge the two.
IS_MODULE = not workflow.modifier.is_main_snakefile()
named = workflow.configfiles or workflow.overwrite_configfiles
if not (config if IS_MODULE else named):

    configfile: at_hand("config/config.yaml")


try:
    # Snakemake itself drops keys that stand twice.
    for path in [] if IS_MODULE else workflow.configfiles:
        file.read(os.path.relpath(path))
    config = file.whole(config)
    experiment = check(config)
    places.check(experiment)
    # a config that does not say where its results go has a folder of its own
    workflow.pathvars.update(
        Pathvars.from_config({"pathvars": experiment.pathvars.values()})
    )
except InputError as error:
    raise WorkflowError(str(error)) from None


# Only with --sdm apptainer; envs/container.def makes it.
container: at_hand("envs/randommask.sif")


report: f"{SOURCE}/workflow/report/workflow.rst"


include: f"{SOURCE}/workflow/rules/common.smk"
include: f"{SOURCE}/workflow/rules/data.smk"
include: f"{SOURCE}/workflow/rules/encoders.smk"
include: f"{SOURCE}/workflow/rules/pretraining.smk"
include: f"{SOURCE}/workflow/rules/seeds.smk"
include: f"{SOURCE}/workflow/rules/finetuning.smk"
include: f"{SOURCE}/workflow/rules/linear.smk"
include: f"{SOURCE}/workflow/rules/measures.smk"
include: f"{SOURCE}/workflow/rules/report.smk"
include: f"{SOURCE}/workflow/rules/ablations.smk"
include: f"{SOURCE}/workflow/rules/release.smk"


rule all:
    """The paper: every table, every figure, the audit, the observations, the report."""
    default_target: True
    input:
        "<results>/report.html",
    localrule: True


include: f"{SOURCE}/workflow/rules/around.smk"

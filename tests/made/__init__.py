"""What tests are given: small data that they make themselves."""

from randommask.files import WORKFLOW

ROOT = WORKFLOW.parent
"""The clone: Snakefile, config, workflow, docs."""

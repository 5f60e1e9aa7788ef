"""How a job that trains is started on what it was given: GPUs, nodes, neither.

Snakemake asks these functions while it plans. They take `resources`, so that it counts
what they say as no setting: another number of GPUs trains nothing anew.
"""

import os
from collections.abc import Mapping
from typing import Any

ON_CPU = "RANDOMMASK_ON_CPU"
"""Set where jobs that ask for GPUs are to train on processors: by name, by whoever
starts Snakemake, or by it on a machine without any."""
FAKE = "RANDOMMASK_FAKE_GPUS"
"""Set by tests whose GPUs are none: a job that was given some trains without."""


def is_fake(environment: Mapping[str, str]) -> bool:
    """Whether GPUs that are given are none, by name."""
    return bool(environment.get(FAKE))


def gpus_a_node(wildcards: Any, resources: Any) -> int:
    """GPUs of a job on each of its nodes, as `gpu=` or, over several nodes, `gres=`."""
    if os.environ.get(ON_CPU):
        return 0
    told = resources.get("gres", "gpu:0").rpartition(":")[2]
    return resources.get("gpu", 0) or int(told)


def processes(wildcards: Any, resources: Any) -> int:
    """How many processes the launcher is asked for."""
    return max(1, resources.get("nodes", 1) * gpus_a_node(wildcards, resources))


def launcher(wildcards: Any, resources: Any) -> str:
    """One process for each GPU, on one node or several; else plain Python."""
    nodes, gpus = resources.get("nodes", 1), gpus_a_node(wildcards, resources)
    if nodes * gpus <= 1:
        return "python -m"
    if nodes == 1:
        return f"torchrun --standalone --nproc-per-node {gpus} -m"
    # the first node's port: another for every job
    return (
        f"srun --nodes={nodes} --ntasks={nodes} --ntasks-per-node=1 "
        f"torchrun --nnodes {nodes} --nproc-per-node {gpus} --rdzv-backend c10d "
        "--rdzv-id $SLURM_JOB_ID "
        "--rdzv-endpoint $(hostname):$((20000 + SLURM_JOB_ID % 10000)) -m"
    )


def device(wildcards: Any, resources: Any) -> str:
    """What hides GPUs from a job without one, or waits for free ones."""
    if not gpus_a_node(wildcards, resources):
        return "CUDA_VISIBLE_DEVICES="
    share = resources.get("gpu_share")
    if not share:
        return ""
    gpus = f"--gpus {resources.gpu} --share {share}"
    return f"python -m randommask.training.gpu {gpus} --"

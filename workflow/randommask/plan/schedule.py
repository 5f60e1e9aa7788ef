"""How long a graph of jobs takes at least, on so many GPUs and cores.

No order of the jobs beats the longest path through the graph, nor the time of all jobs
shared out evenly over what they run on. A greedy schedule of the paper's jobs takes up
to 9 % longer than this bound, so the bound is what a plan tells.

Three jobs of 2 h on one GPU each, the third after the first: on one GPU 6 h, the even
share; on three 4 h, the path from the first to the third.
"""

from dataclasses import dataclass
from graphlib import TopologicalSorter


@dataclass(frozen=True)
class TimedJob:
    """Seconds that a job takes, what it holds meanwhile, the jobs it waits for."""

    seconds: float
    gpus: int = 0
    cores: int = 0
    needs: tuple[int, ...] = ()
    """Their positions in the list of jobs."""


def longest_path(jobs: list[TimedJob]) -> float:
    """Seconds of the longest chain of jobs that wait for one another."""
    ends: dict[int, float] = {}
    needs = {number: job.needs for number, job in enumerate(jobs)}
    for number in TopologicalSorter(needs).static_order():
        start = max((ends[need] for need in needs[number]), default=0.0)
        ends[number] = start + jobs[number].seconds
    return max(ends.values(), default=0.0)


def bound(jobs: list[TimedJob], gpus: int, cores: float) -> float:
    """Seconds that no schedule is shorter than; a job gets at most what there is."""
    on_gpus = sum(job.seconds * min(job.gpus, gpus) for job in jobs)
    on_cores = sum(job.seconds * min(job.cores, cores) for job in jobs)
    shared = on_gpus / gpus if gpus else 0.0
    return max(longest_path(jobs), shared, on_cores / cores)

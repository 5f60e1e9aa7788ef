"""How long a graph of jobs takes on so many GPUs and cores, queues left out.

List scheduling: whatever is ready starts, the job with the longest path to the end
first; no GPU job overtakes one that waits for more GPUs. Two bounds hold for any order:
the longest path, and the GPU time shared out evenly.
"""

import heapq
import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """A job: seconds it takes, what it holds meanwhile, the tasks it waits for."""

    seconds: float
    gpus: int = 0
    cores: int = 0
    needs: tuple[int, ...] = ()
    """Their places in the list of tasks."""


def longest_paths(tasks: list[Task]) -> list[float]:
    """Seconds from each task's start to the end of the last that waits for it."""
    followers = _followers(tasks)
    paths: dict[int, float] = {}
    for task in reversed(_order(tasks)):
        after = max((paths[other] for other in followers[task]), default=0.0)
        paths[task] = tasks[task].seconds + after
    return [paths[task] for task in range(len(tasks))]


def bound(tasks: list[Task], gpus: int) -> float:
    """Seconds that no schedule on so many GPUs is shorter than."""
    work = sum(task.seconds * min(task.gpus, gpus) for task in tasks)
    return max(max(longest_paths(tasks), default=0.0), work / gpus if gpus else 0.0)


def makespan(tasks: list[Task], gpus: int, cores: float = math.inf) -> float:
    """Seconds until all are done; a task gets what there is where it asks for more."""
    paths, followers = longest_paths(tasks), _followers(tasks)
    waiting = [len(task.needs) for task in tasks]
    ready = [(-paths[i], i) for i, count in enumerate(waiting) if not count]
    heapq.heapify(ready)
    running: list[tuple[float, int]] = []
    now, free_gpus, free_cores = 0.0, gpus, cores
    while ready or running:
        held_back, blocked = [], False
        while ready:
            place = heapq.heappop(ready)
            task = tasks[place[1]]
            asked, threads = min(task.gpus, gpus), min(task.cores, cores)
            if threads > free_cores or (asked and (blocked or asked > free_gpus)):
                blocked |= bool(asked)
                held_back.append(place)
                continue
            free_gpus -= asked
            free_cores -= threads
            heapq.heappush(running, (now + task.seconds, place[1]))
        ready = held_back
        heapq.heapify(ready)
        now, done = heapq.heappop(running)
        free_gpus += min(tasks[done].gpus, gpus)
        free_cores += min(tasks[done].cores, cores)
        for other in followers[done]:
            waiting[other] -= 1
            if not waiting[other]:
                heapq.heappush(ready, (-paths[other], other))
    return now


def _followers(tasks: list[Task]) -> list[list[int]]:
    followers: list[list[int]] = [[] for _ in tasks]
    for place, task in enumerate(tasks):
        for need in task.needs:
            followers[need].append(place)
    return followers


def _order(tasks: list[Task]) -> list[int]:
    """The tasks so that each comes after those it needs."""
    followers, waiting = _followers(tasks), [len(task.needs) for task in tasks]
    order = [place for place, count in enumerate(waiting) if not count]
    for place in order:
        for other in followers[place]:
            waiting[other] -= 1
            if not waiting[other]:
                order.append(other)
    return order

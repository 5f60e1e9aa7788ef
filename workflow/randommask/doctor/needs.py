"""What a config needs: disk, a file system that keeps time and locks, its sources."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from randommask.data.sources import Repository, Source, parse
from randommask.doctor.finding import ASK_SECONDS, Finding, existing
from randommask.errors import InputError
from randommask.experiment import encoders
from randommask.experiment.sections import Experiment, Released
from randommask.experiment.units import text
from randommask.plan.__main__ import Estimate, Estimator, on_disk
from randommask.plan.jobs import Job, jobs

SKEW_SECONDS = 1.0  # Snakemake compares the times of files


def disk(experiment: Experiment, planned: list[Job]) -> Iterator[Finding]:
    """Free bytes on each disk, against what `randommask.plan` says of the jobs."""
    estimator = Estimator(experiment, None)
    disks: dict[int, tuple[Path, list[Estimate]]] = {}
    for job in planned:
        there = existing(Path(job.outputs[0]) if job.outputs else Path())
        place = disks.setdefault(_device(there), (there, []))
        place[1].append(estimator.estimate(job))
    for there, estimates in disks.values():
        free = shutil.disk_usage(there).free
        kept, meanwhile = on_disk(estimates)
        found = f"{text(free, 'bytes')} free, {text(kept, 'bytes')} needed"
        if meanwhile:
            found += f" and {text(meanwhile, 'bytes')} while a segment runs"
        if free < kept + meanwhile:
            advice = f"free some in {there}, or move pathvars in a config copy"
            yield Finding("problem", "disk", found, advice)
        else:
            yield Finding("ok", "disk", found)


def planned_disk(
    experiment: Experiment, configfile: str | None, profile: str | None
) -> Iterator[Finding]:
    """Likewise of all jobs that are left; a warning where Snakemake plans none."""
    try:
        planned = jobs(["all"], configfile, profile)
    except InputError as error:
        yield Finding("warning", "disk", f"what is needed is not known: {error}")
        return
    yield from disk(experiment, planned)


def _device(path: Path) -> int:
    """The number of the disk that a folder lies on."""
    return path.stat().st_dev


def file_system(experiment: Experiment) -> Iterator[Finding]:
    """Whether the results' file system can be written, keeps time, and locks."""
    results = existing(Path(experiment.pathvars.results))
    try:
        with tempfile.NamedTemporaryFile(dir=results, prefix=".doctor-") as file:
            before = time.time()
            os.utime(file.name)
            skew = os.stat(file.name).st_mtime - before
            yield from _clock(skew)
            yield _locking(file.name)
    except OSError as error:
        found = f"{results} cannot be written ({error.strerror})"
        yield Finding("problem", "results", found, "move pathvars: results elsewhere")


def _clock(skew: float) -> Iterator[Finding]:
    found = f"files are {abs(skew):.1f} s {'ahead of' if skew > 0 else 'behind'} us"
    if abs(skew) > SKEW_SECONDS:
        yield Finding("warning", "clock", found, "synchronise the clocks (NTP)")
    else:
        yield Finding("ok", "clock", "file system and machine agree")


def _locking(name: str) -> Finding:
    """Two locks on one file: the second has to be refused."""
    advice = "two jobs could write one encoder: use a file system with flock"
    with open(name) as first, open(name) as second:
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            return Finding("problem", "locks", f"flock: {error.strerror}", advice)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return Finding("ok", "locks", "flock keeps a second writer out")
        return Finding("problem", "locks", "flock lets two writers in", advice)


def sources(experiment: Experiment, offline: bool) -> Iterator[Finding]:
    """Whether local copies are there and some place of each download answers."""
    resources = Path(experiment.pathvars.resources)
    results = Path(experiment.pathvars.results)
    remote: dict[str, Source] = {}
    for name, spec in _specs(experiment).items():
        source = parse(name, spec)
        if source.path and source.path.is_relative_to(results):
            yield Finding("ok", "source", f"{name}: the workflow makes it")
        elif source.path and not source.path.exists():
            advice = f"put a copy there or change the path of {name}"
            yield Finding("problem", "source", f"{name}: no {source.path}", advice)
        elif source.path or (resources / name).exists():
            yield Finding("ok", "source", f"{name}: here")
        elif not offline:
            remote[name] = source
    with ThreadPoolExecutor(16) as pool:
        answers = {
            name: pool.submit(_answering, name, source, experiment.mirrors)
            for name, source in remote.items()
        }
    for name, answer in answers.items():
        if found := answer.result():
            yield Finding("ok", "source", f"{name}: {found} answers")
        else:
            advice = "set https_proxy, name a folder in mirrors, or take a path"
            yield Finding("problem", "source", f"{name}: no place answers", advice)


def _specs(experiment: Experiment) -> dict[str, Any]:
    """What is fetched, by its folder in `resources`."""
    released = {
        f"encoders/{name}": encoders.released(experiment, name)
        for name in encoders.named(experiment, Released)
    }
    return {
        name: source.given() for name, source in experiment.sources.items()
    } | released


def _answering(name: str, source: Source, mirrors: list[str]) -> str | None:
    """The first place that has all of a source; None where none answers."""
    for mirror in mirrors:
        if (Path(mirror) / name).is_dir():
            return mirror
    for one in (source, *source.otherwise):
        if one.repository:
            found = [_reached([_address(one.repository)])]
        else:
            near = [[f"{m}/{name}/{f.name}" for m in mirrors] for f in one.files]
            found = [
                _reached([url for url in (*urls, *file.urls) if "://" in url])
                for urls, file in zip(near, one.files, strict=True)
            ]
        if all(found):
            return ", ".join(dict.fromkeys(found))
    return None


def _address(repository: Repository) -> str:
    """Where the hub tells of a repository."""
    from huggingface_hub.constants import ENDPOINT

    where = f"{repository.kind}s/{repository.repository}"
    return f"{ENDPOINT}/api/{where}/revision/{repository.revision}"


def _reached(urls: list[str]) -> str | None:
    """The host of the first address that answers; None where none does."""
    import httpx2

    for url in urls:
        try:
            answer = httpx2.head(url, timeout=ASK_SECONDS, follow_redirects=True)
        except (httpx2.HTTPError, httpx2.InvalidURL):
            continue
        if answer.status_code < 400 or answer.status_code == 405:
            return httpx2.URL(url).host
    return None

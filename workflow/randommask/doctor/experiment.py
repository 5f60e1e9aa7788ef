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

from randommask import cost, kmers, settings
from randommask.doctor.finding import ASK_SECONDS, Finding
from randommask.plan import amount
from randommask.sources import parse

SKEW_SECONDS = 1.0  # Snakemake compares the times of files


def disk(config: dict[str, Any]) -> Iterator[Finding]:
    """Free bytes where results go, against what the whole config leaves there."""
    results = Path(config["pathvars"]["results"])
    need = _needed(config, results)
    free = shutil.disk_usage(_existing(results)).free
    found = f"{amount(free, 'B')} free, about {amount(need, 'B')} needed"
    if free < need:
        advice = "free some, or move pathvars: results in a config copy"
        yield Finding("problem", "disk", found, advice)
    else:
        yield Finding("ok", "disk", found)


def _needed(config: dict[str, Any], results: Path) -> int:
    """Bytes of all sources, shards and encoders of the config that are not there."""
    resources = Path(config["pathvars"]["resources"])
    need = rolling = 0
    for name, source in config["sources"].items():
        if not (resources / name).exists():
            need += cost.download_bytes(source)
    for genome in config["genomes"]:
        if not (results / "corpus" / genome / "manifest.json").exists():
            need += cost.genome_bases(config, genome)
    for name in settings.segment_names(config):
        if not (results / "pretrain" / name).exists():
            hparams = settings.segment(config, *settings.split(name))
            vocabulary = kmers.vocab_size(hparams["settings"]["k"])
            left, meanwhile = cost.segment_bytes(hparams, vocabulary)
            need, rolling = need + left, max(rolling, meanwhile)
    return need + rolling


def _existing(path: Path) -> Path:
    """The path or the nearest folder above it that is there."""
    path = path.absolute()
    return next(place for place in (path, *path.parents) if place.exists())


def file_system(config: dict[str, Any]) -> Iterator[Finding]:
    """Whether the results' file system can be written, keeps time, and locks."""
    results = _existing(Path(config["pathvars"]["results"]))
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


def sources(config: dict[str, Any], offline: bool) -> Iterator[Finding]:
    """Whether local copies are there and a mirror of each download answers."""
    resources = Path(config["pathvars"]["resources"])
    results = Path(config["pathvars"]["results"])
    asked: dict[str, list[list[str]]] = {}
    for name, source in config["sources"].items():
        path = source.get("path")
        if path and Path(path).is_relative_to(results):
            yield Finding("ok", "source", f"{name}: the workflow makes it")
        elif path and not Path(path).exists():
            advice = f"put a copy there or change sources: {name}: path"
            yield Finding("problem", "source", f"{name}: no {path}", advice)
        elif path or (resources / name).exists():
            yield Finding("ok", "source", f"{name}: here")
        elif not offline:
            asked[name] = [list(file.urls) for file in parse(name, source).files]
    with ThreadPoolExecutor(16) as pool:
        hosts = {
            name: [pool.submit(_reached, urls) for urls in files]
            for name, files in asked.items()
        }
    for name, answers in hosts.items():
        found = [answer.result() for answer in answers]
        if all(found):
            said = f"{name}: {', '.join(dict.fromkeys(found))} answers"
            yield Finding("ok", "source", said)
        else:
            said = f"{name}: no mirror answers for {found.count(None)} of {len(found)}"
            advice = "set https_proxy, or take a local copy with path:"
            yield Finding("problem", "source", f"{said} files", advice)


def _reached(urls: list[str]) -> str | None:
    """The host of the first mirror that has the file; None where none has."""
    import httpx2

    for url in urls:
        try:
            answer = httpx2.head(url, timeout=ASK_SECONDS, follow_redirects=True)
        except (httpx2.HTTPError, httpx2.InvalidURL):
            continue
        if answer.status_code < 400 or answer.status_code == 405:
            return httpx2.URL(url).host
    return None

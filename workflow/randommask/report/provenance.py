"""Where the numbers come from: commit, versions, hardware, checksums, hours.

Read when the report is made, from what the runs, the downloads and Snakemake's own
benchmarks left; no part of it is an input of the report, so that a new commit or
another benchmark alone does not make the report again.
"""

import ast
import csv
import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from randommask import __version__
from randommask.data.checksums import read
from randommask.errors import InputError
from randommask.files import read_json
from randommask.report.tables.sheet import Cell, Column, Grid

_DRAWN_WITH = ("snakemake", "matplotlib", "numpy", "pandas", "scipy", "openTSNE")


def commit(repository: Path) -> str:
    """The workflow's commit, `-dirty` where files differ, `unknown` outside git."""
    git = ["git", "-C", str(repository)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        )
        changes = subprocess.run(
            [*git, "status", "--porcelain", "--untracked-files=no"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head.stdout.strip() + ("-dirty" if changes.stdout.strip() else "")


def read_runs(root: Path) -> list[dict[str, Any]]:
    """The metrics of all fine-tunings under `<results>/finetune` that can be read."""
    found = []
    for path in sorted(root.glob("*/*/*/seed*/metrics.json")):
        try:
            metrics = read_json(path)
        except (InputError, OSError):
            continue  # the tables name it
        if isinstance(metrics, dict):
            found.append(metrics)
    return found


def origin(repository: Path, runs: list[dict[str, Any]]) -> Grid:
    """Commit, versions, hardware; values that differ between runs with their counts."""
    rows = [("commit of the workflow", commit(repository)), ("randommask", __version__)]
    for name in _DRAWN_WITH:
        try:
            rows.append((f"{name}, this page", version(name)))
        except PackageNotFoundError:
            continue
    versions: dict[str, list[str]] = {}
    for metrics in runs:
        for name, value in metrics.get("versions", {}).items():
            versions.setdefault(name, []).append(str(value))
    rows += [(f"{name}, fine-tuning", _counted(own)) for name, own in versions.items()]
    for key in ("device", "precision", "threads"):
        own = [str(metrics[key]) for metrics in runs if key in metrics]
        if own:
            rows.append((f"{key} of fine-tuning", _counted(own)))
    lines = tuple(((name,), (Cell(value),)) for name, value in rows)
    return Grid(("What",), (Column("value", text=True),), lines)


def _counted(values: Iterable[str]) -> str:
    """The value; where there are several, each with the number of its runs."""
    counts = Counter(values)
    if len(counts) == 1:
        return next(iter(counts))
    total = counts.total()
    parts = (f"{value} in {n} of {total} runs" for value, n in sorted(counts.items()))
    return ", ".join(parts)


def checksums(path: Path, runs: list[dict[str, Any]]) -> list[Grid]:
    """What was downloaded, as in the ledger at `path`, and what the runs were given."""
    grids = []
    if ledger := read(path):
        names = ("file", "bytes", "sha256", "checked", "from")
        columns = tuple(Column(name, text=name != "bytes") for name in names)
        rows = tuple(
            ((row.source,), tuple(Cell(str(cell)) for cell in astuple(row)[1:]))
            for row in ledger.values()
        )
        grids.append(Grid(("Downloaded",), columns, rows))
    sums: dict[tuple[str, str], list[str]] = {}
    for metrics in runs:
        for split, digest in metrics.get("data_sha256", {}).items():
            sums.setdefault((metrics["dataset"], split), []).append(digest)
    if sums:
        rows = tuple((key, (Cell(_counted(own)),)) for key, own in sorted(sums.items()))
        columns = (Column("sha256 of the rows", text=True),)
        grids.append(Grid(("Fine-tuned on", "split"), columns, rows))
    return grids


def hours(root: Path, runs: list[dict[str, Any]]) -> Grid | None:
    """Hours of every rule from Snakemake's benchmarks under `root`; None without any.

    GPU-hours and core-hours are what a job reserved times how long it took. Where no
    fine-tuning saw a GPU, none was there, whatever was reserved. Memory is also what
    runs say themselves: a command that is forked is not seen by Snakemake.
    """
    on_gpu = any(metrics.get("device", "cpu") != "cpu" for metrics in runs)
    held = {
        _benchmark(metrics): metrics["peak_memory_bytes"]
        for metrics in runs
        if metrics.get("device") == "cpu" and "peak_memory_bytes" in metrics
    }
    sums: dict[str, list[float]] = {}
    for path in sorted(root.rglob("*.tsv")):
        with path.open(encoding="utf-8", newline="") as file:
            for line in csv.DictReader(file, delimiter="\t"):
                place = path.relative_to(root).with_suffix("")
                rule = line.get("rule_name") or place.parts[0]
                own = sums.setdefault(rule, [0, 0.0, 0.0, 0.0, 0.0])
                _add(own, line, on_gpu, path)
                own[4] = max(own[4], held.get(place.as_posix(), 0) / 2**20)
    if not sums:
        return None
    names = ("jobs", "hours", "GPU-hours", "core-hours", "most memory, MB")
    total = [sum(own[i] for own in sums.values()) for i in range(4)]
    rows = [*sorted(sums.items()), ("all", [*total, max(x[4] for x in sums.values())])]
    lines = tuple(
        (
            (rule,),
            (
                Cell(f"{own[0]:.0f}"),
                *(Cell(f"{value:.2f}") for value in own[1:4]),
                Cell(f"{own[4]:.0f}"),
            ),
        )
        for rule, own in rows
    )
    return Grid(("Rule",), tuple(map(Column, names)), lines)


def _benchmark(metrics: dict[str, Any]) -> str:
    """Where the benchmark of a run lies, without its ending."""
    keys = ("encoder", "tokenization", "dataset")
    folders = "/".join(str(metrics.get(key)) for key in keys)
    return f"finetune/{folders}/seed{metrics.get('seed')}"


def _add(own: list[float], line: dict[str, str], on_gpu: bool, path: Path) -> None:
    """Add one job to its rule: count, hours, GPU-hours, core-hours, most memory."""
    try:
        seconds = float(line["s"])
        reserved = ast.literal_eval(line.get("resources") or "{}")
        threads = int(line.get("threads") or 1)
        memory = 0.0 if line["max_rss"] in ("NA", "-") else float(line["max_rss"])
    except (KeyError, TypeError, ValueError, SyntaxError) as error:
        raise InputError(f"{path}: not a benchmark of Snakemake ({error})") from None
    gpus = reserved.get("gpu", 0) if on_gpu else 0
    own[0] += 1
    own[1] += seconds / 3600
    own[2] += seconds / 3600 * gpus
    own[3] += seconds / 3600 * threads
    own[4] = max(own[4], memory)

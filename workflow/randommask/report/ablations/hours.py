"""The hours behind a row: of its pretraining, of its fine-tuning.

A job that is stopped and goes on adds up its seconds, in `speed.csv` and in
`metrics.json`. The cores that were busy are those of its last try: of a run as it says
itself, else from Snakemake's benchmark, which does not see a command that is forked. A
number is None where the file of one of the jobs is missing.
"""

import csv
from pathlib import Path

from randommask.experiment.hparams import ComparedRow
from randommask.files import read_json
from randommask.measures.records import Record
from randommask.report.ablations.measures import Scores, origins, record

MEASURES = ("hours", "core_hours", "gpu_hours")
Hours = tuple[float | None, float | None, float | None]
"""Hours, core-hours and GPU-hours of a job."""


def hours_records(
    results: Path, logs: Path, row: ComparedRow, own: Scores | None
) -> list[Record]:
    """Hours of the jobs behind a row; of its fine-tuning runs those compared."""
    benchmarks = logs / "benchmarks"
    spent = {}
    if row.pretraining:
        spent["pretraining"] = [
            _pretraining(
                results / "pretrain" / job / "speed.csv",
                benchmarks / "pretrain" / f"{job}.tsv",
                share,
            )
            for origin in origins(row)
            for job, share in origin.jobs.items()
        ]
    if own:
        spent["fine-tuning"] = [
            _finetuning(
                run.path,
                benchmarks / f"{run.path.parent.relative_to(results)}.tsv",
            )
            for found in own.values()
            for run in found.values()
        ]
    return [
        record(row, measure, of, [] if None in values else [sum(values)])
        for of, jobs in spent.items()
        if jobs  # weights at step 0 have none
        for measure, values in zip(MEASURES, zip(*jobs, strict=True), strict=True)
    ]


def _pretraining(speeds: Path, benchmark: Path, share: float) -> Hours:
    """Of a share of a segment."""
    lines = []
    if speeds.exists():
        with open(speeds, newline="") as file:
            lines = list(csv.DictReader(file))
    if not lines or "gpus" not in lines[-1]:
        return None, None, None
    took = share * sum(float(line["seconds"]) for line in lines)
    return _hours(took, int(lines[-1]["gpus"]), _cores(benchmark))


def _finetuning(metrics: Path, benchmark: Path) -> Hours:
    """Of one run, as on one GPU where it had one."""
    made = read_json(metrics)
    gpus = int(made.get("device", "cpu") != "cpu")
    cores = made["cores"] if "cores" in made else _cores(benchmark)
    return _hours(made.get("seconds"), gpus, cores)


def _hours(seconds: float | None, gpus: int, cores: float | None) -> Hours:
    if seconds is None:
        return None, None, None
    hours = seconds / 3600
    return hours, None if cores is None else cores * hours, gpus * hours


def _cores(benchmark: Path) -> float | None:
    """Processor seconds a second in the last try of a job.

    A job too short to be measured has `NA` or `-` for its processor time.
    """
    if not benchmark.exists():
        return None
    with open(benchmark, newline="") as file:
        lines = list(csv.DictReader(file, delimiter="\t"))
    try:
        line = lines[-1]
        return float(line["cpu_time"]) / float(line["s"])
    except (IndexError, KeyError, ValueError, ZeroDivisionError):
        return None

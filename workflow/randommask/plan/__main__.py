"""What a target will cost before it starts.

    python -m randommask.plan [target ...] [--configfile F] [--profile P] [--gpus N]
        [--cores N] [--tflops X | --tokens-per-second X] [--watts W]

Run it where Snakemake is run, with PYTHONPATH=workflow. It asks Snakemake for its plan
(a dry run), so finished work counts as nothing; the profile says how many GPUs a job
takes. The speed of a GPU is the measured one where something was trained already (see
`speeds`), else `--tflops` or `--tokens-per-second` of one GPU (of the baseline's
pretraining), else what the paper had. Without `--gpus` there are as many as the largest
job asks for.

Not counted: queues, validation, retries, weights and archives whose size the config
does not say.
"""

import argparse
import math
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from randommask import kmers
from randommask.encoders import cost
from randommask.errors import InputError, run
from randommask.experiment import encoders, runs
from randommask.experiment.file import config_path, load
from randommask.experiment.sections import Experiment, Released
from randommask.experiment.units import amount, text
from randommask.plan import schedule, speeds
from randommask.plan.jobs import Job, jobs
from randommask.plan.schedule import TimedJob
from randommask.plan.work import (
    WEIGHT_BYTES,
    Work,
    download_bytes,
    finetuning,
    genome_bases,
    is_size_known,
    segment,
    segment_bytes,
)

WATTS = 400.0  # of an A100 of the paper's kind (SXM), NVIDIA's data sheet
START_SECONDS = 5.0  # of a trivial job in an allocation of its own, measured
FORKED_SECONDS = 1.0  # of one with `forking`, in the demo
# Of the other rules, on one core: a base, a k-mer embedding of a checkpoint (t-SNE), or
# a row of a dataset each takes so long.
BASE_SECONDS, EMBEDDING_SECONDS = 4e-8, 0.003
ROW_SECONDS = {"leaks": 4e-4, "no_model": 4e-4, "kmer_linear": 9e-4, "probe": 1.3e-3}
DOWNLOAD_RATE = 1e7  # bytes/s


@dataclass(frozen=True)
class Estimate:
    """What a job is expected to take."""

    work: Work
    seconds: float
    disk: int
    """Bytes that it leaves."""
    scratch: int = 0
    """Bytes beside them while it runs."""


class Estimator:
    """Turns jobs into what they take, by the experiment and the speeds known."""

    def __init__(self, experiment: Experiment, rate: float | None) -> None:
        self.experiment, self.rate = experiment, rate
        self.start = FORKED_SECONDS if experiment.forking else START_SECONDS
        results = Path(experiment.pathvars.results)
        self.measured = {
            "pretraining": speeds.pretraining(experiment, results),
            "fine-tuning": speeds.finetuning(experiment, results),
        }
        self.used: Counter[str] = Counter()
        """FLOP by the words that say where their rate is from."""
        self.unknown: set[str] = set()
        """Sources of unknown size."""
        self.datasets = {d.dataset: d for d in runs.benchmark(experiment)}

    def estimate(self, job: Job) -> Estimate:
        """The cost of one job."""
        if job.rule == "pretrain":
            work = segment(job.hparams)
            seconds = self.training_seconds("pretraining", job, work)
            disk, scratch = segment_bytes(job.hparams)
            return Estimate(work, seconds, disk, scratch)
        if job.rule in ("finetune", "model"):
            sizes, vocabulary, k = self.encoder(job.hparams.encoder)
            dataset = self.datasets[job.hparams.dataset]
            rows = self.rows(dataset)
            family = encoders.family(self.experiment, job.hparams.encoder)
            each = finetuning(job.hparams, dataset, rows, sizes, k, family)
            # turns save no time that was measured
            work = sum([each] * job.runs, Work())
            # row, label, two or three probabilities
            disk = 20 * rows["test"] * job.runs
            if job.rule == "model":
                disk = WEIGHT_BYTES * cost.parameters(sizes, vocabulary)
            return Estimate(work, self.training_seconds("fine-tuning", job, work), disk)
        disk = self.disk(job)
        return Estimate(Work(), self.start + self.other_seconds(job, disk), disk)

    def other_seconds(self, job: Job, disk: int) -> float:
        """Seconds of a job that trains nothing, beyond its start."""
        if job.rule == "tokenize":
            return BASE_SECONDS * genome_bases(self.experiment, job.wildcards["genome"])
        if job.rule == "embed":
            k = encoders.keys(self.experiment, job.wildcards["encoder"]).k
            return EMBEDDING_SECONDS * 4**k * len(job.inputs)
        if job.rule in ROW_SECONDS:
            rows = self.rows(self.datasets[job.wildcards["dataset"]])
            return ROW_SECONDS[job.rule] * sum(rows.values())
        return disk / DOWNLOAD_RATE if job.rule.startswith("download") else 0.0

    def training_seconds(self, kind: str, job: Job, work: Work) -> float:
        """Seconds of a job that trains, on what it asks for."""
        on_gpu, each = job.gpus > 0, work.flops / work.tokens
        rate = speeds.nearest(self.measured[kind], each, on_gpu)
        source = f"{kind}, measured here"
        devices = job.gpus if on_gpu else 1
        if on_gpu and self.rate:
            rate, source = self.rate, "given"
        elif rate is None and on_gpu:
            rate, source = speeds.PAPER, "the paper's 8 A100 in 48 h"
        elif rate is None:
            rate, source = speeds.CORE, "a core of docs/measured.md"
            devices = job.cores
        device = "GPU" if on_gpu else "process"
        self.used[f"{rate / 1e12:.3g} TFLOP/s a {device} ({source})"] += work.flops
        return self.start + work.flops / (rate * devices)

    def encoder(self, name: str) -> tuple[cost.Sizes, int, int]:
        """Sizes, vocabulary and k of an encoder, ours, released or a control."""
        entry = encoders.keys(self.experiment, name)
        if isinstance(entry, Released):
            return *cost.RELEASED[entry.released.family], 6
        sizes = self.experiment.architectures[entry.architecture]
        return sizes, kmers.vocab_size(entry.k), entry.k

    def rows(self, dataset: Any) -> dict[str, int]:
        """Rows of each split, as published, made, or cut."""
        most = self.experiment.benchmark.max_rows or math.inf
        world = self.experiment.synthetic
        made = world.rows.values() if world else {}
        return {
            split: int(min(made.get(split, count), most))
            for split, count in dataset.rows.items()
        }

    def disk(self, job: Job) -> int:
        """Bytes that a job without training leaves; links and small files are 0."""
        if job.rule in ("download_encoder", "convert_encoder"):
            name = job.wildcards.get("released") or job.wildcards["encoder"]
            sizes, vocabulary, _ = self.encoder(name)
            return WEIGHT_BYTES * cost.parameters(sizes, vocabulary)
        if job.rule == "tokenize":
            return genome_bases(self.experiment, job.wildcards["genome"])
        if job.rule == "prepare":
            dataset = self.datasets[job.wildcards["dataset"]]
            return dataset.bases * sum(self.rows(dataset).values())
        if job.rule.startswith("download_"):
            name = job.rule.removeprefix("download_")
            name = job.wildcards.get("genome", name)
            source = self.experiment.sources[name]
            if not is_size_known(source):
                self.unknown.add(name)
            return download_bytes(source)
        return 0


def timed(planned: list[Job], estimates: list[Estimate]) -> list[TimedJob]:
    """The jobs with their times, and who waits for whom."""
    maker = {path: number for number, job in enumerate(planned) for path in job.outputs}
    return [
        TimedJob(
            estimate.seconds,
            job.gpus,
            0 if job.gpus else job.cores,
            tuple({maker[path] for path in job.inputs if path in maker}),
        )
        for job, estimate in zip(planned, estimates, strict=True)
    ]


def on_disk(estimates: Iterable[Estimate]) -> tuple[int, int]:
    """Bytes that jobs leave, and the most that one of them has beside while it runs."""
    estimates = list(estimates)
    kept = sum(estimate.disk for estimate in estimates)
    return kept, max((estimate.scratch for estimate in estimates), default=0)


def _groups(every: list[tuple[Job, Estimate]]) -> list[tuple[str, set[str]]]:
    """The rows of the report: rules that cost something, the others, all."""
    flops, disk = Counter(), Counter()
    for job, estimate in every:
        flops[job.rule] += estimate.work.flops
        disk[job.rule] += estimate.disk
    counted = [rule for rule in disk if flops[rule] or disk[rule]]
    counted.sort(key=lambda rule: (-flops[rule], -disk[rule], rule))
    groups = [(rule, {rule}) for rule in counted]
    if others := disk.keys() - counted:
        groups.append((f"{len(others)} other rules", set(others)))
    return [*groups, ("all", set(disk))]


def report(
    planned: list[Job], estimator: Estimator, gpus: int, cores: float, watts: float
) -> list[str]:
    """The lines to print: a row a rule, the totals, and what they rest on."""
    estimates = [estimator.estimate(job) for job in planned]
    line = "{:<20}{:>6}{:>12}{:>10}{:>12}{:>11}{:>10}".format
    lines = [line("rule", "jobs", "steps", "tokens", "FLOP", "GPU-hours", "disk")]
    every = list(zip(planned, estimates, strict=True))
    for name, rules in _groups(every):
        part = [pair for pair in every if pair[0].rule in rules]
        work = sum((estimate.work for _, estimate in part), Work())
        hours = sum(estimate.seconds * job.gpus for job, estimate in part) / 3600
        lines.append(
            line(
                name,
                f"{len(part):,}",
                f"{work.steps:,}" if work.steps else "",
                amount(work.tokens, ""),
                f"{work.flops:.2e}" if work.flops else "",
                f"{hours:,.1f}" if hours else "",
                amount(on_disk(estimate for _, estimate in part)[0], "B"),
            )
        )
    wall = schedule.bound(timed(planned, estimates), gpus, cores)
    least = f"{wall / 3600:,.1f} h" if wall >= 3600 else f"{max(wall / 60, 1):.0f} min"
    _, running = on_disk(estimates)
    devices = f"{gpus} GPUs" if gpus else f"{cores:g} cores"
    lines += ["", f"wall time on {devices}: at least {least}"]
    if hours:
        energy = f"{hours * watts / 1000:,.1f} kWh at {watts:g} W a GPU"
        lines.append(f"energy: {energy}, without cooling and hosts")
    if running:
        lines.append(
            f"disk while a segment runs: {text(running, 'bytes')} more for checkpoints"
        )
    lines += [f"speed: {words}" for words, _ in estimator.used.most_common()]
    if estimator.unknown:
        names = ", ".join(sorted(estimator.unknown))
        lines.append(f"not counted: bytes of {names}, which the config does not say")
    return lines


def main(argv: list[str] | None = None) -> None:
    """Parse the command line and print the plan."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("targets", nargs="*", default=["all"])
    parser.add_argument("--configfile")
    parser.add_argument("--profile")
    parser.add_argument("--gpus", type=int, help="GPUs in all")
    parser.add_argument("--cores", type=int, help="cores in all")
    speed = parser.add_mutually_exclusive_group()
    speed.add_argument("--tflops", type=float, help="TFLOP/s of one GPU")
    speed.add_argument("--tokens-per-second", type=float, help="of one GPU")
    parser.add_argument("--watts", type=float, default=WATTS, help="of one GPU")
    flags = parser.parse_args(argv)
    for name in ("gpus", "cores"):
        if (number := getattr(flags, name)) is not None and number < 1:
            raise InputError(f"--{name}: {number}, expected 1 or more")
    for name in ("tflops", "tokens_per_second", "watts"):
        number = getattr(flags, name)
        if number is not None and not 0 < number < math.inf:
            flag = name.replace("_", "-")
            raise InputError(f"--{flag}: {number:g}, expected more than 0")
    planned = jobs(flags.targets, flags.configfile, flags.profile)
    if not planned:
        print("nothing to be done")
        return
    experiment = load(config_path(flags.configfile, flags.profile))
    rate = flags.tflops and flags.tflops * 1e12
    if flags.tokens_per_second is not None:
        rate = speeds.given(experiment, flags.tokens_per_second)
    largest = max(job.gpus for job in planned)
    gpus = flags.gpus if flags.gpus and largest else largest
    planned = [replace(job, gpus=min(job.gpus, gpus)) for job in planned]
    cores = flags.cores or (math.inf if largest else os.cpu_count())
    estimator = Estimator(experiment, rate)
    print("\n".join(report(planned, estimator, gpus, cores, flags.watts)))


if __name__ == "__main__":
    run(main)

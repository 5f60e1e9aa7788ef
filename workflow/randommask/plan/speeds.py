"""How fast training ran here, read from finished and running jobs: FLOP a second.

Pretraining from the `speed.csv` of each segment, fine-tuning from the `seconds` in each
run's metrics.json; all that a job does is in them, validation and start-up too.
"""

import csv
import math
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from randommask.encoders import cost
from randommask.errors import InputError
from randommask.experiment import encoders, runs
from randommask.experiment.hparams import Finetuning
from randommask.experiment.sections import Experiment, Ours
from randommask.files import read_json
from randommask.plan import work

# What is taken where nothing was measured: the paper's two days for 7.2e19 FLOP on
# eight A100, and the slice's pretraining on one core (docs/measured.md).
PAPER = 5.2e13
CORE = 1.0e11


@dataclass(frozen=True)
class Speed:
    """A measured rate, and the size of what it was measured on."""

    flops_per_token: float
    rate: float
    """FLOP/s of one GPU, or of a process where there was none."""
    on_gpu: bool


def nearest(speeds: list[Speed], flops_per_token: float, on_gpu: bool) -> float | None:
    """The median rate of what is nearest in FLOP a token; None where nothing is."""
    fitting = [speed for speed in speeds if speed.on_gpu == on_gpu]
    if not fitting:
        return None

    def distance(speed: Speed) -> float:
        return abs(math.log(speed.flops_per_token / flops_per_token))

    least = min(map(distance, fitting))
    return median(s.rate for s in fitting if distance(s) <= least + 1e-9)


def pretraining(experiment: Experiment, results: Path) -> list[Speed]:
    """The rates of the experiment's encoders, where speed.csv has a column `gpus`."""
    speeds = []
    for encoder in encoders.named(experiment, Ours):
        end = encoders.segment_ends(experiment, encoder)[-1]
        hparams = encoders.segment(experiment, encoder, end)
        amount = work.segment(hparams)
        each = amount.flops / amount.tokens
        folder = results / "pretrain" / encoder
        found = [*folder.glob("step-*/speed.csv"), *folder.glob(".state/*/speed.csv")]
        for path in sorted(found):
            with open(path, newline="") as file:
                rows = list(csv.DictReader(file))
            seconds = sum(float(row["seconds"]) for row in rows)
            tokens = sum(float(r["seconds"]) * float(r["tokens_per_s"]) for r in rows)
            if not seconds or "gpus" not in rows[0]:
                continue
            gpus = int(rows[-1]["gpus"])
            rate = tokens / seconds * each / max(gpus, 1)
            speeds.append(Speed(each, rate, gpus > 0))
    return speeds


def finetuning(experiment: Experiment, results: Path) -> list[Speed]:
    """The rates of the runs that are done, where the sizes of encoders are known."""
    rows = {dataset.dataset: dataset for dataset in runs.benchmark(experiment)}
    speeds = []
    for path in sorted(results.glob("finetune/*/*/*/seed*/metrics.json")):
        run = read_json(path)
        try:
            sizes = cost.Sizes.of(run["architecture"])
            dataset, k = rows[run["dataset"]], run["architecture"]["k"]
            told = Finetuning.model_construct(**run["settings"])  # of any version
            amount = work.finetuning(told, dataset, run["rows"], sizes, k)
        except (AttributeError, KeyError):
            continue  # a control, or a dataset that is no longer in the list
        on_gpu = run["device"] != "cpu"
        rate = amount.flops / run["seconds"]
        speeds.append(Speed(amount.flops / amount.tokens, rate, on_gpu))
    return speeds


def given(experiment: Experiment, tokens_per_second: float) -> float:
    """FLOP/s of a GPU that trains the baseline on so many tokens a second."""
    if tokens_per_second <= 0:
        raise InputError(f"--tokens-per-second: {tokens_per_second}, expected above 0")
    baseline = experiment.roles.baseline
    if baseline is None:
        raise InputError("--tokens-per-second: the config names no roles.baseline")
    end = encoders.segment_ends(experiment, baseline)[-1]
    hparams = encoders.segment(experiment, baseline, end)
    amount = work.segment(hparams)
    return tokens_per_second * amount.flops / amount.tokens

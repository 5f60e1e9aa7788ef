"""What a row gains over random weights, and how sure that is. Points of per cent.

A gain is the mean over seeds of the row's score minus that of the untrained encoder,
runs of one seed side by side on the same test rows. Two things were drawn, seeds and
test rows, and their variances add up: s**2 / n + v, with s the standard deviation of
the n gains and v the variance of their mean over bootstrap draws of test rows. (What
seeds and rows do together is in both, so the interval is a little too wide.) The
interval is Student's, with Satterthwaite's degrees of freedom (1946) for a sum of
variances of which one is known from n values. With one seed it is that of the test
rows.
"""

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import numpy as np

from randommask.experiment.datasets import Dataset
from randommask.experiment.sections import Row
from randommask.measures import predictions, resampling, runs
from randommask.measures.margins import LEVEL
from randommask.measures.records import Record, percent
from randommask.measures.runs import Run

SEED, RESAMPLES = 1, 1_000
COLUMNS = ("gain", "gain_low", "gain_high")


@dataclass(frozen=True)
class Gain:
    """The gains of the seeds, and the variance of their mean over test rows."""

    by_seed: Mapping[int, float]
    rows_variance: float

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return statistics.fmean(self.by_seed.values())

    @property
    def half(self) -> float:
        """Half of the interval."""
        from scipy.stats import t

        count, seeds_variance, freedom = len(self.by_seed), 0.0, math.inf
        if count > 1:
            seeds_variance = statistics.variance(self.by_seed.values()) / count
        total = seeds_variance + self.rows_variance
        if seeds_variance:
            freedom = (count - 1) * (total / seeds_variance) ** 2
        return float(t.ppf((1 + LEVEL) / 2, freedom)) * math.sqrt(total)


def mean_of(gains: Sequence[Gain | None]) -> Gain | None:
    """The mean over data sets, by the seeds that all have; None where one lacks a gain.

    Their test rows were drawn apart, so the variances of them add up.
    """
    if not gains or None in gains:
        return None
    seeds = [s for s in gains[0].by_seed if all(s in gain.by_seed for gain in gains)]
    if not seeds:
        return None
    by_seed = {s: statistics.fmean(gain.by_seed[s] for gain in gains) for s in seeds}
    return Gain(by_seed, sum(g.rows_variance for g in gains) / len(gains) ** 2)


def columns(gain: Gain | None) -> Record:
    """The gain and the ends of its interval, as a csv has them."""
    ends = (None, None, None)
    if gain:
        ends = (gain.mean, gain.mean - gain.half, gain.mean + gain.half)
    return dict(zip(COLUMNS, map(percent, ends), strict=True))


def reference(row: Row, rows: Sequence[Row], untrained: Sequence[str]) -> Row | None:
    """The untrained row that a row is compared with; None for such a row itself.

    Of several the one at the same place on an axis, then of the same tokens.
    """
    if row.encoder in untrained:
        return None

    def likeness(other: Row) -> tuple[bool, bool]:
        same_place = getattr(other, "at", None) == getattr(row, "at", None)
        return same_place, other.tokenization == row.tokenization

    found = [other for other in rows if other.encoder in untrained]
    return max(found, key=likeness, default=None)


def paired(
    test: predictions.Test,
    ours: Mapping[int, Run],
    theirs: Mapping[int, Run],
    key: tuple[int, int],
    named: Callable[[Run, predictions.Test], np.ndarray] = predictions.read,
) -> Gain:
    """Our runs less theirs of the same seeds; `named` gives a run's predictions."""
    sides = [
        np.stack([named(side[seed], test) for seed in ours]) for side in (ours, theirs)
    ]
    drawn = resampling.draws(test.labels, *sides, RESAMPLES, key)
    by_seed = {seed: ours[seed].score - theirs[seed].score for seed in ours}
    return Gain(by_seed, float(np.var(100 * drawn, ddof=1)))


class Pairs:
    """Gains from saved predictions, each file below `<results>/benchmark` read once."""

    def __init__(self, benchmark: Path) -> None:
        self.benchmark = benchmark
        self._tests: dict[str, predictions.Test] = {}
        self._named: dict[Path, np.ndarray] = {}

    def gain(
        self, dataset: str, ours: Mapping[int, Run], theirs: Mapping[int, Run]
    ) -> Gain | None:
        """Of the seeds that both have; None where they have none."""
        seeds = [seed for seed in ours if seed in theirs]
        if not seeds:
            return None
        if dataset not in self._tests:
            path = self.benchmark / dataset / "test.parquet"
            self._tests[dataset] = predictions.read_test(path)
        return paired(
            self._tests[dataset],
            {seed: ours[seed] for seed in seeds},
            {seed: theirs[seed] for seed in seeds},
            (SEED, crc32(dataset.encode())),
            self._of,
        )

    def _of(self, run: Run, test: predictions.Test) -> np.ndarray:
        if run.path not in self._named:
            self._named[run.path] = predictions.read(run, test)
        return self._named[run.path]


def over_untrained(
    root: Path,
    benchmark: Path | None,
    rows: Sequence[Row],
    untrained: Sequence[str],
    datasets: Sequence[Dataset],
    seeds: Sequence[int],
) -> dict[tuple[str, str], Gain]:
    """The gains by row and data set, of runs under `<results>/finetune` at `root`."""
    found = {}
    for dataset in (dataset.dataset for dataset in datasets):
        pairs = Pairs(benchmark)  # anew, so that one data set's rows are held
        for row in rows:
            base = reference(row, rows, untrained)
            if base is None:
                continue
            sides = [
                runs.read_seeds(root, one.encoder, one.tokenization, dataset, seeds, [])
                for one in (row, base)
            ]
            if gain := pairs.gain(dataset, *sides):
                found[row.label, dataset] = gain
    return found

"""Is a row of Table 3 better than the baseline? Paired, over data sets and test rows.

Over data sets: the mean of the differences of the rows' means with a bootstrap
interval, Wilcoxon's signed-rank test, and how often which is better. Within a data set:
a bootstrap over its test rows from the saved predictions, runs of the same seed side by
side. All differences are the row's minus the baseline's, in points of per cent.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path
from zlib import crc32

import numpy as np

from randommask.errors import InputError
from randommask.experiment.sections import Row
from randommask.measures import predictions, resampling, runs
from randommask.measures.records import Record, percent, tasks_of

SEED = 1
RESAMPLES_DATASETS, RESAMPLES_ROWS = 10_000, 1_000
MCC_SETS = "MCC sets"
OVER_DATASETS, OVER_ROWS = "data sets", "test rows"
TEXTS = ("over", "row", "baseline", "group", "note")
NUMBERS = ("pairs", "seeds", "difference", "low", "high", "p_value", "p_holm")
NUMBERS += ("wins", "ties", "losses")
_FEWEST_PAIRS = 6
"""With fewer, no outcome of Wilcoxon's test has a two-sided p-value below 0.05, and a
bootstrap draws from too little for an interval."""


def find_baseline(rows: Sequence[Row], encoder: str) -> str:
    """The label of the first row with this encoder; raise `InputError` without one."""
    for row in rows:
        if row.encoder == encoder:
            return row.label
    raise InputError(f"rows: no row of {encoder}, the baseline to compare with")


def over_datasets(table3: list[Record], baseline: str) -> list[Record]:
    """A record for each other row and group: the sets scored by MCC, and each task."""
    lines = []
    names = dict.fromkeys(line["row"] for line in table3 if line["row"] != baseline)
    groups = {MCC_SETS: [line for line in table3 if line["metric"] == "mcc"]}
    for task in tasks_of(line["task"] for line in table3):
        own = [line for line in table3 if line["task"] == task]
        if len({line["dataset"] for line in own}) > 1:
            groups[task] = own
    for group, own in groups.items():
        means = {(line["row"], line["dataset"]): line["mean"] for line in own}
        datasets = dict.fromkeys(line["dataset"] for line in own)
        found = []
        for row in names:
            pairs = [(means[row, name], means[baseline, name]) for name in datasets]
            known = np.array([pair for pair in pairs if None not in pair], float)
            missing = len(pairs) - len(known)
            note = f"{missing} data sets left out: no runs of both" if missing else ""
            found.append(
                {"over": OVER_DATASETS, "row": row, "baseline": baseline}
                | {"group": group}
                | _differ(known, group)
                | {"note": note}
            )
        adjusted = holm([line["p_value"] for line in found])
        for line, value in zip(found, adjusted, strict=True):
            line["p_holm"] = value
        lines += found
    return lines


def _differ(pairs_N2: np.ndarray, group: str) -> Record:
    """The numbers of one comparison over data sets."""
    gaps = np.diff(pairs_N2[:, ::-1]).ravel() if len(pairs_N2) else np.empty(0)
    printed = np.round(pairs_N2, 2)
    above = printed[:, 0] - printed[:, 1] if len(gaps) else gaps
    low = high = None
    if len(gaps) >= _FEWEST_PAIRS:
        seed = (SEED, crc32(group.encode()))
        low, high = resampling.of_means(gaps, RESAMPLES_DATASETS, seed)
    return {
        "pairs": len(gaps),
        "seeds": None,
        "difference": percent(float(gaps.mean())) if len(gaps) else None,
        "low": percent(low),
        "high": percent(high),
        "p_value": _wilcoxon(gaps),
        "p_holm": None,
        "wins": int((above > 0).sum()),
        "ties": int((above == 0).sum()),
        "losses": int((above < 0).sum()),
    }


def _wilcoxon(gaps: np.ndarray) -> float | None:
    """Two-sided p-value, zeros left out; None with too few pairs to say anything."""
    from scipy.stats import wilcoxon

    gaps = np.round(gaps, 4)  # as printed: equal gaps are ties, not 1e-15 apart
    if np.count_nonzero(gaps) < _FEWEST_PAIRS:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # exact p-values are not for ties
        return float(f"{wilcoxon(gaps).pvalue:.4g}")


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's adjustment for several tests; None stays and does not count.

    >>> holm([0.01, None, 0.04])
    [0.02, None, 0.04]
    """
    known = sorted((p, number) for number, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for done, (p, number) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - done)))
        adjusted[number] = float(f"{highest:.4g}")
    return adjusted


def over_rows(
    table3: list[Record],
    root: Path,
    benchmark: Path,
    rows: Sequence[Row],
    seeds: Sequence[int],
    baseline: str,
    problems: list[str],
) -> list[Record]:
    """A record for each other row and data set, from the predictions for its test rows.

    `root` is `<results>/finetune`, `benchmark` is `<results>/benchmark`. Runs that are
    missing or cannot be read are named in `problems`; predictions that are missing, or
    made for other labels, raise `InputError`.
    """
    lines = []
    order = sorted(rows, key=lambda row: row.label != baseline)
    for dataset in dict.fromkeys(line["dataset"] for line in table3):
        test = predictions.read_test(benchmark / dataset / "test.parquet")
        found = []
        for row in order:
            cell = (root, row.encoder, row.tokenization, dataset)
            made = runs.read_seeds(*cell, seeds, problems)
            found.append((made, {s: predictions.read(made[s], test) for s in made}))
        for row, own in zip(order[1:], found[1:], strict=True):
            common = [seed for seed in seeds if seed in own[0] and seed in found[0][0]]
            lines.append(
                {"over": OVER_ROWS, "row": row.label, "baseline": baseline}
                | {"group": dataset, "pairs": len(test.labels), "seeds": len(common)}
                | _differ_rows(test, own, found[0], common)
            )
    return lines


def _differ_rows(
    test: predictions.Test, own: tuple, base: tuple, seeds: list[int]
) -> Record:
    """The numbers of one comparison within a data set."""
    empty = dict.fromkeys(("difference", *NUMBERS[3:]))
    if not seeds:
        return empty | {"note": "no two runs of one seed"}
    gaps = [own[0][seed].score - base[0][seed].score for seed in seeds]
    sides = [np.stack([side[1][seed] for seed in seeds]) for side in (own, base)]
    method = resampling.of_classes if test.labels.ndim == 1 else resampling.of_numbers
    seed = (SEED, crc32(test.path.parent.name.encode()))
    low, high = method(test.labels, *sides, RESAMPLES_ROWS, seed)
    return empty | {
        "difference": percent(float(np.mean(gaps))),
        "low": percent(100 * low),
        "high": percent(100 * high),
        "note": "",
    }

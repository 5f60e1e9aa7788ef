r"""The paper's three observations, each with a number and a verdict.

Roles are those of the figures: baseline, randommask, nonoverlapping and mini. A check
compares a value with a
reference by a threshold of ours, since the paper gives none:

1. Overlapping fine-tuning is better: for every encoder the mean gain over the tasks
   is above 0.
2. Overlapping pretraining converges fast: the baseline's last loss, as a share of the
   ln(vocabulary) it starts from, is at most half of the non-overlapping one's; the
   purity of its embeddings (neighbours of the same two central nucleotides) is at
   least 0.1 above; the non-overlapping loss still falls from the third to the last
   quarter of its steps; where BERT-mini was trained, its last loss is at most a quarter
   above the baseline's. With RandomMask the loss jumps at every phase boundary (the
   three log lines after against the three before) and falls within every phase (its
   first three lines against its last three).
3. Attention sits on [CLS]: over the middle layers (all but the first and the last) the
   baseline's [CLS] mass is at least twice the non-overlapping one's and above that of
   its own last layer, and RandomMask's is at most half of the baseline's.

An observation holds if every check holds, does not hold if one fails, and else is not
measured.
"""

import math
import operator
import statistics
from collections.abc import Callable, Sequence

from randommask.experiment.units import text
from randommask.measures.quantities import LINES, cls_shares, last_loss
from randommask.measures.readers import LABELS
from randommask.measures.records import Record, mean
from randommask.measures.scores import token_gains

TITLES = {
    1: "Fine-tuning with overlapping tokens is better, whatever the pretraining",
    2: "Overlapping pretraining is fast and soon has little to learn;"
    " RandomMask keeps it learning",
    3: "Overlapping pretraining leaves the middle layers looking at [CLS]",
}
HOLDS, FAILS, UNMEASURED = "holds", "does not hold", "not measured"

Lines = list[dict[str, float]]


def check(
    observation: int,
    name: str,
    value: float | None,
    reference: float | None,
    threshold: str,
    test: Callable[[float, float], bool],
    unit: str,
    detail: str = "",
) -> Record:
    """One line of the csv: `test(value, reference)`, or not measured without either."""
    measured = value is not None and reference is not None
    verdict = (HOLDS if test(value, reference) else FAILS) if measured else UNMEASURED
    return {
        "observation": observation,
        "check": name,
        "value": None if value is None else round(value, 6),
        "reference": None if reference is None else round(reference, 6),
        "unit": unit,
        "threshold": threshold,
        "verdict": verdict,
        "detail": detail,
    }


def finetuning(table2: list[Record]) -> list[Record]:
    """Observation 1, a check an encoder: points of overlapping over non-overlapping."""
    lines = []
    for label, by_task in token_gains(table2).items():
        ours = [pair[0] for pair in by_task.values()]
        printed = mean([pair[1] for pair in by_task.values()])
        gained = sum(gain is not None and gain > 0 for gain in ours)
        detail = f"above 0 on {gained} of {len(ours)} tasks"
        if printed is not None:
            detail += f"; the paper prints {text(printed, 'points')}"
        name = f'"{label}": mean gain in points of per cent'
        lines.append(
            check(1, name, mean(ours), 0.0, "> 0", operator.gt, "points", detail)
        )
    return lines or [check(1, "mean gain", None, 0.0, "> 0", operator.gt, "points")]


def losses(histories: dict[str, Lines], vocab_size: int) -> list[Record]:
    """Observation 2, of the loss: its level at the end, and whether it still falls."""
    start = math.log(vocab_size)
    ends = {role: last_loss(lines) for role, lines in histories.items()}
    shares = {role: end / start for role, end in ends.items()}
    detail = "; ".join(
        f"{LABELS[role]} ends at {text(end, 'nats')} nats" for role, end in ends.items()
    )
    checks = [
        check(
            2,
            "last loss of baseline against nonoverlapping, as shares of ln(vocabulary)",
            shares.get("baseline"),
            shares.get("nonoverlapping"),
            "at most half",
            lambda value, reference: value <= reference / 2,
            "share",
            detail,
        ),
        check(
            2,
            "fall of nonoverlapping's loss to the last quarter of its steps, nats",
            _late_fall(histories.get("nonoverlapping", [])),
            0.0,
            "> 0",
            operator.gt,
            "nats",
        ),
    ]
    if "mini" in ends:
        checks.append(
            check(
                2,
                "last loss of mini against baseline's, nats",
                ends["mini"],
                ends.get("baseline"),
                "at most a quarter above",
                lambda value, reference: value <= 1.25 * reference,
                "nats",
            )
        )
    return checks


def _late_fall(lines: Lines) -> float | None:
    """Mean loss of the third quarter of the steps minus that of the fourth."""
    quarters: dict[int, list[float]] = {}
    for line in lines:
        quarter = math.ceil(4 * line["step"] / lines[-1]["step"])
        quarters.setdefault(quarter, []).append(line["loss"])
    if 3 not in quarters or 4 not in quarters:
        return None
    return statistics.fmean(quarters[3]) - statistics.fmean(quarters[4])


def phases(history: Lines) -> list[Record]:
    """Observation 2, of RandomMask: a jump at each boundary, a fall in each phase."""
    by_phase: dict[int, list[float]] = {}
    for line in history:
        by_phase.setdefault(int(line["phase"]), []).append(line["loss"])
    checks = []
    for phase, own in by_phase.items():
        width = min(LINES, len(own) // 2)
        ends = (own[:width], own[-width:])
        fall = operator.sub(*map(statistics.fmean, ends)) if width else None
        name = f"randommask: fall of the loss within phase {phase}, nats"
        checks.append(check(2, name, fall, 0.0, "> 0", operator.gt, "nats"))
        if before := by_phase.get(phase - 1):
            jump = statistics.fmean(own[:LINES]) - statistics.fmean(before[-LINES:])
            name = f"randommask: jump of the loss into phase {phase}, nats"
            checks.append(check(2, name, jump, 0.0, "> 0", operator.gt, "nats"))
    if len(by_phase) < 2:
        name = "randommask: jump of the loss into the next phase, nats"
        checks.append(check(2, name, None, 0.0, "> 0", operator.gt, "nats"))
    return checks


def purities(embeddings: dict[str, Lines]) -> list[Record]:
    """Observation 2, of the embeddings: purity by the central two nucleotides."""
    last = {
        role: max(lines, key=lambda line: line["step"])
        for role, lines in embeddings.items()
    }
    detail = "; ".join(
        f"{LABELS[role]}: chance {text(line['chance'], 'purity')}, silhouette"
        f" {text(line['silhouette'], 'purity')}"
        for role, line in last.items()
    )
    values = {role: line["purity"] for role, line in last.items()}
    return [
        check(
            2,
            "purity of baseline's embeddings against nonoverlapping's",
            values.get("baseline"),
            values.get("nonoverlapping"),
            "at least 0.1 above",
            lambda value, reference: value >= reference + 0.1,
            "purity",
            detail,
        )
    ]


def attention(layers: dict[str, Lines]) -> list[Record]:
    """Observation 3: [CLS] mass of the middle layers, a fraction of all attention."""
    shares = {role: cls_shares(lines) for role, lines in layers.items()}
    middle = {role: own[0] for role, own in shares.items()}
    last = {role: own[1] for role, own in shares.items()}
    names = "[CLS] mass of {}'s middle layers against {}"
    return [
        check(
            3,
            names.format("baseline", "nonoverlapping's"),
            middle.get("baseline"),
            middle.get("nonoverlapping"),
            "at least twice",
            lambda value, reference: value >= 2 * reference,
            "share",
        ),
        check(
            3,
            names.format("baseline", "its own last layer"),
            middle.get("baseline"),
            last.get("baseline"),
            "above",
            operator.gt,
            "share",
        ),
        check(
            3,
            names.format("randommask", "baseline's"),
            middle.get("randommask"),
            middle.get("baseline"),
            "at most half",
            lambda value, reference: value <= reference / 2,
            "share",
        ),
    ]


def verdicts(checks: Sequence[Record]) -> dict[int, str]:
    """The verdict of each observation from those of its checks."""
    found = {}
    for observation in TITLES:
        own = [line for line in checks if int(line["observation"]) == observation]
        words = {line["verdict"] for line in own}
        found[observation] = (
            FAILS if FAILS in words else HOLDS if words == {HOLDS} else UNMEASURED
        )
    return found

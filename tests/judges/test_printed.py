"""What we say of the paper's printed numbers, recomputed by plain loops."""

import csv
import math

import numpy as np
import pytest
from made import ROOT
from transformers import BertConfig, BertForMaskedLM

from randommask.measures import audit, observations

PUBLISHED = ROOT / "config" / "published"
OURS = "+RandomMask"


def lines(name):
    with (PUBLISHED / name).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def cells():
    """(row, task, data set, value) of Table 3."""
    return [
        (line["row"], line["task"], line["dataset"], float(line["value_percent"]))
        for line in lines("table3.csv")
    ]


def average(cells, row, task):
    total, count = 0.0, 0
    for own, of, _, value in cells:
        if own == row and of == task:
            total, count = total + value, count + 1
    return total / count


def lead(cells, task):
    """RandomMask's average over that of the best other row."""
    best = None
    for row in dict.fromkeys(cell[0] for cell in cells):
        if row != OURS:
            value = average(cells, row, task)
            best = value if best is None or value > best else best
    return average(cells, OURS, task) - best


def wins(cells, tasks=None):
    """Data sets on which no other row has as much as RandomMask."""
    count = 0
    for row, task, dataset, value in cells:
        if row == OURS and (tasks is None or task in tasks):
            others = [c[3] for c in cells if c[2] == dataset and c[0] != OURS]
            count += all(value > other for other in others)
    return count


def tokens_gain(encoder):
    """Overlapping over non-overlapping fine-tuning, the mean over Table 2's tasks."""
    found = {}
    for line in lines("table2.csv"):
        if line["pretrained"] == encoder:
            found[line["finetune_tokenization"]] = line
    gains = [
        float(value) - float(found["non-overlapping"][key])
        for key, value in found["overlapping"].items()
        if key not in ("pretrained", "finetune_tokenization", "pretraining")
        and value.replace(".", "").isdigit()
    ]
    assert len(gains) == 7
    return sum(gains) / len(gains)


def size(layers, hidden, heads, feed_forward):
    """Weights of transformers' own encoder with the vocabulary of 6-mers."""
    config = BertConfig(
        vocab_size=4101, hidden_size=hidden, num_hidden_layers=layers,
        num_attention_heads=heads, intermediate_size=feed_forward,
        max_position_embeddings=512, type_vocab_size=1,
    )  # fmt: skip
    return sum(p.numel() for p in BertForMaskedLM(config).parameters())


def test_every_claim_of_the_text(cells, verdict):
    tasks = list(dict.fromkeys(cell[1] for cell in cells))
    expected = {
        "emp-over-baseline": average(cells, OURS, "EMP")
        - average(cells, "DNABERT", "EMP"),
        "emp-over-sota-abstract": lead(cells, "EMP"),
        "emp-over-sota-text": lead(cells, "EMP"),
        "wins": wins(cells),
        "promoter-wins": wins(cells, ("PD", "CPD")),
        "tasks-won": sum(lead(cells, task) > 0 for task in tasks),
        "tf-m-gain": lead(cells, "TF-M"),
        "tf-h-gain": lead(cells, "TF-H"),
        "t2-gain-NT": tokens_gain("NT"),
        "t2-gain-DNABERT": tokens_gain("DNABERT"),
        "mini-share": size(4, 256, 4, 1024) / size(12, 768, 12, 3072),
    }
    for row in dict.fromkeys(cell[0] for cell in cells):
        for task in tasks:
            expected[f"t3-avg-{task}-{row}"] = average(cells, row, task)
            expected[f"t3-avg-{task}-{row.lstrip('+')}"] = average(cells, row, task)
    printed, apart = audit.read(PUBLISHED), {}
    for claim, _, _ in printed.claims:
        found = float(audit.recompute(printed, claim))
        apart[claim] = abs(found - expected[claim])
    share = apart.pop("mini-share")
    what = f"{len(apart)} claims of the paper's text, recomputed, per cent points"
    verdict(what, "plain loops", max(apart.values()), 1e-9)
    verdict("BERT-mini's share of the weights", "BertForMaskedLM", share, 1e-3)


def test_the_sets_randommask_wins_are_25_and_no_more(cells):
    """The paper says 26: see docs and the audit."""
    assert wins(cells) == audit.wins(audit.read(PUBLISHED)) == 25


# --- The observations, from random measurements ---------------------------------------


def mean(values):
    total = 0.0
    for value in values:
        total += value
    return total / len(values)


@pytest.fixture
def measured():
    """Loss histories, purities and [CLS] masses drawn at random, by role."""
    random = np.random.default_rng(6)
    histories = {
        role: [
            {"step": 100 * (n + 1), "loss": random.random(), "phase": 1 + n // 10}
            for n in range(40)
        ]
        for role in ("baseline", "randommask", "nonoverlapping")
    }
    purities = {
        role: [
            {"step": s, "purity": random.random(), "chance": 0.1, "silhouette": 0.0}
            for s in (100, 0, 50)
        ]
        for role in ("baseline", "nonoverlapping")
    }
    masses = {
        role: [{"layer": n, "cls_mass": random.random()} for n in (3, 1, 2, 4, 5)]
        for role in histories
    }
    return histories, purities, masses


def test_every_check_of_observations_2_and_3(measured, verdict):
    histories, purities, masses = measured
    start = math.log(4101)

    def end(role):
        return mean([line["loss"] for line in histories[role][37:]])

    def quarter(first, last):
        return mean([x["loss"] for x in histories["nonoverlapping"][first:last]])

    def last_purity(role):
        return max((line["step"], line["purity"]) for line in purities[role])[1]

    def mass(role, layer):
        return next(x["cls_mass"] for x in masses[role] if x["layer"] == layer)

    def middle(role):
        return mean([mass(role, layer) for layer in (2, 3, 4)])

    curve = [line["loss"] for line in histories["randommask"]]
    phases = []  # the first and the last three lines of each
    for first in (0, 10, 20, 30):
        phases += [mean(curve[first : first + 3]), mean(curve[first + 7 : first + 10])]
    expected = [
        (end("baseline") / start, end("nonoverlapping") / start),
        (quarter(20, 30) - quarter(30, 40), 0.0),
        (phases[0] - phases[1], 0.0),
    ]
    for phase in (1, 2, 3):
        first, last = phases[2 * phase : 2 * phase + 2]
        expected.append((first - last, 0.0))
        expected.append((first - phases[2 * phase - 1], 0.0))
    expected += [
        (last_purity("baseline"), last_purity("nonoverlapping")),
        (middle("baseline"), middle("nonoverlapping")),
        (middle("baseline"), mass("baseline", 5)),
        (middle("randommask"), middle("baseline")),
    ]
    checks = [
        *observations.losses(histories, 4101),
        *observations.phases(histories["randommask"]),
        *observations.purities(purities),
        *observations.attention(masses),
    ]
    found = [(line["value"], line["reference"]) for line in checks]
    assert len(found) == len(expected) == 13
    largest = np.abs(np.subtract(found, expected)).max()
    what = "13 numbers of observations 2 and 3 (six decimals are kept)"
    verdict(what, "plain loops", largest, 1e-6)
    # A threshold each, as the module's docstring has them.
    halved, above, tenth, doubled = (
        lambda a, b: a <= b / 2,
        lambda a, b: a > b,
        lambda a, b: a >= b + 0.1,
        lambda a, b: a >= 2 * b,
    )
    tests = [halved, *[above] * 8, tenth, doubled, above, halved]
    otherwise = sum(
        (line["verdict"] == observations.HOLDS) != test(*pair)
        for line, test, pair in zip(checks, tests, expected, strict=True)
    )
    verdict("verdicts of these", "the thresholds in words", otherwise, 0)

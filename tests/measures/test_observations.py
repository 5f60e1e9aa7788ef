"""The verdicts follow planted curves, purities and attention."""

import csv
import json
import math

import pytest
from made.results import (
    CONFIG,
    EXPERIMENT,
    ROWS2,
    falling,
    make_attention,
    make_history,
    make_purity,
    make_run,
    stairs,
)

from randommask.errors import InputError
from randommask.measures import observations
from randommask.measures.observations import FAILS, HOLDS, UNMEASURED
from randommask.report.tables.__main__ import main as tables
from randommask.report.tables.observations import main
from randommask.report.tables.observations import observe as measured

START = math.log(4101)


def make_table2(folder, scores, datasets=("SSP", "PD-all")):
    """Table 2 in which each (encoder, tokenization) has one score everywhere."""
    for (encoder, tokenization), value in scores.items():
        for dataset in datasets:
            make_run(folder, encoder, tokenization, dataset, 0, score=value)
    hparams = {"rows": ROWS2, "datasets": list(datasets), "seeds": [0]}
    flags = ["table2", "--runs", str(folder)]
    flags += ["--datasets", str(CONFIG / "datasets.tsv")]
    flags += ["--published", str(CONFIG / "published" / "table2.csv")]
    flags += ["--hparams", json.dumps(hparams | {"experiment": EXPERIMENT})]
    for kind in ("csv", "md", "tex"):
        flags += [f"--{kind}", str(folder / f"table2.{kind}")]
    tables([*flags, "--partial"])
    return folder / "table2.csv"


def table2(folder, nt=0.1, dnabert=0.1):
    """Table 2 with these gains of overlapping tokens, as fractions."""
    scores = {
        ("nt", "non-overlapping"): 0.5,
        ("nt", "overlapping"): 0.5 + nt,
        ("dnabert", "non-overlapping"): 0.5,
        ("dnabert", "overlapping"): 0.5 + dnabert,
    }
    return make_table2(folder, scores)


@pytest.fixture
def planted(tmp_path):
    """Files that say what the paper says."""
    histories = {
        "baseline": make_history(tmp_path / "b.csv", falling(START, 1.0)),
        "randommask": make_history(tmp_path / "r.csv", stairs, (1, 2, 3)),
        "nonoverlapping": make_history(tmp_path / "n.csv", falling(START, 7.5)),
    }
    purity = {
        "baseline": make_purity(tmp_path / "b.purity.csv", 0.9),
        "nonoverlapping": make_purity(tmp_path / "n.purity.csv", 0.2),
    }
    attention = {
        "baseline": make_attention(tmp_path / "b.att.csv", [0.1, 0.8, 0.9, 0.2]),
        "randommask": make_attention(tmp_path / "r.att.csv", [0.1, 0.2, 0.1, 0.1]),
        "nonoverlapping": make_attention(tmp_path / "n.att.csv", [0.1] * 4),
    }
    return {
        "table2": table2(tmp_path / "runs"),
        "history": histories,
        "purity": purity,
        "attention": attention,
    }


def observe(folder, files):
    """Run the command; give the lines of the csv and the text of the page."""
    flags = ["--table2", str(files["table2"])]
    for flag in ("history", "purity", "attention"):
        flags += [f"--{flag}", *(f"{r}={p}" for r, p in files.get(flag, {}).items())]
    hparams = {"experiment": EXPERIMENT, "k": 6}
    outputs = {kind: folder / f"observations.{kind}" for kind in ("csv", "md")}
    flags += ["--hparams", json.dumps(hparams)]
    for kind, path in outputs.items():
        flags += [f"--{kind}", str(path)]
    main(flags)
    with outputs["csv"].open(newline="") as file:
        return list(csv.DictReader(file)), outputs["md"].read_text()


def by_name(lines, words):
    return next(line for line in lines if words in line["check"])


def test_what_the_paper_says_holds(tmp_path, planted):
    lines, text = observe(tmp_path, planted)
    assert {line["verdict"] for line in lines} == {HOLDS}
    assert observations.verdicts(lines) == {1: HOLDS, 2: HOLDS, 3: HOLDS}
    assert f"> {EXPERIMENT['notice']}" in text
    for number, title in observations.TITLES.items():
        assert f"| {number}. {title} | holds |" in text
    gain = by_name(lines, '"NT": mean gain')
    assert float(gain["value"]) == pytest.approx(10.0)
    # Table 2 prints 80.39 -> 84.34 for SSP and 88.43 -> 90.88 for PD.
    assert gain["detail"] == "above 0 on 2 of 2 tasks; the paper prints +3.20"
    share = by_name(lines, "last loss of baseline")
    step = [80, 90, 100]
    losses = [1.0 + (START - 1.0) * math.exp(-s / 30) for s in step]
    assert float(share["value"]) == pytest.approx(sum(losses) / 3 / START, abs=1e-5)
    assert float(by_name(lines, "purity")["value"]) == 0.9
    middle = by_name(lines, "baseline's middle layers against nonoverlapping")
    assert float(middle["value"]) == pytest.approx(0.85)


def test_jumps_and_falls_of_every_phase(tmp_path, planted):
    lines, _ = observe(tmp_path, planted)
    jumps = [line for line in lines if "jump" in line["check"]]
    falls = [line for line in lines if "fall of the loss within" in line["check"]]
    assert [line["check"][-7] for line in jumps] == ["2", "3"]
    assert len(falls) == 3
    # A phase's ten losses fall evenly by 0.5, so the means of three by 7/9 of that.
    for line in falls:
        assert float(line["value"]) == pytest.approx(0.5 * 7 / 9, abs=1e-5)
    for line in jumps:
        assert float(line["value"]) == pytest.approx(1 + 0.5 * 7 / 9, abs=1e-5)


@pytest.mark.parametrize(
    ("observation", "change"),
    [
        (1, lambda f: {"table2": table2(f, nt=-0.01)}),
        (2, lambda f: {"history": {"baseline": make_history(f / "x", falling(8, 5))}}),
        (2, lambda f: {"history": {"nonoverlapping": make_history(f / "x", rising)}}),
        (2, lambda f: {"history": {"randommask": make_history(f / "x", flat, (1, 2))}}),
        (2, lambda f: {"purity": {"baseline": make_purity(f / "x", 0.25)}}),
        (3, lambda f: {"attention": {"baseline": make_attention(f / "x", [0.1] * 4)}}),
        (
            3,
            lambda f: {"attention": {"randommask": make_attention(f / "x", [0.8] * 4)}},
        ),
    ],
)
def test_the_opposite_does_not_hold(tmp_path, planted, observation, change):
    changed = change(tmp_path / "other")
    files = {
        key: value | changed.get(key, {})
        if isinstance(value, dict)
        else changed.get(key, value)
        for key, value in planted.items()
    }
    lines, _ = observe(tmp_path, files)
    expected = dict.fromkeys(observations.TITLES, HOLDS) | {observation: FAILS}
    assert observations.verdicts(lines) == expected


def rising(step, phase):
    return 7.0 + step / 100


def flat(step, phase):
    return 2.0


def test_what_has_no_file_is_not_measured(tmp_path, planted):
    lines, text = observe(tmp_path, {"table2": planted["table2"]})
    expected = {1: HOLDS, 2: UNMEASURED, 3: UNMEASURED}
    assert observations.verdicts(lines) == expected
    assert {d["value"] for d in lines if d["verdict"] == UNMEASURED} == {""}
    assert "| - | - |" in text


def test_a_small_encoder_that_keeps_up(tmp_path, planted):
    for end, word in ((1.1, HOLDS), (1.6, FAILS)):
        mini = make_history(tmp_path / "m.csv", falling(START, end))
        histories = planted["history"] | {"mini": mini}
        lines, _ = observe(tmp_path, planted | {"history": histories})
        assert by_name(lines, "last loss of mini")["verdict"] == word


def test_two_layers_have_no_middle(tmp_path, planted):
    shallow = {
        role: make_attention(tmp_path / f"{role}.csv", [0.9, 0.1])
        for role in ("baseline", "randommask", "nonoverlapping")
    }
    lines, _ = observe(tmp_path, planted | {"attention": shallow})
    assert observations.verdicts(lines)[3] == UNMEASURED


def test_missing_runs_leave_the_gain_unmeasured(tmp_path):
    path = make_table2(tmp_path, {("nt", "overlapping"): 0.5})
    lines = measured(path, {}, {}, {}, 4101)
    assert observations.verdicts(lines)[1] == UNMEASURED


def test_bad_inputs_are_named(tmp_path, planted):
    with pytest.raises(InputError, match="--history: bert="):
        observe(tmp_path, planted | {"history": {"bert": tmp_path / "b.csv"}})
    broken = tmp_path / "broken.csv"
    broken.write_text("step,phase,loss\n10,1,nan\n")
    with pytest.raises(InputError, match="line 2: loss is 'nan'"):
        observe(tmp_path, planted | {"history": {"baseline": broken}})
    broken.write_text("layer,entropy\n1,2\n")
    with pytest.raises(InputError, match="expected one named cls_mass"):
        observe(tmp_path, planted | {"attention": {"baseline": broken}})
    broken.write_text("layer,cls_mass\n")
    with pytest.raises(InputError, match="no rows"):
        observe(tmp_path, planted | {"attention": {"baseline": broken}})

"""A group's encoders with several seeds of pretraining: what a config becomes."""

import pytest
from made import ROOT

from randommask.errors import InputError
from randommask.experiment import ablations, encoders, file, pages
from randommask.experiment.check import check


@pytest.fixture
def demo(monkeypatch):
    monkeypatch.chdir(ROOT)
    config = file.whole(file.read("config/demo.yaml"))
    rows = [
        {"label": "own", "encoder": "dnabert"},
        {"label": "growing", "encoder": "randommask"},
    ]
    mine = {"question": "Which?", "datasets": ["SSP", "EAP"], "rows": rows}
    config["ablations"] = {"mine": mine | {"pretraining_seeds": [1, 5]}}
    return config


def test_each_seed_is_an_encoder_of_its_own_from_its_like(demo):
    experiment = check(demo)
    own, other = (experiment.encoders[n] for n in ("randommask", "randommask-seed5"))
    assert other.seed == 5 and other.milestones == ()
    assert other.from_.encoder == "dnabert-seed5"
    alike = {"seed": own.seed, "milestones": own.milestones, "from_": own.from_}
    assert other.model_copy(update=alike) == own
    told = encoders.settings(experiment, "randommask-seed5", 2400)
    assert told.seed == 5
    alone = {**demo, "ablations": {}}
    assert not any("-seed" in name for name in check(alone).encoders)


def test_a_group_asks_for_the_runs_and_pretrainings_of_all_seeds(demo):
    experiment = check(demo)
    group = experiment.ablations["mine"]
    needed = pages.of_runs(experiment, group)
    assert len(needed) == len(set(needed)) == 2 * 2 * 2
    assert sum("-seed5/" in path for path in needed) == 4
    files = ablations.measured(experiment, group)
    assert "pretrain/randommask-seed5/step-2400" in files
    assert not any("figures" in path and "seed5" in path for path in files)
    [_, row] = ablations.page(experiment, "mine")["rows"]
    assert row["seed"] == 1
    [again] = row["repeats"]
    assert (again["seed"], again["encoder"]) == (5, "randommask-seed5")
    assert list(again["pretraining"]["jobs"]) == [
        "randommask-seed5/step-2400",
        "dnabert-seed5/step-1600",
    ]


def test_a_probe_is_repeated_with_what_it_reads(demo):
    demo["encoders"]["probed"] = {
        "probe": {"encoder": "randommask", "strength": [1]},
        "finetune": {"train_rows": 300},
    }
    row = {"label": "frozen", "encoder": "probed"}
    demo["ablations"]["mine"]["rows"].append(row)
    experiment = check(demo)
    other = experiment.encoders["probed-seed5"]
    assert other.probe.encoder == "randommask-seed5" and other.probe.strength == (1,)
    assert other.finetune.train_rows == 300
    needed = pages.of_runs(experiment, experiment.ablations["mine"])
    assert len([path for path in needed if "/probed-seed5/" in path]) == 2
    row = ablations.page(experiment, "mine")["rows"][2]
    again = {"seed": 5, "encoder": "probed-seed5", "pretraining": None}
    assert row["seed"] == 1 and row["repeats"] == [again]
    demo["encoders"]["probed"]["probe"]["encoder"] = "untrained"
    with pytest.raises(InputError, match="untrained is a control, expected one of"):
        check(demo)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"pretraining_seeds": [1]}, "pretraining_seeds: found 1, expected at least 2"),
        ({"pretraining_seeds": [2, 3]}, "dnabert has seed 1, expected one of the"),
        ({"pretraining_seeds": [1, 1]}, "expected no entry twice"),
        (
            {"rows": [{"label": "a", "encoder": "untrained"}]},
            "untrained is a control, expected one of ours in a group with",
        ),
        ({"pretraining_seeds": 3}, "found 3, expected a list"),
        (
            {"pretraining_seeds": [1, "a"]},
            r"pretraining_seeds.1: found \"a\", expected a",
        ),
    ],
)
def test_what_cannot_be_repeated_is_one_line(demo, change, line):
    demo["ablations"]["mine"] |= change
    with pytest.raises(InputError, match=line):
        check(demo)


def test_an_encoder_that_bears_the_name_is_no_other(demo):
    demo["encoders"]["randommask-seed5"] = {"seed": 7, "curriculum": "randommask"}
    with pytest.raises(InputError, match=r"randommask-seed5: seed 7, expected 5"):
        check(demo)


def test_ranks_are_counted_once_for_all_encoders_of_a_corpus(demo):
    phases = [{"until": 2400, "max_span": 4, "masking": "genemask"}]
    demo["encoders"] = {
        "dnabert": demo["encoders"]["dnabert"],
        "first": {"curriculum": phases},
        "second": {"curriculum": phases, "seed": 3},
        "other": {"curriculum": phases, "k": 5, "min_span": 5},
        "late": {
            "curriculum": [
                {"until": 1600, "max_span": 4},
                {"until": 2400, "max_span": 4, "masking": "top-pmi"},
            ]
        },
    }
    demo["encoders"]["other"]["curriculum"] = [phases[0] | {"max_span": 5}]
    del demo["ablations"], demo["tables"], demo["roles"]
    experiment = check(demo)
    assert encoders.ranks(experiment, "dnabert", 2400) == []
    names = ("first", "second", "other", "late")
    found = [encoders.ranks(experiment, name, 2400) for name in names]
    assert found == [
        [f"<results>/pmi/{n}.csv"] for n in ("first",) * 2 + ("other", "first")
    ]
    assert encoders.ranks(experiment, "late", 1600) == []
    assert encoders.ranking(experiment, "other").k == 5

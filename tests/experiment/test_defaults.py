"""What a config need not say: the paper's values, or what follows from its own."""

import json

import pytest
from made import ROOT

from randommask.errors import InputError
from randommask.experiment import datasets, encoders, file, runs
from randommask.experiment.check import check

COLUMNS = datasets.COLUMNS
MINE = ["mine", "mine", "./mine", "Fly", "36", "2", "", "mcc", "1", "8", "1e-3"]
MINE += ["no", "yes", "", "", ""]


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The least that a config says: a genome, an encoder, data sets of one's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    for split in ("train", "dev", "test"):
        (tmp_path / "mine" / f"{split}.csv").write_text("sequence,label\n")
    (tmp_path / "mine.tsv").write_text(
        "".join("\t".join(cells) + "\n" for cells in (COLUMNS, MINE))
    )
    return {
        "experiment": {"name": "mine"},
        "sources": {"fly": {"path": "fly.fa"}},
        "encoders": {"mine": {}},
        "benchmark": {"datasets": "mine.tsv"},
    }


def test_the_least_config_is_the_papers_baseline_on_ones_own_data(small, monkeypatch):
    mine = check(small)
    monkeypatch.chdir(ROOT)
    paper = check(file.whole(file.read("config/config.yaml")))
    theirs = encoders.settings(paper, "dnabert", 480_000).values()
    ours = encoders.settings(mine, "mine", 480_000).values()
    assert ours == theirs | {"genomes": ["fly"], "precision": "auto"}
    assert mine.finetune.values() == paper.finetune.values() | {"precision": "auto"}
    assert {name: mine.recipes[name] for name in ("table4", "table5")} == {
        name: paper.recipes[name] for name in ("table4", "table5")
    }
    assert mine.figures == paper.figures
    assert mine.seeds == paper.seeds


def test_spans_batches_and_warm_up_follow_the_encoders_own_sizes(small):
    small["pretrain"] = {"steps": 960, "k": 4, "batch": 100}
    small["encoders"] = {
        "mine": {},
        "plain": {"tokenization": "non-overlapping"},
        "three": {"k": 3, "steps": 480, "batch": 8},
    }
    experiment = check(small)
    found = {
        name: (entry.min_span, entry.micro_batch, entry.warmup_steps, entry.steps)
        for name, entry in experiment.encoders.items()
    }
    assert found == {
        "mine": (4, 50, 20, 960),
        "plain": (1, 50, 20, 960),
        "three": (3, 8, 10, 480),
    }
    [phase] = encoders.phases(experiment, "three")
    assert (phase.until, phase.max_span) == (480, 3)


def test_what_pretrain_says_holds_where_an_encoder_says_nothing(small):
    small["pretrain"] = {"min_span": 5, "k": 4, "seed": 7, "milestones": [0, 2]}
    small["encoders"] = {"mine": {"k": 3}, "blank": {"control": "untrained"}}
    experiment = check(small)
    assert experiment.encoders["mine"].min_span == 5
    assert experiment.encoders["mine"].milestones == (0, 2)
    assert encoders.initial(experiment, "blank").values() == {
        "k": 4,
        "tokenization": "overlapping",
        "seed": 7,
        "architecture": experiment.architectures["base"].values(),
    }


def test_numbers_stay_as_they_are_written(small):
    """`10` and `10.0` are one number, and two lines of JSON: a job would be new."""
    small["pretrain"] = {"clip": 1, "eps": 1.0e-6}
    small["encoders"]["linear"] = {
        "control": "kmer-linear",
        "grid": {"k": [3], "strength": [10, 1.0]},
    }
    experiment = check(small)
    told = json.dumps(encoders.segment(experiment, "mine", 480_000).values())
    assert '"clip": 1,' in told and '"eps": 1e-06' in told
    [row] = runs.benchmark(experiment)
    told = runs.counting(experiment, "linear", "overlapping", row, 1).values()
    assert json.dumps(told["strength"]) == "[10, 1.0]"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), True, "1", [1]])
def test_what_is_no_number_is_refused(small, number):
    small["pretrain"] = {"clip": number}
    with pytest.raises(InputError, match=r"pretrain\.clip: found .*, expected"):
        check(small)


def test_an_encoder_of_no_genome_is_refused(small):
    small["sources"] = {}
    with pytest.raises(InputError, match=r"pretrain\.genomes: found \[\], expected a"):
        check(small)

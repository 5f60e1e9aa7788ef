"""`from: {encoder: NAME}` and `from: {folder: PATH}` in a config."""

import json
from pathlib import Path

import pytest
import yaml
from made import ROOT
from made.config import micro
from made.encoders import publish_bert

from randommask.errors import InputError
from randommask.experiment import encoders, finished, places, runs
from randommask.experiment.check import check
from randommask.experiment.sections import FromEncoder, FromFolder

RELEASED = {"released": {"repository": "a/b", "revision": "c", "family": "bert"}}


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = micro(tmp_path)
    found["encoders"] |= {
        "theirs": RELEASED,
        "fly": {"curriculum": "dnabert", "from": {"encoder": "dnabert"}},
    }
    return found


def checked(config):
    experiment = check(config)
    places.check(experiment)
    return experiment


def refused(config, start, line, **others):
    config["encoders"] |= {"fly": {"curriculum": "dnabert", "from": start}, **others}
    with pytest.raises(InputError, match=line) as error:
        checked(config)
    assert "\n" not in str(error.value) and len(str(error.value)) < 250


def test_it_has_a_schedule_of_its_own(config):
    experiment = checked(config)
    assert encoders.segment_ends(experiment, "fly") == [8, 24]
    assert encoders.predecessor(experiment, "fly", 8) is None
    assert isinstance(encoders.origin(experiment, "fly"), FromEncoder)
    for end in (8, 24):
        told = encoders.segment(experiment, "fly", end)
        assert told.values()["settings"]["origin"] == "dnabert"
    other = encoders.segment(experiment, "dnabert", 8).values()["settings"]
    assert "origin" not in other


def test_a_branch_of_it_has_its_origin_too(config):
    branch = {"curriculum": "dnabert", "from": {"encoder": "fly", "step": 8}}
    config["encoders"]["later"] = branch
    experiment = checked(config)
    assert encoders.settings(experiment, "later", 24).origin == "dnabert"
    config["encoders"]["later"]["from"] = {"encoder": "dnabert", "step": 8}
    config["encoders"]["later"]["from"]["encoder"] = "fly"
    del config["encoders"]["fly"]["from"]
    assert encoders.settings(checked(config), "later", 24).origin is None


def test_a_folder_is_named_by_its_last_part(config, tmp_path):
    folder = tmp_path / "elsewhere" / "human"
    folder.mkdir(parents=True)
    config["encoders"]["fly"]["from"] = {"folder": str(folder)}
    # there already, but no encoder's: said before a corpus is made for it
    refused(config, {"folder": str(folder)}, r"human/config\.json: no such file, expec")
    told = {"model_type": "bert", "k": 4, "tokenization": "overlapping"}
    (folder / "config.json").write_text(json.dumps(told))
    experiment = checked(config)
    assert isinstance(encoders.origin(experiment, "fly"), FromFolder)
    assert encoders.origin_name(experiment, "fly") == "human"
    refused(config, {"folder": "no/such"}, r"fly\.from\.folder: no/such: no such")


@pytest.mark.parametrize(
    "made",
    ["encoders/fly", "encoders/dnabert", "pretrain/dnabert/step-24", "models/fly/x"],
)
def test_what_this_run_makes_is_no_folder_to_begin_with(config, made):
    """It would wait for itself, which Snakemake says in its own words."""
    results = Path(config["pathvars"]["results"])
    for is_there in (False, True):
        refused(config, {"folder": str(results / made)}, f"{made}: made by this run")
        theirs = {"released": {"path": str(results / made), "family": "bert"}}
        line = r"theirs\.released\.path: .*: made by this run, expected a folder of an"
        refused(config, {"encoder": "dnabert"}, line, theirs=theirs)
        if not is_there:
            (results / made).mkdir(parents=True)


def test_what_an_encoder_left_that_is_no_longer_named_is_there_or_not(config):
    """No rule makes it."""
    old = Path(config["pathvars"]["results"]) / "encoders/old"
    refused(config, {"folder": str(old)}, r"fly\.from\.folder: .*old: no such file or")
    old.mkdir(parents=True)
    told = {"model_type": "bert", "k": 4, "tokenization": "overlapping"}
    (old / "config.json").write_text(json.dumps(told))
    assert encoders.origin_name(checked(config), "fly") == "old"


def test_a_released_encoder_behind_it_is_fetched(config):
    config["encoders"]["fly"]["from"] = {"encoder": "theirs"}
    assert "encoders/theirs" not in runs.resources(checked(config))
    row = {"label": "fly", "encoder": "fly", "tokenization": "overlapping"}
    config["tables"]["table3"]["rows"].append(row)
    assert "encoders/theirs" in runs.resources(checked(config))


def test_what_cannot_be_is_one_line(config, tmp_path):
    nt = {"released": {**RELEASED["released"], "family": "esm"}}
    other = {"curriculum": "dnabert", "k": 5, "min_span": 4}
    refused(config, {"encoder": "nobody"}, "no encoder 'nobody'")
    refused(config, {"encoder": "kmer-linear"}, "kmer-linear has no weights to go on")
    refused(config, {"encoder": "nt"}, "nt is of family esm, expected bert", nt=nt)
    refused(config, {"encoder": "fly"}, "fly from fly, a circle")
    back = {"curriculum": "dnabert", "from": {"encoder": "fly"}}
    refused(config, {"encoder": "a"}, "fly from a from fly, a circle", a=back)
    refused(config, {"encoder": "a"}, "a: k 5, but pretraining is to", a=other)
    taken = {"milestone": {"encoder": "nobody", "step": 4}}
    refused(config, {"encoder": "a"}, "a.milestone.encoder: no encoder 'nob", a=taken)
    lost = {"curriculum": "dnabert", "from": {"encoder": "nobody", "step": 4}}
    refused(config, {"encoder": "a", "step": 8}, "no encoder 'nobody'", a=lost)
    refused(config, {"folder": ""}, r"fly\.from\.folder: found \"\", expected text")
    refused(config, {"encoders": "a"}, "unknown key 'encoders'; did you mean 'encoder'")


def test_a_config_json_that_is_there_is_looked_at_before_anything_is_planned(
    config, tmp_path
):
    publish_bert(tmp_path / "raw", positions=512)
    path = tmp_path / "raw" / "config.json"
    theirs = {"released": {"path": str(tmp_path / "raw"), "family": "bert"}}
    refused(config, {"encoder": "theirs"}, "k 3, but", theirs=theirs)
    folder = {"folder": str(tmp_path / "raw")}
    refused(config, folder, "model_type is None, expected 'bert'")
    keys = json.loads(path.read_text()) | {"model_type": "bert"}
    path.write_text(json.dumps(keys))
    refused(config, folder, "no key k or tokenization, expected a folder made by this")


def test_what_another_experiment_made_of_other_weights_is_not_linked(config, tmp_path):
    made = tmp_path / "other" / "pretrain" / "fly" / "step-8"
    made.mkdir(parents=True)
    (made / "README.md").write_text(yaml.safe_dump({}))
    config["finished"] = [str(tmp_path / "other")]
    found, said = finished.segments(checked(config))
    assert not found
    assert said == [f"{made}: not taken, as it went on from other weights"]

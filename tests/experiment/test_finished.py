"""Finished pretraining of another experiment is taken by link, where it is the same."""

import os

import pytest
from made import ROOT

from randommask.errors import InputError
from randommask.experiment import encoders, file, finished, form
from randommask.experiment.sections import Experiment
from randommask.pretraining import card


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    """The demo under another name, in a folder where the demo's results are."""
    monkeypatch.chdir(tmp_path)
    config = file.whole(file.read(ROOT / "config" / "demo.yaml"))
    del config["pathvars"], config["ablations"]
    config["experiment"] = {"name": "mine"}
    config["finished"] = ["results/demo"]
    return form.read(Experiment, config)


def make(experiment, name):
    """A finished segment of the demo, with the card that its training wrote."""
    place = finished.Path("results/demo/pretrain") / name
    (place / "milestones" / "100").mkdir(parents=True)
    told = encoders.segment(experiment, *encoders.split(name))
    (place / "README.md").write_text(card._recipe(told.settings))
    for path in ("model.safetensors", "milestones/100/config.json"):
        (place / path).write_text(path)
    (place / ".snakemake_timestamp").touch()
    return place


def test_a_config_without_places_has_a_folder_of_its_own(experiment):
    places = experiment.pathvars
    assert (places.results, places.logs) == ("results/mine", "logs/mine")
    assert places.resources == "resources"  # downloads are shared


def test_the_same_settings_are_taken_and_others_said(experiment):
    same = make(experiment, "dnabert/step-1600")
    other = make(experiment, "dnabert/step-2400")
    text = (other / "README.md").read_text()
    (other / "README.md").write_text(text.replace("| 0.006 |", "| 0.5 |"))
    found, said = finished.segments(experiment)
    assert found == {"dnabert/step-1600": same}
    assert said == [f"{other}: not taken, as its learning_rate is another"]
    for here in ("results/mine/pretrain/dnabert/step-1600",):
        os.makedirs(here)
        finished.Path(here, "README.md").touch()
        finished.Path(here, "config.json").touch()
    assert finished.segments(experiment)[0] == {}  # what is here stays what it is


def test_links_lead_there_and_nothing_of_theirs_is_written(experiment, tmp_path):
    source = make(experiment, "dnabert/step-1600")
    output = tmp_path / "results" / "mine" / "pretrain" / "dnabert" / "step-1600"
    before = {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    finished.main(["--source", str(source), "--output", str(output)])
    assert (output / "model.safetensors").read_text() == "model.safetensors"
    assert (output / "milestones/100/config.json").is_symlink()
    assert not (output / ".snakemake_timestamp").exists()
    (output / ".snakemake_timestamp").touch()
    assert before == {path: path.stat().st_mtime_ns for path in source.rglob("*")}
    with pytest.raises(InputError, match=r"no README\.md, expected a finished segment"):
        finished.link(tmp_path, tmp_path / "x")

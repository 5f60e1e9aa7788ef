"""Settings on a command line: short ones as JSON, long ones as the name of a file."""

import json
import shlex
from pathlib import Path

import pytest

from randommask.errors import InputError
from randommask.experiment import flags


def test_short_settings_stand_on_the_command_line(tmp_path):
    settings = {"k": 6, "names": ["a", "b"]}
    assert flags.flag(settings, str(tmp_path)) == json.dumps(settings)
    assert flags.read(json.dumps(settings)) == json.dumps(settings)
    assert not list(tmp_path.iterdir())


def test_long_settings_lie_in_a_file_named_by_what_it_holds(tmp_path):
    settings = {"names": [f"encoder-{number}" for number in range(1000)]}
    said = flags.flag(settings, str(tmp_path / "made"))
    assert said.startswith("@") and len(said) < 200
    assert json.loads(flags.read(said)) == settings
    written = Path(said[1:]).stat().st_mtime_ns
    assert flags.flag(settings, str(tmp_path / "made")) == said
    assert Path(said[1:]).stat().st_mtime_ns == written
    settings["names"].append("one more")
    assert flags.flag(settings, str(tmp_path / "made")) != said


def test_a_file_that_is_not_there_is_one_line():
    with pytest.raises(InputError, match=r"^--hparams: nowhere\.json: .*No such file"):
        flags.read("@nowhere.json")


def test_paths_are_quoted_and_a_flag_without_any_is_left_out():
    text = flags.quoted({"runs": "it's here", "from": [], "history": ["a b", "c"]})
    assert shlex.split(text) == ["--runs", "it's here", "--history", "a b", "c"]

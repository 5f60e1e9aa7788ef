"""A config as it stands in its file: what YAML lets pass without a word is refused."""

import pytest
import yaml
from made import ROOT
from made.typed import snakemake

from randommask.errors import InputError
from randommask.experiment import file

DEMO = (ROOT / "config" / "demo.yaml").read_text()
GROUP = "\nablations:\n  mine: {datasets: all}\n"


@pytest.mark.parametrize("name", ["config", "demo", "slice"])
def test_a_good_config_is_what_yaml_says(name):
    path = ROOT / "config" / f"{name}.yaml"
    assert file.read(path) == yaml.safe_load(path.read_text())


def test_merged_mappings_may_hold_what_they_change(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "c: {d: {<<: &one {<<: &two {x: 1, y: 2}, x: 3}, x: 4}}\ne: {<<: *one, y: 5}\n"
    )
    expected = {"c": {"d": {"x": 4, "y": 2}}, "e": {"x": 3, "y": 5}}
    assert file.read(path) == expected


LINES = DEMO.count("\n") + 1
FIRST = DEMO[: DEMO.index("\nablations:")].count("\n") + 2
WRONG = {
    DEMO + GROUP: f"line {LINES + 1}: 'ablations' stands twice, first in line {FIRST}; "
    "merge them",
    "encoders:\n  a: {k: 4}\n  b: {k: 5}\n  a: {k: 6}\n": "line 4: 'a' stands twice",
    "encoders: {a: {k: 4, k: 4}}\n": "line 1: 'k' stands twice",
    "encoders:\n  2024: {k: 4}\n": "line 2: '2024' as a key, expected text in quotes",
    "1: {}\n": "line 1: '1' as a key",
    "no: 1\n": "line 1: 'no' as a key",
    "[a, b]: 1\n": "line 1: a list as a key",
    "a: 1\n b: 2\n": "line 2: not YAML",
    "a: 1\n\tb: 2\n": "line 2: not YAML",
    "a: *b\n": "line 1: not YAML",
    "a: [1\n": "line 2: not YAML",
}


@pytest.mark.parametrize("text", WRONG, ids=list(WRONG.values()))
def test_what_yaml_would_drop_or_misread_is_one_line(text, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as error:
        file.read(path)
    assert str(error.value).startswith(f"{path}: {WRONG[text]}")
    assert "\n" not in str(error.value)


def test_a_file_that_is_missing_or_no_text_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"mine\.yaml: no such file"):
        file.read(tmp_path / "mine.yaml")
    (tmp_path / "mine.yaml").write_bytes(b"a: \xff\xfe\n")
    with pytest.raises(InputError, match=r"mine\.yaml: not YAML"):
        file.read(tmp_path / "mine.yaml")


def planned(path, target):
    done = snakemake("-n", target, "--configfile", path, check=False)
    assert done.returncode != 0
    return done.stdout + done.stderr


def test_snakemake_stops_with_the_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(DEMO + GROUP)
    said = planned(path, "results/demo/ablations/mine.csv")
    assert f"mine.yaml: line {LINES + 1}: 'ablations' stands twice" in said


def test_a_target_in_another_configs_place_is_told_the_right_one():
    said = planned("config/demo.yaml", "results/encoders/dnabert")
    hint = "results/encoders/dnabert: the results of this config are in results/demo/"
    assert hint in said and "MissingRuleException" in said

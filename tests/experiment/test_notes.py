"""What is said while Snakemake plans: overridden settings, misspelt targets."""

import pytest
from made import ROOT
from made.typed import snakemake

from randommask.experiment import file, notes


def test_what_a_recipe_overrides_is_said_in_one_line():
    demo = file.load(ROOT / "config" / "demo.yaml")
    [said] = notes.of(demo)
    listed = demo.benchmark.datasets
    assert said.startswith(f"recipe demo overrides {listed}: epochs of 28 data sets (")
    assert "learning_rate of 28 data sets" in said
    paper = file.load(ROOT / "config" / "config.yaml")
    assert list(notes.of(paper)) == []  # table5 is what the list says


@pytest.mark.parametrize(
    "word, near",
    [
        ("-n reprot", "did you mean report?"),
        pytest.param("ablatons", "did you mean ablations?", marks=pytest.mark.sweep),
        ("al", "did you mean all?"),
        ("results/demo/encoders/dnabrt", "did you mean results/demo/encoders/dnabert?"),
        ("results/demo/tabels/table3.csv", "mean results/demo/tables/table3.csv?"),
        ("results/x/y", "the results of this config are in results/demo/"),
    ],
)
def test_a_misspelt_target_is_told_the_nearest(word, near):
    *before, word = word.split()
    flags = ["--configfile", "config/demo.yaml", *(before or ["--dry-run", "--"]), word]
    done = snakemake(*flags, check=False)
    assert done.returncode
    said = done.stdout + done.stderr
    [line] = [line for line in said.splitlines() if line.startswith(f"{word}:")]
    assert near in line
    assert said.count("overrides") == 1

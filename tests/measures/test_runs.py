"""What the seeds of one cell must have in common."""

import pytest
from made.results import make_run

from randommask.errors import InputError
from randommask.measures.runs import read_seeds

CELL = ("kmer-linear", "overlapping", "SSP")


def seeds(root, **common):
    """Two seeds whose models differ, all else being the same."""
    for seed in (1, 2):
        make_run(root, *CELL, seed, architecture={"k": 3 + seed}, **common)
    return read_seeds(root, *CELL, (1, 2), [])


def test_a_control_is_chosen_by_the_rows_that_its_seed_draws(tmp_path):
    assert len(seeds(tmp_path, settings={"train_rows": 300})) == 2


@pytest.mark.parametrize(
    "common",
    [
        {"settings": {}},  # of all rows every seed makes the same choice
        {"settings": {"train_rows": 300}, "encoder_sha256": "0"},
    ],
)
def test_other_runs_of_a_cell_have_one_architecture(tmp_path, common):
    with pytest.raises(InputError, match=r"architecture: found \{'k': 5\}, expected"):
        seeds(tmp_path, **common)

"""What a run is given to learn from: all of train, or few of its rows."""

import json

import numpy as np
import pytest
from made import dataset

from randommask.experiment.hparams import Finetuning
from randommask.finetuning import examples
from randommask.finetuning.__main__ import finetune

KEPT = 40


@pytest.fixture(scope="module")
def unequal(tmp_path_factory):
    """160 rows of train, a quarter of them of class 1."""
    random = np.random.default_rng(1)
    splits = {}
    for split, rows in {"train": 160, "dev": 40, "test": 40}.items():
        labels = random.permutation(np.arange(rows) % 4 == 0).astype(int)
        letters = ["".join(random.choice(list("ACGT"), 36)) for _ in range(rows)]
        splits[split] = letters, labels
    return dataset.write(tmp_path_factory.mktemp("data") / "unequal", splits)


def read(folder, **changes):
    return examples.read(folder, dataset.hparams(**changes)).splits


def test_few_rows_are_of_train_and_have_its_shares(unequal):
    whole, few = read(unequal), read(unequal, train_rows=KEPT)
    for name in ("dev", "test"):
        assert few[name].sequences == whole[name].sequences
    label_of = dict(zip(whole["train"].sequences, whole["train"].labels, strict=True))
    kept = few["train"]
    assert len(set(kept.sequences)) == KEPT
    assert [label_of[letters] for letters in kept.sequences] == kept.labels.tolist()
    assert np.bincount(kept.labels).tolist() == [30, 10]


def test_the_seed_chooses_them_and_more_hold_the_fewer(unequal):
    def chosen(**changes):
        return set(read(unequal, **changes)["train"].sequences)

    first = chosen(train_rows=KEPT, seed=1)
    assert first == chosen(train_rows=KEPT, seed=1, encoder="another")
    assert first != chosen(train_rows=KEPT, seed=2)
    assert first < chosen(train_rows=2 * KEPT, seed=1)
    assert chosen(train_rows=10_000) == chosen()


def test_values_have_no_shares(tmp_path):
    random = np.random.default_rng(2)
    splits = {
        split: (["ACGTACGT"] * rows, random.random((rows, 2)))
        for split, rows in {"train": 30, "dev": 10, "test": 10}.items()
    }
    names = ("one", "two")
    data = dataset.write(tmp_path / "data", splits, "regression", targets=names)
    found = read(data, train_rows=7, task="EAP", metric="pearson")["train"]
    numbers = splits["train"][1].tolist()
    places = [numbers.index(values) for values in found.labels.tolist()]
    assert len(places) == 7 and places == sorted(places)


def test_a_run_says_how_many_it_learnt_from(folder, unequal, tmp_path):
    settings = Finetuning.parse(
        json.dumps(dataset.HPARAMS | {"epochs": 1, "train_rows": KEPT})
    )
    finetune(folder, unequal, settings, metrics_path=tmp_path / "metrics.json")
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["rows"] == {"train": KEPT, "dev": 40, "test": 40}
    assert found["settings"]["train_rows"] == found["train_rows"] == KEPT

"""The row without a model: the best rule on dev, in the files of a run."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from made import dataset

from randommask import metrics
from randommask.errors import InputError
from randommask.finetuning import no_model

HPARAMS = {
    "encoder": "no-model",
    "tokenization": "character",
    "dataset": "EMP-made",
    "task": "EMP",
    "metric": "mcc",
    "seed": 1,
}
OUTPUTS = ("metrics.json", "predictions.parquet", "history.csv")
SIZES = {"train": 300, "dev": 100, "test": 100}


def run(data, out, **changes):
    """Run the command; return metrics, predictions and the lines of the history."""
    flags = ["--data", str(data), "--hparams", json.dumps(HPARAMS | changes)]
    for name in OUTPUTS:
        flags += [f"--{name.partition('.')[0]}", str(out / name)]
    no_model.main(flags)
    return (
        json.loads((out / "metrics.json").read_text()),
        pq.read_table(out / "predictions.parquet").to_pydict(),
        (out / "history.csv").read_text().splitlines(),
    )


def rich_in_gc(classes=2):
    """Sequences of 60 bases whose share of G and C rises with the class."""
    random = np.random.default_rng(0)
    splits = {}
    for split, rows in SIZES.items():
        labels = np.arange(rows) % classes
        shares = 0.3 + 0.4 * labels / (classes - 1)
        sequences = [
            "".join(
                random.choice(list("ATCG"), 60, p=np.array([1 - p, 1 - p, p, p]) / 2)
            )
            for p in shares
        ]
        splits[split] = sequences, labels
    return splits


@pytest.mark.parametrize("classes", [2, 3])
def test_the_best_rule_on_dev_predicts_test(tmp_path, classes):
    data = dataset.write(tmp_path / "data", rich_in_gc(classes), classes=classes)
    record, predictions, history = run(data, tmp_path)
    assert record["score"] == record["test"]["mcc"] > 0.5 and record["flags"] == []
    names = ["row", "label", *(f"p{label}" for label in range(classes))]
    assert list(predictions) == names
    values = np.stack([predictions[name] for name in names[2:]], axis=1)
    assert values.sum(1) == pytest.approx(1)
    labels = np.array(predictions["label"])
    assert metrics.score("classification", labels, values) == record["test"]
    assert history[0] == "rule,dev_mcc"
    tried = dict(line.split(",") for line in history[1:])
    best = max(tried, key=lambda rule: float(tried[rule]))
    assert record["architecture"] == {"rule": best}
    assert record["dev"]["mcc"] == float(tried[best])


def test_a_partner_in_dev_counts_for_test(tmp_path):
    """Copies of dev rows are known when test is predicted, and not before."""
    splits = rich_in_gc()
    random = np.random.default_rng(1)
    splits = {s: (x, random.integers(0, 2, len(x))) for s, (x, _) in splits.items()}
    splits["dev"][0][:60] = splits["train"][0][:60]
    splits["dev"][1][:60] = splits["train"][1][:60]
    splits["test"] = splits["dev"]
    record, *_ = run(dataset.write(tmp_path / "data", splits), tmp_path)
    assert record["architecture"] == {"rule": "exact"}
    assert record["test"]["mcc"] == 1 and record["dev"]["mcc"] < 0.9


def test_numbers_are_predicted_too(tmp_path):
    random = np.random.default_rng(0)
    splits = {}
    for split, rows in SIZES.items():
        sequences = ["".join(random.choice(list("ACGT"), 60)) for _ in range(rows)]
        shares = [s.count("G") + s.count("C") for s in sequences]
        splits[split] = sequences, np.stack([shares, random.normal(size=rows)], axis=1)
    targets = ("one", "two")
    data = dataset.write(tmp_path / "data", splits, "regression", targets=targets)
    record, predictions, _ = run(data, tmp_path, metric="pearson", task="EAP")
    assert record["architecture"] == {"rule": "gc"}
    assert record["test"]["pearson_0"] > 0.7 > 0.3 > abs(record["test"]["pearson_1"])
    names = ["row", "label_one", "label_two", "y_one", "y_two"]
    assert list(predictions) == names


def test_all_seeds_are_equal_but_for_their_name(tmp_path):
    data = dataset.write(tmp_path / "data", rich_in_gc())
    (tmp_path / "again").mkdir()
    first, *files = run(data, tmp_path)
    second, *others = run(data, tmp_path / "again", seed=2)
    assert files == others and (first["seed"], second["seed"]) == (1, 2)
    for record in (first, second):
        del record["seed"], record["settings"]["seed"]
        for measured in ("seconds", "cores", "peak_memory_bytes"):
            assert record.pop(measured) >= 0
    assert first == second


def test_the_test_split_chooses_nothing(tmp_path):
    splits = rich_in_gc()
    first, *_ = run(dataset.write(tmp_path / "data", splits), tmp_path)
    splits["test"] = splits["test"][0], 1 - splits["test"][1]
    second, *_ = run(dataset.write(tmp_path / "turned", splits), tmp_path)
    assert second["architecture"] == first["architecture"]
    assert second["dev"] == first["dev"] and second["score"] == -first["score"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenization": "overlapping"}, "tokenization: found .*expected character"),
        ({"metric": "pearson"}, "metric is pearson, expected mcc"),
        ({"k": [3]}, "unknown key 'k'"),
    ],
)
def test_settings_that_cannot_be_are_refused(tmp_path, changes, message):
    data = dataset.write(tmp_path / "data", rich_in_gc())
    with pytest.raises(InputError, match=message):
        run(data, tmp_path, **changes)
    assert not [name for name in OUTPUTS if (tmp_path / name).exists()]

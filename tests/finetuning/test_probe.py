"""The linear probe against scikit-learn by hand on the embeddings of `embed`."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from made import ROOT
from made.config import micro
from made.dataset import hparams, planted, tiny_encoder, write
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from randommask import metrics
from randommask.data.records import Window
from randommask.embed import Embedder
from randommask.encoders.weights import read_weights
from randommask.errors import InputError
from randommask.experiment import encoders, runs
from randommask.experiment.check import check
from randommask.finetuning import probe

RUN = ("encoder", "tokenization", "dataset", "task", "metric", "seed")
STRENGTHS = [10, 1, 0.1, 0.01]


def told(**changes):
    found = hparams(**changes)
    run = {name: getattr(found, name) for name in RUN}
    return probe.Probing(**run, strength=STRENGTHS)


def run(root, data, **changes):
    encoder = tiny_encoder(root / "encoder")
    before = read_weights(encoder / "model.safetensors")
    names = {"metrics": "json", "predictions": "parquet", "history": "csv"}
    paths = {f"{name}_path": root / f"{name}.{kind}" for name, kind in names.items()}
    probe.fit(encoder, data, told(**changes), **paths)
    after = read_weights(encoder / "model.safetensors")
    assert all((before[name] == after[name]).all() for name in before)
    report = json.loads((root / "metrics.json").read_text())
    return report, pq.read_table(root / "predictions.parquet"), embedded(encoder, data)


def embedded(encoder, data):
    """Of each split the vectors that `embed` gives."""
    found, embedder = {}, Embedder(encoder)
    for name in ("train", "dev", "test"):
        rows = pq.read_table(data / f"{name}.parquet")["sequence"].to_pylist()
        windows = [Window(n, "", 0, len(row), row) for n, row in enumerate(rows, 1)]
        found[name] = embedder.embed(windows)[1]
    scale = StandardScaler().fit(found["train"])
    return {name: scale.transform(vectors) for name, vectors in found.items()}


def splits(label):
    found = {}
    for seed, (name, rows) in enumerate((("train", 160), ("dev", 60), ("test", 60))):
        sequences, labels = planted(seed, rows, 3)
        found[name] = sequences, label(labels)
    return found


def test_classes_are_those_of_logistic_regression(tmp_path):
    made = splits(np.asarray)
    data = write(tmp_path / "data", made, classes=3)
    report, predictions, vectors = run(tmp_path, data)
    best = {}
    for strength in STRENGTHS:
        rows = len(vectors["train"])
        model = LogisticRegression(C=1 / (strength * rows), max_iter=5000)
        model.fit(vectors["train"], made["train"][1])
        on_dev = model.predict_proba(vectors["dev"])
        score = metrics.choose("classification", made["dev"][1], on_dev)
        if not best or score > best["score"]:
            best = {"score": score, "strength": strength, "model": model}
    assert report["architecture"]["strength"] == best["strength"]
    expected = best["model"].predict_proba(vectors["test"])
    values = np.stack([predictions[f"p{n}"] for n in range(3)], axis=1)
    assert np.allclose(values, expected, atol=2e-3)
    assert report["dev"]["mcc"] == pytest.approx(best["score"], abs=0.02)
    assert report["best_epoch"] is None and report["flags"] == []
    history = (tmp_path / "history.csv").read_text().splitlines()
    assert history[0] == "strength,dev_mcc" and len(history) == 5


def test_numbers_are_those_of_ridge_regression(tmp_path):
    made = splits(lambda labels: np.stack([50.0 + labels, -2.0 * labels], axis=1))
    data = write(tmp_path / "data", made, "regression", targets=("dev", "hk"))
    report, predictions, vectors = run(tmp_path, data, metric="pearson")
    strength = report["architecture"]["strength"]
    model = Ridge(alpha=strength * len(vectors["train"]))
    model.fit(vectors["train"], made["train"][1])
    values = np.stack([predictions["y_dev"], predictions["y_hk"]], axis=1)
    assert np.allclose(values, model.predict(vectors["test"]), rtol=1e-3, atol=1e-3)


def test_a_class_that_train_lacks_has_no_chance(tmp_path):
    made = splits(np.asarray)
    made["train"] = made["train"][0], np.minimum(made["train"][1], 1)
    data = write(tmp_path / "data", made, classes=3)
    _, predictions, _ = run(tmp_path, data)
    assert not np.any(predictions["p2"]) and np.any(predictions["p1"])


@pytest.fixture
def config(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = micro(tmp_path)
    found["encoders"]["probed"] = {"probe": {"encoder": "dnabert"}}
    row = {"label": "DNABERT, frozen + linear probe", "encoder": "probed"}
    found["tables"]["table3"]["rows"].append(row)
    return found


def test_a_config_tells_it_what_it_needs(config):
    experiment = check(config)
    [dataset, *_] = runs.benchmark(experiment)
    found = runs.told(experiment, "probed", "overlapping", dataset, 1)
    assert isinstance(found, probe.Probing) and found.strength[0] == 10
    assert encoders.family(experiment, "probed") == "bert"
    assert "probed" not in encoders.controls(experiment)


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"probe": {"encoder": "nobody"}}, "probed.probe.encoder: no encoder 'nobody'"),
        (
            {"probe": {"encoder": "kmer-linear"}},
            "kmer-linear is a control, expected an",
        ),
        ({"probe": {"encoder": "probed"}}, "probed is a probe, expected an encoder"),
        ({"probe": {"encoder": "dnabert"}, "k": 3}, "'k' has no meaning for a probe"),
        ({"probe": {"encoder": "dnabert", "strength": []}}, "a list of at least 1"),
    ],
)
def test_what_cannot_be_probed_is_one_line(config, entry, line):
    config["encoders"]["probed"] = entry
    with pytest.raises(InputError, match=line) as error:
        check(yaml.safe_load(yaml.safe_dump(config)))
    assert "\n" not in str(error.value)


def test_its_row_reads_the_tokens_of_its_encoder(config):
    config["tables"]["table3"]["rows"][-1]["tokenization"] = "character"
    with pytest.raises(InputError, match="does not fit encoder probed, expected over"):
        check(config)

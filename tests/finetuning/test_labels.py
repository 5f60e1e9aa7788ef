"""Several labels that are each there or not, from the files to the predictions."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from made.dataset import hparams, planted, tiny_encoder, write
from made.models import tuned
from sklearn import metrics as judge

from randommask import metrics, predict
from randommask.data import leaks, prepare
from randommask.errors import InputError
from randommask.experiment import datasets
from randommask.experiment.hparams import Counting, NoModelRun, Probing
from randommask.finetuning import kmer_linear, no_model, probe
from randommask.finetuning.__main__ import finetune
from randommask.measures import predictions as measured
from randommask.measures import runs
from randommask.predict.model import FineTuned
from randommask.report.release import reproduce

torch.set_num_threads(1)
TARGETS = ("CTCF", "GAF")


def splits(rows=(160, 64, 64)):
    """The first label is a motif that is planted, the second a share of A."""
    found = {}
    for seed, name in enumerate(("train", "dev", "test")):
        sequences, labels = planted(seed, rows[seed], 2)
        many = [row.count("A") > len(row) / 4 for row in sequences]
        found[name] = sequences, np.stack([labels, many], axis=1).astype(float)
    return found


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels") / "data"
    return write(folder, splits(), "multilabel", targets=TARGETS)


@pytest.fixture(scope="module")
def model(tmp_path_factory, data):
    return tuned(tmp_path_factory.mktemp("model"), data)


def test_scores_are_scikit_learns():
    random = np.random.default_rng(0)
    labels = (random.random((90, 3)) < 0.4).astype(float)
    chances = np.clip(labels * 0.2 + random.random((90, 3)) * 0.8, 0, 1)
    found = metrics.score(metrics.MULTILABEL, labels, chances)
    named = chances >= 0.5
    each = [
        judge.matthews_corrcoef(x, y) for x, y in zip(labels.T, named.T, strict=True)
    ]
    assert found["mcc"] == pytest.approx(np.mean(each))
    assert [found[f"mcc_{n}"] for n in range(3)] == pytest.approx(each)
    assert found["auroc"] == pytest.approx(judge.roc_auc_score(labels, chances))
    expected = judge.average_precision_score(labels, chances)
    assert found["auprc"] == pytest.approx(expected)
    assert found["accuracy"] == pytest.approx((named == labels).mean())
    chosen = metrics.choose(metrics.MULTILABEL, labels, chances)
    assert chosen == pytest.approx(found["mcc"])


def test_what_never_varies_is_undefined_or_flagged():
    labels = np.array([[0, 1], [1, 1], [0, 1]], float)
    chances = np.array([[0.2, 0.9], [0.9, 0.8], [0.1, 0.7]])
    found = metrics.score(metrics.MULTILABEL, labels, chances)
    assert found["mcc"] is None and found["auroc"] is None and found["mcc_0"] == 1
    assert metrics.undefined(labels) == metrics.CONSTANT_TARGET
    assert metrics.flags(metrics.MULTILABEL, chances) == [metrics.CONSTANT]
    chances[0, 0] = np.nan
    assert metrics.flags(metrics.MULTILABEL, chances) == [metrics.NON_FINITE]
    labels[0, 1] = 0
    assert metrics.score(metrics.MULTILABEL, labels, chances)["mcc"] == 0


def test_a_run_says_a_probability_for_each_label(model, data):
    folder, names, made = model
    assert names == ["p_CTCF", "p_GAF"] and (made > 0).all() and (made < 1).all()
    table = pq.read_table(folder.parent / "predictions.parquet")
    assert table.column_names == ["row", "label_CTCF", "label_GAF", *names]
    card = (folder / "README.md").read_text()
    assert "probabilities of CTCF, GAF, each for itself" in card


def test_the_loss_is_the_mean_of_the_labels_cross_entropies(tmp_path, data):
    told = hparams(epochs=1, batch_size=160, learning_rate=1e-9)
    told = told.model_copy(update={"learning_rate": 1e-12})
    finetune(
        tiny_encoder(tmp_path / "encoder"),
        data,
        told,
        history_path=tmp_path / "history.csv",
        predictions_path=tmp_path / "predictions.parquet",
    )
    line = (tmp_path / "history.csv").read_text().splitlines()[1].split(",")
    head = (tmp_path / "history.csv").read_text().splitlines()[0].split(",")
    loss = float(dict(zip(head, line, strict=True))["train_loss"])
    assert loss == pytest.approx(np.log(2), abs=0.05)  # of an untrained head


@pytest.mark.sweep
def test_it_learns_both(tmp_path):
    data = write(
        tmp_path / "data", splits((640, 96, 96)), "multilabel", targets=TARGETS
    )
    finetune(
        tiny_encoder(tmp_path / "encoder"),
        data,
        hparams(epochs=6),
        metrics_path=tmp_path / "metrics.json",
    )
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["metric"] == "mcc" and found["score"] == found["test"]["mcc"]
    assert found["test"]["auroc"] > 0.6


def test_predict_and_transformers_say_the_same(model, tmp_path, monkeypatch):
    folder, names, made = model
    sequences = splits()["test"][0]
    text = "".join(f">s{n}\n{row}\n" for n, row in enumerate(sequences))
    (tmp_path / "in.fa").write_text(text)
    predict.predict(folder, tmp_path / "out.tsv", fasta=tmp_path / "in.fa")
    head, *lines = (tmp_path / "out.tsv").read_text().splitlines()
    assert head.split("\t")[4:6] == names
    values = [line.split("\t")[4:6] for line in lines]
    assert np.allclose(np.array(values, float), made, atol=1e-5)
    assert list(FineTuned(folder).scores) == names
    from transformers import pipeline

    answers = pipeline("text-classification", model=str(folder))(
        sequences[:4], top_k=None
    )
    for found, expected in zip(answers, made, strict=False):
        scores = {answer["label"]: answer["score"] for answer in found}
        assert np.allclose([scores[name] for name in TARGETS], expected, atol=1e-4)


RUN = {"encoder": "x", "dataset": "EMP-made", "task": "EMP", "metric": "mcc", "seed": 1}


@pytest.mark.parametrize("kind", ["kmer-linear", "no-model", "probe"])
def test_rows_that_train_no_encoder_know_them_too(data, tmp_path, kind):
    paths = {
        "metrics_path": tmp_path / "metrics.json",
        "predictions_path": tmp_path / "predictions.parquet",
    }
    tokens, strength = {"tokenization": "overlapping"}, {"strength": [1, 0.1]}
    if kind == "kmer-linear":
        kmer_linear.fit(data, Counting(**RUN, **tokens, **strength, k=[1, 2]), **paths)
    elif kind == "no-model":
        no_model.fit(data, NoModelRun(**RUN, tokenization="character"), **paths)
    else:
        encoder = tiny_encoder(tmp_path / "encoder")
        probe.fit(encoder, data, Probing(**RUN, **tokens, **strength), **paths)
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["test"]["mcc_1"] > (0.6 if kind == "kmer-linear" else -1)
    table = pq.read_table(tmp_path / "predictions.parquet")
    values = np.stack([table["p_CTCF"], table["p_GAF"]], axis=1)
    assert ((values >= 0) & (values <= 1)).all() and values.std(0).min() > 0
    # What tables and statistics read, and what a released table is recomputed by.
    run = runs.Run(tmp_path / "metrics.json", 100 * found["score"], (), {}, {})
    named = measured.read(run, measured.read_test(data / "test.parquet"))
    assert set(np.unique(named)) <= {0.0, 1.0}
    recomputed = reproduce.score(tmp_path / "predictions.parquet")
    assert recomputed == pytest.approx(100 * found["score"])


def test_rules_and_leaks_are_measured(data):
    known, rows = leaks.read(data)
    found = leaks.measure(known, rows)
    assert found["metric"] == "mcc" and "contradictions" not in found["leaks"]


# --- The list and the files -----------------------------------------------------------

ROW = "my-factors\tfactors\t{source}\tFly\t{bases}\t{classes}\tCTCF,GAF\tmcc"


def listed(tmp_path, source="./data", classes="", bases=30):
    header = "\t".join(datasets.COLUMNS)
    row = ROW.format(source=source, classes=classes, bases=bases)
    path = tmp_path / "list.tsv"
    path.write_text(f"{header}\n{row}\t2\t8\t1e-4\tno\tyes\t\t\t\n")
    return path


def test_the_list_says_what_it_is(tmp_path):
    [row] = datasets.read(listed(tmp_path))
    assert row.type == "multilabel" and row.targets == TARGETS
    with pytest.raises(InputError, match="expected nothing, or no classes"):
        datasets.read(listed(tmp_path, classes="2"))


@pytest.mark.parametrize("cell", ["0.5", "2", "-1"])
def test_a_label_that_is_neither_is_one_line(tmp_path, cell):
    (tmp_path / "data").mkdir()
    for name in datasets.SPLITS:
        text = "sequence,CTCF,GAF\nACGTACGTAC,1,0\nACGTTTGTAC,0,1\n"
        (tmp_path / "data" / f"{name}.csv").write_text(text)
    path = tmp_path / "data" / "dev.csv"
    path.write_text(f"sequence,CTCF,GAF\nACGTACGTAC,1,0\nACGTACGTTC,0,{cell}\n")
    [row] = datasets.read(listed(tmp_path, source=str(tmp_path / "data")))
    told = prepare.Preparation()
    with pytest.raises(InputError, match=r"dev\.csv: line 3: GAF is .*0 or 1"):
        prepare.prepare(tmp_path / "data", row, told, tmp_path / "out")
    shutil.copy(tmp_path / "data" / "test.csv", path)
    prepare.prepare(tmp_path / "data", row, told, tmp_path / "out")
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["type"] == "multilabel" and summary["classes"] is None
    assert summary["splits"]["train"]["labels"]["GAF"]["mean"] == 0.5


def test_a_released_table_is_recomputed_without_us(model, data):
    folder, _, made = model
    labels = pq.read_table(data / "test.parquet")
    labels = np.stack([labels["label_CTCF"], labels["label_GAF"]], axis=1)
    place = folder.parent
    code = "import reproduce; print(reproduce.score('predictions.parquet'))"
    shutil.copy(reproduce.__file__, place / "reproduce.py")
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, cwd=place, capture_output=True, text=True, env={})
    expected = 100 * metrics.choose(metrics.MULTILABEL, labels, made)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == pytest.approx(expected)

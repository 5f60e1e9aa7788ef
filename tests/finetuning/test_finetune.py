"""Fine-tuning on planted motifs: it learns, repeats itself, and says what is wrong."""

import ast
import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from made.dataset import BASES, HPARAMS, K, hparams, made, planted, seal, write
from sklearn import metrics as reference

from randommask import files, kmers, metrics
from randommask.errors import InputError, reason
from randommask.experiment.hparams import Finetuning
from randommask.finetuning import examples, heads, tuning
from randommask.finetuning.__main__ import finetune
from randommask.finetuning.fitting import fit
from randommask.finetuning.tuning import Tuning, order
from randommask.training.optimizer import AdamW

torch.set_num_threads(1)


def begin(folder, data, settings, **options):
    """A run before its first step."""
    return Tuning(folder, examples.read(data, settings), settings, **options)


def take_steps(run_, epochs):
    """Take the steps of some epochs from the start; return the sum of all losses."""
    return sum(float(run_.step(step)) for step in range(epochs * run_.epoch_steps))


def run(folder, data, out, settings):
    """Run it whole; return metrics, predictions and the text of the history."""
    paths = (out / "metrics.json", out / "predictions.parquet", out / "history.csv")
    finetune(
        folder,
        data,
        settings,
        metrics_path=paths[0],
        predictions_path=paths[1],
        history_path=paths[2],
    )
    return (
        json.loads(paths[0].read_text()),
        pq.read_table(paths[1]).to_pydict(),
        paths[2].read_text(),
    )


# --- It learns ------------------------------------------------------------------------


@pytest.mark.parametrize("tokenization", ["overlapping", "non-overlapping"])
def test_learns_planted_motifs(folder, dataset, tmp_path, tokenization):
    settings = hparams(tokenization=tokenization)
    report, predictions, history = run(folder, dataset, tmp_path, settings)
    assert report["score"] > 0.8 and report["flags"] == []
    probabilities = np.stack([predictions["p0"], predictions["p1"]], axis=1)
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5)
    assert predictions["row"] == list(range(96))
    labels = np.array(predictions["label"])
    named, macro = probabilities.argmax(1), {"average": "macro"}
    assert report["test"] == pytest.approx(
        {
            "accuracy": reference.accuracy_score(labels, named),
            "f1": reference.f1_score(labels, named, **macro),
            "mcc": reference.matthews_corrcoef(labels, named),
            "precision": reference.precision_score(labels, named, **macro),
            "recall": reference.recall_score(labels, named, **macro),
            "auroc": reference.roc_auc_score(labels, probabilities[:, 1]),
            "auprc": reference.average_precision_score(labels, probabilities[:, 1]),
        },
        abs=1e-12,
    )
    assert report["score"] == report["test"]["mcc"]
    assert report["rows"] == {"train": 320, "dev": 96, "test": 96}
    sums = report["encoder_sha256"]
    assert sums["model.safetensors"] == files.sha256(folder / "model.safetensors")
    assert report["data_sha256"]["dev"] == files.sha256(dataset / "dev.parquet")
    assert report["device"] == "cpu" and not report["compiled"]
    assert (
        report["settings"].items() >= {**HPARAMS, "tokenization": tokenization}.items()
    )
    # the best epoch by dev, the first of equals
    lines = [line.split(",") for line in history.splitlines()]
    assert lines[0] == ["epoch", "step", "train_loss", "dev_loss", "dev_mcc"]
    scores = [float(line[4]) for line in lines[1:]]
    assert len(scores) == 8 and lines[-1][1] == "160"
    assert report["best_epoch"] == 1 + int(np.argmax(scores))
    assert report["dev"]["mcc"] == max(scores)


def test_learns_three_classes_in_bf16_with_padding(folder, tmp_path):
    data = made(tmp_path / "three", classes=3)
    sequences, labels = planted(9, 320, 3)
    for row in np.flatnonzero(labels == 0)[::3]:
        sequences[row] = sequences[row][:-7]
    write(data, {"train": (sequences, labels)}, classes=3)
    settings = hparams(precision="bf16", epochs=10)
    report, predictions, _ = run(folder, data, tmp_path, settings)
    assert report["score"] > 0.7 and report["precision"] == "bf16"
    assert {"p0", "p1", "p2"} < predictions.keys()


def test_learns_a_regression_with_two_targets(folder, tmp_path, capsys):
    splits = {}
    for index, name in enumerate(("train", "dev", "test")):
        sequences, labels = planted(index, 360, 3)
        noise = np.random.default_rng(index).normal(0, 0.1, (360, 2))
        values = np.stack([50 + 9 * (labels == 1), -3.0 * (labels == 2)], axis=1)
        splits[name] = sequences, values + noise
    data = write(tmp_path / "r", splits, "regression", targets=("dev", "hk"))
    report, predictions, history = run(
        folder, data, tmp_path, hparams(metric="pearson", epochs=12)
    )
    assert (
        "step 276 of 276, 0:00:00 left: epoch 12, train loss" in capsys.readouterr().err
    )
    assert report["score"] > 0.8
    assert report["test"]["pearson_0"] > 0.8 and report["test"]["pearson_1"] > 0.8
    assert "dev_pearson" in history
    assert list(predictions) == ["row", "label_dev", "label_hk", "y_dev", "y_hk"]
    # predictions are in the targets' own units
    assert abs(np.mean(predictions["y_dev"]) - 53) < 1
    assert abs(np.mean(predictions["y_hk"]) + 1) < 0.5


# --- It repeats itself ----------------------------------------------------------------


def test_same_seed_same_predictions_and_another_seed_others(folder, dataset, tmp_path):
    outputs = []
    for index, seed in enumerate((3, 3, 4)):
        settings = hparams(seed=seed, epochs=2)
        out = tmp_path / str(index)
        report, _, history = run(folder, dataset, out, settings)
        assert report.pop("seconds") > 0 and report.pop("peak_memory_bytes") > 2**24
        assert 0 < report.pop("cores") < 64
        bytes_ = (out / "predictions.parquet").read_bytes()
        outputs.append((report, bytes_, history))
    assert outputs[0] == outputs[1]
    assert outputs[0][1] != outputs[2][1]


def test_the_order_is_a_permutation_of_its_own_for_each_seed_and_epoch():
    orders = {tuple(order(seed, epoch, 50)) for seed in (0, 1) for epoch in (1, 2)}
    assert len(orders) == 4
    assert all(sorted(rows) == list(range(50)) for rows in orders)
    assert (order(1, 2, 50) == order(1, 2, 50)).all()


def test_learning_rate_warms_up_and_falls_to_0(folder, dataset):
    whole = begin(folder, dataset, hparams(epochs=2, warmup_steps=10, batch_size=32))
    rates, step = [], whole.optimizer.step
    whole.optimizer.step = lambda rate: (rates.append(rate), step(rate))
    take_steps(whole, 2)
    assert np.allclose(rates[:10], 3e-4 * np.arange(1, 11))
    assert np.allclose(rates[10:], 3e-4 * np.arange(10, 0, -1))


def test_adamw_is_bit_for_bit_torchs():
    torch.manual_seed(0)
    ours = [torch.nn.Parameter(torch.randn(size)) for size in ((5, 3), (7,))]
    theirs = [torch.nn.Parameter(p.detach().clone()) for p in ours]
    optimizer = AdamW(ours, (0.9, 0.99), 1e-6, 0.01)
    reference = torch.optim.AdamW(
        [{"params": theirs[:1]}, {"params": theirs[1:], "weight_decay": 0.0}],
        betas=(0.9, 0.99),
        eps=1e-6,
        weight_decay=0.01,
        fused=True,
    )
    for step in range(1, 6):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        for group in reference.param_groups:
            group["lr"] = 0.01 * step
        optimizer.step(0.01 * step)
        optimizer.clear()
        reference.step()
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b) and a.grad is None


def test_parts_of_a_batch_give_the_gradient_of_the_whole(folder, dataset, monkeypatch):
    moved = []
    for size in (2**24, 3 * 4 * BASES**2 * 4):
        monkeypatch.setattr(tuning, "SCORES_BYTES", size)
        run_ = begin(folder, dataset, hparams(dropout=0.0))
        parts = run_._parts("train", torch.arange(16))
        take_steps(run_, 1)
        moved.append((len(parts), run_.predict("dev")))
    assert moved[0][0] == 1 and moved[1][0] > 3
    assert np.allclose(moved[0][1][0], moved[1][1][0], atol=1e-4)
    assert moved[0][1][1] == pytest.approx(moved[1][1][1], rel=1e-3)


# --- Weights --------------------------------------------------------------------------


def test_saved_model_gives_the_predictions_again(folder, tmp_path):
    splits = {}
    for index, name in enumerate(("train", "dev", "test")):
        sequences, labels = planted(index, 40, 2)
        splits[name] = sequences, 100.0 + 7 * labels[:, None]
    data = write(tmp_path / "r", splits, "regression", targets=("one",))
    settings = hparams(metric="pearson", epochs=1)
    table = tmp_path / "p.parquet"
    finetune(
        folder, data, settings, predictions_path=table, model_path=tmp_path / "model"
    )
    model = heads.load(tmp_path / "model")
    ids = kmers.tokenize(splits["test"][0], "overlapping", K).astype(np.int64)
    with torch.no_grad():
        values = model(torch.from_numpy(ids), None)
    expected = pq.read_table(table)["y_one"].to_numpy()
    assert np.allclose(values[:, 0], expected, rtol=1e-4)


def test_weights_are_those_of_the_best_epoch(folder, dataset, monkeypatch):
    """With dev scores made up, the model must come back to the epoch they name."""
    made_up = iter([0.1, 0.9, 0.9, 0.2])
    monkeypatch.setattr(metrics, "choose", lambda *_: next(made_up))
    settings = hparams(epochs=4)
    whole = begin(folder, dataset, settings)
    outcome = fit(whole)
    assert outcome.best_epoch == 2
    by_hand = begin(folder, dataset, settings)
    take_steps(by_hand, 2)
    assert (whole.predict("test")[0] == by_hand.predict("test")[0]).all()
    assert (outcome.dev == by_hand.predict("dev")[0]).all()


# --- Flags ----------------------------------------------------------------------------


def test_a_constant_prediction_is_flagged(folder, dataset, tmp_path):
    settings = hparams(learning_rate=1e-12, epochs=1)
    report, _, _ = run(folder, dataset, tmp_path, settings)
    assert report["flags"] == ["constant predictions"] and report["score"] == 0


def test_a_diverged_run_ends_with_flags_and_files(folder, dataset, tmp_path):
    settings = hparams(learning_rate=1e30, warmup_steps=0)
    report, predictions, history = run(folder, dataset, tmp_path, settings)
    assert report["flags"] == ["diverged loss", "non-finite predictions"]
    assert report["best_epoch"] is None and report["test"]["auroc"] is None
    assert len(history.splitlines()) == 2 and len(predictions["row"]) == 96


@pytest.mark.parametrize("rate", [1e30, 1e38])
def test_a_diverged_run_leaves_its_scores_and_no_model(folder, dataset, tmp_path, rate):
    settings = hparams(learning_rate=rate, warmup_steps=0, epochs=1)
    with pytest.raises(InputError, match="model: not written, as the loss was not fin"):
        finetune(
            folder,
            dataset,
            settings,
            metrics_path=tmp_path / "metrics.json",
            model_path=tmp_path / "model",
        )
    report = json.loads((tmp_path / "metrics.json").read_text())
    assert "non-finite predictions" in report["flags"]
    # Nothing is kept that a rerun would go on from.
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


@pytest.mark.parametrize("split", ["dev", "test"])
def test_a_split_of_one_class_has_no_score(folder, tmp_path, split):
    data = made(tmp_path / "d", rows=(32, 8, 8))
    write(data, {split: (planted(5, 8, 2)[0], np.ones(8, np.int64))})
    paths = {f"{name}_path": tmp_path / name for name in ("metrics", "history")}
    finetune(folder, data, hparams(epochs=2), model_path=tmp_path / "model", **paths)
    report = json.loads((tmp_path / "metrics").read_text())
    assert report[split]["mcc"] is None and report[split]["accuracy"] is not None
    assert f"mcc undefined: one class in {split}" in report["flags"]
    assert (report["score"] is None) == (split == "test")
    cells = [line.split(",")[-1] for line in (tmp_path / "history").read_text().split()]
    assert (cells[1:] == ["", ""]) == (split == "dev")
    assert (tmp_path / "model" / "task.json").exists()


def test_one_flipped_bit_of_a_split_is_found(folder, tmp_path):
    data = made(tmp_path / "d", rows=(8, 8, 8))
    path = data / "train.parquet"
    whole = path.read_bytes()
    for bit in np.random.default_rng(0).integers(0, 8 * len(whole), 40):
        spoilt = bytearray(whole)
        spoilt[bit // 8] ^= 1 << bit % 8
        path.write_bytes(spoilt)
        assert "train.parquet: sha256 is" in error(folder, data, hparams())


# --- Bad input ------------------------------------------------------------------------


def error(folder, data, settings):
    with pytest.raises((InputError, OSError)) as caught:
        finetune(folder, data, settings)
    message = reason(caught.value)
    assert "\n" not in message
    return message


def test_a_long_sequence_names_dataset_row_and_numbers(folder, tmp_path):
    data = made(tmp_path / "d", rows=(8, 8, 8))
    sequences, labels = planted(0, 8, 2)
    sequences[5] += "ACGTACGT"
    write(data, {"dev": (sequences, labels)})
    message = error(folder, data, hparams())
    assert "EMP-made dev row 5: 44 tokens" in message and "38 positions" in message
    short = hparams(tokenization="non-overlapping", epochs=1)
    finetune(folder, data, short)  # 16 tokens


@pytest.mark.parametrize("label", [2, -1])
def test_a_label_out_of_range(folder, tmp_path, label):
    data = made(tmp_path / "d", rows=(8, 8, 8))
    sequences, labels = planted(0, 8, 2)
    labels[3] = label
    write(data, {"test": (sequences, labels)})
    message = error(folder, data, hparams())
    assert f"test row 3: label is {label}, expected 0 to 1" in message


def test_a_target_that_is_no_number(folder, tmp_path):
    values = np.zeros((4, 2))
    values[2, 1] = np.nan
    part = planted(0, 4, 2)[0], values
    splits = dict.fromkeys(("train", "dev", "test"), part)
    data = write(tmp_path / "d", splits, "regression", targets=("dev", "hk"))
    message = error(folder, data, hparams(metric="pearson"))
    assert "train row 2: label_hk is nan" in message


def test_files_that_are_missing_or_spoilt(folder, tmp_path):
    data = made(tmp_path / "d", rows=(8, 8, 8))
    (data / "test.parquet").write_bytes(b"PAR1")
    assert "test.parquet: sha256 is" in error(folder, data, hparams())
    seal(data)
    assert "test.parquet: not readable as parquet" in error(folder, data, hparams())
    pq.write_table(pa.table({"sequence": ["ACGT"]}), data / "test.parquet")
    seal(data)
    assert "test.parquet: no column label" in error(folder, data, hparams())
    write(data, {"test": ([], np.zeros(0, np.int64))})
    assert "test.parquet: 0 rows" in error(folder, data, hparams())
    (data / "test.parquet").unlink()
    assert "test.parquet: no such file" in error(folder, data, hparams())
    (data / "summary.json").unlink()
    assert "summary.json: no such file" in error(folder, data, hparams())


def test_encoders_that_are_missing_or_of_another_family(folder, dataset, tmp_path):
    assert "no such folder" in error(tmp_path / "none", dataset, hparams())
    config = json.loads((folder / "config.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    for changes, expected in (
        ({"model_type": "gpt2"}, "is 'gpt2', expected one of bert, modernbert, esm"),
        ({"k": None}, "config.json: no key k"),
    ):
        changed = {k: v for k, v in (config | changes).items() if v is not None}
        (other / "config.json").write_text(json.dumps(changed))
        assert expected in error(other, dataset, hparams())


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"tokenization": "words"}, "one of overlapping, non-overlapping, character"),
        ({"precision": "fp8"}, "one of fp32, bf16, auto"),
        ({"epochs": 0}, "epochs: found 0, expected at least 1"),
        ({"batch_size": 1.5}, "batch_size: found 1.5"),
        ({"dropout": 1.0}, "dropout: found 1.0, expected less than 1"),
        ({"patience": 0}, "patience: found 0, expected at least 1"),
        ({"max_steps": "9"}, 'max_steps: found "9", expected a whole number'),
        ({"truncate": "no"}, 'truncate: found "no", expected true or false'),
        ({"lora": {"rank": 8}}, "lora: no key 'alpha'"),
        ({"lora": {"rank": 0, "alpha": 1, "dropout": 0}}, "lora.rank: found 0"),
        ({"epoch": 1}, "unknown key 'epoch'; did you mean 'epochs'"),
    ],
)
def test_hparams_that_make_no_sense(changes, expected):
    with pytest.raises(InputError, match=expected):
        hparams(**changes)


def test_hparams_that_are_incomplete_or_of_another_dataset(folder, dataset):
    with pytest.raises(InputError, match="no key 'seed'"):
        Finetuning.parse(json.dumps({k: v for k, v in HPARAMS.items() if k != "seed"}))
    with pytest.raises(InputError, match="not JSON"):
        Finetuning.parse("{")
    assert "expected EMP-made" in error(folder, dataset, hparams(dataset="SSP"))
    assert "expected mcc" in error(folder, dataset, hparams(metric="pearson"))
    message = error(folder, dataset, hparams(tokenization="character"))
    assert "is character, expected overlapping or non-overlapping" in message


def test_the_command_prints_one_line(dataset, tmp_path):
    done = command(tmp_path / "none", dataset, "randommask.errors.run(finetune.main)")
    assert done.returncode == 1
    assert done.stderr == (
        f"error: {tmp_path / 'none'}: no such folder, expected an encoder\n"
    )


def test_a_run_imports_nothing_that_takes_long(folder, dataset, tmp_path):
    code = "finetune.main(); print({*sys.modules})"
    done = command(folder, dataset, code, "--predictions", tmp_path / "p.parquet")
    imported = ast.literal_eval(done.stdout)
    slow = {"transformers", "sklearn", "scipy", "pandas", "torch._dynamo"}
    assert "torch" in imported and not imported & slow


def command(folder, data, code, *more):
    flags = ["--encoder", folder, "--data", data, *more]
    settings = json.dumps(HPARAMS | {"epochs": 1, "batch_size": 160})
    imports = "import sys, randommask.errors;"
    imports += "from randommask.finetuning import __main__ as finetune;"
    code = imports + code
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, flags), "--hparams", settings],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
    )

"""The linear control against counting by hand and scikit-learn's own regressions."""

import json
from collections import Counter
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made.dataset import seal
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

from randommask import metrics
from randommask.encoders import bert, untrained
from randommask.errors import InputError
from randommask.experiment.datasets import SPLITS
from randommask.finetuning import kmer_linear, linear

HPARAMS = {
    "encoder": "kmer-linear",
    "tokenization": "overlapping",
    "dataset": "EMP-made",
    "task": "EMP",
    "metric": "mcc",
    "seed": 1,
    "k": [2, 3, 4],
    "strength": [10, 1, 0.1, 0.01],
}
OUTPUTS = ("metrics.json", "predictions.parquet", "history.csv")


def planted(rows, seed, classes=2):
    """Sequences of 60 bases; those of a class but 0 hold its motif."""
    random = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    sequences = []
    for label in labels:
        letters = "".join(random.choice(list("ACGT"), 60))
        if label:
            start, motif = random.integers(0, 50), ("TATAAA", "GGCCGG")[label - 1]
            letters = letters[:start] + motif + letters[start + 6 :]
        sequences.append(letters)
    return sequences, labels


def measured(rows, seed):
    """Sequences and two numbers that k-mers tell: shares of G, and of AA."""
    random = np.random.default_rng(seed)
    sequences = ["".join(random.choice(list("ACGT"), 60)) for _ in range(rows)]
    values = [[s.count("G"), s.count("AA")] for s in sequences]
    return sequences, np.array(values) + random.normal(0, 0.5, (rows, 2))


def write(folder, splits, classes=2, targets=()):
    """Lay out a dataset: each split a (sequences, labels) pair."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (sequences, labels) in splits.items():
        columns = {"sequence": sequences}
        if targets:
            columns |= {f"label_{t}": labels[:, i] for i, t in enumerate(targets)}
        else:
            columns["label"] = labels
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    summary = {
        "dataset": "EMP-made",
        "type": "regression" if targets else "classification",
        "classes": None if targets else classes,
        "targets": list(targets),
    }
    return seal(folder, **summary)


def made(folder, make=planted, rows=(400, 120, 120), **options):
    splits = {name: make(rows[i], i) for i, name in enumerate(SPLITS)}
    return write(folder, splits, **options)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return made(tmp_path_factory.mktemp("data"))


def run(data, out, **changes):
    """Run the command; return metrics, predictions and the lines of the history."""
    flags = ["--data", str(data), "--hparams", json.dumps(HPARAMS | changes)]
    for name in OUTPUTS:
        flags += [f"--{name.partition('.')[0]}", str(out / name)]
    kmer_linear.main(flags)
    return (
        json.loads((out / "metrics.json").read_text()),
        pq.read_table(out / "predictions.parquet").to_pydict(),
        (out / "history.csv").read_text().splitlines(),
    )


# --- The numbers ----------------------------------------------------------------------


@given(
    st.lists(st.text("ACGTN", max_size=12), min_size=1, max_size=5), st.integers(1, 4)
)
def test_counts_are_those_of_reading_along(sequences, k):
    codes = kmer_linear._padded(sequences)
    names = ["".join(letters) for letters in product("ATCG", repeat=k)]
    if codes.shape[1] < k:
        return
    [(rows, found)] = linear.counts(codes, k)
    assert rows == slice(0, len(sequences))
    for sequence, line in zip(sequences, found, strict=True):
        by_hand = Counter(sequence[i : i + k] for i in range(len(sequence) - k + 1))
        assert line.tolist() == [by_hand[name] for name in names]


def standardised(codes, k):
    raw = np.concatenate([found for _, found in linear.counts(codes, k)])
    return raw, StandardScaler().fit(raw)


@pytest.mark.parametrize("strength", [1.0, 0.01])
def test_ridge_is_scikit_learns_in_blocks_of_any_size(monkeypatch, strength):
    sequences, values = measured(150, 0)
    codes, k = kmer_linear._padded(sequences), 3
    raw, scaler = standardised(codes, k)
    expected = Ridge(alpha=strength * 150).fit(scaler.transform(raw), values)
    monkeypatch.setattr(linear, "BLOCK", 64)
    models = linear.regressions(codes, values, k, [10.0, strength])
    found = linear.predict(models, codes, metrics.REGRESSION)[1]
    np.testing.assert_allclose(
        found, expected.predict(scaler.transform(raw)), atol=1e-5
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_logistic_is_scikit_learns(classes):
    sequences, labels = planted(150, 0, classes)
    codes, k = kmer_linear._padded(sequences), 2
    raw, scaler = standardised(codes, k)
    expected = LogisticRegression(C=1 / (0.1 * 150), tol=1e-6, max_iter=1000)
    expected.fit(scaler.transform(raw), labels)
    models = linear.classifiers(codes, labels, classes, k, [1.0, 0.1])
    found = linear.predict(models, codes, metrics.CLASSIFICATION)[1]
    np.testing.assert_allclose(
        found, expected.predict_proba(scaler.transform(raw)), atol=5e-3
    )


def test_a_class_that_train_lacks_is_never_named():
    sequences, labels = planted(60, 0)
    codes = kmer_linear._padded(sequences)
    models = linear.classifiers(codes, labels, 3, 2, [1.0])
    [two] = linear.predict(models, codes, metrics.CLASSIFICATION)
    assert (two[:, 2] == 0).all() and np.ptp(two[:, 1]) > 0
    [one] = linear.classifiers(codes, labels * 0, 3, 2, [1.0])
    [alone] = linear.predict([one], codes, metrics.CLASSIFICATION)
    assert alone.tolist() == [[1, 0, 0]] * 60


# --- The command ----------------------------------------------------------------------


def test_it_finds_a_planted_motif_and_says_how(dataset, tmp_path):
    record, predictions, history = run(dataset, tmp_path)
    assert record["score"] == record["test"]["mcc"] > 0.5
    assert record["encoder"] == "kmer-linear" and record["flags"] == []
    assert record["rows"] == {"train": 400, "dev": 120, "test": 120}
    assert list(predictions) == ["row", "label", "p0", "p1"]
    values = np.stack([predictions["p0"], predictions["p1"]], axis=1)
    labels = np.array(predictions["label"])
    expected = metrics.score("classification", labels, values)
    assert expected == pytest.approx(record["test"])
    assert history[0] == "k,strength,dev_mcc" and len(history) == 1 + 3 * 4
    tried = [[float(cell) for cell in line.split(",")] for line in history[1:]]
    best = max(tried, key=lambda line: line[2])  # the first of equals
    assert record["architecture"] == {"k": best[0], "strength": best[1]}
    assert record["dev"]["mcc"] == best[2]


def test_numbers_are_predicted_too(tmp_path):
    targets = ("one", "two")
    data = made(tmp_path / "data", measured, targets=targets)
    record, predictions, _ = run(data, tmp_path, metric="pearson", task="EAP")
    assert record["test"]["pearson_0"] > 0.9 and record["test"]["pearson_1"] > 0.8
    names = ["row", "label_one", "label_two", "y_one", "y_two"]
    assert list(predictions) == names


def test_all_seeds_are_equal_but_for_their_name(dataset, tmp_path):
    (tmp_path / "again").mkdir()
    first, *files = run(dataset, tmp_path)
    second, *others = run(dataset, tmp_path / "again", seed=2)
    assert files == others and (first["seed"], second["seed"]) == (1, 2)
    for record in (first, second):
        del record["seed"], record["settings"]["seed"]
        for measured in ("seconds", "cores", "peak_memory_bytes"):
            assert record.pop(measured) >= 0
    assert first == second


def test_the_test_split_chooses_nothing(dataset, tmp_path):
    first, *_ = run(dataset, tmp_path)
    splits = {name: planted((400, 120, 120)[i], i) for i, name in enumerate(SPLITS)}
    sequences, labels = splits["test"]
    splits["test"] = (sequences, 1 - labels)
    second, *_ = run(write(tmp_path / "turned", splits), tmp_path)
    assert second["architecture"] == first["architecture"]
    assert second["dev"] == first["dev"] and second["score"] == -first["score"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tokenization": "non-overlapping"}, "expected overlapping"),
        ({"k": [8]}, r"k\.0: found 8, expected at most 7"),
        ({"k": []}, "k: found .*expected a list of at least 1"),
        ({"strength": [1, 0]}, "strength.1: found 0, expected more than 0"),
        ({"metric": "pearson"}, "metric is pearson, expected mcc"),
        ({"dataset": "EMP-H3"}, "dataset is EMP-H3, expected EMP-made"),
        ({"epochs": 3}, "unknown key 'epochs'"),
    ],
)
def test_settings_that_cannot_be_are_refused(dataset, tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        run(dataset, tmp_path, **changes)
    assert not [name for name in OUTPUTS if (tmp_path / name).exists()]


def test_a_split_that_is_missing_or_odd_is_named(tmp_path):
    data = made(tmp_path / "data", rows=(8, 8, 8))
    write(data, {"dev": (["ACGTACGT"] * 3, np.array([0, 1, 2]))})
    with pytest.raises(InputError, match=r"dev row 2: label is 2, expected 0 to 1"):
        run(data, tmp_path)
    pq.write_table(pa.table({"sequence": ["ACGT"]}), data / "dev.parquet")
    seal(data)
    with pytest.raises(InputError, match=r"dev.parquet: no column label"):
        run(data, tmp_path)
    (data / "dev.parquet").unlink()
    with pytest.raises(FileNotFoundError, match=r"dev.parquet"):
        run(data, tmp_path)


# --- The other control ----------------------------------------------------------------


def test_untrained_weights_are_those_pretraining_starts_from(tmp_path):
    sizes = {"layers": 1, "hidden": 8, "heads": 2, "feed_forward": 16, "positions": 12}
    hparams = {"k": 2, "tokenization": "overlapping", "seed": 5, "architecture": sizes}
    folder = tmp_path / "none"
    untrained.main(["--hparams", json.dumps(hparams), "--output", str(folder)])
    found = bert.load(folder)
    expected = bert.Encoder(found.config)
    expected.initialise(bert.torch.Generator().manual_seed(5))
    for name, tensor in expected.state_dict().items():
        assert bert.torch.equal(found.state_dict()[name], tensor)
    assert found.config.k == 2 and found.config.positions == 12

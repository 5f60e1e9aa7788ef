"""The mean over tokens as what a head reads: against a plain loop, and from end to end.

Specials and padding are left out in every family; a token that stands for bases counts,
also where it is unknown.
"""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from made.dataset import hparams, made, planted, tiny_encoder, write
from made.encoders import one_of_each

from randommask import kmers, predict
from randommask.encoders import families, pooling
from randommask.encoders.families import esm, hyena
from randommask.encoders.hyena import Hyena
from randommask.finetuning import examples, heads
from randommask.finetuning.__main__ import finetune
from randommask.finetuning.tuning import Tuning, keep_mask

torch.set_num_threads(1)
SEQUENCES = ["ACGTACGTACGTTGCATT", "ACGNACGTA", "AC", "TTGCANNACGTAACGTAG"]
SPECIALS = {
    "bert": (kmers.PAD, kmers.CLS, kmers.SEP),
    "esm": (esm.PAD, esm.CLS),
    "hyena": (hyena.PAD,),
}
CASES = [
    ("bert", kmers.OVERLAPPING),
    ("bert", kmers.NON_OVERLAPPING),
    ("esm", kmers.OVERLAPPING),
    ("esm", kmers.NON_OVERLAPPING),
    ("hyena", hyena.CHARACTER),
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return one_of_each(tmp_path_factory.mktemp("encoders"))


def read(folder, tokenization, sequences=SEQUENCES):
    """The model, ids, and where they are no padding."""
    family = families.of(folder)
    model = family.load(folder, 0.0).eval()
    ids, lengths = family.tokenize(sequences, tokenization, model.config)
    ids = torch.from_numpy(ids).long()
    return model, ids, keep_mask(torch.from_numpy(lengths), ids.shape[1])


def features(model, *of):
    """Its mean; HyenaDNA is not asked, for it has nothing else."""
    asked = () if isinstance(model, Hyena) else (pooling.MEAN,)
    return model.features(*of, *asked)


@pytest.mark.parametrize(("family", "tokenization"), CASES)
def test_it_is_the_mean_of_a_plain_loop(folders, family, tokenization):
    model, ids, keep = read(folders[family], tokenization)
    expected = []
    with torch.no_grad():
        for row, is_kept in zip(ids, keep, strict=True):
            alone = row[is_kept][None]
            if family == "esm":
                states = model.esm(alone).last_hidden_state[0]
            else:
                states = model(alone)[0]
            own = [
                state
                for token, state in zip(alone[0].tolist(), states, strict=True)
                if token not in SPECIALS[family]
            ]
            none = torch.zeros(model.config.hidden)
            expected.append(sum(own) / len(own) if own else none)
        found = features(model, ids, keep)
    assert torch.allclose(found, torch.stack(expected), atol=1e-5)


def test_only_what_stands_for_bases_counts(folders):
    """An unknown k-mer does, the specials do not."""
    _, ids, keep = read(folders["bert"], kmers.OVERLAPPING)
    left_out = SPECIALS["bert"]
    counted = pooling.chosen(ids, keep, *left_out)
    assert counted.sum(1).tolist() == [16, 7, 0, 16]  # bases - 2, for k = 3
    assert (ids[1][counted[1]] == kmers.UNK).sum() == 3


@pytest.mark.parametrize(("family", "tokenization"), CASES)
def test_padding_and_its_neighbours_do_not_matter(folders, family, tokenization):
    model, ids, keep = read(folders[family], tokenization)
    wider = torch.nn.functional.pad(ids, (0, 7), value=model.config.pad)
    with torch.no_grad():
        found = features(model, ids, keep)
        beside = features(model, wider, torch.nn.functional.pad(keep, (0, 7)))
        alone = features(model, ids[:1, : int(keep[0].sum())], None)
    assert torch.allclose(found, beside, atol=1e-5)
    assert torch.allclose(found[:1], alone, atol=1e-5)


@pytest.mark.parametrize(("family", "tokenization"), CASES)
def test_sums_are_float32_in_bf16_too(folders, family, tokenization):
    model, ids, keep = read(folders[family], tokenization)
    with torch.no_grad():
        exact = features(model, ids, keep)
        with torch.autocast("cpu", torch.bfloat16):
            found = features(model, ids, keep)
    assert found.dtype == torch.float32
    assert torch.allclose(found, exact, atol=0.1)


def test_a_sum_of_many_loses_nothing_in_bf16():
    """In bf16 itself 4,096 ones add up to 256."""
    ones = torch.ones(1, 4096, 1, dtype=torch.bfloat16)
    is_chosen = torch.ones(1, 4096, dtype=torch.bool)
    assert pooling.mean(ones, is_chosen).item() == 1


@pytest.mark.sweep
def test_it_compiles_for_any_shape(folders):
    model = heads.build(folders["bert"], 2, 0.0, 1, pooling=pooling.MEAN).eval()
    compiled = torch.compile(model, backend="aot_eager", dynamic=True, fullgraph=True)
    for sequences in (SEQUENCES, SEQUENCES[:3], ["ACGTTGCATTTACG"] * 2 + ["ACGT"]):
        _, ids, keep = read(folders["bert"], kmers.OVERLAPPING, sequences)
        with torch.no_grad():
            assert torch.allclose(compiled(ids, keep), model(ids, keep), atol=1e-5)


# --- From settings to predictions -----------------------------------------------------


@pytest.fixture(scope="module")
def tuned(tmp_path_factory):
    """A run of the mean on rows of several lengths: root, sequences, predictions."""
    root = tmp_path_factory.mktemp("tuned")
    data = made(root / "data", rows=(320, 96, 96))
    sequences, labels = planted(5, 40, 2)
    sequences = [text[: len(text) - row % 5] for row, text in enumerate(sequences)]
    write(data, {"test": (sequences, labels)})
    finetune(
        tiny_encoder(root / "encoder"),
        data,
        hparams(epochs=2, pooling="mean"),
        metrics_path=root / "metrics.json",
        predictions_path=root / "predictions.parquet",
        model_path=root / "model",
    )
    return root, sequences, pq.read_table(root / "predictions.parquet")["p1"].to_numpy()


def test_predictions_through_predict_are_the_runs(tuned, tmp_path):
    root, sequences, expected = tuned
    table = tmp_path / "in.csv"
    table.write_text("sequence\n" + "".join(f"{text}\n" for text in sequences))
    predict.predict(root / "model", tmp_path / "out.tsv", table=table)
    lines = (tmp_path / "out.tsv").read_text().splitlines()[1:]
    found = [float(line.split("\t")[5]) for line in lines]
    assert np.allclose(found, expected, atol=1e-5)
    # of [CLS] they would be others
    model = predict.FineTuned(root / "model")
    model.model.pooling = (pooling.CLS,)
    values, _ = model.predict(sequences)
    assert not np.allclose(values[:, 1], expected, atol=1e-3)


def test_transformers_is_given_no_classifier_that_would_answer_otherwise(tuned):
    from transformers import AutoModel, AutoModelForSequenceClassification

    folder = tuned[0] / "model"
    _, report = AutoModelForSequenceClassification.from_pretrained(
        folder, output_loading_info=True
    )
    assert "classifier.weight" in report["missing_keys"]
    assert "mean over the tokens" in (folder / "README.md").read_text()
    _, report = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not report["unexpected_keys"]


def test_the_pooling_is_part_of_what_a_run_is(tuned, folder, dataset):
    settings = json.loads((tuned[0] / "metrics.json").read_text())["settings"]
    assert settings["pooling"] == "mean"
    scores = []
    for changes in ({}, {"pooling": "cls"}, {"pooling": "mean"}):
        chosen = hparams(**changes)
        run = Tuning(folder, examples.read(dataset, chosen), chosen)
        scores.append(run.predict("dev")[0])
    assert np.array_equal(scores[0], scores[1])
    assert not np.allclose(scores[0], scores[2])


def test_the_default_changes_no_runs_settings():
    """Else every finished run would be made again, for the same result."""
    assert "pooling" not in hparams(pooling="cls").values()
    assert "pooling" not in json.loads(hparams().flag())
    assert hparams(pooling="mean").values()["pooling"] == "mean"


def test_hyenadna_has_one_way(folders):
    ids = torch.randint(7, 11, (2, 20))
    found = []
    for asked in pooling.BOTH:
        model = heads.build(folders["hyena"], 2, 0.0, 1, pooling=asked).eval()
        with torch.no_grad():
            found.append(model(ids, None))
    assert torch.equal(*found)

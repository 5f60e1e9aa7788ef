"""The encoder families: ids, features and saved folders against transformers'."""

import json
import shutil
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from made.dataset import seal
from made.encoders import publish_bert, publish_esm, publish_modern, write_dataset

from randommask import kmers
from randommask.encoders import families, released
from randommask.encoders.families import bert, esm
from randommask.errors import InputError
from randommask.experiment.hparams import Finetuning
from randommask.experiment.sections import Lora
from randommask.finetuning import examples, heads, lora
from randommask.finetuning.fitting import fit
from randommask.finetuning.tokens import tokenize
from randommask.finetuning.tuning import Tuning

torch.set_num_threads(1)
BOTH = (kmers.OVERLAPPING, kmers.NON_OVERLAPPING)
PUBLISH = {"bert": publish_bert, "esm": publish_esm, "modern": publish_modern}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A converted encoder of each family."""
    root = tmp_path_factory.mktemp("encoders")
    for family, publish in PUBLISH.items():
        publish(root / "published" / family)
        released.convert(root / "published" / family, family, root / family)
    return {family: root / family for family in PUBLISH}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data") / "made")


# --- Tokens ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    from transformers import EsmTokenizer

    path = tmp_path_factory.mktemp("nt") / "vocab.txt"
    specials = ["<unk>", "<pad>", "<mask>", "<cls>"]
    path.write_text("\n".join([*specials, *kmers.names(6), "A", "T", "C", "G", "N"]))
    return EsmTokenizer(path, eos_token=None)


NT = esm.Sizes(24, 1280, 20, 5120, 1000, 6, 0.0)


def nt_ids(sequences, tokenization=kmers.NON_OVERLAPPING):
    ids, lengths = esm.tokenize(sequences, tokenization, NT)
    assert ids.dtype == np.int16
    assert ((ids != esm.PAD).cumsum(1).max(1) == lengths).all()
    return [row[:n].tolist() for row, n in zip(ids, lengths, strict=True)]


def test_nt_ids_are_those_of_transformers(tokenizer):
    random = np.random.default_rng(0)
    sequences = ["".join(random.choice(list("ACGT"), n)) for n in range(60)]
    sequences += ["".join(random.choice(list("AACCGGTTN"), n)) for n in range(60)]
    sequences += ["N", "NNNNNNN", "ACGTACN", "NACGTACN", "ACGTNACGTACGNACGTA"]
    assert nt_ids(sequences) == tokenizer(sequences)["input_ids"]


@given(st.lists(st.text("ACGTN", max_size=40), min_size=1, max_size=4))
def test_nt_ids_of_any_sequences(tokenizer, sequences):
    assert nt_ids(sequences) == tokenizer(sequences)["input_ids"]


def test_overlapping_nt_ids_are_the_same_words_at_stride_1(tokenizer):
    sequences = ["ACGTACGTAC", "acgtacgtac", "ACGTACNTTTTTTT", "ACGT"]
    expected = []
    for sequence in sequences:
        words = [sequence[i : i + 6].upper() for i in range(len(sequence) - 5)]
        ids = tokenizer.convert_tokens_to_ids(words)
        expected.append([esm.CLS, *ids])
    assert expected[2].count(esm.UNK) == 6
    assert nt_ids(sequences, kmers.OVERLAPPING) == expected


@pytest.mark.parametrize("tokenization", BOTH)
def test_transformers_reads_raw_dna_as_we_do(folders, tmp_path, tokenization):
    from transformers import AutoTokenizer, EsmTokenizer

    config = esm.read_config(folders["esm"])
    esm.write_tokenizer(tmp_path, config, tokenization)
    random = np.random.default_rng(1)
    alphabets = ("ACGT", "acgt", "AACCGGTTN", "AcGtuNnRy-")
    sequences = [
        "".join(random.choice(list(alphabets[row % 4]), random.integers(1, 200)))
        for row in range(200)
    ]
    ids, lengths = esm.tokenize(sequences, tokenization, config)
    expected = [row[:n].tolist() for row, n in zip(ids, lengths, strict=True)]
    shutil.copy(folders["esm"] / "config.json", tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)(sequences)["input_ids"] == expected
    if tokenization == kmers.NON_OVERLAPPING:
        theirs = EsmTokenizer.from_pretrained(folders["esm"])
        assert theirs(sequences[::4])["input_ids"] == expected[::4]


def test_nt_ids_by_hand():
    first = len(esm.SPECIALS)
    assert nt_ids(["AAAAATAG"]) == [[esm.CLS, first + 1, first + 4**6, 4 + 4**6 + 3]]
    assert nt_ids(["RAAAAAA"]) == [[esm.CLS, 4 + 4**6 + 4, first]]


def test_nt_tokenizes_a_large_dataset_in_seconds():
    sequence = "ACGTTGCATTAGGATTACA" * 14
    sequences = [sequence[:249]] * 39_999 + [sequence[:100] + "N" + sequence[101:249]]
    start = time.process_time()
    ids, _ = esm.tokenize(sequences, kmers.NON_OVERLAPPING, NT)
    assert time.process_time() - start < 1.5  # 0.1 s where nothing else runs
    assert ids.shape == (40_000, 1 + 16 + 4 + 1 + 24 + 4)


@pytest.mark.parametrize("tokenization", BOTH)
def test_bert_tokens_are_counted(tokenization):
    config = bert.EncoderConfig(2, 64, 4, 128, 40, 3, "overlapping")
    sequences = ["ACGTACGTAC", "ACNTACG", "AC", ""]
    ids, lengths = bert.tokenize(sequences, tokenization, config)
    assert ids.dtype == np.int16 and (lengths == (ids != kmers.PAD).sum(1)).all()
    assert lengths.tolist() == (
        [10, 7, 2, 2] if tokenization == BOTH[0] else [5, 4, 2, 2]
    )


# --- Encoders -------------------------------------------------------------------------


def batch(vocab, pad):
    ids = torch.randint(5, vocab, (3, 30), generator=torch.manual_seed(1))
    ids[1, 20:] = pad
    return ids, ids != pad


@pytest.mark.parametrize("family", PUBLISH)
def test_features_are_those_of_transformers(folders, tmp_path, family):
    theirs = PUBLISH[family](tmp_path / "published")
    model = families.of(folders[family]).load(folders[family], 0.0).eval()
    vocab = theirs.config.vocab_size
    ids, keep = batch(vocab, model.config.pad)
    with torch.no_grad():
        body = theirs.base_model
        expected = body(ids, attention_mask=keep.long()).last_hidden_state[:, 0]
        assert torch.allclose(model.features(ids, keep), expected, atol=1e-5)
        alone = model.features(ids[:1], None)
    assert torch.allclose(alone, expected[:1], atol=1e-5)


def test_token_dropout_scales_the_embeddings(tmp_path):
    outputs = []
    for is_scaled in (True, False):
        place = tmp_path / str(is_scaled)
        publish_esm(place / "published", token_dropout=is_scaled)
        released.convert(place / "published", "esm", place / "esm")
        with torch.no_grad():
            model = esm.load(place / "esm", 0.0).eval()
            if not is_scaled:
                model.esm.embeddings.word_embeddings.weight.mul_(1 - 0.15 * 0.8)
            outputs.append(model.features(batch(73, esm.PAD)[0][:1]))
    assert torch.allclose(*outputs, atol=1e-5)


@pytest.mark.parametrize("family", PUBLISH)
def test_a_saved_folder_is_the_same_again(folders, tmp_path, family):
    module, folder = families.of(folders[family]), folders[family]
    module.save(module.load(folder), tmp_path / "again")
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    }
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


@pytest.mark.parametrize("family", PUBLISH)
def test_the_asked_dropout_holds_everywhere(folders, family):
    module = families.of(folders[family])
    model = module.load(folders[family], 0.5)
    assert model.config.dropout == 0.5
    ids, keep = batch(60, model.config.pad)
    with torch.no_grad():
        first, second = model.features(ids, keep), model.features(ids, keep)
        assert not torch.equal(first, second)
        model = module.load(folders[family], 0.0).train()
        assert torch.equal(model.features(ids, keep), model.features(ids, keep))


@pytest.mark.parametrize("family", PUBLISH)
def test_what_fine_tuning_does_not_use_is_frozen(folders, family):
    model = heads.build(folders[family], 2, 0.0, 1)
    model(*batch(60, model.encoder.config.pad)).sum().backward()
    for name, weight in model.named_parameters():
        assert (weight.grad is not None) == weight.requires_grad, name


def test_folders_that_are_no_encoders(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        families.of(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"config.json"):
        families.of(tmp_path)
    for text, found in (('{"model_type": "gpt2"}', "'gpt2'"), ("[]", "None")):
        (tmp_path / "config.json").write_text(text)
        with pytest.raises(InputError, match=f"model_type is {found}, expected one of"):
            families.of(tmp_path)


@pytest.mark.parametrize("family", PUBLISH)
def test_every_weight_that_does_not_fit_is_named(folders, tmp_path, family):
    from safetensors.torch import load_file, save_file

    module, folder = families.of(folders[family]), folders[family]
    weights = load_file(folder / "model.safetensors")
    lost = sorted(weights)[2:4]
    for name in lost:
        del weights[name]
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    save_file(weights | {"more": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(InputError) as error:
        module.load(tmp_path)
    expected = f"missing weights {', '.join(lost)}; unexpected weight more"
    assert str(error.value) == f"{tmp_path / 'model.safetensors'}: {expected}"


# --- Fine-tuning ----------------------------------------------------------------------


def settings(tokenization, **changes):
    values = {
        "encoder": "made",
        "tokenization": tokenization,
        "dataset": "made",
        "task": "EMP",
        "metric": "mcc",
        "seed": 3,
        "epochs": 4,
        "batch_size": 16,
        "learning_rate": 2e-3,
        "warmup_steps": 10,
        "weight_decay": 0.0,
        "betas": [0.9, 0.999],
        "eps": 1e-8,
        "clip": 1.0,
        "dropout": 0.0,
        "precision": "fp32",
        "truncate": False,
        "lora": None,
    }
    return Finetuning.parse(json.dumps(values | changes))


def tuned(folder, dataset, tokenization, **changes):
    """The fine-tuned run, and its MCC on test."""
    chosen = settings(tokenization, **changes)
    data = examples.read(dataset, chosen)
    run = Tuning(folder, data, chosen)
    fit(run)
    labels = data.splits["test"].labels
    right = run.predict("test")[0].argmax(1)
    return run, np.corrcoef(labels, right)[0, 1] if right.any() else 0.0


@pytest.mark.parametrize("tokenization", BOTH)
@pytest.mark.parametrize("family", PUBLISH)
def test_released_families_learn_a_motif(folders, dataset, family, tokenization):
    precision = "bf16" if tokenization == kmers.NON_OVERLAPPING else "fp32"
    folder = folders[family]
    assert tuned(folder, dataset, tokenization, precision=precision)[1] > 0.8


@pytest.mark.parametrize("family", PUBLISH)
def test_adapters_learn_while_the_encoder_rests(folders, dataset, tmp_path, family):
    adapters = {"rank": 8, "alpha": 16, "dropout": 0.05}
    changes = {"learning_rate": 1e-2, "lora": adapters, "epochs": 6}
    run, score = tuned(folders[family], dataset, BOTH[1], **changes)
    assert score > 0.8
    before = families.of(folders[family]).load(folders[family], 0.0).state_dict()
    after = run.model.encoder.state_dict()
    for name, weight in before.items():
        adapted = name.replace(".weight", ".base_layer.weight")
        adapted = adapted.replace(".bias", ".base_layer.bias")
        assert torch.equal(after[name if name in after else adapted], weight)
    # one of adapters for each targeted layer, and the head
    layers = 2 * len(families.of(folders[family]).LORA_TARGETS) + 4 * (family == "esm")
    assert len(run.trained) == 2 * layers + 2
    # each was used: the second factor starts from zero
    assert all(weight.any() for name, weight in run.trained.items() if "lora" in name)
    # what is saved is a plain encoder that predicts the same
    expected = run.predict("test")[0]
    named = {"type": "classification"}
    heads.save(run.model, tmp_path / "model", run.scale, run.shift, **named)
    model = heads.load(tmp_path / "model")
    assert model.state_dict().keys() == {
        *(f"encoder.{name}" for name in before),
        "head.weight",
        "head.bias",
    }
    ids = run.ids["test"].long()
    with torch.no_grad():
        found = model(ids, ids != run.config.pad).softmax(1)
    assert np.allclose(found, expected, atol=1e-5)


def test_adapters_are_drawn_from_the_seed_alone(folders):
    drawn = []
    for seed in (1, 1, 2):
        model, state = bert.load(folders["bert"]), torch.get_rng_state()
        lora.adapt(model, bert.LORA_TARGETS, Lora(rank=4, alpha=8, dropout=0.0), seed)
        drawn.append(model.state_dict()["layers.0.qkv.lora_A.default.weight"])
        assert torch.equal(state, torch.get_rng_state())
    assert drawn[0].shape == (4, 64)
    assert torch.equal(drawn[0], drawn[1]) and not torch.equal(drawn[0], drawn[2])


def test_adapters_where_a_family_has_no_layers_for_them(folders, monkeypatch):
    monkeypatch.delattr(bert, "LORA_TARGETS")
    with pytest.raises(InputError, match="found lora, expected null for bert"):
        heads.build(folders["bert"], 2, 0.0, 1, Lora(rank=4, alpha=8, dropout=0.0))


@pytest.mark.parametrize("kind", ["classification", "regression"])
@pytest.mark.parametrize("family", ["bert", "esm"])
def test_transformers_classifier_loads_a_saved_model(folders, tmp_path, family, kind):
    from transformers import AutoModelForSequenceClassification

    model = heads.build(folders[family], 3, 0.1, 1).eval()
    scale, shift = torch.tensor([2.0, 1.0, 0.5]), torch.tensor([0.0, 1.0, -3.0])
    targets = ("a", "b", "c") if kind == "regression" else ()
    heads.save(model, tmp_path, scale, shift, type=kind, targets=targets)
    ours = heads.load(tmp_path)
    theirs, report = AutoModelForSequenceClassification.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert not any(report.values())  # no weight is missing or unexpected
    assert list(theirs.config.id2label.values()) == list(targets or "012")
    ids, keep = batch(60, model.encoder.config.pad)
    with torch.no_grad():
        expected = model(ids, keep) * scale + shift
        found = theirs.eval()(ids, attention_mask=keep.long()).logits
        assert torch.allclose(found, expected, atol=1e-4)
        assert torch.allclose(ours(ids, keep), expected, atol=1e-5)


# --- Long sequences, tokenizations ----------------------------------------------------


def read_tokens(dataset, tokenization, folder, truncate=False):
    data = examples.read(dataset, settings(BOTH[0]))
    return tokenize(data, folder, tokenization, truncate)


def test_a_tokenization_of_another_family_is_refused(folders, dataset):
    for folder in folders.values():
        with pytest.raises(InputError, match="is character, expected overlapping or"):
            read_tokens(dataset, "character", folder)


@pytest.mark.parametrize("tokenization", BOTH)
@pytest.mark.parametrize("family", PUBLISH)
def test_long_sequences_are_refused_or_cut(folders, tmp_path, family, tokenization):
    words = 39 if family == "esm" else 38  # beside the specials of 40 positions
    step = 3 if tokenization == kmers.NON_OVERLAPPING else 1
    longest = 3 + (words - 1) * step
    rows = (2, 1, 1)
    fits = write_dataset(tmp_path / "fits", rows, longest, spoilt=False)
    long = write_dataset(tmp_path / "long", rows, longest + 2 * step, spoilt=False)
    whole = read_tokens(fits, tokenization, folders[family])
    assert whole["train"].lengths_N.tolist() == [40, 40]
    with pytest.raises(InputError) as error:
        read_tokens(long, tokenization, folders[family])
    bases = longest + 2 * step
    said = f"train row 0: 42 tokens of {bases} bases, expected at most the encoder's 40"
    assert said in str(error.value)
    cut = read_tokens(long, tokenization, folders[family], truncate=True)
    assert cut["train"].lengths_N.tolist() == [40, 40]
    first = pq.read_table(long / "train.parquet")["sequence"][0].as_py()[:longest]
    module = families.of(folders[family])
    config = module.read_config(folders[family])
    expected, _ = module.tokenize([first], tokenization, config)
    assert (cut["train"].ids_NT[0] == expected[0]).all()


def test_what_is_cut_may_be_all_n(folders, tmp_path):
    data = write_dataset(tmp_path / "d", (2, 1, 1), 60, spoilt=False)
    table = pa.table({"sequence": ["N" * 300, "ACGTTA" * 3], "label": [0, 1]})
    pq.write_table(table, data / "train.parquet")
    seal(data)
    cut = read_tokens(data, BOTH[1], folders["esm"], truncate=True)
    assert cut["train"].lengths_N.tolist() == [39, 7]

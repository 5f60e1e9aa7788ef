"""Tiny encoders with random weights, as others publish them, and data to learn."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from made.dataset import seal
from randommask import kmers

K = 3
MOTIF = "TGACGTCCATAG"


def publish_bert(folder, k=K, positions=40):
    """As DNABERT is published: a pickle of 2020, with what that time kept in it."""
    from transformers import BertConfig, BertForMaskedLM

    config = {
        "architectures": ["BertForMaskedLM"],
        "vocab_size": kmers.vocab_size(k),
        "num_hidden_layers": 2,
        "hidden_size": 64,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "max_position_embeddings": positions,
        "layer_norm_eps": 1e-12,
        "num_rnn_layer": 1,
        "auto_map": {"AutoModelForMaskedLM": "dnabert_layer.DNABert"},
    }
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    words = [*kmers.SPECIALS, *kmers.names(k)]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    torch.manual_seed(0)
    config.pop("auto_map")
    model = BertForMaskedLM(BertConfig(**config)).eval()
    weights = {
        name: torch.randn_like(tensor) * 0.1 if name.endswith("bias") else tensor
        for name, tensor in model.state_dict().items()
        if name not in ("cls.predictions.bias", "cls.predictions.decoder.bias")
    }
    weights["cls.predictions.bias"] = torch.randn(kmers.vocab_size(k))
    weights["cls.predictions.decoder.bias"] = weights["cls.predictions.bias"]
    model.load_state_dict(weights)
    weights["bert.pooler.dense.weight"] = torch.randn(64, 64)
    weights["bert.pooler.dense.bias"] = torch.randn(64)
    weights["bert.embeddings.position_ids"] = torch.arange(positions)[None]
    for part, old in (("weight", "gamma"), ("bias", "beta")):
        name = "bert.embeddings.LayerNorm"
        weights[f"{name}.{old}"] = weights.pop(f"{name}.{part}")
    torch.save(weights, folder / "pytorch_model.bin")
    return model


def publish_modern(folder, k=K, positions=40):
    """A ModernBERT of k-mers, as transformers saves it."""
    from transformers import ModernBertConfig, ModernBertForMaskedLM

    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=kmers.vocab_size(k),
        num_hidden_layers=2,
        hidden_size=64,
        num_attention_heads=4,
        intermediate_size=128,
        max_position_embeddings=positions,
        local_attention=16,
        global_attn_every_n_layers=2,
        pad_token_id=kmers.PAD,
        cls_token_id=kmers.CLS,
        sep_token_id=kmers.SEP,
        bos_token_id=None,
        eos_token_id=None,
    )
    model = ModernBertForMaskedLM(config).eval()
    model.save_pretrained(folder)
    words = [*kmers.SPECIALS, *kmers.names(k)]
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return model


def publish_esm(folder, k=K, positions=40, token_dropout=True):
    """As the Nucleotide Transformer is published, for `positions` tokens."""
    from transformers import EsmConfig, EsmForMaskedLM

    config = {
        "architectures": ["EsmForMaskedLM"],
        "model_type": "esm",
        "vocab_size": 4**k + 9,
        "num_hidden_layers": 2,
        "hidden_size": 64,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "max_position_embeddings": positions + 2,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "layer_norm_eps": 1e-12,
        "emb_layer_norm_before": False,
        "token_dropout": token_dropout,
        "mask_token_id": 2,
        "pad_token_id": 1,
        "position_embedding_type": "absolute",
        "tie_word_embeddings": False,
    }
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    specials = ["<unk>", "<pad>", "<mask>", "<cls>"]
    words = [*specials, *kmers.names(k), "A", "T", "C", "G", "N"]
    (folder / "vocab.txt").write_text("\n".join(words))
    torch.manual_seed(0)
    model = EsmForMaskedLM(EsmConfig(**config)).eval()
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight, 0.0, 0.1)
    weights = model.state_dict()
    weights["esm.embeddings.position_ids"] = torch.arange(positions + 2)[None]
    torch.save(weights, folder / "pytorch_model.bin")
    return model


def write_dataset(folder, rows=(256, 64, 64), bases=36, spoilt=True):
    """A motif of 12 bases at a fixed place, or none."""
    folder.mkdir(parents=True)
    for seed, name in enumerate(("train", "dev", "test")):
        random = np.random.default_rng(seed)
        labels = np.arange(rows[seed]) % 2
        sequences = ["".join(random.choice(list("ACGT"), bases)) for _ in labels]
        sequences = [
            text[:12] + MOTIF + text[24:] if label else text
            for text, label in zip(sequences, labels, strict=True)
        ]
        if spoilt:  # padding, and stretches that are interrupted
            sequences[0] = sequences[0][:-4] + "NNNN"
            sequences[2] = sequences[2][:-2]
        table = pa.table({"sequence": sequences, "label": labels})
        pq.write_table(table, folder / f"{name}.parquet")
    summary = {"dataset": "made", "type": "classification", "classes": 2}
    return seal(folder, **summary, targets=[])


def one_of_each(root):
    """Folders of tiny encoders by family, bert and esm as `convert` writes them."""
    from randommask.encoders import released
    from randommask.encoders.families import hyena
    from randommask.encoders.hyena import Hyena, HyenaConfig

    for family, publish in (("bert", publish_bert), ("esm", publish_esm)):
        publish(root / "published" / family)
        released.convert(root / "published" / family, family, root / family)
    torch.manual_seed(0)
    sizes = {"hidden": 32, "layers": 2, "feed_forward": 64, "positions": 40}
    filters = {"position_features": 5, "filter_order": 16, "filter_layers": 2}
    config = HyenaConfig(
        **sizes, **filters, vocabulary=16, short_filter=3, frequency=1.0,
        norm_eps=1e-5, dropout=0.0,
    )  # fmt: skip
    hyena.save(Hyena(config), root / "hyena")
    return {family: root / family for family in ("bert", "esm", "hyena")}


BPE = {"bert": "[CLS] $A [SEP]", "modernbert": "[CLS] $A [SEP]", "esm": "[CLS] $A"}
BPE |= {"roberta": "[CLS] $A [SEP]", "distilbert": "$A"}
"""model_type of what `publish_hf` writes, and what stands around its sequences."""


def publish_hf(folder, kind="bert", positions=40, head=True):
    """An encoder with BPE words as others publish it; what transformers has of it."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
    from transformers import (
        CONFIG_MAPPING,
        MODEL_FOR_MASKED_LM_MAPPING,
        PreTrainedTokenizerFast,
    )

    random = np.random.default_rng(0)
    dna = ["".join(random.choice(list("ACGT"), 200)) for _ in range(200)]
    words = Tokenizer(models.BPE(unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    specials = ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"]
    trainer = trainers.BpeTrainer(vocab_size=120, special_tokens=specials)
    words.train_from_iterator(dna, trainer)
    ids = [(word, words.token_to_id(word)) for word in ("[CLS]", "[SEP]")]
    around = processors.TemplateProcessing(single=BPE[kind], special_tokens=ids)
    words.post_processor = around
    parts = ("unk", "cls", "sep", "pad", "mask")
    named = {f"{p}_token": w for p, w in zip(parts, specials, strict=True)}
    PreTrainedTokenizerFast(tokenizer_object=words, **named).save_pretrained(folder)
    sizes = {
        "vocab_size": words.get_vocab_size(),
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "max_position_embeddings": positions + 4 * (kind in ("roberta", "esm")),
        "pad_token_id": 3,
        "bos_token_id": None,
        "eos_token_id": None,
        "cls_token_id": 1,
        "sep_token_id": 2,
        "mask_token_id": 4,
    }
    if kind == "distilbert":
        sizes |= {"n_heads": 4, "dim": 64, "n_layers": 2, "hidden_dim": 128}
    torch.manual_seed(0)
    config = CONFIG_MAPPING[kind](**sizes)
    model = MODEL_FOR_MASKED_LM_MAPPING[type(config)](config).eval()
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight, 0, 0.1)
    (model if head else model.base_model).save_pretrained(folder)
    return model

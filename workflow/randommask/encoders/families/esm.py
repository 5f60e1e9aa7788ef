"""ESM as transformers has it: the Nucleotide Transformer and its k-mer tokens.

Non-overlapping is the tokenization it was pretrained with: `<cls>`, then k-mers from
left to right, single letters for what is left of a stretch before an N or the end, and
no token at the end. Overlapping k-mers with the same vocabulary are the paper's NT*.

The vocabulary is four specials, the k-mers as base-4 numbers over A, T, C, G (an id is
4 + the number), then A, T, C, G, N.

The head sits on the last hidden state of `<cls>`, or on the mean over all tokens behind
it, single letters and `<unk>` among them. Shapes: N rows, B rows computed at once, L
bases, T tokens, H hidden units, O outputs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from randommask import kmers
from randommask.encoders import families, tokenizer
from randommask.encoders.pooling import BOTH, MEAN, chosen, mean
from randommask.encoders.pooling import CLS as FIRST
from randommask.encoders.weights import (
    check_counts,
    check_values,
    check_weights,
    check_widths,
    prefixed,
    read_weights,
    write_weights,
)
from randommask.errors import InputError
from randommask.files import read_json, write_json, write_text

SPECIALS = ("<unk>", "<pad>", "<mask>", "<cls>")
UNK, PAD, MASK, CLS = range(4)
LETTERS = "ATCGN"  # in the order of their codes
SHIFT = len(SPECIALS) - kmers.NUM_SPECIAL  # from an id of `kmers` to one of ours
TOKENIZATIONS = (kmers.OVERLAPPING, kmers.NON_OVERLAPPING)
LORA_TARGETS = ("query", "key", "value", "dense")
POOLINGS = BOTH
BODY, CLASSIFIER = "EsmModel", "EsmForSequenceClassification"

# The keys of config.json that decide what is computed, with EsmConfig's defaults.
KEYS = {
    "vocab_size": None,
    "num_hidden_layers": 12,
    "hidden_size": 768,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "max_position_embeddings": 1026,
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "layer_norm_eps": 1e-12,
    "initializer_range": 0.02,
    "emb_layer_norm_before": None,
    "token_dropout": False,
}
FIXED = {
    "model_type": "esm",
    "pad_token_id": PAD,
    "mask_token_id": MASK,
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "is_folding_model": False,
}
CONTACTS = tuple(f"esm.contact_head.regression.{part}" for part in ("weight", "bias"))
# What an encoder saved alone consists of, and what may stand on top of one.
PARTS = ("embeddings.", "encoder.", "pooler.", "contact_head.")
DROPPED = ("esm.pooler.", "lm_head.", "classifier.")
FIXED_WORDS = ("<pad>",)  # positions are counted from its id
WORD_WEIGHTS = ("esm.embeddings.word_embeddings.weight",)


@dataclass(frozen=True)
class Sizes:
    """Sizes of an encoder and the tokens it was made for."""

    layers: int
    hidden: int
    heads: int
    feed_forward: int
    positions: int
    k: int
    dropout: float
    pad: int = PAD


class EsmEncoder(nn.Module):
    """transformers' EsmModel, with what a head sits on."""

    specials = (PAD, CLS)

    def __init__(self, config: Sizes, published: dict[str, Any]) -> None:
        super().__init__()
        from transformers.models.esm.configuration_esm import EsmConfig
        from transformers.models.esm.modeling_esm import EsmModel

        self.config, self.published = config, published
        rates = ("hidden_dropout_prob", "attention_probs_dropout_prob")
        changed = published | dict.fromkeys(rates, config.dropout)
        self.esm = EsmModel(EsmConfig(**changed), add_pooling_layer=False)
        self.esm.contact_head.requires_grad_(False)

    @property
    def layers(self) -> nn.ModuleList:
        """The layers, the first first."""
        return self.esm.encoder.layer

    def states(self, ids_BT: Tensor, keep_BT: Tensor | None = None) -> Tensor:
        """Last hidden states (B, T, H), after the last norm; `keep_BT`: `families`."""
        mask = None if keep_BT is None else keep_BT.long()
        return self.esm(ids_BT, attention_mask=mask).last_hidden_state

    def features(
        self, ids_BT: Tensor, keep_BT: Tensor | None = None, pooling: str = FIRST
    ) -> Tensor:
        """Last hidden state of `<cls>` or mean, (B, H); `keep_BT`: see `families`."""
        hidden_BTH = self.states(ids_BT, keep_BT)
        if pooling == MEAN:
            return mean(hidden_BTH, chosen(ids_BT, keep_BT, *self.specials))
        return hidden_BTH[:, 0]


def read_config(folder: str | Path) -> Sizes:
    """Sizes of the encoder saved in `folder`; `InputError` where a key is missing."""
    path = Path(folder) / "config.json"
    config = read_json(path)
    if not isinstance(config, dict):
        raise InputError(f"{path}: found {type(config).__name__}, expected keys")
    for key in (*KEYS, *FIXED, "k"):
        if key not in config:
            raise InputError(f"{path}: no key {key}")
    _check_sizes(path, config)
    return _sizes(config, config["k"])


def _check_sizes(path: str | Path, config: dict[str, Any]) -> None:
    counts = [key for key, value in KEYS.items() if type(value) is int]
    rates = [key for key, value in KEYS.items() if type(value) is float]
    heads = ("num_attention_heads", "hidden_size")
    check_counts(path, config, counts, rates, heads)
    if (positions := config["max_position_embeddings"]) <= PAD + 1:
        raise InputError(
            f"{path}: max_position_embeddings is {positions}, expected over {PAD + 1}"
        )


def _check_extent(sizes: Sizes, weights: dict[str, Tensor], path: str | Path) -> None:
    widths = sizes.hidden, sizes.feed_forward, sizes.positions
    check_widths(sizes.layers, widths, weights, path)


def _sizes(config: dict[str, Any], k: int) -> Sizes:
    return Sizes(
        layers=config["num_hidden_layers"],
        hidden=config["hidden_size"],
        heads=config["num_attention_heads"],
        feed_forward=config["intermediate_size"],
        # Transformers numbers positions from the padding's id + 1 on, so that many of
        # the embedding's rows are never used.
        positions=config["max_position_embeddings"] - PAD - 1,
        k=k,
        dropout=config["hidden_dropout_prob"],
    )


def tokenize(
    sequences: Sequence[str], tokenization: str, config: Sizes
) -> tuple[np.ndarray, np.ndarray]:
    """`<cls>` and its tokens, padded on the right: ids (N, T) int16, tokens (N,).

    A letter that is no nucleotide counts as N; an overlapping k-mer with one is
    `<unk>`.
    """
    parts = []
    for rows, codes_NL in kmers.blocks(sequences):
        parts += _tokens(rows, codes_NL, tokenization, config.k)
    widest = max((tokens.shape[1] for _, tokens in parts), default=0)
    ids = np.full((len(sequences), widest + 1), PAD, np.int16)
    ids[:, 0] = CLS
    for rows, tokens in parts:
        ids[rows, 1 : tokens.shape[1] + 1] = tokens
    return ids, (ids != PAD).sum(1)


def _tokens(
    rows: np.ndarray, codes_NL: np.ndarray, tokenization: str, k: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows and their ids, padded, without `<cls>`; rows with an N by themselves."""
    if tokenization == kmers.OVERLAPPING:
        return [(rows, kmers.kmer_ids(codes_NL, k).astype(np.int16) + SHIFT)]
    spoilt = (codes_NL > 3).any(1)
    clean = codes_NL[~spoilt]
    whole = clean.shape[1] - clean.shape[1] % k
    words = kmers.kmer_ids(clean, k, k).astype(np.int16) + SHIFT
    letters = clean[:, whole:] + _first_letter(k)
    parts = [(rows[~spoilt], np.concatenate([words, letters], axis=1))]
    if spoilt.any():
        parts.append((rows[spoilt], _interrupted(codes_NL[spoilt], k)))
    return parts


def _first_letter(k: int) -> np.int16:
    return np.int16(len(SPECIALS) + 4**k)


def _interrupted(codes_NL: np.ndarray, k: int) -> np.ndarray:
    """Ids (N, T) of non-overlapping tokens of rows with N's, `PAD` on the right."""
    length = codes_NL.shape[1]
    position = np.arange(length)
    is_n = codes_NL > 3
    before = np.maximum.accumulate(np.where(is_n, position, -1), axis=1)
    after = np.where(is_n, position, length)[:, ::-1]
    after = np.minimum.accumulate(after, axis=1)[:, ::-1]
    offset, stretch = position - before - 1, after - before - 1
    in_word = ~is_n & (offset < stretch - stretch % k)
    ids_NL = codes_NL + _first_letter(k)
    words = kmers.kmer_ids(codes_NL, k).astype(np.int16) + SHIFT
    count = words.shape[1]
    ids_NL[:, :count] = np.where(in_word[:, :count], words, ids_NL[:, :count])
    is_token = ~in_word | (offset % k == 0)
    tokens = is_token.sum(1)
    out = np.full((len(codes_NL), tokens.max()), PAD, np.int16)
    out[np.arange(out.shape[1]) < tokens[:, None]] = ids_NL[is_token]
    return out


def load(folder: str | Path, dropout: float | None = None) -> EsmEncoder:
    """The encoder saved in `folder`; its head for contacts is frozen.

    With `dropout` it has this rate instead of the saved ones. A classifier that was
    saved with it is left out. `InputError` names what does not fit.
    """
    config, path = read_config(folder), Path(folder) / "model.safetensors"
    if dropout is not None:
        config = replace(config, dropout=dropout)
    saved = read_json(Path(folder) / "config.json")
    published = {key: saved[key] for key in (*KEYS, *FIXED)}
    weights = {
        name: tensor
        for name, tensor in read_weights(path).items()
        if not name.startswith("classifier.")
    }
    _check_extent(config, weights, path)
    model = _empty(config, published)
    check_weights(model.state_dict(), weights, path)
    model.load_state_dict(weights, assign=True)
    return model


def _empty(config: Sizes, published: dict[str, Any]) -> EsmEncoder:
    """The model without memory for its weights."""
    with torch.device("meta"):
        model = EsmEncoder(config, published)
    embeddings = model.esm.embeddings
    embeddings.position_ids = torch.arange(config.positions + PAD + 1)[None]
    return model


def save(model: EsmEncoder, folder: str | Path) -> None:
    """Write config.json, model.safetensors and tokenizer files into `folder`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    k = model.config.k
    config = {"architectures": ["EsmModel"], **model.published, "k": k}
    write_json(folder / "config.json", config)
    weights = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    write_weights(folder / "model.safetensors", weights)
    write_text(folder / "vocab.txt", "\n".join(vocabulary(k)) + "\n")
    write_tokenizer(folder, model.config, kmers.NON_OVERLAPPING)


def write_tokenizer(folder: str | Path, config: Sizes, tokenization: str) -> None:
    """Write the files by which transformers reads raw DNA so."""
    k, words = config.k, vocabulary(config.k)
    rest = {
        "specials": {f"{word[1:-1]}_token": word for word in SPECIALS},
        "around": (["<cls>"], []),
        "model_max_length": config.positions,
        "model_input_names": ["input_ids", "attention_mask"],
        "eos_token": None,  # for who asks for EsmTokenizer by its name
    }
    if tokenization == kmers.OVERLAPPING:
        tokenizer.write_kmers(folder, words, tokenization, k, **rest)
    else:
        tokenizer.write(folder, words, cut=f"[ACGT]{{{k}}}|[A-Z]", **rest)


def classifier_weights(weight_OH: Tensor, bias_O: Tensor) -> dict[str, Tensor]:
    """A linear head under the names of `CLASSIFIER`."""
    inner, outer = "classifier.dense", "classifier.out_proj"
    return families.tanh_head(weight_OH, bias_O, inner, outer)


def vocabulary(k: int) -> list[str]:
    """The words in the order of their ids."""
    return [*SPECIALS, *kmers.names(k), *LETTERS]


def from_released(
    weights: dict[str, Tensor], config: dict[str, Any], source: str | Path
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """config.json and weights of transformers' ESM classes as `load` wants them.

    Pooler and whatever head there is are dropped; `InputError` names other weights that
    are missing or not expected, and values that do not fit.
    """
    check_values(config, FIXED, source)
    published = {key: config.get(key, value) for key, value in KEYS.items()} | FIXED
    k = families.bases_of_token(config, len(SPECIALS) + len(LETTERS), source)
    _check_sizes(f"{source}/config.json", published)
    weights = prefixed(weights, "esm.", PARTS)
    _check_extent(_sizes(published, k), weights, source)
    weights = {n: t for n, t in weights.items() if not n.startswith(DROPPED)}
    expected = _empty(_sizes(published, k), published).state_dict()
    for name in CONTACTS:  # a head we never use, and not in every checkpoint
        weights.setdefault(name, torch.zeros(expected[name].shape))
    check_weights(expected, weights, source)
    return {**published, "k": k}, weights

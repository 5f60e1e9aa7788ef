"""Any encoder that transformers loads without others' code, with its own tokenizer.

BPE as DNABERT-2's, ESM, BERT, ModernBERT, ...: the body by `AutoModel`, the tokenizer
by `AutoTokenizer` from a tokenizer.json. What needs code of its own is refused.

The head sits on the last hidden state of the special token before the sequence, where
the tokenizer puts one there, or on the mean over the tokens between the specials. Its
classes' heads differ from each other, so what is saved is a body and our own head.
Shapes: N rows, B rows computed at once, T tokens, H hidden units.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from randommask.encoders.families import MARK
from randommask.encoders.pooling import BOTH, CLS, MEAN, chosen, mean
from randommask.encoders.weights import check_weights, read_weights, write_weights
from randommask.errors import InputError
from randommask.experiment.origins import check_plain
from randommask.files import read_json, write_json

OWN = "own"
TOKENIZATIONS = (OWN,)
POOLINGS = BOTH
WORDS = "tokenizer.json"
FILES = (WORDS, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""The tokenizer's; the last three where they are there."""
SIZES = ("num_hidden_layers", "hidden_size", "num_attention_heads")
AROUND = ("cls", "sep", "pad", "bos", "eos")
"""Tokens that stand for no bases; [UNK] does."""
OTHERS = ("torch_dtype", "problem_type", "id2label", "label2id", "_name_or_path")
"""Keys of config.json that are about a head, or about where it was."""
NO_LIMIT = 1_000_000  # transformers says more where a tokenizer has none


class Words(NamedTuple):
    """A tokenizer that was read, and its files."""

    read: Any
    files: dict[str, bytes]


_TOKENIZERS: dict[str, Words] = {}
"""Those that were read, by what is in their files."""


@dataclass(frozen=True)
class Sizes:
    """Sizes of an encoder, and whose tokens it reads."""

    layers: int
    hidden: int
    heads: int
    feed_forward: int
    positions: int
    """Tokens of the longest sequence, specials among them."""
    pad: int
    dropout: float
    tokenizer: str
    """The SHA-256 of its tokenizer's files."""
    k: int = 1
    """A token holds one base or more."""


class Body(nn.Module):
    """transformers' own model, with what a head sits on."""

    def __init__(
        self, body: nn.Module, config: Sizes, published: dict[str, Any]
    ) -> None:
        super().__init__()
        self.body, self.config, self.published = body, config, published
        if getattr(body, "pooler", None) is not None:
            body.pooler = None  # pretraining by masked tokens alone never trains it
        words = _TOKENIZERS[config.tokenizer].read
        found = {getattr(words, f"{name}_token_id", None) for name in AROUND}
        self.specials = tuple(sorted(found - {None}))
        self.has_first = words("A")["input_ids"][0] in self.specials

    @property
    def layers(self) -> nn.ModuleList:
        """The layers, the first first."""
        return next(
            module
            for module in self.body.modules()
            if isinstance(module, nn.ModuleList) and len(module) == self.config.layers
        )

    def states(self, ids_BT: Tensor, keep_BT: Tensor | None = None) -> Tensor:
        """Last hidden states (B, T, H); `keep_BT` is False at padding."""
        mask = None if keep_BT is None else keep_BT.long()
        return self.body(input_ids=ids_BT, attention_mask=mask).last_hidden_state

    def features(
        self, ids_BT: Tensor, keep_BT: Tensor | None = None, pooling: str = CLS
    ) -> Tensor:
        """Last hidden state of the first token, or the mean, (B, H)."""
        if pooling == MEAN:
            is_own_BT = chosen(ids_BT, keep_BT, *self.specials)
            return mean(self.states(ids_BT, keep_BT), is_own_BT)
        if not self.has_first:
            raise InputError(
                "pooling is cls, but the encoder's tokenizer puts no token before a "
                "sequence; expected mean"
            )
        return self.states(ids_BT, keep_BT)[:, 0]


def check(config: Any, source: str | Path) -> None:
    """Raise `InputError` for a config.json that asks for code of its own."""
    path = f"{source}/config.json"
    if not isinstance(config, dict):
        raise InputError(f"{path}: found {type(config).__name__}, expected keys")
    check_plain(str(source), config)
    from transformers import CONFIG_MAPPING, MODEL_MAPPING

    kind = config.get("model_type")
    if kind not in CONFIG_MAPPING or CONFIG_MAPPING[kind] not in MODEL_MAPPING:
        raise InputError(
            f"{path}: model_type is {kind!r}, expected one that transformers has"
        )
    if config.get("is_encoder_decoder"):
        raise InputError(f"{path}: has a decoder, expected an encoder alone")


def _config(config: dict[str, Any], source: str | Path) -> Any:
    """Transformers' config; `InputError` in one line for what it refuses."""
    from transformers import CONFIG_MAPPING

    try:
        return CONFIG_MAPPING[config["model_type"]].from_dict(config)
    except Exception as error:  # whatever a class's own checks raise
        said = " ".join(str(error).split())[:200]
        raise InputError(f"{source}/config.json: {said}") from None


def _words(folder: str | Path) -> str:
    """Read the tokenizer in `folder`; the SHA-256 of its files, which it is kept by."""
    from transformers import AutoTokenizer

    path = Path(folder) / WORDS
    if not path.exists():
        raise InputError(f"{path}: no such file, expected the encoder's own tokenizer")
    there = (name for name in FILES if (Path(folder) / name).exists())
    files = {name: (Path(folder) / name).read_bytes() for name in there}
    digest = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
    if digest not in _TOKENIZERS:
        try:
            words = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        except Exception as error:  # the library's own, of many kinds
            said = " ".join(str(error).split())[:200]
            raise InputError(f"{path}: not readable as a tokenizer ({said})") from None
        if words.pad_token_id is None:
            raise InputError(f"{path}: has no token for padding, which batches need")
        _TOKENIZERS[digest] = Words(words, files)
    return digest


def _positions(kind: Any, body: nn.Module, words: Any, source: str | Path) -> int:
    """Tokens that a sequence may have.

    Some families number positions from the padding's id + 1 on (RoBERTa, ESM): then so
    many rows of the table are never used.
    """
    limits = []
    if most := getattr(kind, "max_position_embeddings", None):
        tables = (
            module
            for name, module in body.named_modules()
            if name.endswith("position_embeddings") and isinstance(module, nn.Embedding)
        )
        table = next(tables, None)
        unused = getattr(table, "padding_idx", None)
        limits.append(most if unused is None else most - unused - 1)
    if words.model_max_length < NO_LIMIT:
        limits.append(words.model_max_length)
    if not limits:
        raise InputError(
            f"{source}: neither max_position_embeddings nor model_max_length says how "
            "many tokens a sequence may have"
        )
    return int(min(limits))


def _body(kind: Any, weights: dict[str, Tensor]) -> tuple[nn.Module, dict[str, Any]]:
    """The body of these weights, without a pooler, and what did not fit."""
    from transformers import MODEL_MAPPING
    from transformers.utils import logging

    told = {"config": kind, "dtype": torch.float32, "output_loading_info": True}
    told["ignore_mismatched_sizes"] = True  # the caller looks at all that did not fit
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        body, report = MODEL_MAPPING[type(kind)].from_pretrained(
            None, state_dict=dict(weights), **told
        )
    finally:
        logging.set_verbosity(before)
    if getattr(body, "pooler", None) is not None:
        body.pooler = None
    return body, report


def from_released(
    weights: dict[str, Tensor], config: dict[str, Any], source: str | Path
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """config.json and weights of the body alone as `load` wants them.

    Heads are left out. `InputError` names weights that the body lacks, or that it has
    and transformers has no use for: they are of another architecture.
    """
    check(config, source)
    digest = _words(source)
    kind = _config(config, source)
    body, report = _body(kind, weights)
    prefix = f"{body.base_model_prefix}."
    is_whole = any(name.startswith(prefix) for name in weights)
    unknown = report["unexpected_keys"]
    wrong = {
        "missing": report["missing_keys"],
        "unexpected": [n for n in unknown if n.startswith(prefix) or not is_whole],
        "misshapen": [str(one[0]) for one in report["mismatched_keys"]],
    }
    for state, found in wrong.items():
        if names := sorted(name for name in found if "pooler" not in name):
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise InputError(f"{source}: {state} weights {', '.join(names[:3])}{more}")
    positions = _positions(kind, body, _TOKENIZERS[digest].read, source)
    mark = {"family": "hf", "positions": positions}
    kept = {key: value for key, value in config.items() if key not in OTHERS}
    kept |= {"architectures": [type(body).__name__], "dtype": "float32", MARK: mark}
    clones = {name: w.detach().clone() for name, w in body.state_dict().items()}
    return kept, clones


def read_config(folder: str | Path) -> Sizes:
    """Sizes of the encoder saved in `folder`; `InputError` where a key is missing."""
    path = Path(folder) / "config.json"
    found = read_json(path)
    check(found, folder)
    mark = found.get(MARK)
    if not isinstance(mark, dict) or type(mark.get("positions")) is not int:
        raise InputError(f"{path}: no positions in {MARK}, expected a converted folder")
    digest = _words(folder)
    kind = _config(found, folder)
    sizes = [getattr(kind, name, None) for name in SIZES]
    for name, value in zip(SIZES, sizes, strict=True):
        if type(value) is not int or value < 1:
            raise InputError(f"{path}: {name} is {value!r}, expected a count")
    wide = getattr(kind, "intermediate_size", None) or 4 * sizes[1]
    return Sizes(
        *sizes,
        feed_forward=wide,
        positions=mark["positions"],
        pad=_TOKENIZERS[digest].read.pad_token_id,
        dropout=max(_rates(found).values(), default=0.0),
        tokenizer=digest,
    )


def _rates(config: dict[str, Any]) -> dict[str, float]:
    """The rates of dropout in a config.json; flags are none, nor those of a head."""
    return {
        key: value
        for key, value in config.items()
        if "drop" in key and type(value) in (int, float) and "classifier" not in key
    }


def tokenize(
    sequences: Sequence[str], tokenization: str, config: Sizes
) -> tuple[np.ndarray, np.ndarray]:
    """The tokenizer's own tokens of DNA in upper case: ids (N, T), padded, tokens (N,).

    U is read as T.
    """
    del tokenization  # there is one
    words = _TOKENIZERS[config.tokenizer].read
    texts = [sequence.upper().replace("U", "T") for sequence in sequences]
    rows = words(texts, verbose=False)["input_ids"] if texts else []
    lengths = np.fromiter(map(len, rows), np.int64, len(rows))
    kind = np.int16 if len(words) <= np.iinfo(np.int16).max else np.int32
    ids = np.full((len(rows), int(lengths.max(initial=0))), config.pad, kind)
    for place, row in enumerate(rows):
        ids[place, : len(row)] = row
    return ids, lengths


def most_tokens(bases: int, config: Sizes) -> int:
    """Tokens that a sequence of so many bases has at most: each base is one."""
    return bases + len(_TOKENIZERS[config.tokenizer].read("")["input_ids"])


def load(folder: str | Path, dropout: float | None = None) -> Body:
    """The encoder saved in `folder`; `InputError` names what does not fit.

    With `dropout` it has this rate instead of the saved ones. What no gradient reaches
    is frozen.
    """
    from transformers import AutoModel

    sizes, path = read_config(folder), Path(folder) / "model.safetensors"
    found = read_json(Path(folder) / "config.json")
    if dropout is not None:
        found |= dict.fromkeys(_rates(found), dropout)
        sizes = replace(sizes, dropout=dropout)
    weights = read_weights(path)
    with torch.random.fork_rng(devices=[]):  # of weights that are replaced below
        body = AutoModel.from_config(_config(found, folder)).float()
    model = Body(body, sizes, found)
    check_weights(model.body.state_dict(), weights, path)
    model.body.load_state_dict(weights)
    _freeze_unused(model)
    return model


def _freeze_unused(model: Body) -> None:
    """Freeze the weights that the last hidden states do not depend on."""
    words, parts = _TOKENIZERS[model.config.tokenizer].read, list(model.parameters())
    ids = torch.tensor([words("ACGT")["input_ids"]])
    with torch.enable_grad():
        total = model.eval().states(ids).sum()
        found = torch.autograd.grad(total, parts, allow_unused=True)
    for part, gradient in zip(parts, found, strict=True):
        part.requires_grad_(gradient is not None)
    model.train()


def save(model: Body, folder: str | Path) -> None:
    """Write config.json, model.safetensors and tokenizer files into `folder`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", model.published)
    # Clones: tied weights share their memory.
    weights = {name: w.detach().clone() for name, w in model.body.state_dict().items()}
    write_weights(folder / "model.safetensors", weights)
    for name, content in _TOKENIZERS[model.config.tokenizer].files.items():
        (folder / name).write_bytes(content)

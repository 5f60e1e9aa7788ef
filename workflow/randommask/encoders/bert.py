"""BERT as DNABERT's, lean enough to pretrain with, saved as a Hugging Face folder.

The arithmetic is that of `transformers.BertForMaskedLM` (post-norm, exact GELU, tied
output embeddings); the three attention projections are one matrix here and are split
when the weights are saved, so that `BertForMaskedLM.from_pretrained` loads the folder.

Shapes: B sequences, T tokens, N of the B * T positions, H hidden units, A heads,
D = H / A, V vocabulary.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from randommask import kmers
from randommask.encoders import attention, tokenizer
from randommask.encoders.attention import attend, bias_of, only
from randommask.encoders.dropout import dropout
from randommask.encoders.weights import (
    check_sizes,
    check_weights,
    check_widths,
    read_weights,
    write_weights,
)
from randommask.errors import InputError
from randommask.experiment.hparams import Initial, Settings
from randommask.files import read_json, write_json, write_text

INITIAL_SD = 0.02  # BERT's initializer_range
NORM_EPS = 1e-12  # BERT's layer_norm_eps
SIZES = ("layers", "hidden", "heads", "feed_forward", "positions", "dropout")


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes of an encoder and the tokens it was made for."""

    layers: int
    hidden: int
    heads: int
    feed_forward: int
    positions: int
    k: int
    tokenization: str
    dropout: float = 0.1
    pad: int = kmers.PAD
    """Id that fills up the shorter of several rows; every family says its own."""

    @classmethod
    def of(cls, settings: Settings | Initial) -> "EncoderConfig":
        """What the settings of a pretraining, or of its control, say of the encoder."""
        sizes = {name: getattr(settings.architecture, name) for name in SIZES}
        return cls(**sizes, k=settings.k, tokenization=settings.tokenization)

    @property
    def vocab_size(self) -> int:
        """The five specials and all k-mers."""
        return kmers.vocab_size(self.k)


class Layer(nn.Module):
    """One transformer layer: attention, then feed-forward, each with its norm after."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.heads, self.dropout = config.heads, config.dropout
        self.qkv = nn.Linear(config.hidden, 3 * config.hidden)
        self.out = nn.Linear(config.hidden, config.hidden)
        self.attention_norm = nn.LayerNorm(config.hidden, eps=NORM_EPS)
        self.up = nn.Linear(config.hidden, config.feed_forward)
        self.down = nn.Linear(config.feed_forward, config.hidden)
        self.norm = nn.LayerNorm(config.hidden, eps=NORM_EPS)

    def forward(
        self, x_BTH: Tensor, bias: Tensor | None, wanted: int | Tensor | None = None
    ) -> Tensor:
        """Apply the layer; `bias` is added to the attention scores.

        All T are attended to; with `wanted`, as in `Encoder.forward`, the rest is
        computed for these positions alone.
        """
        first = wanted if isinstance(wanted, int) else None
        mixed_BTH = self._attend(*self._project(x_BTH, first), bias)
        rate = self.dropout if self.training else 0.0
        mixed = dropout(self.out(only(mixed_BTH, wanted)), rate)
        x = self.attention_norm(only(x_BTH, wanted) + mixed)
        return self.norm(x + dropout(self.down(F.gelu(self.up(x))), rate))

    def _attend(
        self, q_BATD: Tensor, k_BATD: Tensor, v_BATD: Tensor, bias: Tensor | None
    ) -> Tensor:
        """Mix the values: (B, T, H)."""
        rate = self.dropout if self.training else 0.0
        return attend(q_BATD, k_BATD, v_BATD, bias, rate).transpose(1, 2).flatten(2)

    def weights(self, x_BTH: Tensor) -> Tensor:
        """Attention weights (B, A, T, T) that the layer gives to its input."""
        q_BATD, k_BATD, _ = self._project(x_BTH)
        return attention.weights(q_BATD, k_BATD, None)

    def _project(
        self, x_BTH: Tensor, wanted: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        if wanted is None:
            parts = self.qkv(x_BTH).chunk(3, dim=-1)
        else:
            hidden = x_BTH.shape[-1]
            weight, bias = self.qkv.weight, self.qkv.bias
            first = F.linear(x_BTH[:, :wanted], weight[:hidden], bias[:hidden])
            rest = F.linear(x_BTH, weight[hidden:], bias[hidden:])
            parts = (first, *rest.chunk(2, dim=-1))
        return tuple(
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts
        )


class Encoder(nn.Module):
    """Embeddings, layers, and the head that names the token at a position."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden
        self.word = nn.Embedding(config.vocab_size, hidden, padding_idx=kmers.PAD)
        self.position = nn.Embedding(config.positions, hidden)
        self.token_type = nn.Embedding(2, hidden)
        self.embedding_norm = nn.LayerNorm(hidden, eps=NORM_EPS)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.transform = nn.Linear(hidden, hidden)
        self.transform_norm = nn.LayerNorm(hidden, eps=NORM_EPS)
        self.output_bias = nn.Parameter(torch.zeros(config.vocab_size))

    def initialise(self, generator: torch.Generator) -> None:
        """Fill the weights as BERT does: normal of sd 0.02, biases 0, norms 1."""
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, 0.0, INITIAL_SD, generator=generator)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            self.word.weight[kmers.PAD] = 0

    def forward(
        self,
        ids_BT: Tensor,
        keep_BT: Tensor | None = None,
        wanted: int | Tensor | None = None,
    ) -> Tensor:
        """Hidden states (B, T, H); none attends where `keep_BT` is False (padding).

        A head that reads few positions says which are `wanted`, and the last layer
        computes little for the others. 1 means the first token of each sequence, which
        a classifier reads, (B, 1, H); a tensor (N,) the positions in the flattened
        B * T, which were masked, (N, H).
        """
        x_BTH = self._embed(ids_BT)
        bias = None
        if keep_BT is not None:
            bias = bias_of(keep_BT[:, None, None], x_BTH)
        for layer in self.layers[:-1]:
            x_BTH = layer(x_BTH, bias)
        return self.layers[-1](x_BTH, bias, wanted)

    def head(self, hidden: Tensor) -> Tensor:
        """Scores over the vocabulary, (..., H) -> (..., V)."""
        hidden = self.transform_norm(F.gelu(self.transform(hidden)))
        return F.linear(hidden, self.word.weight, self.output_bias)

    def attention_maps(self, ids_BT: Tensor) -> Tensor:
        """Attention weights (layers, B, A, T, T) of sequences without padding."""
        x_BTH, maps = self._embed(ids_BT), []
        for layer in self.layers:
            maps.append(layer.weights(x_BTH))
            x_BTH = layer(x_BTH, None)
        return torch.stack(maps)

    def _embed(self, ids_BT: Tensor) -> Tensor:
        x_BTH = self.word(ids_BT) + self.position.weight[: ids_BT.shape[1]]
        x_BTH = self.embedding_norm(x_BTH + self.token_type.weight[0])
        return dropout(x_BTH, self.config.dropout) if self.training else x_BTH


# Our name of a part, and BERT's.
_NAMES = {
    "word": "bert.embeddings.word_embeddings",
    "position": "bert.embeddings.position_embeddings",
    "token_type": "bert.embeddings.token_type_embeddings",
    "embedding_norm": "bert.embeddings.LayerNorm",
    "transform": "cls.predictions.transform.dense",
    "transform_norm": "cls.predictions.transform.LayerNorm",
    "qkv": "attention.self.{}",
    "out": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense",
    "down": "output.dense",
    "norm": "output.LayerNorm",
}


def _bert_names(name: str) -> list[str]:
    """BERT's names of one of our weights: three for the joined projections."""
    if name == "output_bias":
        return ["cls.predictions.bias"]
    *layer, part, kind = name.split(".")
    prefix = f"bert.encoder.layer.{layer[1]}." if layer else ""
    full = f"{prefix}{_NAMES[part]}.{kind}"
    if part == "qkv":
        return [full.format(projection) for projection in ("query", "key", "value")]
    return [full]


def to_bert(model: Encoder) -> dict[str, Tensor]:
    """The weights under the names of `transformers.BertForMaskedLM`."""
    weights = {}
    for name, tensor in model.state_dict().items():
        keys = _bert_names(name)
        weights |= zip(keys, tensor.chunk(len(keys)), strict=True)
    return weights


def copied_positions(position_PH: Tensor, tokens: int) -> Tensor:
    """For the positions behind `tokens` the embeddings of those before, in turn.

    As Longformer was started from RoBERTa (Beltagy et al. 2020, section 5); those of
    [CLS] and [SEP] are not copied.
    """
    behind = torch.arange(len(position_PH) - tokens, device=position_PH.device)
    return position_PH[1 + behind % (tokens - 2)]


def check_extent(
    config: EncoderConfig, weights: dict[str, Tensor], source: str | Path
) -> None:
    """Raise `InputError` for sizes beyond the weights, before they are laid out."""
    widths = config.hidden, config.feed_forward, config.positions
    check_widths(config.layers, widths, weights, source)


def from_bert(model: Encoder, weights: dict[str, Tensor], source: str | Path) -> None:
    """Fill `model` from weights under BERT's names; every name and shape must fit."""
    check_weights(to_bert(model), weights, source)
    state = {
        name: torch.cat([weights[key] for key in _bert_names(name)])
        for name in model.state_dict()
    }
    model.load_state_dict(state)


def save(model: Encoder, folder: str | Path) -> None:
    """Write config.json, model.safetensors and tokenizer files into `folder`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = model.config
    bert = {
        "architectures": ["BertForMaskedLM"],
        "model_type": "bert",
        "vocab_size": config.vocab_size,
        "num_hidden_layers": config.layers,
        "hidden_size": config.hidden,
        "num_attention_heads": config.heads,
        "intermediate_size": config.feed_forward,
        "max_position_embeddings": config.positions,
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.dropout,
        "hidden_act": "gelu",
        "initializer_range": INITIAL_SD,
        "layer_norm_eps": NORM_EPS,
        "type_vocab_size": 2,
        "pad_token_id": kmers.PAD,
        "tie_word_embeddings": True,
        "k": config.k,
        "tokenization": config.tokenization,
    }
    write_json(folder / "config.json", bert)
    # Clones: the projections are parts of one matrix, whose memory they share.
    weights = {name: tensor.clone() for name, tensor in to_bert(model).items()}
    write_weights(folder / "model.safetensors", weights)
    write_text(folder / "vocab.txt", "\n".join(kmers.words(config.k)) + "\n")
    tokenizer.write_bert(folder, config.k, config.tokenization, config.positions)


def read_config(folder: str | Path) -> EncoderConfig:
    """Sizes of the encoder saved in `folder`; `InputError` where a key is missing."""
    path = Path(folder) / "config.json"
    bert = read_json(path)
    if not isinstance(bert, dict):
        raise InputError(f"{path}: found {type(bert).__name__}, expected keys")
    keys = {
        "layers": "num_hidden_layers",
        "hidden": "hidden_size",
        "heads": "num_attention_heads",
        "feed_forward": "intermediate_size",
        "positions": "max_position_embeddings",
        "dropout": "hidden_dropout_prob",
    }
    names = {
        field.name: keys.get(field.name, field.name)
        for field in fields(EncoderConfig)
        if field.name != "pad"
    }
    for name in names.values():
        if name not in bert:
            raise InputError(f"{path}: no key {name}")
    check_sizes(path, bert)
    return EncoderConfig(**{ours: bert[name] for ours, name in names.items()})


def load(folder: str | Path, dropout: float | None = None) -> Encoder:
    """The encoder saved in `folder`; `InputError` names what does not fit.

    With `dropout` it has this rate instead of the saved one.
    """
    config = read_config(folder)
    path = Path(folder) / "model.safetensors"
    weights = read_weights(path)
    check_extent(config, weights, path)
    model = Encoder(config if dropout is None else replace(config, dropout=dropout))
    from_bert(model, weights, path)
    return model

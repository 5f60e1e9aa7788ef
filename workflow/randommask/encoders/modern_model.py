"""A modern encoder, lean enough to pretrain with.

The arithmetic is that of `transformers.ModernBertForMaskedLM`: rotary positions, norms
before each part, GeGLU, no biases, no token types, and layers that attend to near
tokens between layers that attend to all. `modern` saves it.

Shapes: B sequences, T tokens, N of the B * T positions, H hidden units, A heads,
D = H / A, V vocabulary.
"""

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from randommask import kmers
from randommask.encoders import attention
from randommask.encoders.attention import only
from randommask.encoders.dropout import dropout
from randommask.experiment.hparams import Initial, Settings

INITIAL_SD = 0.02  # ModernBERT's initializer_range
CUT = 2.0  # its initializer_cutoff_factor
NORM_EPS = 1e-5
# How slowly positions turn: in layers that attend to all tokens, and to near ones.
GLOBAL_THETA, LOCAL_THETA = 160_000.0, 10_000.0


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
    dropout: float = 0.0
    local: int = 128
    """Tokens that a layer attends to which attends to near ones, half to each side."""
    global_every: int = 3
    """The first of so many layers attends to all tokens."""
    kind: str = "modern"
    pad: int = kmers.PAD
    """Id that fills up the shorter of several rows; every family says its own."""

    @classmethod
    def of(cls, settings: Settings | Initial) -> "EncoderConfig":
        """What the settings of a pretraining, or of its control, say of the encoder."""
        told = settings.architecture
        names = {f.name for f in fields(cls)} & type(told).model_fields.keys()
        sizes = {name: getattr(told, name) for name in names}
        return cls(**sizes, k=settings.k, tokenization=settings.tokenization)

    @property
    def vocab_size(self) -> int:
        """The five specials and all k-mers."""
        return kmers.vocab_size(self.k)


class View(NamedTuple):
    """What a layer sees of the positions."""

    cos_TD: Tensor
    sin_TD: Tensor
    bias: Tensor | None
    """Of the scores, (B or 1, 1, 1 or T, T), or `blocks_bias`; None: all see all."""
    first: Tensor | None
    """Of the first token's, where the last layer is asked for this alone."""


class Layer(nn.Module):
    """One transformer layer, a norm before each part; the first has one less."""

    def __init__(self, config: EncoderConfig, index: int) -> None:
        super().__init__()
        hidden, wide = config.hidden, config.feed_forward
        self.heads, self.dropout = config.heads, config.dropout
        self.is_local = index % config.global_every > 0
        self.attention_norm = _norm(hidden) if index else nn.Identity()
        self.qkv = nn.Linear(hidden, 3 * hidden, bias=False)
        self.out = nn.Linear(hidden, hidden, bias=False)
        self.norm = _norm(hidden)
        self.gated = nn.Linear(hidden, 2 * wide, bias=False)
        self.down = nn.Linear(wide, hidden, bias=False)

    def forward(
        self, x_BTH: Tensor, view: View, wanted: int | Tensor | None = None
    ) -> Tensor:
        """Apply the layer; with `wanted`, as in `Encoder.forward`, to these alone."""
        rate = self.dropout if self.training else 0.0
        first = wanted if isinstance(wanted, int) else None
        parts = self._project(self.attention_norm(x_BTH), view, first)
        bias = view.bias if first is None else view.first
        is_near = bias is not None and bias.ndim == 5
        mix = attention.attend_near if is_near else attention.attend
        mixed_BTH = mix(*parts, bias, rate).transpose(1, 2).flatten(2)
        x = only(x_BTH, wanted) + dropout(self.out(only(mixed_BTH, wanted)), rate)
        value, gate = self.gated(self.norm(x)).chunk(2, dim=-1)
        return x + self.down(dropout(F.gelu(value) * gate, rate))

    def weights(self, x_BTH: Tensor, view: View) -> Tensor:
        """Attention weights (B, A, T, T) that the layer gives to its input."""
        q_BATD, k_BATD, _ = self._project(self.attention_norm(x_BTH), view)
        return attention.weights(q_BATD, k_BATD, view.bias)

    def _project(
        self, x_BTH: Tensor, view: View, wanted: int | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        if wanted is None:
            parts = self.qkv(x_BTH).chunk(3, dim=-1)
        else:
            hidden = x_BTH.shape[-1]
            first = F.linear(x_BTH[:, :wanted], self.qkv.weight[:hidden])
            rest = F.linear(x_BTH, self.qkv.weight[hidden:])
            parts = (first, *rest.chunk(2, dim=-1))
        q_BTAD, k_BTAD, v_BTAD = (x.unflatten(-1, (self.heads, -1)) for x in parts)
        turned = (_turned(x, view.cos_TD, view.sin_TD) for x in (q_BTAD, k_BTAD))
        return tuple(x.transpose(1, 2) for x in (*turned, v_BTAD))


def _norm(hidden: int) -> nn.LayerNorm:
    return nn.LayerNorm(hidden, eps=NORM_EPS, bias=False)


def _turned(x_BTAD: Tensor, cos_TD: Tensor, sin_TD: Tensor) -> Tensor:
    """Turn the pairs of each vector (its halves' elements) by its position's angles."""
    cos_T1D, sin_T1D = (x[: x_BTAD.shape[1], None] for x in (cos_TD, sin_TD))
    first, second = x_BTAD.float().chunk(2, dim=-1)
    halves = first * cos_T1D - second * sin_T1D, second * cos_T1D + first * sin_T1D
    return torch.cat(halves, dim=-1).to(x_BTAD.dtype)


class Encoder(nn.Module):
    """Embeddings, layers, and the head that names the token at a position."""

    position = None
    """No weights are learnt for positions, as `bert.Encoder` has them."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        hidden = config.hidden
        self.word = nn.Embedding(config.vocab_size, hidden, padding_idx=kmers.PAD)
        self.embedding_norm = _norm(hidden)
        self.layers = nn.ModuleList(Layer(config, i) for i in range(config.layers))
        self.final_norm = _norm(hidden)
        self.transform = nn.Linear(hidden, hidden, bias=False)
        self.transform_norm = _norm(hidden)
        self.output_bias = nn.Parameter(torch.zeros(config.vocab_size))

    def initialise(self, generator: torch.Generator) -> None:
        """Fill the weights as ModernBERT does: normal, cut at two deviations, norms 1.

        What is added to the hidden states is smaller the more layers add to them.
        """
        less = (2 * self.config.layers) ** -0.5
        for name, module in self.named_modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                is_added = name.endswith(("out", "down", "transform"))
                sd = INITIAL_SD * (less if is_added else 1)
                nn.init.trunc_normal_(
                    module.weight, 0, sd, -CUT * sd, CUT * sd, generator=generator
                )
        with torch.no_grad():
            self.word.weight[kmers.PAD] = 0

    def forward(
        self,
        ids_BT: Tensor,
        keep_BT: Tensor | None = None,
        wanted: int | Tensor | None = None,
    ) -> Tensor:
        """Hidden states after the last norm; arguments as `bert.Encoder.forward` has.

        (B, T, H), or those `wanted` alone: 1, the first token of each sequence,
        (B, 1, H), or a tensor (N,), positions in the flattened B * T, (N, H).
        """
        x_BTH = self._embed(ids_BT)
        views = self._views(x_BTH, keep_BT, wanted)
        for layer in self.layers[:-1]:
            x_BTH = layer(x_BTH, views[layer.is_local])
        last = self.layers[-1]
        return self.final_norm(last(x_BTH, views[last.is_local], wanted))

    def head(self, hidden: Tensor) -> Tensor:
        """Scores over the vocabulary, (..., H) -> (..., V)."""
        hidden = self.transform_norm(F.gelu(self.transform(hidden)))
        return F.linear(hidden, self.word.weight, self.output_bias)

    def attention_maps(self, ids_BT: Tensor) -> Tensor:
        """Attention weights (layers, B, A, T, T) of sequences without padding."""
        x_BTH, maps = self._embed(ids_BT), []
        views = self._views(x_BTH, None, None, in_blocks=False)
        for layer in self.layers:
            maps.append(layer.weights(x_BTH, views[layer.is_local]))
            x_BTH = layer(x_BTH, views[layer.is_local])
        return torch.stack(maps)

    def _embed(self, ids_BT: Tensor) -> Tensor:
        x_BTH = self.embedding_norm(self.word(ids_BT))
        return dropout(x_BTH, self.config.dropout) if self.training else x_BTH

    def _views(
        self,
        x_BTH: Tensor,
        keep_BT: Tensor | None,
        wanted: int | Tensor | None,
        in_blocks: bool = True,
    ) -> dict[bool, View]:
        """What the layers see that attend to all (False) and to near tokens (True)."""
        whole = None
        if keep_BT is not None:
            whole = attention.bias_of(keep_BT[:, None, None], x_BTH)
        views = {False: View(*self._angles(x_BTH, GLOBAL_THETA), whole, whole)}
        if not any(layer.is_local for layer in self.layers):
            return views
        tokens, width = x_BTH.shape[1], self.config.local // 2
        bias, first = whole, whole
        if tokens > width + 1:
            if in_blocks and tokens >= attention.BLOCKS * width:
                bias = attention.blocks_bias(x_BTH, keep_BT, width)
            else:
                bias = self._near_bias(x_BTH, keep_BT, tokens)
            if isinstance(wanted, int):
                first = self._near_bias(x_BTH, keep_BT, wanted)
        views[True] = View(*self._angles(x_BTH, LOCAL_THETA), bias, first)
        return views

    def _near_bias(self, x_BTH: Tensor, keep_BT: Tensor | None, rows: int) -> Tensor:
        """Of the first `rows` tokens' scores, (B or 1, 1, rows, T)."""
        tokens, width = x_BTH.shape[1], self.config.local // 2
        near = attention.is_near(rows, tokens, width, x_BTH.device)[None, None]
        if keep_BT is not None:
            near = near & keep_BT[:, None, None]
        return attention.bias_of(near, x_BTH)

    def _angles(self, x_BTH: Tensor, theta: float) -> tuple[Tensor, Tensor]:
        """Cosine and sine of each position's angles, (T, D / 2) float32."""
        size = self.config.hidden // self.config.heads
        told = {"device": x_BTH.device, "dtype": torch.float32}
        rates = 1.0 / theta ** (torch.arange(0, size, 2, **told) / size)
        angles = torch.arange(x_BTH.shape[1], **told)[:, None] * rates
        return angles.cos(), angles.sin()

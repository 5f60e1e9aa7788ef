"""HyenaDNA's architecture: long convolutions in position of attention.

It is that of Nguyen et al. 2023 (arXiv 2306.15794) with the order-2 Hyena operator of
Poli et al. 2023 (arXiv 2302.10866); transformers has no class for it and no remote code
is run. Parts are named as in the released checkpoints, so that a state dict is one of
theirs, but for the prefix.

Shapes: B sequences, T tokens, H hidden units, F frequencies of a spectrum.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from randommask.encoders.pooling import chosen, mean

PAD = 4
# What is left of a filter however far it reaches: its decay goes to this, not to 0.
SHIFT = 0.05


@dataclass(frozen=True)
class HyenaConfig:
    """Sizes of an encoder, as in the released config.json."""

    hidden: int
    layers: int
    feed_forward: int
    positions: int
    """Tokens, also the length of the filters; a special token would count as one."""
    vocabulary: int
    """Rows of the embedding: the tokens, filled up to a multiple."""
    position_features: int
    """Of the filters' input: position, then cosines and sines of some frequencies."""
    filter_order: int
    """Width of the network that gives the filters."""
    filter_layers: int
    """Layers of this network between its first and its last."""
    short_filter: int
    """Taps of the short convolution."""
    frequency: float
    """That the sines of the filters' network start with."""
    norm_eps: float
    dropout: float
    """Of the embeddings: the released configs drop nothing elsewhere."""
    heads: int = 1
    k: int = 1
    pad: int = PAD


class Sine(nn.Module):
    """sin(frequency * x); one frequency a unit, shared by all layers of a filter."""

    def __init__(self, width: int, frequency: float) -> None:
        super().__init__()
        self.freq = nn.Parameter(torch.full((1, width), float(frequency)))

    def forward(self, x: Tensor) -> Tensor:
        """Elementwise, (..., width)."""
        return torch.sin(self.freq * x)


class Constants(nn.Module):
    """Tensors that a checkpoint holds and training leaves alone."""

    def __init__(self, **tensors: Tensor) -> None:
        super().__init__()
        for name, tensor in tensors.items():
            self.register_buffer(name, tensor)


class Filter(nn.Module):
    """One long filter a hidden unit, given by a small network of the position.

    The positions' features are constants, as HyenaDNA fine-tunes (`lr_pos_emb: 0`).
    """

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        width, sine = config.filter_order, Sine(config.filter_order, config.frequency)
        parts = [nn.Linear(config.position_features, width), sine]
        for _ in range(config.filter_layers):
            parts += [nn.Linear(width, width), sine]
        self.implicit_filter = nn.Sequential(
            *parts, nn.Linear(width, config.hidden, bias=False)
        )
        self.bias = nn.Parameter(torch.randn(config.hidden))
        position, features = _positions(config)
        self.pos_emb = Constants(t=position, z=features)
        # The units' filters decay at rates between two: to 1 % within 0.3, and within
        # 1.5, of the longest sequence.
        slow, fast = math.log(0.01) / 1.5, math.log(0.01) / 0.3
        deltas = torch.linspace(slow, fast, config.hidden)
        self.modulation = Constants(deltas=deltas[None, None])
        self._kept: tuple[tuple, Tensor] | None = None

    def taps(self, length: int) -> Tensor:
        """The first `length` taps of each filter, (length, H) float32."""
        position, features = self.pos_emb.t[0, :length], self.pos_emb.z[0, :length]
        decay = torch.exp(-position * self.modulation.deltas[0].abs())
        return self.implicit_filter(features) * (decay + SHIFT)

    def spectrum(self, length: int) -> Tensor:
        """Fourier transform (H, F) of the filters for inputs of `length` tokens.

        The skip connection is a tap at distance 0: a constant in the spectrum. Where no
        gradient is needed it is kept until length or weights change.
        """
        # A compiled or captured pass would go on with the filters of the day it was
        # made. `is_compiling` stands before what the compiler cannot follow.
        if (
            self.training
            or torch.is_grad_enabled()
            or torch.compiler.is_compiling()
            or self.bias.is_inference()
            or (self.bias.is_cuda and torch.cuda.is_current_stream_capturing())
        ):
            self._kept = None
            return self._transform(length)
        key = (length, *((w.data_ptr(), w._version) for w in self.parameters()))
        if self._kept is None or self._kept[0] != key:
            self._kept = key, self._transform(length)
        return self._kept[1]

    def _transform(self, length: int) -> Tensor:
        taps_HT = self.taps(length).T
        return torch.fft.rfft(taps_HT, n=fft_length(length)) + self.bias[:, None]


def _positions(config: HyenaConfig) -> tuple[Tensor, Tensor]:
    """Position from 0 to 1 (1, positions, 1), and features (1, positions, E)."""
    length, bands = config.positions, (config.position_features - 1) // 2
    with torch.device("cpu"):  # constants, also in a model without memory
        position = torch.linspace(0, 1, length)[None, :, None]
        angle = 2 * math.pi * torch.arange(length)[None, :, None] / length
        waves = torch.linspace(1e-4, bands - 1, bands) * angle
    return position, torch.cat([position, waves.cos(), -waves.sin()], dim=-1)


def fft_length(length: int) -> int:
    """Points that a convolution of `length` tokens needs, up to a quick number.

    Fewer than 2 length - 1 would wrap the end around to the beginning.
    """
    least = 2 * length - 1
    return min(
        odd << max(0, (least - 1) // odd).bit_length() for odd in (1, 3, 5, 9, 15)
    )


class Operator(nn.Module):
    """The order-2 Hyena operator: three streams, two gates, a long convolution."""

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        hidden, taps = config.hidden, config.short_filter
        self.in_proj = nn.Linear(hidden, 3 * hidden)
        self.short_filter = nn.Conv1d(
            3 * hidden, 3 * hidden, taps, padding=taps - 1, groups=3 * hidden
        )
        self.filter_fn = Filter(config)
        self.out_proj = nn.Linear(hidden, hidden)

    def forward(self, x_BTH: Tensor) -> Tensor:
        """Mix positions causally, (B, T, H) -> (B, T, H)."""
        length = x_BTH.shape[1]
        streams = self.short_filter(self.in_proj(x_BTH).mT)[..., :length]
        outer_BHT, inner_BHT, value_BHT = streams.chunk(3, dim=1)
        mixed_BHT = self.convolve(value_BHT * inner_BHT)
        return self.out_proj((mixed_BHT * outer_BHT).mT)

    def convolve(self, x_BHT: Tensor) -> Tensor:
        """Convolve each hidden unit with its filter, in float32 whatever comes in."""
        length = x_BHT.shape[-1]
        points = fft_length(length)
        # There is no Fourier transform of bf16, and the sines in the filters take large
        # arguments, whose last digits bf16 does not have.
        with torch.autocast(x_BHT.device.type, enabled=False):
            spectrum = torch.fft.rfft(x_BHT.float(), n=points)
            spectrum = spectrum * self.filter_fn.spectrum(length)
            return torch.fft.irfft(spectrum, n=points)[..., :length]


class Block(nn.Module):
    """Operator, then feed-forward, each with its norm before."""

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.hidden, eps=config.norm_eps)
        self.mixer = Operator(config)
        self.norm2 = nn.LayerNorm(config.hidden, eps=config.norm_eps)
        self.mlp = nn.ModuleDict(
            {
                "fc1": nn.Linear(config.hidden, config.feed_forward),
                "fc2": nn.Linear(config.feed_forward, config.hidden),
            }
        )

    def forward(self, x_BTH: Tensor) -> Tensor:
        """Apply the block, (B, T, H) -> (B, T, H)."""
        x_BTH = x_BTH + self.mixer(self.norm1(x_BTH))
        wide = F.gelu(self.mlp["fc1"](self.norm2(x_BTH)), approximate="tanh")
        return x_BTH + self.mlp["fc2"](wide)


class Hyena(nn.Module):
    """Embeddings, blocks and a last norm."""

    specials = ()

    def __init__(self, config: HyenaConfig) -> None:
        super().__init__()
        self.config = config
        words = nn.Embedding(config.vocabulary, config.hidden)
        self.embeddings = nn.ModuleDict({"word_embeddings": words})
        self.layers = nn.ModuleList(Block(config) for _ in range(config.layers))
        self.ln_f = nn.LayerNorm(config.hidden, eps=config.norm_eps)

    def forward(self, ids_BT: Tensor) -> Tensor:
        """Hidden states (B, T, H) after the last norm; each knows what is before it."""
        x_BTH = self.embeddings["word_embeddings"](ids_BT)
        x_BTH = F.dropout(x_BTH, self.config.dropout, self.training)
        for layer in self.layers:
            x_BTH = layer(x_BTH)
        return self.ln_f(x_BTH)

    def states(self, ids_BT: Tensor, keep_BT: Tensor | None = None) -> Tensor:
        """Hidden states (B, T, H); padding, on the right, changes none before it."""
        del keep_BT
        return self(ids_BT)

    def features(self, ids_BT: Tensor, keep_BT: Tensor | None = None) -> Tensor:
        """Mean hidden state (B, H) over the tokens, those of `keep_BT` if given."""
        return mean(self(ids_BT), chosen(ids_BT, keep_BT))

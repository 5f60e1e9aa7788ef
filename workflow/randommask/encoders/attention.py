"""Attention as our encoders compute it: to all tokens, or to those that are near.

Scores get a number added, the bias: 0 where a token may be attended to, else the least
that there is, which leaves it no weight.

Shapes: B sequences, T tokens, N of the B * T positions, H hidden units, A heads,
D = H / A; near attention: W tokens to each side, C blocks of W queries.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from randommask.encoders.dropout import dropout

# Tokens up to which, in bf16 on a CPU, two plain products are faster than torch's fused
# attention, as measured.
SHORT = 512
BLOCKS = 4
"""Sequences of so many blocks, or more, are attended to near tokens block by block."""


def only(x_BTH: Tensor, wanted: int | Tensor | None) -> Tensor:
    """The hidden states at the wanted positions: (B, wanted, H) or (N, H)."""
    if wanted is None:
        return x_BTH
    if isinstance(wanted, int):
        return x_BTH[:, :wanted]
    return x_BTH.flatten(0, 1).index_select(0, wanted)


def weights(q_BATD: Tensor, k_BATD: Tensor, bias: Tensor | None) -> Tensor:
    """What the queries give to each key: they add up to 1."""
    scores = (q_BATD * q_BATD.shape[-1] ** -0.5) @ k_BATD.mT
    return (scores if bias is None else scores + bias).softmax(-1)


def attend(
    q_BATD: Tensor, k_BATD: Tensor, v_BATD: Tensor, bias: Tensor | None, rate: float
) -> Tensor:
    """Mix the values, (B, A, T, D). The kernel is the faster one, as measured.

    `rate` is that of the dropout on the weights.
    """
    is_short = q_BATD.dtype == torch.bfloat16 and k_BATD.shape[-2] <= SHORT
    if q_BATD.device.type == "cpu" and (is_short or rate):
        weights_BATT = dropout(weights(q_BATD, k_BATD, bias), rate)
        return weights_BATT.to(v_BATD.dtype) @ v_BATD
    return F.scaled_dot_product_attention(
        q_BATD, k_BATD, v_BATD, attn_mask=bias, dropout_p=rate
    )


def attend_near(
    q_BATD: Tensor, k_BATD: Tensor, v_BATD: Tensor, bias: Tensor, rate: float
) -> Tensor:
    """Mix the values of near tokens, (B, A, T, D); `bias` is `blocks_bias`.

    W queries at once see their own block of keys and those to its sides, 3 W in all.
    """
    width, tokens = bias.shape[-2], q_BATD.shape[2]
    blocks = -(-tokens // width)
    behind = blocks * width - tokens
    q_BACWD = F.pad(q_BATD, (0, 0, 0, behind)).unflatten(2, (blocks, width))
    k_BACKD, v_BACKD = (
        F.pad(x, (0, 0, width, width + behind)).unfold(2, 3 * width, width).mT
        for x in (k_BATD, v_BATD)
    )
    # Blocks beside rows: torch's kernels know four axes.
    q, k, v = (x.transpose(1, 2).flatten(0, 1) for x in (q_BACWD, k_BACKD, v_BACKD))
    bias = bias.expand(len(q_BATD), -1, -1, -1, -1).flatten(0, 1)
    mixed = attend(q, k, v, bias, rate).unflatten(0, (-1, blocks))
    return mixed.transpose(1, 2).flatten(2, 3)[:, :, :tokens]


def bias_of(allowed: Tensor, x_BTH: Tensor) -> Tensor:
    """0 where attention is allowed, else the least number; as products have it."""
    device, dtype = x_BTH.device.type, x_BTH.dtype
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
    bias = torch.zeros(allowed.shape, dtype=dtype, device=x_BTH.device)
    return bias.masked_fill(~allowed, torch.finfo(dtype).min)


def is_near(rows: int, keys: int, width: int, device: torch.device) -> Tensor:
    """Which of the first `keys` tokens are near each of the first `rows`: (rows, K)."""
    row, key = (torch.arange(size, device=device) for size in (rows, keys))
    return (row[:, None] - key).abs() <= width


def blocks_bias(x_BTH: Tensor, keep_BT: Tensor | None, width: int) -> Tensor:
    """What `attend_near` adds to its scores: (B or 1, C, 1, W, 3 W)."""
    tokens = x_BTH.shape[1]
    blocks = -(-tokens // width)
    if keep_BT is None:
        keep_BT = torch.ones(1, tokens, dtype=torch.bool, device=x_BTH.device)
    around = (width, width + blocks * width - tokens)
    keep_BCK = F.pad(keep_BT, around).unfold(1, 3 * width, width)
    row, key = (torch.arange(n * width, device=x_BTH.device) for n in (1, 3))
    near_WK = (row[:, None] + width - key).abs() <= width
    return bias_of(keep_BCK[:, :, None, None] & near_WK, x_BTH)

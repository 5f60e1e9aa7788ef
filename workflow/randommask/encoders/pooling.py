"""What a head reads of a sequence: one token before it, or the mean over its own.

Shapes: B rows, T tokens, H hidden units.
"""

from torch import Tensor

CLS, MEAN = "cls", "mean"
BOTH = (CLS, MEAN)


def chosen(ids_BT: Tensor, keep_BT: Tensor | None, *left_out: int) -> Tensor:
    """Where tokens are the sequence's: neither padding nor one of the ids `left_out`.

    A token that stands for bases counts whatever it says of them, as [UNK] does.
    """
    chosen_BT = ids_BT >= 0 if keep_BT is None else keep_BT
    for token in left_out:
        chosen_BT = chosen_BT & (ids_BT != token)
    return chosen_BT


def mean(hidden_BTH: Tensor, chosen_BT: Tensor) -> Tensor:
    """Mean over the chosen tokens, (B, H) float32; 0 for a row that has none.

    Added up in float32 whatever comes in: a sum of hundreds in bf16 has two digits.
    """
    own_BTH = hidden_BTH.float().masked_fill(~chosen_BT[..., None], 0)
    return own_BTH.sum(1) / chosen_BT.sum(1, keepdim=True).clamp(min=1)

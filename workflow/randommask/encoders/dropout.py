"""Dropout whose random numbers cost little on a CPU.

`torch.nn.functional.dropout` draws one number an element there, which takes longer than
the products it stands between. Here a 64-bit word of torch's generator serves four
elements: the rate is a multiple of 1 / 65,536, and all else is the same. The words are
drawn by one thread, so the result does not depend on the number of threads.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = 2**16  # numbers that can be drawn for an element, so a rate is some of these


def seed(number: int, device: torch.device) -> None:
    """Seed what dropout draws from on the device.

    `torch.manual_seed` also tells the devices that are not there, each with a traceback
    for their first use: a millisecond, of the demo's encoder a thirtieth of a step.
    """
    if device.type == "cpu":
        torch.default_generator.manual_seed(number)
    else:
        torch.manual_seed(number)


def dropout(x: Tensor, rate: float) -> Tensor:
    """Set each element to 0 with probability `rate` (below 1), and scale up the rest.

    On other devices than the CPU it is torch's own.
    """
    kept_levels = round((1 - rate) * LEVELS)
    if kept_levels == LEVELS:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, rate)
    words = torch.randint(-(2**63), 2**63 - 1, (-(-x.numel() // 4),))
    numbers = words.view(torch.int16)[: x.numel()]  # each from -2**15 to 2**15 - 1
    is_kept = numbers.view(x.shape).lt_(kept_levels - LEVELS // 2)
    # Scaled apart from the mask: a mask in bf16 would round 1 / 0.9 to 1.109.
    return (x * is_kept.to(x.dtype)).mul_(LEVELS / kept_levels)

"""Number formats of a training, and which kernels may round them."""

from contextlib import nullcontext

import torch

# Some of cuDNN's attention kernels round a dropout rate to sixteenths
# (pytorch/pytorch#174245).
CUDNN_LEVELS = 16


def chosen(precision: str, device_type: str) -> str:
    """What `auto` is on this hardware: bf16 where it computes in it, else fp32."""
    if precision != "auto":
        return precision
    if device_type == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.cpu._is_avx512_bf16_supported()
    return "bf16" if fast else "fp32"


def autocast(precision: str, device: torch.device) -> torch.autocast | nullcontext:
    """bf16 where that is said and, with `auto`, where the hardware computes in it."""
    if chosen(precision, device.type) == "fp32":
        return nullcontext()
    return torch.autocast(device.type, torch.bfloat16)


def keep_exact(rate: float) -> None:
    """Let attention on CUDA use cuDNN's kernels only where they know this rate.

    The choice is the process's. Releases of torch older than that change take 0.1 to
    cuDNN, which rounds it to 1/8.
    """
    torch.backends.cuda.enable_cudnn_sdp(rate * CUDNN_LEVELS % 1 == 0)

"""Would it be faster on a GPU if ...? One of our pretraining steps, changed: a table.

    PYTHONPATH=workflow python bench/gpu_variants.py [--budget 480] [--ways WAY ...]

Each way is a change that is not in the package, put in for one measurement, with or
without others (`"bf16 residual + hash dropout"`); the first is the package as it is.
Steps are `gpu_pretraining`'s. The loss is the third step's: a change that is only
faster leaves it within the noise of dropout. A way that this torch or this machine
does not offer is one line, and left out. Rows are printed as they come, until
`--budget` seconds are over; `--tiny` rehearses on any machine.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from typing import Any
from unittest.mock import patch

import torch
from gpu_pretraining import (
    CUDA,
    PARTS,
    PRODUCT,
    clear,
    dense_rate,
    flops,
    make_settings,
    ours,
    random_corpus,
    show,
)
from torch import Tensor
from torch.nn import functional as F

from randommask.encoders import bert
from randommask.encoders.attention import only
from randommask.encoders.bert import Encoder, Layer
from randommask.encoders.dropout import dropout
from randommask.pretraining import trainer
from randommask.pretraining.trainer import Trainer

SHIPPED, KEEPS_ALL = "as it is", "attention keeps all"
HEADER = (
    "way",
    "tokens/s",
    "faster",
    "of the dense rate",
    "step (ms)",
    *(f"{part} (ms)" for part in PARTS),
    "memory (GiB)",
    "compilation (s)",
    "loss",
)


def padded_head(self: Encoder, hidden: Tensor) -> Tensor:
    """The output product with a vocabulary filled up to a multiple of 64."""
    hidden = self.transform_norm(F.gelu(self.transform(hidden)))
    size = self.config.vocab_size
    weight = F.pad(self.word.weight, (0, 0, 0, -size % 64))
    return F.linear(hidden, weight, F.pad(self.output_bias, (0, -size % 64)))[:, :size]


def mixed(x: Tensor) -> Tensor:
    """In the type that autocast multiplies in."""
    return x.to(torch.get_autocast_dtype(x.device.type))


def mixed_layer(
    self: Layer, x_BTH: Tensor, bias: Tensor | None, wanted: Tensor | None = None
) -> Tensor:
    """A layer between whose parts bf16 is handed on."""
    mixed_BTH = self._attend(*self._project(x_BTH), bias)
    out = dropout(self.out(only(mixed_BTH, wanted)), self.dropout)
    x = mixed(self.attention_norm(only(x_BTH, wanted) + out))
    down = dropout(self.down(F.gelu(self.up(x))), self.dropout)
    return mixed(self.norm(x + down))


def hash_dropout(x: Tensor, rate: float) -> Tensor:
    """Dropout by a hash of an element's position and one number of torch's generator.

    The hash is lowbias32 (Wellons 2018, nullprogram.com/blog/2018/07/31).
    """
    if rate == 0.0:
        return x
    seed = torch.randint(2**31 - 1, (1,), dtype=torch.int32, device=x.device)
    position = torch.arange(x.numel(), dtype=torch.int32, device=x.device).view(x.shape)
    # int32 keeps its sign when shifted: the mask makes it a shift of bits
    number = position * 0x9E3779B + seed
    number = (number ^ ((number >> 16) & 0xFFFF)) * 0x7FEB352D
    number = (number ^ ((number >> 15) & 0x1FFFF)) * (0x846CA68B - 2**32)
    number = number ^ ((number >> 16) & 0xFFFF)
    is_kept = number < round((1 - rate) * 2**32) - 2**31
    return torch.where(is_kept, x * (1 / (1 - rate)), 0.0)


def attention_keeps_all(
    self: Layer, *arguments: Any, attend: Callable[..., Tensor] = Layer._attend
) -> Tensor:
    """Attention without dropout, and dropout elsewhere."""
    rate, self.dropout = self.dropout, 0.0
    try:
        return attend(self, *arguments)
    finally:
        self.dropout = rate


def varlen_attend(
    self: Layer, q_BATD: Tensor, k_BATD: Tensor, v_BATD: Tensor, bias: Tensor | None
) -> Tensor:
    """Attention by torch's kernel for rows of any lengths, which knows no dropout.

    Our rows have one length, so this asks whether the kernel is the faster one.
    """
    from torch.nn.attention.varlen import varlen_attn

    if bias is not None:
        raise ValueError("rows that are padded are not packed here")
    rows, _, queries, _ = q_BATD.shape
    keys = k_BATD.shape[2]

    def packed(x_BATD: Tensor) -> Tensor:
        return x_BATD.transpose(1, 2).flatten(0, 1)

    def ends(tokens: int) -> Tensor:
        every = torch.arange(rows + 1, dtype=torch.int32, device=q_BATD.device)
        return every * tokens

    mixed = varlen_attn(
        *map(packed, (q_BATD, k_BATD, v_BATD)),
        *(ends(queries), ends(keys), queries, keys),
    )
    return mixed.unflatten(0, (rows, queries)).flatten(2)


@contextmanager
def flash_attention(version: str) -> Iterator[None]:
    """Another flash attention in torch's place, where torch and its package are."""
    from torch.nn import attention

    attention.activate_flash_attention_impl(version)
    try:
        yield
    finally:
        attention.restore_flash_attention_impl()


def replayed(self: Trainer, batch: Any, is_warm: bool = True) -> Tensor:
    """`learn` with a loss of its own: a CUDA graph's is overwritten by its next."""
    loss = self.loss(batch, is_warm)
    self.gradient.add(loss)
    return loss.detach().clone()


def compiler(**options: Any) -> AbstractContextManager:
    """Inductor with some options."""

    def compile_graph(graph: Any, inputs: Any) -> Any:
        from torch._inductor.compile_fx import compile_fx

        return compile_fx(graph, inputs, config_patches=options)

    return patch.object(trainer, "COMPILER", compile_graph)


def allow_cudnn(rate: float) -> None:
    """As torch chooses, whatever the rate."""
    torch.backends.cuda.enable_cudnn_sdp(True)


WAYS = {
    SHIPPED: [],
    "bf16 residual": [partial(patch.object, Layer, "forward", mixed_layer)],
    "hash dropout": [
        partial(patch.object, bert, "dropout", hash_dropout),
        partial(patch, f"{__name__}.dropout", hash_dropout),
    ],
    "padded vocabulary": [partial(patch.object, Encoder, "head", padded_head)],
    KEEPS_ALL: [partial(patch.object, Layer, "_attend", attention_keeps_all)],
    "varlen attention": [partial(patch.object, Layer, "_attend", varlen_attend)],
    "FlashAttention 3": [
        partial(flash_attention, "FA3"),
        partial(patch.object, Layer, "_attend", attention_keeps_all),
    ],
    "cuDNN attention": [partial(patch.object, trainer, "keep_exact", allow_cudnn)],
    "CUDA graphs": [
        partial(compiler, **{"triton.cudagraphs": True}),
        partial(patch.object, Trainer, "learn", replayed),
    ],
    "tuned products": [partial(compiler, max_autotune_gemm=True)],
}
# What promises most comes first. The kernels without dropout compare with KEEPS_ALL.
DEFAULT = (
    SHIPPED,
    "bf16 residual + hash dropout",
    KEEPS_ALL,
    "varlen attention",
    "FlashAttention 3",
    "CUDA graphs",
    "padded vocabulary",
    "bf16 residual",
    "hash dropout",
    "cuDNN attention",
    "tuned products",
)


def main(argv: list[str] | None = None) -> None:
    """Print one Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", type=float, default=480.0, help="seconds")
    parser.add_argument("--micro-batch", type=int, default=64)
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--ways", nargs="+", default=DEFAULT)
    parser.add_argument("--tiny", action="store_true")
    flags = parser.parse_args(argv)
    if not (CUDA or flags.tiny):
        print("No CUDA device: not measured.")
        return
    start, longest, before = time.monotonic(), 0.0, None
    settings = make_settings(flags.tiny, flags.micro_batch, flags.dropout)
    rate = dense_rate(64 if flags.tiny else PRODUCT)
    show(HEADER)
    show(["---"] * len(HEADER))
    with random_corpus() as manifest:
        for way in flags.ways:
            begun = time.monotonic()
            if begun - start + longest > flags.budget:
                print("the time is over: ways were left out", file=sys.stderr)
                break
            clear()
            try:
                with ExitStack() as changes:
                    for name in way.split(" + "):
                        for change in WAYS[name]:
                            changes.enter_context(change())
                    found = ours(settings, manifest)
            except Exception as error:  # the next way may still be measured
                said = " ".join(str(error).split())[:200]
                print(f"{way}: {type(error).__name__}: {said}", file=sys.stderr)
                continue
            before = before or found.step
            speed = settings.batch * settings.tokens / found.step
            times = (found.step, *(found.parts[part] for part in PARTS))
            show(
                [
                    way,
                    f"{speed:,.0f}",
                    f"{before / found.step:.3f}",
                    f"{speed * flops(settings)[0] / rate:.1%}",
                    *(f"{1000 * time:.1f}" for time in times),
                    f"{found.memory:.1f}",
                    f"{found.first - found.step:.0f}",
                    f"{found.loss:.3f}",
                ]
            )
            longest = max(longest, time.monotonic() - begun)


if __name__ == "__main__":
    main()

"""The gradient of a step: added up over micro-batches, the mean over processes.

Where there are several processes, `DistributedDataParallel` takes the mean: during the
backward pass of the last micro-batch each bucket of gradients, 25 MiB, is on its way
as soon as it is whole, while those of lower layers are still being computed. Those of
the other micro-batches are added up without a word to the other processes. One process
is not wrapped, and does without its hooks.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

# Tensors begin at multiples of so many elements (256 bytes) in the one that holds them.
ALIGNED = 64


class Gradient:
    """Of all weights of a model, in one tensor (`whole`): one norm, one product.

    Every weight has to have a gradient in every step, and the model no buffers, which
    would have to be kept the same.
    """

    def __init__(self, model: nn.Module, world: int) -> None:
        self.parameters, self.world = list(model.parameters()), world
        self.whole = _laid_out(self.parameters)
        self.parallel: DistributedDataParallel | None = None
        if world > 1:
            self.parallel = DistributedDataParallel(_Applied(model))

    def apply(self, losses: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        """`losses` of the tensors: the forward pass whose gradient is to be added."""
        if self.parallel is None:
            return losses(*tensors)
        return self.parallel(losses, *tensors)

    def apart(self, is_apart: bool = True) -> AbstractContextManager:
        """What is applied and added in here stays this process's own."""
        if self.parallel is None or not is_apart:
            return nullcontext()
        return self.parallel.no_sync()

    def add(self, loss: Tensor) -> None:
        """Add the gradient of a loss; the mean over processes, where not `apart`."""
        if self.parallel is not None:
            loss.backward()  # it is hooks of this that send the buckets
            return
        # One kernel adds many tensors, where `backward` would start one for each.
        parts = [parameter.grad for parameter in self.parameters]
        torch._foreach_add_(parts, torch.autograd.grad(loss, self.parameters))

    def average(self) -> None:
        """Take the mean over processes of what all have added apart."""
        if self.world > 1:
            dist.all_reduce(self.whole)
            self.whole /= self.world


class _Applied(nn.Module):
    """A model as `DistributedDataParallel` takes it, applied by a function.

    The function may be compiled. All its calls have to be in here, also those whose
    gradients stay apart: where the compiler first meets it here, it cuts the graph
    where a bucket ends. The gradients of one graph would all come at its end.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, losses: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
        """The losses of the tensors."""
        return losses(*tensors)


def _laid_out(parameters: list[nn.Parameter]) -> Tensor:
    """One tensor behind the gradients of all parameters.

    Each starts at a multiple of `ALIGNED`, as kernels that read 16 bytes at once need.
    """
    sizes = [-(-p.numel() // ALIGNED) * ALIGNED for p in parameters]
    whole = torch.zeros(sum(sizes), device=parameters[0].device)
    for parameter, part in zip(parameters, whole.split(sizes), strict=True):
        parameter.grad = part[: parameter.numel()].view_as(parameter)
    return whole

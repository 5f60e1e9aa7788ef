"""AdamW: torch's fused arithmetic without torch's optimizer classes.

Making a `torch.optim.Optimizer` imports torch's compiler, which takes longer than many
a demo's fine-tuning; the function beneath it does not.
"""

import math
from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

COSINE_END = 0.1  # share of the peak that a cosine ends at, as HyenaDNA's does


class AdamW:
    """Steps some parameters; those of one dimension (biases, norms) do not decay."""

    def __init__(
        self,
        parameters: Collection[nn.Parameter],
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ) -> None:
        self.betas, self.eps = betas, eps
        matrices = [p for p in parameters if p.ndim > 1]
        vectors = [p for p in parameters if p.ndim <= 1]
        self.groups = [
            (group, *self._moments(group), decay)
            for group, decay in ((matrices, weight_decay), (vectors, 0.0))
        ]

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Take one step along the gradients."""
        for parameters, means, squares, steps, decay in self.groups:
            adamw(
                parameters,
                [parameter.grad for parameter in parameters],
                means,
                squares,
                [],
                steps,
                fused=True,
                amsgrad=False,
                maximize=False,
                beta1=self.betas[0],
                beta2=self.betas[1],
                lr=learning_rate,
                weight_decay=decay,
                eps=self.eps,
            )

    def clear(self) -> None:
        """Forget the gradients."""
        for parameters, *_ in self.groups:
            for parameter in parameters:
                parameter.grad = None

    def moments(self, named: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
        """The state itself, no copy: `<name>.exp_avg` and `<name>.exp_avg_sq`.

        The number of steps is for the caller to remember.
        """
        found = {
            parameter: {"exp_avg": mean, "exp_avg_sq": square}
            for parameters, means, squares, _, _ in self.groups
            for parameter, mean, square in zip(parameters, means, squares, strict=True)
        }
        return {
            f"{name}.{key}": moment
            for name, parameter in named.items()
            for key, moment in found[parameter].items()
        }

    @torch.no_grad()
    def restore(
        self, named: Mapping[str, nn.Parameter], moments: dict[str, Tensor], steps: int
    ) -> None:
        """Copy in what `moments` gave after `steps` steps.

        A missing name is a `KeyError`, another shape a `RuntimeError`.
        """
        for name, moment in self.moments(named).items():
            moment.copy_(moments[name].view(moment.shape))
        for _, _, _, counts, _ in self.groups:
            for count in counts:
                count.fill_(steps)

    @staticmethod
    def _moments(parameters: list[nn.Parameter]) -> tuple[list[Tensor], ...]:
        """Means and squares of the gradients so far, and the number of steps."""
        means = [torch.zeros_like(p) for p in parameters]
        squares = [torch.zeros_like(p) for p in parameters]
        steps = [torch.zeros((), device=p.device) for p in parameters]
        return means, squares, steps


def learning_rate(
    peak: float, warmup: int, total: int, step: int, decay: str = "linear"
) -> float:
    """Rate of step `step` (from 0): linear warm-up, then down until the total.

    Linearly to 0, or by half a `cosine` to a tenth of the peak.

    >>> [learning_rate(1.0, 10, 110, step) for step in (0, 9, 60, 109)]
    [0.1, 1.0, 0.5, 0.01]
    >>> [round(learning_rate(1.0, 10, 110, s, "cosine"), 4) for s in (0, 10, 60, 110)]
    [0.1, 1.0, 0.55, 0.1]
    """
    if step < warmup:
        return peak * (step + 1) / warmup
    left = (total - step) / max(1, total - warmup)
    if decay == "cosine":
        left = COSINE_END + (1 - COSINE_END) * (1 - math.cos(math.pi * left)) / 2
    return peak * left

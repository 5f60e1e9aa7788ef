"""Muon for the matrices of an encoder's layers, AdamW for all its other weights.

Muon (Jordan et al. 2024) steps along the momentum made orthogonal: all directions of a
matrix move alike, those of small gradients too. Its steps are as long as AdamW's (0.2
of the rate a weight, Liu et al. 2025), so rate and decay of AdamW hold for both. The
arithmetic is torch's, `torch.optim.Muon`, without its class (see `optimizer`). Query,
key and value are one tensor here and three matrices there.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim._muon import muon

from randommask.training.optimizer import AdamW

ARITHMETIC = {  # of torch.optim.Muon, its defaults but for the last
    "momentum": 0.95,
    "nesterov": True,
    "ns_coefficients": (3.4445, -4.775, 2.0315),
    "ns_steps": 5,
    "eps": 1e-7,
    "adjust_lr_fn": "match_rms_adamw",
}


JOINED = {"qkv": 3, "gated": 2}
"""Matrices that stand in one tensor, by the part: projections; value and gate."""


def is_stepped(name: str, parameter: Tensor) -> bool:
    """Whether Muon steps a weight: a matrix of a layer, no embedding and no head."""
    return name.startswith("layers.") and parameter.ndim == 2


def matrices(name: str, tensor: Tensor) -> tuple[Tensor, ...]:
    """The matrices in a tensor, as views of it."""
    return tensor.chunk(JOINED.get(name.split(".")[-2], 1))


class Muon:
    """Steps the weights that are `named`, as `AdamW` does."""

    def __init__(
        self,
        named: Mapping[str, nn.Parameter],
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
    ) -> None:
        self.weight_decay = weight_decay
        self.stepped = {n: p for n, p in named.items() if is_stepped(n, p)}
        self.momenta = {n: torch.zeros_like(p) for n, p in self.stepped.items()}
        rest = [p for n, p in named.items() if n not in self.stepped]
        self.rest = AdamW(rest, betas, eps, weight_decay)

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Take one step along the gradients."""
        parameters, gradients, momenta = [], [], []
        for name, parameter in self.stepped.items():
            parameters += matrices(name, parameter)
            gradients += matrices(name, parameter.grad)
            momenta += matrices(name, self.momenta[name])
        muon(
            parameters,
            gradients,
            momenta,
            lr=learning_rate,
            weight_decay=self.weight_decay,
            has_complex=False,
            **ARITHMETIC,
        )
        self.rest.step(learning_rate)

    def moments(self, named: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
        """The state itself, no copy: `<name>.momentum`, and that of AdamW."""
        rest = {n: p for n, p in named.items() if n not in self.stepped}
        momenta = {f"{name}.momentum": m for name, m in self.momenta.items()}
        return momenta | self.rest.moments(rest)

    @torch.no_grad()
    def restore(
        self, named: Mapping[str, nn.Parameter], moments: dict[str, Tensor], steps: int
    ) -> None:
        """Copy in what `moments` gave after `steps` steps.

        A missing name is a `KeyError`, another shape a `RuntimeError`.
        """
        for name, momentum in self.momenta.items():
            momentum.copy_(moments[f"{name}.momentum"].view(momentum.shape))
        rest = {n: p for n, p in named.items() if n not in self.stepped}
        self.rest.restore(rest, moments, steps)

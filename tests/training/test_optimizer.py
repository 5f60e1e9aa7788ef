"""Optimizers' states, taken out and put back; Muon against torch's own class."""

import pytest
import torch

from randommask.training.muon import Muon
from randommask.training.optimizer import AdamW

SIZES = {
    "word.weight": (11, 6),
    "layers.0.qkv.weight": (18, 6),
    "layers.0.qkv.bias": (18,),
    "layers.0.up.weight": (12, 6),
    "layers.0.down.weight": (6, 12),
    "layers.0.gated.weight": (24, 6),
    "layers.0.norm.weight": (6,),
    "transform.weight": (6, 6),
}
NUMBERS = (0.9, 0.98), 1e-6, 0.01


def parameters(seed, sizes):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.nn.Parameter(torch.randn(size, generator=generator))
        for name, size in sizes.items()
    }


def made(seed=0):
    named = parameters(seed, {"bias": (7,), "weight": (5, 3), "norm": (2,)})
    return named, AdamW(named.values(), *NUMBERS)


def made_muon(seed=0):
    named = parameters(seed, SIZES)
    return named, Muon(named, *NUMBERS)


def steps(named, optimizer, numbers):
    for number in numbers:
        generator = torch.Generator().manual_seed(number)
        for parameter in named.values():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step(0.01)


@pytest.mark.parametrize("make", [made, made_muon])
def test_going_on_from_the_moments_gives_the_same_bits(make):
    named, optimizer = make()
    steps(named, optimizer, range(4))
    weights = {name: parameter.detach().clone() for name, parameter in named.items()}
    kept = {name: m.clone() for name, m in optimizer.moments(named).items()}
    if make is made:
        kinds = ("exp_avg", "exp_avg_sq")
        assert set(kept) == {f"{n}.{kind}" for n in named for kind in kinds}
    steps(named, optimizer, range(4, 7))

    others, other = make(seed=1)
    steps(others, other, range(9))
    with torch.no_grad():
        for name, parameter in others.items():
            parameter.copy_(weights[name])
    other.restore(others, kept, 4)
    steps(others, other, range(4, 7))
    for name, parameter in named.items():
        assert torch.equal(parameter, others[name])


def test_moments_that_do_not_fit_are_refused():
    named, optimizer = made()
    kept = {name: m.clone() for name, m in optimizer.moments(named).items()}
    with pytest.raises(RuntimeError):
        optimizer.restore(named, kept | {"weight.exp_avg": torch.zeros(3, 3)}, 1)
    kept.pop("norm.exp_avg_sq")
    with pytest.raises(KeyError, match=r"norm\.exp_avg_sq"):
        optimizer.restore(named, kept, 1)


def test_muon_is_torchs_and_for_the_rest_adamw_is():
    """The matrices that are one tensor here are several weights there."""
    named, optimizer = made_muon()
    steps(named, optimizer, range(5))
    theirs, parts = parameters(0, SIZES), {}
    for name, parameter in theirs.items():
        pieces = parameter.detach().chunk(
            3 if "qkv.weight" in name else 2 if "gated" in name else 1
        )
        parts[name] = [torch.nn.Parameter(piece.clone()) for piece in pieces]
    matrices = [name for name in SIZES if "layers" in name and len(SIZES[name]) == 2]
    assert len(matrices) == 4
    muons = torch.optim.Muon(
        [piece for name in matrices for piece in parts[name]],
        lr=0.01, weight_decay=0.01, adjust_lr_fn="match_rms_adamw",
    )  # fmt: skip
    others = [piece for name in SIZES if name not in matrices for piece in parts[name]]
    (betas, eps, decay) = NUMBERS
    groups = [
        {"params": [p for p in others if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in others if p.ndim == 1], "weight_decay": 0.0},
    ]
    adamw = torch.optim.AdamW(groups, lr=0.01, betas=betas, eps=eps)
    for number in range(5):
        generator = torch.Generator().manual_seed(number)
        for name, size in SIZES.items():
            drawn = torch.randn(size, generator=generator)
            for piece, own in zip(
                parts[name], drawn.chunk(len(parts[name])), strict=True
            ):
                piece.grad = own.clone()
        muons.step()
        adamw.step()
    for name, parameter in named.items():
        whole = torch.cat(parts[name])
        if name in matrices:
            assert torch.equal(parameter, whole)
        torch.testing.assert_close(parameter, whole, rtol=1e-5, atol=1e-6)


def test_a_state_of_adamw_is_none_of_muon():
    named, optimizer = made_muon()
    other = AdamW(named.values(), *NUMBERS)
    with pytest.raises(KeyError, match=r"layers\.0\.qkv\.weight\.momentum"):
        optimizer.restore(named, other.moments(named), 1)

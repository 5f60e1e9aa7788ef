"""The optimizer's state, taken out and put back."""

import pytest
import torch

from randommask.training.optimizer import AdamW


def made(seed=0):
    generator = torch.Generator().manual_seed(seed)
    named = {
        name: torch.nn.Parameter(torch.randn(size, generator=generator))
        for name, size in (("bias", (7,)), ("weight", (5, 3)), ("norm", (2,)))
    }
    return named, AdamW(named.values(), (0.9, 0.98), 1e-6, 0.01)


def steps(named, optimizer, numbers):
    for number in numbers:
        generator = torch.Generator().manual_seed(number)
        for parameter in named.values():
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step(0.01)


def test_going_on_from_the_moments_gives_the_same_bits():
    named, optimizer = made()
    steps(named, optimizer, range(4))
    weights = {name: parameter.detach().clone() for name, parameter in named.items()}
    kept = {name: m.clone() for name, m in optimizer.moments(named).items()}
    assert set(kept) == {f"{n}.{k}" for n in named for k in ("exp_avg", "exp_avg_sq")}
    steps(named, optimizer, range(4, 7))

    others, other = made(seed=1)
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

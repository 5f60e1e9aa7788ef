"""Weights that pretraining begins with, by a schedule of its own: `from` in a config.

The first segment starts with them in place of random weights; its optimizer, its
learning rate and its steps begin anew. What they were is kept with the state, so that
every later segment and every card can tell.
"""

from pathlib import Path
from typing import NamedTuple, Self

import torch
from torch import nn

from randommask import files, kmers
from randommask.encoders import bert, families, ours, published
from randommask.errors import InputError
from randommask.experiment import origins
from randommask.experiment.hparams import Settings

WEIGHTS = "model.safetensors"
HEAD = ("transform.", "transform_norm.", "output_bias")


class Origin(NamedTuple):
    """What is known of the weights that an encoder went on from."""

    name: str
    """of the encoder, or of its folder"""
    sha256: str
    """of their model.safetensors"""
    has_head: bool
    """whether they could name masked tokens; else that head began at random"""
    has_positions: bool
    """whether positions behind `tokens` had been trained; else they are copies"""

    @classmethod
    def of(cls, progress: dict) -> Self | None:
        """Taken out of a checkpoint's progress, where earlier ones have none."""
        found = progress.pop("origin", None)
        return found and cls(**found)


def check(folder: Path | None, settings: Settings, is_first: bool) -> None:
    """Raise `InputError` where the weights are not of the settings' shape.

    Also where there are weights and no origin in the settings, or the other way round.
    """
    is_told = settings.origin is not None and is_first
    if (folder is not None) != is_told:
        found = "no --origin" if folder is None else f"--origin {folder}"
        wanted = settings.origin if is_told else "none"
        raise InputError(f"{found}, but the first weights in --hparams are: {wanted}")
    if folder is None:
        return
    path = folder / "config.json"
    kind = settings.architecture.kind
    origins.check_made(str(path), files.read_json(path), kind)
    found = vars(ours.MODULES[kind].read_config(folder))
    origins.check_shape(str(path), found, origins.shape(settings))
    if published.order(folder / "vocab.txt", kmers.words(settings.k)):
        raise InputError(f"{folder}/vocab.txt: words in another order than {WEIGHTS}")


def begin(model: nn.Module, folder: Path, settings: Settings) -> Origin:
    """Fill the model, which holds random weights, and say with what."""
    weights = families.of(folder).load(folder).state_dict()
    has_head = not _is_silent(weights)
    if not has_head:
        fresh = model.state_dict()
        weights |= {name: fresh[name] for name in fresh if name.startswith(HEAD)}
    model.load_state_dict(weights)
    return Origin(
        name=settings.origin,
        sha256=files.sha256(folder / WEIGHTS),
        has_head=has_head,
        has_positions=_has_positions(model, settings.tokens),
    )


def _has_positions(model: nn.Module, tokens: int) -> bool:
    """Whether positions behind `tokens` were learnt; rotary ones never are."""
    if model.position is None:
        return False
    position = model.position.weight
    return not torch.equal(position[tokens:], bert.copied_positions(position, tokens))


def _is_silent(weights: dict[str, torch.Tensor]) -> bool:
    """Whether the head over the vocabulary is the one that stands where none was."""
    transform = weights["transform.weight"]
    same = torch.equal(transform, torch.eye(*transform.shape, device=transform.device))
    return same and not weights["output_bias"].any()

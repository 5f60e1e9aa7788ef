"""Weights that pretraining goes on from: whose they are, and whether they fit.

Snakemake imports this module while it plans, so it imports nothing heavy.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from randommask.errors import InputError, known
from randommask.experiment.encoders import (
    family,
    initial,
    origin,
    predecessor,
    split,
)
from randommask.experiment.hparams import Initial, Settings
from randommask.experiment.sections import (
    MODEL_TYPES,
    MODERN,
    Experiment,
    FromEncoder,
    FromFolder,
    LocalCopy,
    Milestone,
    Ours,
    Probe,
    Released,
    Untrained,
    WithoutEncoder,
)
from randommask.files import read_json

NAMES = {
    "layers": "num_hidden_layers",
    "hidden": "hidden_size",
    "heads": "num_attention_heads",
    "feed_forward": "intermediate_size",
    "positions": "max_position_embeddings",
}
NEAR = {"local": "local_attention", "global_every": "global_attn_every_n_layers"}
"""Of modern ones alone."""
SPECIALS = 5
"""Words of a vocabulary that are no k-mers."""
FOREIGN = (
    "expected a folder made by this workflow; of others' weights make an encoder "
    "(`released`) and name that"
)


def shape(told: Initial | Settings) -> dict[str, Any]:
    """What has to be equal: tokens and sizes. The dropout may be another."""
    sizes = told.architecture
    names = (*NAMES, *NEAR) if sizes.kind == MODERN else NAMES
    return {
        "k": told.k,
        "tokenization": told.tokenization,
        **{key: getattr(sizes, key) for key in names},
    }


def check_shape(
    where: str, found: Mapping[str, Any], expected: Mapping[str, Any]
) -> None:
    """Raise `InputError` for the first size that weights were made for otherwise."""
    for key, value in expected.items():
        if found.get(key, value) != value:
            raise InputError(
                f"{where}: {key} {found[key]}, but pretraining is to go on with "
                f"{key} {value}"
            )


def check(experiment: Experiment, encoder: str) -> None:
    """Raise `InputError` where an encoder's origin is none, or of another shape."""
    start, where = experiment.encoders[encoder].origin, f"encoders.{encoder}.from"
    if not isinstance(start, FromEncoder):
        return
    source = start.encoder
    known(f"{where}.encoder", source, experiment.encoders, "encoder")
    if isinstance(experiment.encoders[source], WithoutEncoder | Probe):
        raise InputError(f"{where}: {source} has no weights to go on from")
    entry = experiment.encoders[source]
    if isinstance(entry, Milestone):
        entry = experiment.encoders.get(entry.milestone.encoder)
        if not isinstance(entry, Ours):  # which `check` says later
            return
    found, kind = family(experiment, source), family(experiment, encoder)
    if found != kind:
        raise InputError(f"{where}: {source} is of family {found}, expected {kind}")
    if isinstance(entry, Ours | Untrained):
        found = shape(initial(experiment, source))
        check_shape(f"{where}: {source}", found, shape(initial(experiment, encoder)))


def parent(experiment: Experiment, encoder: str) -> str | None:
    """The encoder that another is made from; None where it is made from none."""
    entry = experiment.encoders[encoder]
    if isinstance(entry, Milestone):
        return entry.milestone.encoder
    if isinstance(entry, Probe):
        return entry.probe.encoder
    start = entry.from_ if isinstance(entry, Ours) else None
    return getattr(start, "encoder", None)


def behind(experiment: Experiment, encoders: set[str]) -> set[str]:
    """These encoders, and all that they are made from."""
    found = set()
    for one in encoders:
        while one and one not in found:
            found.add(one)
            one = parent(experiment, one)
    return found


def folder(experiment: Experiment, segment: str) -> str | list[str]:
    """The encoder whose weights a segment begins with; none for all but the first."""
    encoder, end = split(segment)
    begun = origin(experiment, encoder)
    if begun is None or predecessor(experiment, encoder, end):
        return []
    is_folder = isinstance(begun, FromFolder)
    return begun.folder if is_folder else f"<results>/encoders/{begun.encoder}"


def copies(experiment: Experiment) -> dict[str, LocalCopy]:
    """The folders that pretraining goes on from, by the key that names them."""
    return {
        f"encoders.{name}.from.folder": LocalCopy(path=entry.origin.folder)
        for name, entry in experiment.encoders.items()
        if isinstance(entry, Ours) and isinstance(entry.origin, FromFolder)
    }


def check_folders(experiment: Experiment) -> None:
    """Likewise of folders, by their config.json, where that is there already."""
    for name, entry in experiment.encoders.items():
        if not isinstance(entry, Ours) or entry.origin is None:
            continue
        source = experiment.encoders.get(getattr(entry.origin, "encoder", None))
        if isinstance(entry.origin, FromFolder):
            path = Path(entry.origin.folder) / "config.json"
            if path.parent.exists() and not path.exists():
                raise InputError(
                    f"encoders.{name}.from.folder: {path}: no such file, {FOREIGN}"
                )
        elif isinstance(source, Released) and isinstance(source.released, LocalCopy):
            path = Path(source.released.path) / "config.json"
        else:
            continue
        if path.exists():
            where = f"encoders.{name}.from: {path}"
            found = read_json(path)
            if isinstance(entry.origin, FromFolder):
                check_made(where, found, family(experiment, name))
            check_shape(where, _said(found), shape(initial(experiment, name)))


def check_made(where: str, config: Any, kind: str) -> None:
    """Raise `InputError` for a config.json that is not of our folder of this kind."""
    found = config.get("model_type") if isinstance(config, dict) else None
    if found != MODEL_TYPES[kind]:
        raise InputError(
            f"{where}: model_type is {found!r}, expected {MODEL_TYPES[kind]!r}"
        )
    if not config.keys() >= {"k", "tokenization"}:
        raise InputError(f"{where}: no key k or tokenization, {FOREIGN}")


def _said(config: Any) -> dict[str, Any]:
    """What a config.json says of the shape; old ones leave out what was usual."""
    if not isinstance(config, dict):
        return {}
    known = (NAMES | NEAR).items()
    found = {key: config[name] for key, name in known if name in config}
    lengths = {4**k + SPECIALS: k for k in range(1, 8)}
    if config.get("vocab_size") in lengths:
        found["k"] = lengths[config["vocab_size"]]
    return found | {x: config[x] for x in ("k", "tokenization") if x in config}


def check_plain(where: str, config: Any) -> None:
    """Raise `InputError` where a config.json names code of its own: it is never run."""
    code = config.get("auto_map") if isinstance(config, dict) else None
    if code:
        named = next(iter(code.values()), "") if isinstance(code, dict) else code
        raise InputError(
            f"{where}: config.json names code of its own (auto_map: {named}), which is "
            "never run; expected an encoder that transformers has"
        )

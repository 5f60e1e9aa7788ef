"""Encoders that an ablation pretrains with several seeds, each under a name of its own.

A group with `pretraining_seeds: [1, 2, 3]` has of its encoder `rival`, whose own seed
is 1, also `rival-seed2` and `rival-seed3`: the same in all but the seed, and the
milestones, which are of `rival` alone. Where `rival` goes on `from` another, so do they
from that one's; where it is a probe, they are probes of what it probes with their seed.
"""

from collections.abc import Iterable
from typing import Any


def name(encoder: str, seed: int) -> str:
    """What an encoder is called that differs from another in its seed."""
    return f"{encoder}-seed{seed}"


def entries(encoders: dict[str, Any], groups: Any) -> dict[str, Any]:
    """The further encoders of the groups, as they would stand in a config.

    What is wrong is left for the form to refuse: nothing has checked it yet.
    """
    found: dict[str, Any] = {}
    for group in groups.values() if isinstance(groups, dict) else ():
        seeds = group.get("pretraining_seeds") if isinstance(group, dict) else None
        rows = group.get("rows") if seeds else None
        if not isinstance(seeds, list) or not isinstance(rows, list):
            continue
        if not all(isinstance(seed, int) for seed in seeds):
            continue
        for row in rows:
            encoder = row.get("encoder") if isinstance(row, dict) else None
            if isinstance(encoder, str):
                _add(found, encoders, encoder, seeds)
    return found


def _add(found: dict, encoders: dict, encoder: str, seeds: Iterable) -> None:
    entry = encoders.get(encoder)
    probe = entry.get("probe") if isinstance(entry, dict) else None
    if isinstance(probe, dict) and isinstance(probe.get("encoder"), str):
        _add_probes(found, encoders, encoder, seeds)
        return
    is_ours = isinstance(entry, dict) and not {"control", "released", "milestone"} & {
        *entry
    }
    if not is_ours:
        return
    for seed in seeds:
        own = name(encoder, seed)
        if seed == entry.get("seed", 1) or own in found or own in encoders:
            continue
        found[own] = {**entry, "seed": seed, "milestones": []}
        branch = entry.get("from")
        if isinstance(branch, dict) and isinstance(branch.get("encoder"), str):
            parent = branch["encoder"]
            _add(found, encoders, parent, [seed])
            found[own]["from"] = {**branch, "encoder": name(parent, seed)}


def _add_probes(found: dict, encoders: dict, encoder: str, seeds: Iterable) -> None:
    entry = encoders[encoder]
    probe, source = entry["probe"], entry["probe"]["encoder"]
    _add(found, encoders, source, seeds)
    for seed in seeds:
        read, own = name(source, seed), name(encoder, seed)
        if read in (found | encoders) and own not in encoders:
            found[own] = {**entry, "probe": {**probe, "encoder": read}}

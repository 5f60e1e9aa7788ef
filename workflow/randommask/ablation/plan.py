"""Which jobs stand behind an ablation: its encoders' weights, their pretraining, runs.

Snakemake imports this module while it plans, so it imports nothing heavy.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from randommask.settings import (
    is_ours,
    merged,
    predecessor,
    segment_ends,
    table_datasets,
)

Cell = tuple[str, str, str]
"""Encoder, tokenization and dataset of fine-tuning runs."""


def weights(config: dict[str, Any], encoder: str) -> tuple[str, int] | None:
    """The encoder and the step whose weights these are; None where not pretrained."""
    if is_ours(config, encoder):
        return encoder, segment_ends(config, encoder)[-1]
    taken = config["encoders"][encoder].get("milestone")
    return (taken["encoder"], taken["step"]) if taken else None


def segments(
    config: dict[str, Any], encoder: str, step: int
) -> list[tuple[str, int, float]]:
    """The pretraining jobs behind a step, the last first.

    Each is an encoder, the step at its job's end, and how much of the job lies before:
    1, but for a milestone within a job.
    """
    jobs = []
    at: tuple[str, int] | None = (encoder, step)
    while at and at[1] > 0:
        owner, reached = at
        end = min(end for end in segment_ends(config, owner) if end >= reached)
        before = predecessor(config, owner, end)
        start = before[1] if before else 0
        jobs.append((owner, end, (reached - start) / (end - start)))
        at = before
    return jobs


def pretraining(config: dict[str, Any], encoder: str) -> dict[str, Any] | None:
    """What an ablation's table has to know of an encoder's pretraining, as JSON."""
    taken = weights(config, encoder)
    if taken is None:
        return None
    owner, step = taken
    end = min(end for end in segment_ends(config, owner) if end >= step)
    return {
        "step": step,
        "kept": f"{owner}/step-{end}",
        "jobs": {
            f"{name}/step-{last}": share
            for name, last, share in segments(config, owner, step)
        },
    }


def has_order(config: dict[str, Any], encoder: str) -> bool:
    """Whether the purity of an encoder's embeddings is measured.

    Odd k-mers have no two central nucleotides, and shorter ones nothing around them.
    """
    k = merged(config, encoder)["k"]
    return weights(config, encoder) is not None and k >= 4 and k % 2 == 0


def rows(config: dict[str, Any], group: dict) -> list[dict[str, Any]]:
    """The rows of a group, each with what stands behind it."""
    return [
        {
            **row,
            "pretraining": pretraining(config, row["encoder"]),
            "has_order": has_order(config, row["encoder"]),
        }
        for row in group["rows"]
    ]


def page(config: dict[str, Any], name: str) -> dict[str, Any]:
    """What `randommask.ablation` has to know of a group."""
    group = config["ablations"][name]
    return {
        "name": name,
        "question": group.get("question", ""),
        "axis": group.get("axis", ""),
        "rows": rows(config, group),
        "datasets": table_datasets(config, group),
        "seeds": config["seeds"],
    }


def measured(config: dict[str, Any], group: dict) -> list[str]:
    """What a group's page reads beside the runs, below `<results>`, as far as it is."""
    files = []
    for row in rows(config, group):
        if row["pretraining"]:
            files += [
                f"pretrain/{row['pretraining']['kept']}",
                f"figures/attention/{row['encoder']}.csv",
            ]
        if row["has_order"]:
            files.append(f"figures/purity/{row['encoder']}.csv")
    return list(dict.fromkeys(files))


# --- What an ablation has for itself --------------------------------------------------


def ancestors(config: dict[str, Any], encoder: str) -> Iterator[str]:
    """The encoder and all those whose weights it goes on from."""
    yield encoder
    entry = config["encoders"][encoder]
    for key in ("from", "milestone"):
        if key in entry:
            yield from ancestors(config, entry[key]["encoder"])


def cells(config: dict[str, Any], tables: Iterable[dict]) -> set[Cell]:
    """The fine-tuning cells of some tables or groups."""
    return {
        (row["encoder"], row["tokenization"], dataset)
        for table in tables
        for row in table["rows"]
        for dataset in table_datasets(config, table)
    }


def own(config: dict[str, Any], name: str) -> tuple[set[str], set[Cell]]:
    """Encoders and cells that the group `name` has and nothing else in the config.

    An encoder that a table, another group, a role or another encoder's beginning needs
    is not the group's own.
    """
    group = config["ablations"][name]
    mine = {
        found for row in group["rows"] for found in ancestors(config, row["encoder"])
    }
    others = [
        *config["tables"].values(),
        *(other for key, other in config["ablations"].items() if key != name),
    ]
    named = {row["encoder"] for table in others for row in table["rows"]}
    named |= {*config["roles"].values(), *(config["encoders"].keys() - mine)}
    theirs = {found for one in named for found in ancestors(config, one)}
    return mine - theirs, cells(config, [group]) - cells(config, others)

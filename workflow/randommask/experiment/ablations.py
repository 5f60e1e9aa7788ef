"""Which jobs stand behind an ablation: its encoders' weights, their pretraining, runs.

Snakemake imports this module while it plans, so it imports nothing heavy.
"""

from typing import Any

from randommask.errors import InputError, listing
from randommask.experiment.encoders import (
    is_ours,
    merged,
    predecessor,
    segment_ends,
)
from randommask.experiment.runs import table_datasets


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
    keys = merged(config, owner)
    return {
        "tokens": f"{keys['k']}-mers, {keys['tokenization']}",
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
    """What `randommask.report.ablations` has to know of a group."""
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
    """What a group's page reads beside the runs, below `<results>`, as far as it is.

    Raises `InputError` for a group none of whose data sets is here.
    """
    if not table_datasets(config, group):
        names = listing(group["datasets"])
        raise InputError(f"ablations: the group's data sets are not here: {names}")
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


def check_group(where: str, group: dict[str, Any]) -> None:
    """Raise `InputError` for rows that a reader, or the axis, cannot tell apart.

    `where` names the group in the message.
    """
    if not group["datasets"]:
        raise InputError(f"{where}.datasets: found [], expected at least one")
    seen: dict[tuple, int] = {}
    for number, row in enumerate(group["rows"], start=1):
        name = f"{where} row {row['label']!r}"
        _check_position(name, row, group)
        label, series = row["label"], row.get("series", "")
        encoder, tokenization = row["encoder"], row["tokenization"]
        first = seen.setdefault(("label", label, tokenization), number)
        if first < number:
            raise InputError(
                f"{name}: row {first} has this label and {tokenization} tokens too"
            )
        first = seen.setdefault(("encoder", series, encoder, tokenization), number)
        if first < number:
            raise InputError(
                f"{name}: {encoder} with {tokenization} tokens is row {first} already"
            )


def _check_position(name: str, row: dict[str, Any], group: dict[str, Any]) -> None:
    """Check that a row lies along the group's axis in the way of the first row."""
    if "axis" not in group:
        if extra := {"at", "series"} & row.keys():
            raise InputError(f"{name}: {min(extra)!r}, but the group has no 'axis'")
        return
    if "at" not in row:
        raise InputError(f"{name}: no 'at', which the group's axis asks for")
    first = group["rows"][0]
    if ("series" in row) != ("series" in first):
        found, due = ("a", "none") if "series" in row else ("no", "one")
        raise InputError(f"{name}: {found} series, expected {due} as in row 1")
    kinds = [isinstance(one.get("at"), str) for one in (row, first)]
    if kinds[0] != kinds[1]:
        due = "a text" if kinds[1] else "a number"
        raise InputError(f"{name}: at {row['at']!r}, expected {due} as in row 1")

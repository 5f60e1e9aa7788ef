"""Which jobs stand behind an ablation: its encoders' weights, their pretraining, runs.

Snakemake imports this module while it plans, so it imports nothing heavy.
"""

from typing import Any

from randommask.errors import InputError, listing
from randommask.experiment.encoders import (
    is_ours,
    k_of,
    keys,
    predecessor,
    segment_ends,
)
from randommask.experiment.runs import pretrainings, table_datasets
from randommask.experiment.sections import (
    ADAMW,
    Ablation,
    Experiment,
    Milestone,
    Untrained,
)


def weights(experiment: Experiment, encoder: str) -> tuple[str, int] | None:
    """The encoder and the step whose weights these are; None where not pretrained."""
    if is_ours(experiment, encoder):
        return encoder, segment_ends(experiment, encoder)[-1]
    entry = experiment.encoders[encoder]
    if not isinstance(entry, Milestone):
        return None
    return entry.milestone.encoder, entry.milestone.step


def segments(
    experiment: Experiment, encoder: str, step: int
) -> list[tuple[str, int, float]]:
    """The pretraining jobs behind a step, the last first.

    Each is an encoder, the step at its job's end, and how much of the job lies before:
    1, but for a milestone within a job.
    """
    jobs = []
    at: tuple[str, int] | None = (encoder, step)
    while at and at[1] > 0:
        owner, reached = at
        end = min(end for end in segment_ends(experiment, owner) if end >= reached)
        before = predecessor(experiment, owner, end)
        start = before[1] if before else 0
        jobs.append((owner, end, (reached - start) / (end - start)))
        at = before
    return jobs


def pretraining(experiment: Experiment, encoder: str) -> dict[str, Any] | None:
    """What an ablation's table has to know of an encoder's pretraining, as JSON."""
    taken = weights(experiment, encoder)
    if taken is None:
        return None
    owner, step = taken
    end = min(end for end in segment_ends(experiment, owner) if end >= step)
    entry = keys(experiment, owner)
    return {
        "tokens": f"{entry.k}-mers, {entry.tokenization}",
        "step": step,
        "seen": step * entry.batch * entry.tokens,
        **({} if entry.optimizer == ADAMW else {"optimizer": entry.optimizer}),
        "kept": f"{owner}/step-{end}",
        "jobs": {
            f"{name}/step-{last}": share
            for name, last, share in segments(experiment, owner, step)
        },
    }


def has_order(experiment: Experiment, encoder: str) -> bool:
    """Whether the purity of an encoder's embeddings is measured.

    Odd k-mers have no two central nucleotides, and shorter ones nothing around them.
    """
    if weights(experiment, encoder) is None:
        return False
    k = k_of(experiment, encoder)
    return k >= 4 and k % 2 == 0


def rows(experiment: Experiment, group: Ablation) -> list[dict[str, Any]]:
    """The rows of a group, each with what stands behind it."""
    order = ("label", "series", "at", "encoder", "tokenization")
    found = []
    for row in group.rows:
        given = {key: getattr(row, key) for key in order}
        first, *others = pretrainings(
            experiment, row.encoder, group.pretraining_seeds
        ).items()
        repeats = [
            {
                "seed": seed,
                "encoder": name,
                "pretraining": pretraining(experiment, name),
            }
            for seed, name in others
        ]
        found.append(
            {
                **{key: value for key, value in given.items() if value is not None},
                "pretraining": pretraining(experiment, row.encoder),
                "has_order": has_order(experiment, row.encoder),
                **({"seed": first[0], "repeats": repeats} if repeats else {}),
            }
        )
    return found


def page(experiment: Experiment, name: str) -> dict[str, Any]:
    """What `randommask.report.ablations` has to know of a group."""
    group = experiment.ablations[name]
    return {
        "name": name,
        "question": group.question or "",
        "axis": group.axis or "",
        "rows": rows(experiment, group),
        "datasets": table_datasets(experiment, group),
        "seeds": experiment.seeds,
        "untrained": list(
            dict.fromkeys(
                row.encoder
                for row in group.rows
                if isinstance(experiment.encoders[row.encoder], Untrained)
            )
        ),
    }


def measured(experiment: Experiment, group: Ablation) -> list[str]:
    """What a group's page reads beside the runs, below `<results>`, as far as it is.

    Raises `InputError` for a group none of whose data sets is here.
    """
    if not table_datasets(experiment, group):
        names = listing(group.datasets)
        raise InputError(f"ablations: the group's data sets are not here: {names}")
    files = []
    for row in rows(experiment, group):
        for one in (row, *row.get("repeats", ())):
            if one["pretraining"]:
                files.append(f"pretrain/{one['pretraining']['kept']}")
        if row["pretraining"]:
            files.append(f"figures/attention/{row['encoder']}.csv")
        if row["has_order"]:
            files.append(f"figures/purity/{row['encoder']}.csv")
    return list(dict.fromkeys(files))

"""What each rule takes from a checked config, and nothing else.

A changed setting so re-plans only what depends on it. Snakemake imports this module
while it plans, so it imports nothing heavy.
"""

from typing import Any

from randommask.files import WORKFLOW

ARCHITECTURE_KEYS = (
    "layers",
    "hidden",
    "heads",
    "feed_forward",
    "positions",
    "dropout",
)
UNTRAINED, KMER_LINEAR = "untrained", "kmer-linear"
# The modules that read released weights, found without importing them.
FAMILIES = sorted(
    path.stem for path in (WORKFLOW / "randommask/encoders/families").glob("[a-z]*.py")
)
# Keys of an encoder that say how its training is cut and logged, not what it computes.
LOGISTICS = (
    "segments",
    "milestones",
    "log_every",
    "validate_every",
    "validation_spans",
)


# --- Pretraining ----------------------------------------------------------------------


def is_ours(config: dict[str, Any], encoder: str) -> bool:
    """Whether we pretrain it; else it is released, a control or a milestone."""
    others = {"released", "control", "milestone"}
    return not others & config["encoders"][encoder].keys()


def control(config: dict[str, Any], encoder: str) -> str | None:
    """Which control the encoder is, `UNTRAINED` or `KMER_LINEAR`; None: no control."""
    return config["encoders"][encoder].get("control")


def initial(config: dict[str, Any], encoder: str) -> dict[str, Any]:
    """What `encoders.untrained` has to know: all that decides random weights."""
    keys = merged(config, encoder)
    sizes = config["architectures"][keys["architecture"]]
    return {
        **{key: keys[key] for key in ("k", "tokenization", "seed")},
        "architecture": {key: sizes[key] for key in ARCHITECTURE_KEYS},
    }


def released(config: dict[str, Any], encoder: str) -> dict[str, Any]:
    """Where a released encoder comes from; how it is read is no part of that."""
    entry = config["encoders"][encoder]["released"]
    return {"encoder": {key: entry[key] for key in entry if key != "family"}}


def merged(config: dict[str, Any], encoder: str) -> dict[str, Any]:
    """All pretraining keys of an encoder: the shared ones under its own.

    A milestone has those of the encoder it was taken from.
    """
    entry = config["encoders"][encoder]
    if "milestone" in entry:
        return merged(config, entry["milestone"]["encoder"])
    return {**config["pretrain"], **entry}


def phases(config: dict[str, Any], encoder: str) -> list[dict[str, int]]:
    """The curriculum of an encoder, which names one or has its own."""
    curriculum = merged(config, encoder)["curriculum"]
    if isinstance(curriculum, str):
        return config["curricula"][curriculum]
    return curriculum


def phases_until(curriculum: list[dict], end: int) -> list[dict[str, int]]:
    """The phases of the first `end` steps, the last of them cut there."""
    last = next(i for i, phase in enumerate(curriculum) if phase["until"] >= end)
    return [*curriculum[:last], {**curriculum[last], "until": end}]


def segment_ends(config: dict[str, Any], encoder: str) -> list[int]:
    """The steps at which one of the encoder's jobs ends, the last one its total."""
    keys = merged(config, encoder)
    first = keys.get("from", {}).get("step", 0)
    ends = {end for end in keys["segments"] if first < end < keys["steps"]}
    return [*sorted(ends), keys["steps"]]


def settings(config: dict[str, Any], encoder: str, end: int) -> dict[str, Any]:
    """All that decides the weights after `end` steps.

    Later phases are left out: changing one leaves earlier segments as they are.
    """
    keys = merged(config, encoder)
    sizes = config["architectures"][keys["architecture"]]
    dropped = {"from", "curriculum", "architecture", "finetune", *LOGISTICS}
    return {
        **{key: value for key, value in keys.items() if key not in dropped},
        "curriculum": phases_until(phases(config, encoder), end),
        "architecture": {key: sizes[key] for key in ARCHITECTURE_KEYS},
    }


def segment(config: dict[str, Any], encoder: str, end: int) -> dict[str, Any]:
    """What `randommask.pretraining` has to know of the job that ends at `end`."""
    keys = merged(config, encoder)
    before = predecessor(config, encoder, end)
    start = before[1] if before else 0
    return {
        "start": start,
        "end": end,
        "milestones": sorted(
            step
            for step in keys["milestones"]
            if start < step < end or step == start == 0
        ),
        "log_every": keys["log_every"],
        "validate_every": keys["validate_every"],
        "validation_spans": keys["validation_spans"],
        "span_masking": span_masking(config, encoder),
        "settings": settings(config, encoder, end),
    }


def span_masking(config: dict[str, Any], encoder: str) -> dict[str, Any]:
    """How `validation_spans` mask: as `pretrain` says, whatever the encoder trained on.

    So their losses compare. Tokens of another kind are masked as the encoder says.
    """
    shared, keys = config["pretrain"], merged(config, encoder)
    alike = shared if keys["tokenization"] == shared["tokenization"] else keys
    return {
        key: alike[key] for key in ("center_probability", "target_share", "replacement")
    }


def predecessor(
    config: dict[str, Any], encoder: str, end: int
) -> tuple[str, int] | None:
    """Encoder and step that the job ending at `end` starts from; None: from nothing."""
    earlier = [step for step in segment_ends(config, encoder) if step < end]
    if earlier:
        return encoder, earlier[-1]
    branch = config["encoders"][encoder].get("from")
    return (branch["encoder"], branch["step"]) if branch else None


def segment_names(config: dict[str, Any]) -> list[str]:
    """`<encoder>/step-<end>` of all segments of all our encoders."""
    return [
        f"{encoder}/step-{end}"
        for encoder in config["encoders"]
        if is_ours(config, encoder)
        for end in segment_ends(config, encoder)
    ]


def milestone_segments(config: dict[str, Any]) -> dict[str, str]:
    """`<encoder>/step-<n>` of each milestone, and the segment that keeps it."""
    return {
        f"{name.split('/')[0]}/step-{step}": name
        for name in segment_names(config)
        for step in segment(config, *split(name))["milestones"]
    }


def split(name: str) -> tuple[str, int]:
    """`<encoder>/step-<n>` as encoder and n."""
    encoder, _, step = name.rpartition("/step-")
    return encoder, int(step)


def lineage(config: dict[str, Any], encoder: str) -> list[str]:
    """`<encoder>/step-<n>` of the weights at each milestone and at the end, by step.

    Before a branch they are the other encoder's.
    """
    kept = {*milestone_segments(config), *segment_names(config)}
    keys = merged(config, encoder)
    names = []
    for step in sorted({*keys["milestones"], keys["steps"]}):
        owner = encoder
        while step <= (branch := config["encoders"][owner].get("from", {})).get(
            "step", -1
        ):
            owner = branch["encoder"]
        if f"{owner}/step-{step}" in kept:
            names.append(f"{owner}/step-{step}")
    return names


# --- Measures -------------------------------------------------------------------------


def embedding(
    config: dict[str, Any], encoder: str, step: int | None = None
) -> dict[str, Any]:
    """What `randommask.measures.embeddings` has to know.

    Of one step, or of every milestone.
    """
    steps = [split(name)[1] for name in lineage(config, encoder)]
    return {
        "encoder": encoder,
        "steps": steps if step is None else [step],
        **config["figures"]["tsne"],
    }


def attending(config: dict[str, Any], encoder: str) -> dict[str, Any]:
    """What `randommask.measures.attention` has to know of an encoder."""
    held_out = merged(config, encoder)["held_out"]
    windows = config["figures"]["attention"]
    return {"encoder": encoder, "held_out": held_out, **windows}

"""What each job of pretraining takes from the experiment, and nothing else.

A changed setting so re-plans only what depends on it. Snakemake imports this module
while it plans, so it imports nothing heavy.
"""

import ast
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from randommask.experiment.hparams import (
    Attention,
    Embeddings,
    Initial,
    Pretraining,
    Ranking,
    Settings,
    SpanMasking,
)
from randommask.experiment.sections import (
    RANKED,
    Experiment,
    FromEncoder,
    FromFolder,
    KmerLinear,
    Milestone,
    NoModel,
    Ours,
    Phase,
    Probe,
    Released,
    Training,
    Untrained,
    WithoutEncoder,
)
from randommask.files import WORKFLOW

_FAMILIES = WORKFLOW / "randommask" / "encoders" / "families"
# The modules that read released weights, found without importing them.
FAMILIES = sorted(path.stem for path in _FAMILIES.glob("[a-z]*.py"))


@cache
def _constants(family: str) -> dict[str, tuple[str, ...]]:
    """The tuples of names that a family's module begins with, without importing it."""
    text = (_FAMILIES / f"{family}.py").read_text(encoding="utf-8")
    found = {}
    for node in ast.parse(text).body:
        match node:
            case ast.Assign([ast.Name(name)], ast.Tuple(elements)):
                words = [ast.unparse(one).rpartition(".")[2] for one in elements]
                found[name] = tuple(word.strip("'\"") for word in words)
    return found


def tokenizations(family: str) -> tuple[str, ...] | None:
    """The tokens that a family's encoders read; None where its module hides them.

    They are constants such as `kmers.NON_OVERLAPPING`, named after their words.
    """
    words = _constants(family).get("TOKENIZATIONS")
    return words and tuple(word.lower().replace("_", "-") for word in words)


def takes_adapters(family: str) -> bool:
    """Whether a family names layers that low-rank adapters go on."""
    return "LORA_TARGETS" in (_FAMILIES / f"{family}.py").read_text(encoding="utf-8")


# --- Which encoder is what ------------------------------------------------------------


def is_ours(experiment: Experiment, encoder: str) -> bool:
    """Whether we pretrain it; else it is released, a control or a milestone."""
    return isinstance(experiment.encoders[encoder], Ours)


def named(experiment: Experiment, *kinds: type) -> list[str]:
    """The encoders of these kinds, kind by kind, each in the order of the config."""
    return [
        name
        for kind in kinds
        for name, entry in experiment.encoders.items()
        if isinstance(entry, kind)
    ]


def controls(experiment: Experiment) -> list[str]:
    """The encoders that learnt nothing beforehand, the untrained first."""
    return named(experiment, Untrained, KmerLinear, NoModel)


def kind(experiment: Experiment, encoder: str) -> str:
    """What an encoder is, in words."""
    entry = experiment.encoders[encoder]
    words = {Released: "released", Milestone: "a milestone", Ours: "ours"}
    return (words | {Probe: "a probe"}).get(type(entry), "a control")


def keys(experiment: Experiment, encoder: str) -> Ours:
    """All pretraining keys of an encoder of ours, of a milestone's, of a probe's."""
    entry = experiment.encoders[encoder]
    if isinstance(entry, Milestone):
        return keys(experiment, entry.milestone.encoder)
    if isinstance(entry, Probe):
        return keys(experiment, entry.probe.encoder)
    return entry


def k_of(experiment: Experiment, encoder: str) -> int:
    """Bases of a token of an encoder that we made: ours, a milestone, untrained."""
    return keys(experiment, encoder).k


def family(experiment: Experiment, encoder: str) -> str | None:
    """The family that reads an encoder; None where there is no encoder."""
    entry = experiment.encoders[encoder]
    if isinstance(entry, Released):
        return entry.released.family
    if isinstance(entry, Probe):
        return family(experiment, entry.probe.encoder)
    is_made = not isinstance(entry, WithoutEncoder)
    return initial(experiment, encoder).architecture.kind if is_made else None


# --- What commands are told -----------------------------------------------------------


def initial(experiment: Experiment, encoder: str) -> Initial:
    """What `encoders.untrained` has to know: all that decides random weights."""
    entry = keys(experiment, encoder)
    return Initial(
        k=entry.k,
        tokenization=entry.tokenization,
        seed=entry.seed,
        architecture=experiment.architectures[entry.architecture],
    )


def released(experiment: Experiment, encoder: str) -> dict[str, Any]:
    """Where a released encoder comes from; how it is read is no part of that."""
    place = experiment.encoders[encoder].released.given()
    plain = {"plain": True} if place.pop("family") == "hf" else {}
    return {"encoder": place} | plain


def phases(experiment: Experiment, encoder: str) -> tuple[Phase, ...]:
    """The curriculum of an encoder, which names one or has its own."""
    curriculum = keys(experiment, encoder).curriculum
    if isinstance(curriculum, str):
        return experiment.curricula[curriculum]
    return curriculum


def phases_until(curriculum: Sequence[Phase], end: int) -> tuple[Phase, ...]:
    """The phases of the first `end` steps, the last of them cut there."""
    last = next(i for i, phase in enumerate(curriculum) if phase.until >= end)
    return (*curriculum[:last], curriculum[last].model_copy(update={"until": end}))


def segment_ends(experiment: Experiment, encoder: str) -> list[int]:
    """The steps at which one of the encoder's jobs ends, the last one its total."""
    entry = keys(experiment, encoder)
    first = entry.branch.step if entry.branch else 0
    ends = {end for end in entry.segments if first < end < entry.steps}
    return [*sorted(ends), entry.steps]


def settings(experiment: Experiment, encoder: str, end: int) -> Settings:
    """All that decides the weights after `end` steps.

    Later phases are left out: changing one leaves earlier segments as they are.
    """
    entry = keys(experiment, encoder)
    return Settings(
        **{name: getattr(entry, name) for name in Training.model_fields},
        curriculum=phases_until(phases(experiment, encoder), end),
        architecture=experiment.architectures[entry.architecture],
        origin=origin_name(experiment, encoder),
    )


def origin(experiment: Experiment, encoder: str) -> FromEncoder | FromFolder | None:
    """Whose weights an encoder of ours began with, before any branch; None: random."""
    entry = keys(experiment, encoder)
    while entry.branch:
        entry = experiment.encoders.get(entry.branch.encoder)
        if not isinstance(entry, Ours):
            return None  # a branch of nothing, which `check` will say
    return entry.origin


def origin_name(experiment: Experiment, encoder: str) -> str | None:
    """What these weights are called in settings and cards, where no path belongs."""
    begun = origin(experiment, encoder)
    if isinstance(begun, FromFolder):
        return Path(begun.folder).name
    return begun.encoder if begun else None


def segment(experiment: Experiment, encoder: str, end: int) -> Pretraining:
    """What `randommask.pretraining` has to know of the job that ends at `end`."""
    entry = keys(experiment, encoder)
    before = predecessor(experiment, encoder, end)
    return Pretraining(
        start=before[1] if before else 0,
        end=end,
        milestones=milestones(experiment, encoder, end),
        log_every=entry.log_every,
        validate_every=entry.validate_every,
        validation_spans=entry.validation_spans,
        span_masking=span_masking(experiment, encoder),
        verify_every=entry.verify_every,
        settings=settings(experiment, encoder, end),
    )


def milestones(experiment: Experiment, encoder: str, end: int) -> tuple[int, ...]:
    """The steps whose weights the job that ends at `end` keeps on its way."""
    before = predecessor(experiment, encoder, end)
    start = before[1] if before else 0
    wanted = keys(experiment, encoder).milestones
    return tuple(
        sorted(step for step in wanted if start < step < end or step == start == 0)
    )


def span_masking(experiment: Experiment, encoder: str) -> SpanMasking:
    """How `validation_spans` mask: as `pretrain` says, whatever the encoder trained on.

    So their losses compare. Tokens of another kind are masked as the encoder says.
    """
    shared, entry = experiment.pretrain, keys(experiment, encoder)
    alike = shared if entry.tokenization == shared.tokenization else entry
    return SpanMasking(
        **{name: getattr(alike, name) for name in SpanMasking.model_fields}
    )


def masks_by_rank(experiment: Experiment, encoder: str, end: int) -> bool:
    """Whether a phase of the first `end` steps masks by the ranks of k-mers."""
    until = phases_until(phases(experiment, encoder), end)
    return any(phase.masking in RANKED for phase in until)


def ranks(experiment: Experiment, encoder: str, end: int) -> list[str]:
    """The file of ranks that the job ending at `end` masks by; none for most.

    Its name is the first encoder's that masks by rank, of those that share a corpus.
    """
    if not masks_by_rank(experiment, encoder, end):
        return []
    alike = (
        other
        for other in named(experiment, Ours)
        if masks_by_rank(experiment, other, keys(experiment, other).steps)
        and keys(experiment, other).genomes == keys(experiment, encoder).genomes
        and ranking(experiment, other) == ranking(experiment, encoder)
    )
    return [f"<results>/pmi/{next(alike)}.csv"]


def ranking(experiment: Experiment, encoder: str) -> Ranking:
    """What `randommask.data.pmi` has to know, beside where the corpus lies."""
    entry = keys(experiment, encoder)
    return Ranking(**{name: getattr(entry, name) for name in Ranking.model_fields})


def embedding(
    experiment: Experiment, encoder: str, step: int | None = None
) -> Embeddings:
    """What `randommask.measures.embeddings` has to know.

    Of one step, or of every milestone.
    """
    every = lineage(experiment, encoder) if step is None else [f"{encoder}/step-{step}"]
    plane = experiment.figures.tsne
    return Embeddings(
        encoder=encoder,
        steps=tuple(split(name)[1] for name in every),
        perplexity=plane.perplexity,
        seed=plane.seed,
    )


def attending(experiment: Experiment, encoder: str) -> Attention:
    """What `randommask.measures.attention` has to know of an encoder."""
    maps = experiment.figures.attention
    return Attention(
        encoder=encoder,
        held_out=keys(experiment, encoder).held_out,
        windows=maps.windows,
        tokens=maps.tokens,
        seed=maps.seed,
    )


# --- Jobs of pretraining, by the weights that they leave ------------------------------


def predecessor(
    experiment: Experiment, encoder: str, end: int
) -> tuple[str, int] | None:
    """Encoder and step that the job ending at `end` starts from; None: from nothing."""
    earlier = [step for step in segment_ends(experiment, encoder) if step < end]
    if earlier:
        return encoder, earlier[-1]
    branch = experiment.encoders[encoder].branch
    return (branch.encoder, branch.step) if branch else None


def segment_names(experiment: Experiment) -> list[str]:
    """`<encoder>/step-<end>` of all segments of all our encoders."""
    return [
        f"{encoder}/step-{end}"
        for encoder in named(experiment, Ours)
        for end in segment_ends(experiment, encoder)
    ]


def milestone_segments(experiment: Experiment) -> dict[str, str]:
    """`<encoder>/step-<n>` of each milestone, and the segment that keeps it."""
    return {
        f"{encoder}/step-{step}": f"{encoder}/step-{end}"
        for encoder, end in map(split, segment_names(experiment))
        for step in milestones(experiment, encoder, end)
    }


def split(name: str) -> tuple[str, int]:
    """`<encoder>/step-<n>` as encoder and n."""
    encoder, _, step = name.rpartition("/step-")
    return encoder, int(step)


def lineage(experiment: Experiment, encoder: str) -> list[str]:
    """`<encoder>/step-<n>` of the weights at each milestone and at the end, by step.

    Before a branch they are the other encoder's.
    """
    kept = {*milestone_segments(experiment), *segment_names(experiment)}
    entry = keys(experiment, encoder)
    names = []
    for step in sorted({*entry.milestones, entry.steps}):
        owner = encoder
        while (branch := experiment.encoders[owner].branch) and step <= branch.step:
            owner = branch.encoder
        if f"{owner}/step-{step}" in kept:
            names.append(f"{owner}/step-{step}")
    return names

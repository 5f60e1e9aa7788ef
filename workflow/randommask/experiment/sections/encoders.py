"""Which encoders there are: ours, released, weights on the way, probes, controls."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag

from randommask.experiment.form import (
    Count,
    Flag,
    K,
    Name,
    Positive,
    Section,
    Seed,
    Some,
    Text,
    Whole,
    either,
)
from randommask.experiment.sections.pretraining import Phase, Pretrain, Tokens
from randommask.experiment.sections.sources import LocalCopy, Pin, Repository, one_of
from randommask.experiment.sections.tuning import Lora, Pooling

UNTRAINED, KMER_LINEAR, NO_MODEL = "untrained", "kmer-linear", "no-model"


class Branch(Section):
    """Where an encoder goes on from another."""

    encoder: Name
    """another of ours, its settings equal up to that step"""
    step: Count
    """the end of one of its segments"""


class FromEncoder(Section):
    """Pretraining that begins with an encoder's weights and a schedule of its own."""

    encoder: Name
    """any encoder of the config with weights: released, ours, a milestone"""


class FromFolder(Section):
    """Likewise, from weights that another experiment left."""

    folder: Text
    """an encoder's folder; it must be there, or be made below `results`"""


def _start(found: Any) -> str:
    """Which of the three starts an entry of `from` is, by its keys."""
    if isinstance(found, Section):
        return f"<{type(found).__name__}>"
    if isinstance(found, dict) and "step" not in found:
        return "<FromFolder>" if "folder" in found else "<FromEncoder>"
    return "<Branch>"


Start = Annotated[
    Annotated[Branch, Tag("<Branch>")]
    | Annotated[FromEncoder, Tag("<FromEncoder>")]
    | Annotated[FromFolder, Tag("<FromFolder>")],
    Discriminator(_start),
]


class Step(Section):
    """Weights on the way of a pretraining."""

    encoder: Name
    """one that we pretrain"""
    step: Whole
    """a milestone or the end of a segment"""


class OwnRows(Section):
    """What holds for a control's runs. Only what is `given` counts."""

    train_rows: Count | None = None
    """as in `finetune`"""


class OwnFinetune(OwnRows):
    """What holds for one encoder's fine-tuning, whatever the recipe says.

    Only what is `given` counts.
    """

    recipe: Name = None
    """another one of `recipes`"""
    learning_rate: Positive = None
    """peak"""
    pooling: Pooling = None
    """as in `finetune`"""
    truncate: Flag = None
    """as in `finetune`"""
    lora: Lora | None = None
    """as in `finetune`"""


def _one_phase(found: dict[str, Any]) -> tuple[Phase, ...]:
    return (Phase(until=found["steps"], max_span=found["min_span"]),)


class Ours(Pretrain):
    """An encoder that we pretrain: the keys of `pretrain` that differ, and more."""

    misplaced: ClassVar[dict[str, str]] = {
        "grid": "'grid' has a meaning for control kmer-linear only"
    }

    curriculum: either(Name, Annotated[tuple[Phase, ...], Field(min_length=1)]) = Field(
        default_factory=_one_phase
    )
    """one of `curricula`, or phases of its own; without it all spans have `min_span`"""
    from_: Start | None = Field(default=None, alias="from")
    """`{encoder, step}` to branch from another of our encoders; `{encoder}` or
    `{folder}` to train on from its weights, with a schedule of its own"""
    finetune: OwnFinetune | None = None
    """keys of its own: see below"""

    @property
    def branch(self) -> Branch | None:
        """Where it goes on with another's schedule; None where it has its own."""
        return self.from_ if isinstance(self.from_, Branch) else None

    @property
    def origin(self) -> FromEncoder | FromFolder | None:
        """Whose weights it starts with; None: random ones, or a branch's."""
        return None if isinstance(self.from_, Branch) else self.from_


class Weights(Section):
    """Weights on the Hugging Face hub."""

    repository: Repository
    """`owner/name`"""
    revision: Text
    """commit, tag or branch"""
    files: tuple[Pin, ...] = ()
    """`name`, and `sha256` and `bytes` of some"""


class ReleasedCopy(LocalCopy):
    """Released weights here: a folder with `config.json`, the weights, `vocab.txt`."""

    family: Name
    """how the files are read: `bert`, `esm`, `hyena`, `modern`; `hf`: any encoder that
    transformers has, by its own tokenizer"""


class ReleasedHub(Weights):
    """Released weights on the Hugging Face hub."""

    family: Name
    """how the files are read: `bert`, `esm`, `hyena`, `modern`; `hf`: any encoder that
    transformers has, by its own tokenizer"""


class Released(Section):
    """An encoder that others published."""

    about: ClassVar[str] = "released weights"

    released: Annotated[
        Annotated[ReleasedCopy, Tag("<path>")]
        | Annotated[ReleasedHub, Tag("<repository>")],
        one_of(
            ("path", "repository"), "family, and either path or repository and revision"
        ),
    ]
    """`{repository, revision, family}` on the hub, or `{path, family}` for a copy"""
    finetune: OwnFinetune | None = None
    """keys of its own: see below"""


class Milestone(Section):
    """Weights on the way of one of our encoders."""

    about: ClassVar[str] = "a milestone"

    milestone: Step
    """`{encoder, step}`, a step whose weights are kept"""
    finetune: OwnFinetune | None = None
    """keys of its own: see below"""


class Probed(Section):
    """Whose embeddings, and what the linear model on them is chosen from, on dev."""

    encoder: Name
    """any encoder of the config that has weights"""
    strength: Some[Positive] = (10, 1, 0.1, 0.01, 0.001)
    """the weight of the squared coefficients beside the mean loss"""


class Probe(Section):
    """An encoder as it is, with a linear model on its mean embeddings."""

    about: ClassVar[str] = "a probe"

    probe: Probed
    """`{encoder}`, and `strength`"""
    finetune: OwnRows | None = None
    """`train_rows` of its own, as in `finetune`"""


class Untrained(Section):
    """A control: the random weights that pretraining would start from."""

    about: ClassVar[str] = "control untrained"

    control: Literal["untrained"]
    """`untrained`"""
    architecture: Name = "base"
    """as in `pretrain`"""
    k: K = 6
    """as in `pretrain`"""
    tokenization: Tokens = "overlapping"
    """as in `pretrain`"""
    seed: Seed = 1
    """as in `pretrain`"""
    finetune: OwnFinetune | None = None
    """keys of its own: see below"""


class Grid(Section):
    """What a linear model is chosen from, on dev."""

    k: Some[K]
    """lengths of k-mers, 1 to 7"""
    strength: Some[Positive]
    """the weight of the squared coefficients beside the mean loss; tried in this order,
    each fit begins at the one before"""


class KmerLinear(Section):
    """A control: logistic or ridge regression on counts of overlapping k-mers."""

    about: ClassVar[str] = "control kmer-linear"
    reads: ClassVar[tuple[str, str]] = ("overlapping", "counts every k-mer")

    control: Literal["kmer-linear"]
    """`kmer-linear`"""
    grid: Grid
    """`k` and `strength`"""
    finetune: OwnRows | None = None
    """`train_rows` of its own, as in `finetune`"""


class NoModel(Section):
    """A control: the best on dev of rules such as length, GC, or a copy's label."""

    about: ClassVar[str] = "control no-model"
    reads: ClassVar[tuple[str, str]] = ("character", "looks at letters")

    control: Literal["no-model"]
    """`no-model`"""
    finetune: OwnRows | None = None
    """`train_rows` of its own, as in `finetune`"""


WithoutEncoder = KmerLinear | NoModel
"""Controls that fine-tune nothing."""


def encoder_kind(found: Any) -> str | None:
    """Which of the seven kinds an entry of `encoders` is, by its keys."""
    if not isinstance(found, dict):
        return f"<{type(found).__name__}>" if isinstance(found, Section) else "<Ours>"
    if "control" in found:
        kinds = {
            UNTRAINED: "<Untrained>",
            KMER_LINEAR: "<KmerLinear>",
            NO_MODEL: "<NoModel>",
        }
        return kinds.get(str(found["control"]))
    if "released" in found:
        return "<Released>"
    if "probe" in found:
        return "<Probe>"
    return "<Milestone>" if "milestone" in found else "<Ours>"


Encoder = Annotated[
    Annotated[Ours, Tag("<Ours>")]
    | Annotated[Released, Tag("<Released>")]
    | Annotated[Milestone, Tag("<Milestone>")]
    | Annotated[Probe, Tag("<Probe>")]
    | Annotated[Untrained, Tag("<Untrained>")]
    | Annotated[KmerLinear, Tag("<KmerLinear>")]
    | Annotated[NoModel, Tag("<NoModel>")],
    Discriminator(
        encoder_kind,
        custom_error_type="refused",
        custom_error_message="{words}",
        custom_error_context={
            "words": "another control, expected one of untrained, kmer-linear, no-model"
        },
    ),
]

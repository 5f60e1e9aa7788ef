"""What the jobs are told that make data, encoders and runs, and measure them."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, RootModel, Tag

from randommask.experiment.form import (
    Count,
    Different,
    Flag,
    Hparams,
    K,
    Name,
    Positive,
    Record,
    Section,
    Seed,
    Share,
    Some,
    Text,
    Whole,
    unless,
)
from randommask.experiment.sections import (
    Architecture,
    AttentionMaps,
    FilesOr,
    HubOr,
    Level,
    LocalCopy,
    Phase,
    Replacement,
    Synthetic,
    Tokenization,
    Tokens,
    Training,
    Tsne,
    Tuning,
    Weights,
    one_of,
)

# --- Data -----------------------------------------------------------------------------


class World(Synthetic, Hparams):
    """The made world: `randommask.data.world`."""


def _branch(found: Any) -> str:
    return "<path>" if isinstance(found, dict) and "path" in found else "<repository>"


class PublishedEncoder(Section):
    """Released weights to fetch."""

    encoder: Annotated[
        Annotated[LocalCopy, Tag("<path>")] | Annotated[Weights, Tag("<repository>")],
        Discriminator(_branch),
    ]
    """a copy's `path`, or `repository` and `revision` on the hub"""
    plain: Flag = unless(False)
    """whether a config.json that names code of its own is refused, before the rest"""


class Download(RootModel):
    """A source to bring in: `randommask.data.download`. `root` is what it is."""

    root: Annotated[
        Annotated[LocalCopy, Tag("<path>")]
        | Annotated[FilesOr, Tag("<files>")]
        | Annotated[HubOr, Tag("<hub>")]
        | Annotated[PublishedEncoder, Tag("<encoder>")],
        one_of(("path", "files", "hub", "encoder")),
    ]

    parse = classmethod(Hparams.parse.__func__)


class Shards(Hparams):
    """A genome's shards: `randommask.data.shards`."""

    genome: Text
    """its name"""
    chromosomes: Some[Record] | None = None
    """names of records, in this order; None: all, in the order of the files"""


class Ranking(Hparams):
    """A corpus whose k-mers are ranked: `randommask.data.pmi`."""

    k: K
    """bases a token"""
    held_out: Different[Record] = ()
    """chromosomes that training does not see"""
    reverse_complement: Flag = False
    """both strands are counted"""


class Preparation(Hparams):
    """One data set's tables: `randommask.data.prepare`."""

    max_rows: Count | None = None
    """At most so many rows of each split, chosen at random with the shares of the
    labels kept; None for all."""
    drop_leaks: Level = False
    """Drop the training rows whose like stands in dev or test: `exact` (or True),
    `near` or `partners`, each with those before."""
    k: Count = 6
    """Shorter sequences hold no k-mer and are refused."""
    seed: Whole = 0
    """Of the choice that `max_rows` makes."""


# --- Encoders -------------------------------------------------------------------------


class Initial(Hparams):
    """Random weights: `randommask.encoders.untrained`."""

    k: K
    """bases a token"""
    tokenization: Tokens
    """`overlapping` or `non-overlapping`"""
    seed: Seed
    """of the weights"""
    architecture: Architecture
    """its sizes"""


class Conversion(Hparams):
    """Published weights in our form: `randommask.encoders.released`."""

    family: Name
    """how the files are read"""


class Settings(Training):
    """All that decides an encoder's weights after a number of steps."""

    curriculum: Annotated[tuple[Phase, ...], Field(min_length=1)]
    """its phases, the last of them cut at that step"""
    architecture: Architecture
    """its sizes"""
    origin: Text | None = Field(default=None, exclude_if=lambda found: found is None)
    """the encoder or folder whose weights it starts with; None: random weights, of
    which earlier encoders say nothing"""


class SpanMasking(Section):
    """How `validation_spans` mask, but for the length."""

    center_probability: Share
    """chance of a token to be a span's centre"""
    target_share: Share | None = None
    """share of tokens to mask, in its place"""
    replacement: Replacement = Field(default_factory=Replacement)
    """what becomes of the masked tokens"""


class Pretraining(Hparams):
    """One segment: `randommask.pretraining`."""

    start: Whole = 0
    """steps that are done already"""
    end: Count
    """steps that are done afterwards"""
    milestones: Different[Whole] = ()
    """steps whose weights are kept"""
    log_every: Count = 100
    """steps a row of `history.csv`"""
    validate_every: Count = 1000
    """steps"""
    validation_spans: Different[Count] = ()
    """tokens: lengths that are validated alone"""
    span_masking: SpanMasking | None = None
    """how; None: as in training"""
    verify_every: Whole = 0
    """steps, of which the gradient of one is computed twice; 0: of none"""
    settings: Settings
    """all that decides the weights"""

    def values(self) -> dict[str, Any]:
        """All keys, but no `verify_every` of 0, of which earlier segments say nothing.

        They are not trained again.
        """
        found = super().values()
        if not found["verify_every"]:
            del found["verify_every"]
        return found


# --- Fine-tuning ----------------------------------------------------------------------


LATER = ("train_rows", "pooling", "warmup_share", "decay")


class Run(Hparams):
    """Which run it is, whatever computes it."""

    encoder: Text
    """its name"""
    tokenization: Tokenization
    """one of those that the encoder's family knows"""
    dataset: Text
    """its name"""
    task: Text
    """its task's name"""
    metric: Literal["mcc", "pearson"]
    """as the data set's type asks: on dev it chooses the epoch"""
    seed: Seed
    """of the head's first weights, the order of the rows, dropout, and `train_rows`"""
    train_rows: Count | None = None
    """rows of train that are learnt from, chosen at random with the shares of the
    labels kept; None: all"""

    def values(self) -> dict[str, Any]:
        """All keys, but of `LATER` none that is the default.

        Runs from before there was a choice say nothing of it, and are not made again.
        """
        fields = type(self).model_fields
        return {
            key: value
            for key, value in super().values().items()
            if key not in LATER or value != fields[key].default
        }


class Schedule(Section):
    """What a recipe says of one data set."""

    epochs: Count
    """passes over train"""
    batch_size: Count
    """Rows of an optimizer step on any hardware; an epoch's last may have fewer."""
    learning_rate: Positive
    """At the end of the warm-up."""


class Finetuning(Schedule, Tuning, Run):
    """One run: `randommask.finetuning`."""


class Counting(Run):
    """One run of the linear control: `randommask.finetuning.kmer_linear`."""

    tokenization: Literal["overlapping"]
    """k-mers are counted at every base"""
    k: Some[K]
    """lengths of k-mers to try"""
    strength: Some[Positive]
    """Of the penalty, to try in this order: each fit begins at the one before."""


class Probing(Run):
    """One run of a linear probe: `randommask.finetuning.probe`."""

    strength: Some[Positive]
    """Of the penalty, to try in this order."""
    truncate: Flag = False
    """whether sequences beyond the encoder's positions are cut"""


class NoModelRun(Run):
    """One run of the rules without a model: `randommask.finetuning.no_model`."""

    tokenization: Literal["character"]
    """rules look at letters"""


# --- Measures -------------------------------------------------------------------------


class Embedded(Hparams):
    """Which embeddings."""

    encoder: Text
    """its name"""
    steps: Some[Whole]
    """of the checkpoints, in their order"""


class Embeddings(Tsne, Embedded):
    """Maps of embeddings and their order: `randommask.measures.embeddings`."""


class Attended(Hparams):
    """Whose attention."""

    encoder: Text
    """its name"""
    held_out: Different[Record] = ()
    """chromosomes that its training kept out"""


class Attention(AttentionMaps, Attended):
    """Averaged attention: `randommask.measures.attention`."""

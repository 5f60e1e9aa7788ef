"""What the pages are told: tables, figures, ablations, releases, the report."""

from typing import Annotated, Any

from pydantic import Field

from randommask.experiment.form import (
    Count,
    Flag,
    Hparams,
    K,
    Line,
    Name,
    Number,
    Section,
    Seed,
    Some,
    Text,
    Whole,
)
from randommask.experiment.hparams.jobs import Initial, Preparation, Settings
from randommask.experiment.sections import (
    BY_LABEL,
    BY_LABEL_AND_TOKENS,
    AblationRow,
    License,
    Named,
    PublishedRow,
    Table2Row,
    Tokenization,
)


class Page(Hparams):
    """What every page is told; all there is to tell some of them."""

    experiment: Named
    """its name, and the notice that stands on the page"""


class Tasks(Page):
    """Table 1: `randommask.report.tables table1`."""

    datasets: tuple[Name, ...]
    """the data sets that there are"""


class Scores(Page):
    """Table 2, Table 3: rows and what they are made of."""

    rows: Annotated[tuple[PublishedRow, ...], BY_LABEL]
    """in the order of the table, no label twice"""
    datasets: tuple[Name, ...]
    """in the order of the table"""
    seeds: Some[Seed]
    """of the runs of each cell"""


class Table2Scores(Scores):
    """Table 2: `randommask.report.tables table2`."""

    rows: Annotated[tuple[Table2Row, ...], BY_LABEL_AND_TOKENS]
    """in the order of the table, no label and tokenization twice"""


class Table3Scores(Scores):
    """Table 3: `randommask.report.tables table3`."""

    controls: tuple[Name, ...] = ()
    """encoders that learnt nothing beforehand"""
    untrained: tuple[Name, ...] = ()
    """those of them with random weights, which the gains are over"""


class Statistics(Scores):
    """Rows compared with the baseline's: `randommask.report.tables statistics`."""

    baseline: Name
    """an encoder with a row"""


class RecipePage(Page):
    """Tables 4 and 5: `randommask.report.tables table4`."""

    recipe: Name
    """which"""
    settings: dict[Name, Any]
    """what holds for all data sets"""
    datasets: dict[Name, dict[str, Any]]
    """what holds for each"""
    used: Flag
    """whether this experiment fine-tunes so"""


class Observations(Page):
    """The paper's observations: `randommask.measures.observations`."""

    k: K
    """bases of the baseline's tokens"""


class Drawing(Page):
    """A figure that is told nothing else."""

    experiment: Named = Field(default_factory=lambda: Named(name="none"))
    """its name, and the notice that stands on the page"""


class Masks(Drawing):
    """Figure 1: tokens and masks of a sequence."""

    sequence: Annotated[str, Field(strict=True, pattern="^[ACGT]+$")]
    """DNA"""
    k: K
    """bases a token"""
    max_span: Count
    """tokens, the longest masked span"""
    seed: Seed
    """of the masks"""


class Ranks(Drawing):
    """Mean ranks of Table 3's rows."""

    roles: dict[Name, Name]
    """encoders by the parts they play"""


class Origin(Section):
    """The pretraining behind a row."""

    tokens: Text
    """in words"""
    step: Whole
    """steps of it"""
    seen: Whole = 0
    """tokens that it was shown in these steps"""
    kept: Text
    """`<encoder>/step-<n>` of the segment that keeps the weights"""
    optimizer: Text = "adamw"
    """what stepped"""
    jobs: dict[Text, Number]
    """of each job, how much lies before the step: 1, or less for the last"""


class Repeat(Section):
    """The same pretraining with another seed."""

    seed: Seed
    """of the pretraining"""
    encoder: Name
    """what it left"""
    pretraining: Origin | None
    """as of the row"""


class ComparedRow(AblationRow):
    """A row of an ablation with what stands behind it."""

    pretraining: Origin | None
    """None where nothing was pretrained here"""
    has_order: Flag
    """whether the order of its embeddings is measured"""
    seed: Seed = 0
    """of the pretraining, where there are repeats"""
    repeats: tuple[Repeat, ...] = ()
    """with other seeds, as many for every row; embeddings and attention are of the
    first alone"""


class AblationPage(Page):
    """A group's answer: `randommask.report.ablations`."""

    name: Name
    """of the group"""
    question: Line
    """or nothing"""
    axis: Line
    """or nothing"""
    rows: Annotated[tuple[ComparedRow, ...], Field(min_length=1), BY_LABEL_AND_TOKENS]
    """the first is the reference"""
    datasets: tuple[Name, ...]
    """in the order of the list"""
    seeds: Some[Seed]
    """of the runs of each cell"""
    untrained: tuple[Name, ...] = ()
    """encoders of random weights among the rows, which the gains are over"""


class ShownRows(Section):
    """Rows with their data sets."""

    rows: tuple[PublishedRow, ...]
    """of a table"""
    datasets: tuple[Name, ...]
    """in the order of the list"""


class Made(Section):
    """How a released encoder was made and scored: its recipe.json."""

    encoder: Name
    """what is released"""
    pretrained_as: Name
    """the encoder whose pretraining it is from"""
    step: Whole
    """steps of it"""
    seen: Whole = 0
    """tokens that it was shown in these steps"""
    pretraining: Settings
    """all that decides the weights"""
    chromosomes: dict[Name, tuple[Text, ...] | None]
    """of each genome; None: all"""
    random_weights: dict[Name, Initial]
    """the controls that it is compared with"""
    benchmark: Preparation
    """how data sets were prepared"""
    finetuning: dict[Name, dict[Tokenization, dict[Name, dict[str, Any]]]]
    """the settings of each run by encoder, tokenization and data set"""
    seeds: Some[Seed]
    """of the runs"""


class ReleasePage(Page):
    """A folder to publish: `randommask.report.release`."""

    encoder: Name
    """what is released"""
    license: License | None
    """of the weights"""
    table: ShownRows
    """its own rows"""
    controls: ShownRows
    """those of the controls"""
    recipe: Made
    """how it was made"""


class ReportPage(Page):
    """The page that binds all: `randommask.report`."""

    config: dict[str, Any]
    """as it was given"""
    controls: tuple[Name, ...] = ()
    """encoders that learnt nothing beforehand"""
    roles: dict[str, str] = Field(default_factory=dict)
    """the encoder of each role"""


class CratePage(Page):
    """A finished run described for programs: `randommask.report.release.crate`."""

    config: dict[str, Any]
    """as it was given"""
    license: License | None = None
    """of what is published"""

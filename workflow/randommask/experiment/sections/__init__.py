"""The config's only description: a model a section, `Experiment` holds them all.

The Snakefile reads the config into an `Experiment`, the rules take what they need from
its attributes, and the tables of keys in `config/README.md` are made from the lines
below the keys. Every key that has a sensible default has it here: the paper's value
where the paper prints one, else a plain one. What a single section cannot know (names
that must exist, steps that must fit) is checked in `check`.

Snakemake imports this module while it plans, so it imports nothing heavy.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from randommask.experiment.form import (
    Count,
    Different,
    Flag,
    Line,
    Name,
    Section,
    Seed,
    Some,
    Text,
    Url,
    expected,
)
from randommask.experiment.sections import repeats
from randommask.experiment.sections.encoders import (
    KMER_LINEAR,
    NO_MODEL,
    UNTRAINED,
    Branch,
    Encoder,
    FromEncoder,
    FromFolder,
    Grid,
    KmerLinear,
    Milestone,
    NoModel,
    Ours,
    OwnFinetune,
    Probe,
    Probed,
    Released,
    Untrained,
    Weights,
    WithoutEncoder,
    encoder_kind,
)
from randommask.experiment.sections.pages import (
    BY_LABEL,
    BY_LABEL_AND_TOKENS,
    Ablation,
    AblationRow,
    AttentionMaps,
    Figures,
    PublishedRow,
    Roles,
    Row,
    Table2,
    Table2Row,
    Table3,
    Tables,
    Tsne,
)
from randommask.experiment.sections.pretraining import (
    ADAMW,
    BERT,
    CHARACTER,
    GENEMASK,
    GEOMETRIC,
    MODEL_TYPES,
    MODERN,
    MUON,
    NON_OVERLAPPING,
    OVERLAPPING,
    OWN,
    RANKED,
    SPANS,
    TOP_PMI,
    Architecture,
    Masking,
    Phase,
    Pretrain,
    Replacement,
    Tokenization,
    Tokens,
    Training,
)
from randommask.experiment.sections.sources import (
    BENCHMARK,
    Files,
    FilesOr,
    Genome,
    Hub,
    HubOr,
    LocalCopy,
    Source,
    one_of,
)
from randommask.experiment.sections.tuning import (
    LEVELS,
    PRINTED_RECIPES,
    Benchmark,
    Changes,
    Finetune,
    Level,
    Lora,
    Recipe,
    Tuning,
)


def _place(found: str) -> str:
    if not re.fullmatch(r"(?!~|[.](/|$))[^{}]*[^/{}]", found):
        raise expected(
            "a folder, without '~' or './' before it, '/' behind it, or braces"
        )
    if ".." in found.split("/"):
        raise expected("a folder without '..' in its path")
    return found


Place = Annotated[Line, AfterValidator(_place)]


class Named(Section):
    """What the experiment is called, and what stands on all that it makes."""

    name: Name
    """of the experiment"""
    notice: Line = ""
    """stands on every table and figure; empty for the paper"""


class License(Section):
    """Of the encoders that are released."""

    id: Annotated[
        str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*$")
    ]
    """as the hub names it, such as `cc-by-4.0`"""
    link: Url | None = None
    """to one of your own"""


class Identity(Named):
    """What the experiment is called."""

    license: License | None = None
    """of the encoders that are released: `{id: cc-by-4.0}` as the hub names it, with a
    `link` one of your own; `unknown` without"""


class Pathvars(Section):
    """Folders that everything goes to."""

    results: Place = Field(default_factory=lambda _: "results")
    """all that is made; without it `results/` and the name of the experiment"""
    resources: Place = "resources"
    """all that is downloaded"""
    logs: Place = Field(default_factory=lambda _: "logs")
    """what each job says, and its times; without it `logs/` and that name"""


class SyntheticRows(Section):
    """Sequences of each made data set, about."""

    train: Annotated[int, Field(strict=True, ge=8)]
    """rows"""
    dev: Annotated[int, Field(strict=True, ge=8)]
    """rows"""
    test: Annotated[int, Field(strict=True, ge=8)]
    """rows"""


class Synthetic(Section):
    """A made world in place of real DNA: only in the demo."""

    seed: Seed
    """of all that is made"""
    genome_bases: Annotated[int, Field(strict=True, ge=100_000)]
    """of all chromosomes together, at least 100,000 each"""
    chromosomes: Count
    """how many"""
    labels: Literal["syntax", "words"] = "syntax"
    """what tells the classes apart: how the words of a sequence stand together, which
    counts of k-mers do not show, or which words they are (see docs/world.md)"""
    rows: SyntheticRows
    """`train`, `dev`, `test`: rows of each data set, about; at least 8"""

    @model_validator(mode="after")
    def _fits(self) -> "Synthetic":
        if self.genome_bases < self.chromosomes * 100_000:
            raise expected("genome_bases of at least 100000 a chromosome")
        return self


class Experiment(Section):
    """A config, its defaults filled in."""

    experiment: Identity
    """`name`, and the `notice` that stands on every table and figure; optional
    `license` of the encoders that are released"""
    pathvars: Pathvars = Field(default_factory=Pathvars)
    """where `results`, `resources` and `logs` go"""
    finished: Different[Text] = ()
    """results of other experiments: what they pretrained of the same name with the same
    settings is linked to, not trained again"""
    seeds: Some[Seed] = (1, 2, 3)
    """seeds of the fine-tuning runs; tables give mean and sd over them"""
    partial: Flag = False
    """`true`: tables of the fine-tuning runs there are, their gaps listed, instead of
    making the missing ones; for one look, `--config partial=True`"""
    forking: Flag = False
    """`true`: commands of one thread are forks of a process that has imported torch;
    quick for many short jobs on one machine, and without meaning on a cluster"""
    synthetic: Synthetic | None = None
    """only in the demo: seed and sizes of the made world"""
    mirrors: Different[Text] = ()
    """folders or addresses that are tried before all published ones"""
    sources: dict[Name, Source] = Field(default_factory=dict)
    """where the bytes come from"""
    genomes: dict[Name, Genome] = Field(default_factory=dict)
    """the `chromosomes` taken of a genome; all sequences where it is not named"""
    architectures: dict[Name, Architecture] = Field(
        default_factory=lambda: {"base": Architecture()}
    )
    """sizes by name; without it `base`, the paper's"""
    curricula: dict[Name, Annotated[tuple[Phase, ...], Field(min_length=1)]] = Field(
        default_factory=dict
    )
    """phases by name: the longest masked span `max_span` (tokens) `until` a step"""
    pretrain: Pretrain
    """what all our encoders share"""
    encoders: Annotated[dict[Name, Encoder], Field(min_length=1)]
    """ours with the keys of `pretrain` that differ, released ones, controls,
    milestones, probes"""
    benchmark: Benchmark = Field(default_factory=Benchmark)
    """the data sets"""
    finetune: Finetune = Field(default_factory=Finetune)
    """optimizer, warm-up, dropout, precision, and the `recipe` in use"""
    recipes: dict[Name, Recipe]
    """changes to the epochs, batch sizes and learning rates of the tsv, and to
    `warmup_steps`, `weight_decay` and `max_steps` of `finetune`: for `all`, then for a
    task, then for a data set; `table4` and `table5` are the paper's, unless changed"""
    tables: Tables = Field(default_factory=Tables)
    """the rows of Tables 2 and 3"""
    ablations: dict[Name, Ablation] = Field(default_factory=dict)
    """groups of rows with a `question`: `results/ablations/<group>.csv`"""
    roles: Roles = Field(default_factory=Roles)
    """which encoder is the baseline, RandomMask, non-overlapping, mini in figures and
    observations"""
    figures: Figures = Field(default_factory=Figures)
    """perplexity of t-SNE; windows and tokens of the attention maps"""

    @model_validator(mode="before")
    @classmethod
    def _completed(cls, found: Any) -> Any:
        """Lay `pretrain` under each encoder of ours; add the paper's recipes."""
        if not isinstance(found, dict):
            return found
        found = dict(found)
        named, places = found.get("experiment", {}), found.get("pathvars", {})
        if isinstance(named, dict) and isinstance(places, dict) and "name" in named:
            own = {place: f"{place}/{named['name']}" for place in ("results", "logs")}
            found["pathvars"] = {**own, **places}
        recipes = found.get("recipes", {})
        if isinstance(recipes, dict):
            found["recipes"] = {**PRINTED_RECIPES, **recipes}
        pretrain, sources = found.get("pretrain", {}), found.get("sources", {})
        if isinstance(pretrain, dict) and isinstance(sources, dict):
            genomes = [name for name in sources if name not in BENCHMARK]
            found["pretrain"] = pretrain = {"genomes": genomes, **pretrain}
            encoders = found.get("encoders", {})
            if isinstance(encoders, dict):
                laid = {
                    name: _laid_over(pretrain, entry)
                    for name, entry in encoders.items()
                }
                more = repeats.entries(laid, found.get("ablations"))
                found["encoders"] = laid | more
        return found

    @property
    def genome_names(self) -> list[str]:
        """The sources that are genomes."""
        return [name for name in self.sources if name not in BENCHMARK]


def _laid_over(pretrain: dict, entry: Any) -> Any:
    """An encoder's entry as it is to be read: with what it takes from `pretrain`."""
    if not isinstance(entry, dict):
        return entry
    shared = {
        "<Ours>": Pretrain.model_fields,
        "<Untrained>": ["architecture", "k", "tokenization", "seed"],
    }.get(encoder_kind(entry), [])
    return {**{key: pretrain[key] for key in shared if key in pretrain}, **entry}

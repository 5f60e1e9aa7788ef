"""What each command is told in its flag `--hparams`: a model a command.

    from randommask.experiment.hparams import Preparation

    settings = Preparation.parse('{"k": 3}')
    settings.k, settings.max_rows            # 3, None

The rules write these flags, and people who run one command alone: a key with a sensible
default need not be there. `flag()` is the JSON that `parse` reads.

Every table, figure and report belongs to an experiment, `{"name": ..., "notice": ...}`.
A notice that is not empty (the demo's "these are not the paper's numbers") stands on
everything that is made.
"""

from randommask.experiment.hparams.jobs import (
    Attention,
    Conversion,
    Counting,
    Download,
    Embeddings,
    Finetuning,
    Initial,
    NoModelRun,
    Preparation,
    Pretraining,
    Probing,
    PublishedEncoder,
    Ranking,
    Run,
    Schedule,
    Settings,
    Shards,
    SpanMasking,
    World,
)
from randommask.experiment.hparams.pages import (
    AblationPage,
    ComparedRow,
    CratePage,
    Drawing,
    Made,
    Masks,
    Observations,
    Origin,
    Page,
    Ranks,
    RecipePage,
    ReleasePage,
    ReportPage,
    Scores,
    ShownRows,
    Statistics,
    Table2Scores,
    Table3Scores,
    Tasks,
)

"""How encoders are fine-tuned, and on what."""

from typing import Annotated, Any, Literal

from pydantic import PlainValidator

from randommask.experiment.form import (
    Betas,
    Count,
    Different,
    Flag,
    Fraction,
    Name,
    NotNegative,
    Positive,
    Section,
    Text,
    Whole,
    either,
    expected,
)
from randommask.experiment.sections.pretraining import Precision

Limit = Count | None
Pooling = Literal["cls", "mean"]
Decay = Literal["linear", "cosine"]
LEVELS = ("exact", "near", "partners")


def _level(value: Any) -> bool | str:
    if not isinstance(value, bool) and value not in LEVELS:
        raise expected(f"false, or one of {', '.join(LEVELS)}")
    return value


Level = Annotated[bool | str, PlainValidator(_level)]


class Lora(Section):
    """Low-rank adapters on every linear layer, trained in place of the weights."""

    rank: Count
    """of an adapter"""
    alpha: Positive
    """an adapter's product counts alpha / rank times"""
    dropout: Fraction
    """of what goes into an adapter"""


class Benchmark(Section):
    """The data sets that encoders are compared on."""

    datasets: Text = "config/datasets.tsv"
    """the list, tab-separated; a copy of it for rows of your own: what it shares with
    another is not prepared again"""
    include: either(Literal["all", "present"], Different[Name]) = "all"
    """`all`, `present` in the local folders, or a list of names"""
    max_rows: Limit = None
    """rows kept of each split, drawn evenly over the labels; `null`: all"""
    drop_leaks: Level = False
    """training rows are dropped that are in dev or test (`exact`, or `true`), or
    nearly so or on the other strand (`near`), or a shuffle of a row there
    (`partners`); each level with those before"""


class Tuning(Section):
    """How encoders are fine-tuned, whatever the data set."""

    warmup_steps: Whole = 50
    """steps of linear warm-up, then decay"""
    warmup_share: Fraction | None = None
    """`null`: `warmup_steps`. Else a share of all steps, which then wins over them"""
    decay: Decay = "linear"
    """after the warm-up: `linear` to 0, or `cosine` to a tenth of the peak"""
    betas: Betas = (0.9, 0.999)
    """of AdamW"""
    eps: Positive = 1e-8
    """of AdamW"""
    weight_decay: NotNegative = 0.0
    """of AdamW, of the matrices; biases and norms are not decayed"""
    clip: Positive = 1.0
    """the norm that gradients are clipped to"""
    dropout: Fraction = 0.1
    """everywhere in the encoder, and before the head"""
    precision: Precision = "auto"
    """`bf16`, `fp32`, or `auto`: bf16 where the hardware computes in it"""
    pooling: Pooling = "cls"
    """what the head reads: `cls`, the last hidden state of the token before the
    sequence, or `mean`, that over the sequence's tokens, specials and padding left out.
    HyenaDNA has no such token, and always the mean"""
    truncate: Flag = False
    """`false`: a sequence with more tokens than the encoder has positions stops the
    run; `true`: it is cut at its end"""
    lora: Lora | None = None
    """`null`: all weights are trained. Else `rank`, `alpha`, `dropout` of low-rank
    adapters on every linear layer of the encoder, which are trained in place of its
    weights and folded into them when a model is saved"""
    max_steps: Limit = None
    """`null`: off. Else optimizer steps in all, which then win over the epochs"""
    patience: Limit = None
    """`null`: off. Else a run stops after so many epochs in a row without a better dev
    score; the learning rate falls as if it went on"""


class Finetune(Tuning):
    """How encoders are fine-tuned."""

    train_rows: Limit = None
    """rows of train that a run learns from, chosen by its seed with the shares of the
    labels kept, for the controls too; `null`: all. Dev and test stay whole"""
    recipe: Name = "table5"
    """the one of `recipes` that is used"""
    together: Flag = False
    """`true`: the seeds of an encoder on a data set are one job, and take their steps
    in turn in one process; their results are the same"""


class Changes(Section):
    """What a recipe changes for all data sets, a task or one data set.

    Only what is `given` counts.
    """

    epochs: Count = None
    """passes over train"""
    batch_size: Count = None
    """rows a step"""
    learning_rate: Positive = None
    """peak"""
    warmup_steps: Whole = None
    """as in `finetune`"""
    warmup_share: Fraction | None = None
    """as in `finetune`"""
    decay: Decay = None
    """as in `finetune`"""
    weight_decay: NotNegative = None
    """as in `finetune`"""
    dropout: Fraction = None
    """as in `finetune`"""
    pooling: Pooling = None
    """as in `finetune`"""
    max_steps: Limit = None
    """as in `finetune`"""


Recipe = dict[Name, Changes]
PRINTED_RECIPES = {"table4": {"all": {"learning_rate": 3.0e-5}}, "table5": {}}
"""The paper's appendix: its second table is `datasets.tsv` itself."""

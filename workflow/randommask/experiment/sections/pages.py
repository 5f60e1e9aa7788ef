"""What is shown: rows of tables, ablations, roles, figures."""

import math
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator

from randommask.experiment.form import (
    Count,
    Different,
    Name,
    Positive,
    Section,
    Seed,
    Some,
    Text,
    either,
    expected,
    refused,
)
from randommask.experiment.sections.pretraining import Tokenization


class Row(Section):
    """A row of a table: an encoder and how its input is tokenized."""

    label: Text
    """what is printed"""
    encoder: Name
    """one of `encoders`"""
    tokenization: Tokenization = "overlapping"
    """in fine-tuning: `overlapping`, `non-overlapping`, `character` or `own`"""


class PublishedRow(Row):
    """A row that may have a published one beside it."""

    published: Text | None = None
    """the printed row beside it"""


class Table2Row(PublishedRow):
    """A row of Table 2."""

    pretraining: Text
    """how the encoder was pretrained, as it is printed"""


def _number_or_text(found: Any) -> float | str:
    is_number = isinstance(found, int | float) and not isinstance(found, bool)
    if (is_number and math.isfinite(found)) or (isinstance(found, str) and found):
        return found
    raise expected("a number or a text")


class AblationRow(Row):
    """A row of an ablation."""

    series: Text | None = None
    """the line it lies on, where the group has an axis"""
    at: Annotated[Any, PlainValidator(_number_or_text)] = None
    """where it lies along the axis: a number or a text"""


AllOrSome = either(Literal["all"], Some[Name])


def once(rows: Sequence[Row], shown: Sequence[str]) -> Sequence[Row]:
    """The rows; an error where two are alike in all that is `shown` of them."""
    seen: dict[tuple[str, ...], int] = {}
    for number, row in enumerate(rows, start=1):
        name = tuple(getattr(row, key) for key in shown)
        if (first := seen.setdefault(name, number)) < number:
            said = " with ".join(map(repr, name))
            raise refused(f"row {number}: a second {said}, as row {first}")
    return rows


BY_LABEL = AfterValidator(partial(once, shown=("label",)))
BY_LABEL_AND_TOKENS = AfterValidator(partial(once, shown=("label", "tokenization")))


class Table2(Section):
    """What overlapping tokens bring in fine-tuning."""

    datasets: AllOrSome = "all"
    """`all`, or a list of names"""
    rows: Annotated[tuple[Table2Row, ...], BY_LABEL_AND_TOKENS] = ()
    """`label`, `pretraining`, `encoder`, `tokenization`, `published`"""


class Table3(Section):
    """Every encoder on every data set."""

    datasets: AllOrSome = "all"
    """`all`, or a list of names"""
    rows: Annotated[tuple[PublishedRow, ...], BY_LABEL] = ()
    """`label`, `encoder`, `tokenization`, `published`"""


class Tables(Section):
    """The rows of Tables 2 and 3."""

    table2: Table2 = Field(default_factory=Table2)
    """`datasets` and `rows`, which have `pretraining` too"""
    table3: Table3 = Field(default_factory=Table3)
    """`datasets` and `rows`"""


class Ablation(Section):
    """A group of encoders that answers a question."""

    question: Text | None = None
    """stands above the answer"""
    axis: Text | None = None
    """what the rows lie along, with its unit"""
    datasets: AllOrSome = "all"
    """`all`, or a list of names"""
    pretraining_seeds: Different[Seed] = ()
    """every encoder is pretrained with each of these, its own among them; a row's score
    is the mean over them, and its interval has both kinds of seeds"""
    rows: Annotated[tuple[AblationRow, ...], Field(min_length=1)]
    """the first one is the reference"""


class Roles(Section):
    """Which encoder plays which part in figures and observations."""

    baseline: Name | None = None
    """the one that others are compared with; it stands in Table 3"""
    randommask: Name | None = None
    """the paper's method"""
    nonoverlapping: Name | None = None
    """pretrained on non-overlapping tokens"""
    mini: Name | None = None
    """a small one, drawn in Figure 5"""


class Tsne(Section):
    """How embeddings are mapped to the plane (Figures 2 and 3)."""

    perplexity: Positive = 30
    """neighbours that count"""
    seed: Seed = 1
    """of the map"""


class AttentionMaps(Section):
    """What attention is averaged over (Figure 4)."""

    windows: Count = 32
    """validation windows"""
    tokens: Annotated[int, Field(strict=True, ge=5)] = 128
    """of each window, [CLS] and [SEP] included; at most the encoder's positions"""
    seed: Seed = 1
    """of the choice of windows"""


class Figures(Section):
    """How figures are made."""

    tsne: Tsne = Field(default_factory=Tsne)
    """`perplexity` and `seed`"""
    attention: AttentionMaps = Field(default_factory=AttentionMaps)
    """`windows`, `tokens` and `seed`"""

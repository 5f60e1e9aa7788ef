"""What a fine-tuned model is for: `task.json` beside its weights.

Written by `randommask.finetuning --model`, read by `randommask.predict`.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from randommask import files, metrics
from randommask.errors import InputError

NAME = "task.json"


@dataclass(frozen=True)
class Purpose:
    """What goes in and what comes out."""

    dataset: str
    tokenization: str
    type: str
    """`classification`, `multilabel` or `regression`."""
    classes: int | None
    targets: list[str]
    window_bases: int
    """The longest sequence it was trained on, or that its positions hold, in bases."""
    precision: str
    """`fp32` or `bf16`, as it was trained."""

    @property
    def columns(self) -> list[str]:
        """Names of the outputs: p0, p1, ... for classes, else y_<target>, p_<label>."""
        return columns(self.type, self.classes, self.targets)


def columns(kind: str, classes: int | None, targets: Sequence[str]) -> list[str]:
    """See `Purpose.columns`."""
    if kind == metrics.CLASSIFICATION:
        return [f"p{label}" for label in range(classes)]
    letter = "p" if kind == metrics.MULTILABEL else "y"
    return [f"{letter}_{target}" for target in targets]


def window(family: Any, tokenization: str, config: Any, bases: int) -> int:
    """The longest sequence up to `bases` that fits the positions, and all below it do.

    `family` is a module of `families`, `config` its encoder's.
    """

    def tokens(length: int) -> int:
        if hasattr(family, "most_tokens"):
            return family.most_tokens(length, config)
        # A shorter sequence may have more tokens, where a remainder is read in single
        # letters; so all lengths of the last k are looked at.
        lengths = range(max(1, length - config.k + 1), length + 1)
        made = ["A" * length for length in lengths]
        return int(family.tokenize(made, tokenization, config)[1].max())

    return bisect_right(range(1, bases + 1), config.positions, key=tokens)


def write(folder: str | Path, purpose: Purpose) -> None:
    """Write task.json into a model's folder."""
    files.write_json(Path(folder) / NAME, asdict(purpose))


def read(folder: str | Path) -> Purpose:
    """Read a model's task.json; `InputError` where it or a key is missing."""
    path = Path(folder) / NAME
    if not path.exists():
        raise InputError(
            f"{path}: no such file, expected a folder that finetune --model wrote"
        )
    found = files.read_json(path)
    for field in fields(Purpose):
        if field.name not in found:
            raise InputError(f"{path}: no key {field.name}")
    return Purpose(**{field.name: found[field.name] for field in fields(Purpose)})

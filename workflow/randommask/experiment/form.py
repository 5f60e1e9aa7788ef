"""The form that every section of the config, and every `--hparams`, is written in.

`Section` is closed: a key that it does not know is refused by name, with the nearest
one that it knows. A wrong value is one line: key, what was found, what was expected.
Nothing is converted on the way in: `"3"` is no number, `200.0` is no count of steps,
and a number that is written `10` stays `10` in the JSON that jobs are compared by.
"""

import difflib
import json
import math
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from randommask.errors import InputError, listing
from randommask.experiment import flags


def expected(words: str) -> PydanticCustomError:
    """The error of a validator that finds something else than `words`."""
    return PydanticCustomError("expected", "{words}", {"words": words})


def refused(words: str) -> PydanticCustomError:
    """The error of a validator that says all there is to say, but where."""
    return PydanticCustomError("refused", "{words}", {"words": words})


class Section(BaseModel):
    """Keys with their values; `from_` is written `from`, a word that Python keeps."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    about: ClassVar[str] = ""
    """What the section is about, where its keys mean nothing for its neighbours."""
    misplaced: ClassVar[dict[str, str]] = {}
    """Keys of neighbours, and what to say of them here."""

    @classmethod
    def keys(cls) -> list[str]:
        """The keys as they are written."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    @model_validator(mode="before")
    @classmethod
    def _closed(cls, found: Any) -> Any:
        if not isinstance(found, dict):
            return found
        names = cls.keys()
        for key in found:
            if key in names:
                continue
            if key in cls.misplaced:
                raise PydanticCustomError(
                    "key", "{words}", {"words": cls.misplaced[key]}
                )
            near = difflib.get_close_matches(str(key), names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {listing(names)}"
            said = f"unknown key {str(key)[:60]!r}; {hint}"
            if cls.about and not near:
                said = f"{str(key)[:60]!r} has no meaning for {cls.about}"
            raise refused(said)
        return found

    def values(self) -> dict[str, Any]:
        """All keys with their values, as JSON takes them."""
        return _plain(self.model_dump(by_alias=True))

    def given(self) -> dict[str, Any]:
        """The keys that were written down, defaults left out."""
        return _plain(self.model_dump(by_alias=True, exclude_unset=True))


Form = TypeVar("Form", bound=BaseModel)


def read(form: type[Form], found: Any, prefix: str = "") -> Form:
    """What was found as a `form`; `InputError` with one line for the first fault."""
    try:
        return form.model_validate(found)
    except ValidationError as error:
        raise InputError(_one_line(error, prefix)) from None


class Hparams(Section):
    """What a command is told in its flag `--hparams`, one JSON object."""

    @classmethod
    def parse(cls, text: str, **more: Any) -> Self:
        """Read the flag, or the `@file` it names; `InputError` for what cannot be.

        `more` are keys that another flag says.
        """
        try:
            found = json.loads(flags.read(text))
        except (ValueError, RecursionError) as error:
            raise InputError(f"--hparams: not JSON ({error})") from None
        found = {**found, **more} if isinstance(found, dict) else found
        return read(cls, found, "--hparams")

    def flag(self) -> str:
        """The value of the flag, for a command line."""
        return json.dumps(self.values())


def _plain(value: Any) -> Any:
    """The same with lists for tuples; pydantic's own JSON would write 10 as 10.0."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, tuple) else value


# --- Values ---------------------------------------------------------------------------


def _keep(value: Any, check: Any) -> Any:
    check(value)
    return value


def _finite(value: float) -> float:
    if not math.isfinite(value):
        raise expected("a number")
    return value


def _different(values: tuple) -> tuple:
    if len(set(values)) < len(values):
        raise expected("no entry twice")
    return values


def _kind(value: Any) -> str | None:
    """The branch that a value of two forms belongs to, by its own form."""
    if isinstance(value, list | tuple):
        return "<list>"
    return "<text>" if isinstance(value, str) else None


Whole = Annotated[int, Field(strict=True, ge=0)]
Count = Annotated[int, Field(strict=True, ge=1)]
Seed = Annotated[int, Field(strict=True, ge=0, le=2**32 - 1)]
K = Annotated[int, Field(strict=True, ge=1, le=7)]
Flag = Annotated[bool, Field(strict=True)]

Real = Annotated[float, Field(strict=True), AfterValidator(_finite)]
Number = Annotated[Real, WrapValidator(_keep)]
Positive = Annotated[Real, Field(gt=0), WrapValidator(_keep)]
NotNegative = Annotated[Real, Field(ge=0), WrapValidator(_keep)]
Share = Annotated[Real, Field(gt=0, lt=1), WrapValidator(_keep)]
Fraction = Annotated[Real, Field(ge=0, lt=1), WrapValidator(_keep)]
Portion = Annotated[Real, Field(ge=0, le=1), WrapValidator(_keep)]
Betas = tuple[Fraction, Fraction]

Line = Annotated[str, Field(strict=True)]
Text = Annotated[str, StringConstraints(strict=True, min_length=1)]
NAME, NAMED = (
    r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
    "a name: text of letters, digits, '-', '.' and '_'",
)
Name = Annotated[str, StringConstraints(strict=True, pattern=NAME)]
# A shard is a file of this name; NCBI's have bars: gi|568336023|gb|CM000663.2|
RECORD, RECORDED = (
    r"^[!-\-0-\[\]-~][!-.0-\[\]-~]{0,199}$",
    "a FASTA record's name: printable ASCII without spaces, slashes or a leading dot",
)
Record = Annotated[str, StringConstraints(strict=True, pattern=RECORD)]
Url = Annotated[str, StringConstraints(strict=True, pattern=r"^https?://")]


def unless(default: Any) -> Any:
    """A default that is not told: what was made before there was a choice stays."""
    return Field(default=default, exclude_if=lambda value: value == default)


T = TypeVar("T")
Different = Annotated[tuple[T, ...], AfterValidator(_different)]
Some = Annotated[tuple[T, ...], Field(min_length=1), AfterValidator(_different)]


def either(text: Any, many: Any) -> Any:
    """A type whose value is a `text` or a list, and its faults those of that one."""
    return Annotated[
        Annotated[text, Tag("<text>")] | Annotated[many, Tag("<list>")],
        Discriminator(_kind),
    ]


# --- Messages -------------------------------------------------------------------------

_EXPECTED = {
    "int_type": "a whole number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "keys with values",
    "model_type": "keys with values",
    "model_attributes_type": "keys with values",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
    "string_too_short": "text of at least {min_length} letter",
    "too_short": "a list of at least {min_length}",
    "too_long": "a list of at most {max_length}",
    "string_pattern_mismatch": "text like {pattern}",
    "union_tag_not_found": "another form, see config/README.md",
}

_PATTERNS = {NAME: NAMED, RECORD: RECORDED}


def _one_line(error: ValidationError, prefix: str) -> str:
    """The key, what was found and what was expected; never the model."""
    first = error.errors(include_url=False)[0]
    kind, context = first["type"], first.get("ctx", {})
    is_name = first["loc"][-1:] == ("[key]",)
    parts = list(_written(first["loc"][:-2] if is_name else first["loc"]))
    if kind == "missing":
        return f"{_joined(prefix, parts[:-1])}: no key {parts[-1]!r}"
    where = _joined(prefix, parts)
    if kind == "refused":
        return f"{where}: {context['words']}"
    found = first["input"]
    wanted = context.get("words") or _EXPECTED.get(kind, first["msg"]).format(**context)
    near = ""
    if kind == "float_type":
        wanted = "a number"
        if isinstance(found, str):
            wanted += " (YAML wants a point: 1.0e-4)"
    if kind == "literal_error":
        names = context["expected"].replace("'", "").replace(" or ", ", ")
        wanted = f"one of {names}" if ", " in names else names
        close = difflib.get_close_matches(str(found), names.split(", "), 1)
        near = f"; did you mean {close[0]!r}?" if close else ""
    wanted = _PATTERNS.get(context.get("pattern"), wanted)
    if is_name and kind == "string_type":
        wanted = NAMED
    if "<text>" in first["loc"]:
        wanted += ", or a list"
    return f"{where}: found {_shown(found)}, expected {wanted}{near}"


def _written(location: tuple[str | int, ...]) -> Iterator[str]:
    """The parts of a place as a reader sees them: no branches, no `[key]`."""
    for part in map(str, location):
        if not part.startswith(("<", "[")):
            yield part


def _joined(prefix: str, parts: list[str]) -> str:
    where = ".".join(parts)
    if prefix:
        return f"{prefix}: {where}" if where else prefix
    return where or "config"


def _shown(found: Any) -> str:
    text = json.dumps(found, default=str)
    return text if len(text) <= 60 else text[:57] + "..."

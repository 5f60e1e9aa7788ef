"""The form of a config, before its meaning: each key once, and what the schema wants.

YAML keeps the last of two entries with one key and drops the other without a word, and
reads `2024:` as a number. Both are refused here, with the line.
"""

import difflib
import json
import math
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator, ValidationError, validators
from jsonschema.exceptions import best_match

from randommask.errors import InputError, listing

TEXT, MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"


class _Loader(yaml.SafeLoader):
    """YAML's plain types; the name of the stream stands in each error."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            where = f"{self.name}: line {line}"
            if key.tag not in (TEXT, MERGE):
                found = repr(key.value) if isinstance(key.value, str) else "a list"
                raise InputError(f"{where}: {found} as a key, expected text in quotes")
            if key.value in lines:
                raise InputError(
                    f"{where}: {key.value!r} stands twice, first in line "
                    f"{lines[key.value]}; merge them"
                )
            lines[key.value] = line
        return node


def read(path: str | Path) -> dict[str, Any]:
    """A config as it stands in its file; the schema says later what may stand there.

    Raises `InputError` with the file, and the line where there is one.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return yaml.load(file, Loader=_Loader)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1
        raise InputError(f"{path}: line {line}: not YAML ({error.problem})") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path}: not YAML ({first})") from None


def _is_number(checker: Any, value: Any) -> bool:
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and math.isfinite(value)


# To a schema 200.0 is an integer; to YAML .nan and .inf are numbers.
_Validator = validators.extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "integer": lambda checker, value: type(value) is int,
            "number": _is_number,
        }
    ),
)


def check_form(config: dict[str, Any], schema: str | Path) -> None:
    """Raise `InputError` with one line for the worst breach of the schema's file."""
    with open(schema, encoding="utf-8") as file:
        validator = _Validator(yaml.safe_load(file))
    if error := best_match(validator.iter_errors(config)):
        raise InputError(_one_line(error))


def _one_line(error: ValidationError) -> str:
    """The key, what was found and what was expected; never the schema."""
    where = ".".join(str(part) for part in error.absolute_path) or "config"
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in known)
        near = difflib.get_close_matches(str(unknown), known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {listing(known)}"
        return f"{where}: unknown key {unknown!r}; {hint}"
    if error.validator in ("required", "dependentRequired"):
        due = error.validator_value
        if isinstance(due, dict):
            due = [key for name in due if name in error.instance for key in due[name]]
        missing = next(key for key in due if key not in error.instance)
        return f"{where}: no key {missing!r}"
    found = json.dumps(error.instance, default=str)
    if len(found) > 60:
        found = found[:57] + "..."
    expected = {
        "type": "of type",
        "enum": "one of",
        "const": "",
        "minimum": "at least",
        "maximum": "at most",
        "exclusiveMinimum": "more than",
        "exclusiveMaximum": "less than",
        "pattern": "text like",
        "minLength": "text of at least",
        "minItems": "a list of at least",
        "uniqueItems": "no entry twice",
    }.get(error.validator, error.validator)
    if "description" in error.schema:
        return f"{where}: found {found}, expected {error.schema['description']}"
    value = error.validator_value
    if value == "number" and isinstance(error.instance, str):
        value = "number (YAML wants a point: 1.0e-4)"
    shown = ", ".join(map(str, value)) if isinstance(value, list) else value
    if error.validator == "uniqueItems":
        shown = ""
    if error.validator in ("oneOf", "anyOf"):
        expected, shown = "another form,", "see config/README.md"
    return f"{where}: found {found}, expected {expected} {shown}".rstrip()


DEFAULT_CONFIG = "config/config.yaml"


def config_path(configfile: str | None, profile: str | None) -> Path:
    """The config that Snakemake would read: the flag's, the profile's, the paper's."""
    if configfile:
        return Path(configfile)
    path = Path(profile or "") / "config.yaml"
    if profile and path.exists():
        named = yaml.safe_load(path.read_text(encoding="utf-8")).get("configfile")
        return Path(named or DEFAULT_CONFIG)
    return Path(DEFAULT_CONFIG)


def read_config(path: Path) -> dict[str, Any]:
    """A config as it is; Snakemake checks it against the schema."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML ({str(error).splitlines()[0]})") from None

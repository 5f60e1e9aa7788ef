"""A config as it stands in its files, each key once.

YAML keeps the last of two entries with one key and drops the other without a word, and
reads `2024:` as a number. Both are refused here, with the line.

The ablations of a config, and what only they use, may lie in a file of their own, which
`ablations:` names. They are read as if they stood in the config; a name that stands in
both is refused.
"""

from pathlib import Path
from typing import Any

import yaml

from randommask.errors import InputError, known
from randommask.experiment.check import check
from randommask.experiment.sections import Experiment
from randommask.files import at_hand

TEXT, MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"
APART = ("architectures", "curricula", "encoders", "ablations")
"""What the file of the ablations may hold."""


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
    """A config as it stands in its file, whatever it may say.

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
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"{path}: not YAML ({first})") from None


def whole(config: dict[str, Any]) -> dict[str, Any]:
    """The config with its ablations, where `ablations` names the file that has them."""
    path = config.get("ablations")
    if not isinstance(path, str):
        return config
    apart = read(at_hand(path))
    if not isinstance(apart, dict):
        raise InputError(f"{path}: found no keys, expected {', '.join(APART)}")
    config = {**config, "ablations": {}}
    for section, entries in apart.items():
        known(path, section, APART, "section")
        if not isinstance(entries, dict):
            raise InputError(f"{path}: {section}: expected names with their entries")
        ours = config.get(section) or {}
        if not isinstance(ours, dict):
            continue  # which the form of the config refuses
        if twice := [name for name in entries if name in ours]:
            raise InputError(
                f"{path}: {section}.{twice[0]} stands in the config itself too"
            )
        config[section] = {**ours, **entries}
    return config


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


def load(path: str | Path) -> Experiment:
    """The experiment of a config's file; `InputError` with the file and one line."""
    config = read(path)
    try:
        return check(whole(config) if isinstance(config, dict) else config)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None

"""What a profile asks of SLURM, and whether there is any such node.

SLURM takes a job that no node can run, says nothing and lets it wait for ever: eight
GPUs where nodes have two, two days where a partition allows one. `sinfo` knows.
"""

import getpass
import math
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from randommask.doctor.finding import Finding, ask
from randommask.errors import InputError, listing

UNITS = {"s": 1 / 60, "m": 1, "h": 60, "d": 1440, "w": 10080}
"""Minutes of the units in which Snakemake's profiles tell time."""
GRES = r"gpu(?::([a-zA-Z][^:,]*))?(?::(\d+))?"
COLUMNS = "%P|%G|%D|%l|%c|%m|%a"


@dataclass(frozen=True)
class Nodes:
    """Some nodes of a partition that are alike."""

    partition: str
    is_default: bool
    gpus: Mapping[str, int]
    """GPUs of one node by model; "" for all."""
    count: int
    minutes: float
    """The longest that a job may run there."""
    cpus: int
    mem_mb: int
    is_up: bool


@dataclass(frozen=True)
class Request:
    """What the jobs of a rule ask for."""

    rule: str
    partition: str | None
    account: str | None
    nodes: int
    gpus: int
    """On one node."""
    model: str
    minutes: float
    mem_mb: float
    cpus: int


def profile(name: str | None) -> Iterator[Finding]:
    """Whether the jobs of a profile can be sent, and could ever run."""
    if name is None:
        return
    told = read_profile(name)
    if told is None:
        advice = "give its folder, as workflow/profiles/slurm"
        yield Finding("problem", "profile", f"{name}: no config.yaml there", advice)
    elif told.get("executor") == "slurm":
        if shutil.which("sbatch") is None:
            found = f"{name} sends jobs to SLURM, and there is no sbatch here"
            advice = "use a login node, or --profile workflow/profiles/local"
            yield Finding("problem", "slurm", found, advice)
            return
        asked = list(requests(told))
        yield from fits(asked)
        yield from _accounts({request.account for request in asked} - {None})


def read_profile(name: str) -> dict[str, Any] | None:
    """What the profile says; None where Snakemake would find none of that name."""
    home = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    for folder in (".", f"{home}/snakemake", "/etc/xdg/snakemake"):
        path = Path(folder) / name / "config.yaml"
        if path.is_file():
            try:
                told = yaml.safe_load(path.read_text(encoding="utf-8"))
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                first = str(error).splitlines()[0]
                raise InputError(f"{path}: not YAML ({first})") from None
            return told if isinstance(told, dict) else {}
    return None


def requests(told: Mapping[str, Any]) -> Iterator[Request]:
    """What each rule asks that the profile names, and any other."""
    default = _settings(told.get("default-resources"))
    rules = _by_rule(told.get("set-resources"))
    threads = _settings(told.get("set-threads"))
    for rule in sorted({*rules, *threads, "other rules"}):
        own = {**default, **rules.get(rule, {})}
        yield request(rule, own, int(_number(threads.get(rule), 1)))


def request(rule: str, own: Mapping[str, Any], cpus: int) -> Request:
    """What the resources of a rule's job ask for."""
    nodes = max(1, int(_number(own.get("nodes"), 1)))
    gpus, model = int(_number(own.get("gpu"))), str(own.get("gpu_model") or "")
    gpus = math.ceil(gpus / nodes)
    if gres := re.search(GRES, str(own.get("gres") or "")):
        model, gpus = gres[1] or model, int(gres[2] or 1)
    return Request(
        rule=rule,
        partition=own.get("slurm_partition"),
        account=own.get("slurm_account"),
        nodes=nodes,
        gpus=gpus,
        model=model,
        minutes=_minutes(own.get("runtime")),
        mem_mb=_number(own.get("mem_mb")),
        cpus=cpus,
    )


def _settings(found: Any) -> dict[str, Any]:
    """A mapping, or the list of `name=value` that Snakemake takes too."""
    if isinstance(found, Mapping):
        return {**found}
    pairs = (str(one).partition("=") for one in _list(found))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _by_rule(found: Any) -> dict[str, dict[str, Any]]:
    """Settings by rule, of a mapping or of a list of `rule:name=value`."""
    if isinstance(found, Mapping):
        return {rule: _settings(own) for rule, own in found.items()}
    rules: dict[str, dict[str, Any]] = {}
    for one in _list(found):
        rule, _, setting = str(one).partition(":")
        rules.setdefault(rule, {}).update(_settings([setting]))
    return rules


def _number(value: Any, otherwise: float = 0) -> float:
    """A plain number; what is computed for each job is not known here."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return otherwise
    return number if math.isfinite(number) else otherwise


def _minutes(value: Any) -> float:
    """A `runtime`: minutes, or numbers with units as 1d12h."""
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhdw])", str(value))
    return sum(float(n) * UNITS[unit] for n, unit in parts) or _number(value)


def nodes() -> tuple[list[Nodes], str]:
    """What sinfo says that there is, or why it does not."""
    works, said = ask("sinfo", "--noheader", "--format", COLUMNS)
    if not works:
        return [], said
    found = []
    for line in said.splitlines():
        cells = line.strip().split("|")
        if len(cells) == COLUMNS.count("|") + 1:
            name, gres, count, limit, cpus, mem_mb, state = cells
            found.append(
                Nodes(
                    partition=name.rstrip("*"),
                    is_default=name.endswith("*"),
                    gpus=_gpus(gres),
                    count=_digits(count),
                    minutes=_limit(limit),
                    cpus=_digits(cpus),
                    mem_mb=_digits(mem_mb),
                    is_up=state.strip() == "up",
                )
            )
    return found, "" if found else "it lists no partition"


def _gpus(gres: str) -> dict[str, int]:
    """`gpu:a100:4(S:0-1),gpu:t4:2` as GPUs by model, and "" for all."""
    found: dict[str, int] = {}
    for model, count in re.findall(r"gpu(?::([a-zA-Z][^:,(]*))?:(\d+)", gres):
        for name in {model, ""}:
            found[name] = found.get(name, 0) + int(count)
    return found


def _digits(text: str) -> int:
    """The number in `64+`, which stands for at least 64."""
    return int(re.sub(r"\D", "", text) or 0)


def _limit(text: str) -> float:
    """Minutes of `days-hours:minutes:seconds` in SLURM's writing."""
    if not re.fullmatch(r"[\d:-]+", text):
        return math.inf
    days, dash, clock = text.rpartition("-")
    parts = [int(part) for part in clock.split(":")]
    if dash:
        hours, minutes, seconds = [*parts, 0, 0][:3]
    else:
        hours, minutes, seconds = [0, 0, 0, *parts][-3:]
    return int(days or 0) * 1440 + hours * 60 + minutes + seconds / 60


def fits(asked: list[Request]) -> Iterator[Finding]:
    """A line for each rule whose jobs would wait for ever."""
    there, why = nodes()
    if not there:
        advice = "whether any node has what is asked for is not known"
        yield Finding("warning", "nodes", f"sinfo: {why}", advice)
        return
    names = list(dict.fromkeys(one.partition for one in there))
    wrong = 0
    for request in asked:
        if request.partition and request.partition not in names:
            found = f"{request.rule}: no partition {request.partition}, found "
            advice = "set slurm_partition in the profile"
            yield Finding("problem", "partition", found + listing(names), advice)
            wrong += 1
            continue
        for lack, advice in _lacks(request, _meant(request, there)):
            yield Finding("problem", "nodes", f"{request.rule}: {lack}", advice)
            wrong += 1
    if not wrong:
        best = max((one.gpus.get("", 0) for one in there), default=0)
        found = f"{sum(one.count for one in there)} listed, of up to {best} GPUs"
        yield Finding("ok", "nodes", f"{found}: each rule finds some")


def _meant(request: Request, there: list[Nodes]) -> list[Nodes]:
    """The nodes of the partition asked for, or of SLURM's own choice."""
    own = [one for one in there if one.partition == request.partition]
    return own or [one for one in there if one.is_default] or there


def _lacks(request: Request, there: list[Nodes]) -> Iterator[tuple[str, str]]:
    """What no node has of all that is asked, the first that shuts out the last one."""
    name = there[0].partition
    if not any(one.is_up for one in there):
        yield f"partition {name} is not up", "ask for another by slurm_partition"
        return
    steps = (
        (
            request.gpus,
            lambda one: one.gpus.get(request.model, 0),
            f"GPUs {request.model} a node".replace("  ", " "),
            "lower its gpu, or spread it over nodes as the profile shows",
        ),
        (request.mem_mb, lambda one: one.mem_mb, "MB", "lower its mem_mb"),
        (request.cpus, lambda one: one.cpus, "threads", "lower its set-threads"),
        (
            request.minutes / 60,
            lambda one: one.minutes / 60,
            "hours",
            "lower its runtime: a segment goes on in the next try",
        ),
    )
    left = there
    for asked, has, unit, advice in steps:
        if asked > (most := max(map(has, left))):
            found = f"asks {asked:g} {unit}, nodes of partition {name} have {most:g}"
            yield found, advice
            return
        left = [one for one in left if has(one) >= asked]
    if request.nodes > (count := sum(one.count for one in left)):
        found = f"asks {request.nodes} nodes, {count} of partition {name} have all else"
        yield found, "lower its nodes"


def _accounts(asked: set[str]) -> Iterator[Finding]:
    """Whether the user may use the accounts that the profile names."""
    if not asked:
        return
    words = ("show", "associations", f"user={getpass.getuser()}", "format=account")
    works, said = ask("sacctmgr", "--noheader", "--parsable2", *words)
    mine = sorted({line.strip() for line in said.splitlines()} - {""}) if works else []
    for account in sorted(asked):
        if not mine:
            why = "" if works else f" ({said})"
            found = f"{account}: sacctmgr tells none of yours{why}"
            advice = "try sbatch --test-only"
            yield Finding("warning", "account", found, advice)
        elif account not in mine:
            found = f"no {account}, yours are {listing(mine)}"
            advice = "set slurm_account in the profile"
            yield Finding("problem", "account", found, advice)
        else:
            yield Finding("ok", "account", account)

r"""Delete what one ablation has made for itself, and nothing that others use.

    python -m randommask.report.ablations.clean --config config/demo.yaml \\
        --name curriculum

lists it with sizes and hours of pretraining, and deletes it with `--delete`: the
group's table and figure, and the encoders, pretrainings, measurements and fine-tuning
runs that nothing else needs, with their logs. Others are all that the config has beside
the group, and every config beside it, or in `config/`, with the same `results`.

What was asked for by name stays: a published folder, kept weights of a fine-tuning, a
map of embeddings, a run that the group does not have; and the encoder behind it.
"""

import argparse
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from randommask import files
from randommask.errors import InputError, known, run
from randommask.experiment import ablations
from randommask.experiment import check as checker
from randommask.experiment.encoders import split
from randommask.experiment.file import read_config
from randommask.files import WORKFLOW
from randommask.plan.__main__ import amount

SCHEMA = WORKFLOW / "schemas" / "config.schema.yaml"
TABLES = (".csv", ".md", ".tex", ".png", ".pdf")
MEASURES = (".csv", ".npz")
LOGS = (".log", ".tsv")


def sharing(path: Path, config: dict[str, Any]) -> dict[Path, dict[str, Any]]:
    """The other configs whose results lie in the same folder.

    Raises `InputError` for one that shares it, or may, and cannot be read as a config.
    """
    here = Path(config["pathvars"]["results"]).resolve()
    beside = {
        file.resolve(): file
        for folder in (Path("config"), path.parent)
        for file in sorted(folder.glob("*.yaml"))
    }
    beside.pop(path.resolve(), None)
    found = {}
    for file in beside.values():
        entries = read_config(file)
        try:
            results = Path(entries["pathvars"]["results"])
        except (KeyError, TypeError):
            continue  # no config of ours
        if results.resolve() == here:
            try:
                checker.check(entries, SCHEMA)
            except InputError as error:
                raise InputError(f"{file}: has the same results; {error}") from None
            found[file] = entries
    return found


def targets(
    config: dict[str, Any], name: str, others: Collection[dict[str, Any]] = ()
) -> tuple[list[Path], dict[str, Path]]:
    """The group's files and folders that are there, and its encoders that stay.

    The paths are sorted; the encoders come with what was asked for by name. Raises
    `InputError` for a group that the config does not have.
    """
    known("--name", name, config.get("ablations", {}), "ablation")
    own = ablations.own(config, name, others)
    results, logs = (Path(config["pathvars"][key]) for key in ("results", "logs"))
    kept: dict[str, Path] = {}
    for encoder in sorted(own.encoders):
        if asked := _asked_for(results, encoder, own.runs):
            kept |= dict.fromkeys(ablations.ancestors(config, encoder), asked) | kept
    gone = own.encoders - kept.keys()
    places = set()
    if not any(name in other.get("ablations", {}) for other in others):
        places.add(f"ablations/{name}")
    places |= {
        f"figures/{kind}/{e}" for kind in ("attention", "purity") for e in own.measured
    }
    places |= {
        f"{kind}/{e}" for kind in ("pretrain", "encoders", "finetune") for e in gone
    }
    places |= {f"finetune/{run}" for run in own.runs if run.split("/")[0] not in gone}
    steps = own.steps - ablations.milestones(config, kept)
    places |= {f"pretrain/{step}" for step in steps if split(step)[0] not in gone}
    found: set[Path] = set()
    for root in (results, logs, logs / "benchmarks"):
        for place in places:
            found |= set(_at(root / place))
    return sorted(found), {one: kept[one] for one in sorted(own.encoders & kept.keys())}


def _asked_for(results: Path, encoder: str, runs: set[str]) -> Path | None:
    """Something of an encoder that no group makes; None where there is none."""
    finetuned = sorted((results / "finetune" / encoder).glob("*/*/seed*"))
    asked = [
        *(results / kind / encoder for kind in ("release", "models")),
        results / "figures" / "embeddings" / f"{encoder}.csv",
        *(p for p in finetuned if str(p.relative_to(results / "finetune")) not in runs),
    ]
    return next((path for path in asked if path.exists()), None)


def _at(path: Path) -> list[Path]:
    """The folder, and the files with this name and a suffix; `fixed-1` is not `fixed`.

    A name may hold points itself, so the suffixes are listed.
    """
    suffixes = dict.fromkeys(("", *TABLES, *MEASURES, *LOGS))
    paths = [path.with_name(path.name + suffix) for suffix in suffixes]
    return [path for path in paths if path.exists() or path.is_symlink()]


def sizes(paths: Iterable[Path]) -> list[int]:
    """Bytes of files and folders; a file with several names counts at its first."""
    seen: set[tuple[int, int]] = set()
    found = []
    for path in paths:
        below = path.rglob("*") if path.is_dir() and not path.is_symlink() else ()
        inodes = [one.lstat() for one in (path, *below) if not one.is_dir()]
        new = {(one.st_dev, one.st_ino): one.st_size for one in inodes}
        found.append(sum(size for key, size in new.items() if key not in seen))
        seen |= new.keys()
    return found


def hours(config: dict[str, Any], paths: Iterable[Path]) -> float | None:
    """Hours that the pretrainings among the paths took; None where none is known."""
    results, logs = (Path(config["pathvars"][key]) for key in ("results", "logs"))
    seconds = []
    for path in paths:
        if path.parent == results / "pretrain":
            times = logs / "benchmarks" / "pretrain" / path.name
            for file in times.glob("step-*.tsv"):
                header, *lines = file.read_text(encoding="utf-8").splitlines() or [""]
                if lines and header.startswith("s\t"):
                    seconds.append(float(lines[-1].split("\t")[0]))
    return sum(seconds) / 3600 if seconds else None


def clean(
    config: dict[str, Any],
    name: str,
    delete: bool,
    others: dict[Path, dict[str, Any]] | None = None,
) -> None:
    """Print what `targets` finds; delete it where asked, with folders left empty."""
    others = others or {}
    found, kept = targets(config, name, others.values())
    bytes_each, took = sizes(found), hours(config, found)
    for path, size in zip(found, bytes_each, strict=True):
        print(f"{amount(size, 'B'):>8}  {path}")
    for path in others:
        print(f"{path}: has the same results; what it needs stays")
    for encoder, asked in kept.items():
        print(f"encoder {encoder} stays: {asked} was asked for by name")
    total = f"{len(found)} files and folders, {amount(sum(bytes_each), 'B') or '0 B'}"
    total += f", {took:.1f} hours of pretraining" if took is not None else ""
    print(f"{total}: {'deleted' if delete else 'to delete; nothing is deleted yet'}")
    if delete:
        roots = [Path(config["pathvars"][key]) for key in ("results", "logs")]
        for path in found:
            files.remove(path)
            for parent in path.parents:
                if parent in roots or any(parent.iterdir()):
                    break
                parent.rmdir()


def main(argv: Sequence[str] | None = None) -> None:
    """Read the configs and clean."""
    parser = argparse.ArgumentParser(
        prog="python -m randommask.report.ablations.clean",
        description=__doc__.splitlines()[0],
    )
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--name", required=True, help="the group in `ablations`")
    parser.add_argument("--delete", action="store_true", help="else only list")
    flags = parser.parse_args(argv)
    config = read_config(flags.config)
    checker.check(config, SCHEMA)
    clean(config, flags.name, flags.delete, sharing(flags.config, config))


if __name__ == "__main__":
    run(main)

r"""Delete what one ablation has made for itself, and nothing that others use.

    python -m randommask.ablation.clean --config config/config.yaml --name curriculum

lists them, and deletes them with `--delete`: the group's table and figure, and the
encoders, pretrainings and fine-tuning runs that nothing else in the config needs, with
their logs.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from randommask import config as checker
from randommask import files
from randommask.ablation import plan
from randommask.errors import InputError, run
from randommask.settings import known

SCHEMA = Path(__file__).parents[2] / "schemas" / "config.schema.yaml"
TABLES = (".csv", ".md", ".tex", ".png", ".pdf")
MEASURES = (".csv", ".npz", ".purity.csv")
LOGS = (".log", ".tsv")


def targets(config: dict[str, Any], name: str) -> list[Path]:
    """The files and folders of a group that are there, in the order of their names.

    Raises `InputError` for a group that the config does not have.
    """
    known("--name", name, config.get("ablations", {}), "ablation")
    encoders, cells = plan.own(config, name)
    places = {f"ablations/{name}"}
    for encoder in encoders:
        kinds = ("pretrain", "encoders", "finetune", "models", "release")
        places |= {f"{kind}/{encoder}" for kind in kinds}
        measures = ("embeddings", "attention", "purity")
        places |= {f"figures/{measure}/{encoder}" for measure in measures}
    for encoder, tokenization, dataset in cells:
        if encoder not in encoders:
            cell = f"{encoder}/{tokenization}/{dataset}"
            places |= {f"finetune/{cell}", f"models/{cell}"}
    results, logs = (Path(config["pathvars"][key]) for key in ("results", "logs"))
    found: set[Path] = set()
    for root in (results, logs, logs / "benchmarks"):
        for place in places:
            found |= set(_at(root / place))
    return sorted(found)


def _at(path: Path) -> list[Path]:
    """The folder, and the files with this name and a suffix; `fixed-1` is not `fixed`.

    A name may hold points itself, so the suffixes are listed.
    """
    suffixes = ("", *TABLES, *MEASURES, *LOGS)
    paths = [path.with_name(path.name + suffix) for suffix in suffixes]
    return [path for path in paths if path.exists() or path.is_symlink()]


def clean(config: dict[str, Any], name: str, delete: bool) -> list[Path]:
    """Print what `targets` finds; delete it where asked, with folders left empty."""
    found = targets(config, name)
    for path in found:
        print(path)
        if delete:
            files.remove(path)
            for parent in list(path.parents)[:2]:
                if parent.exists() and not any(parent.iterdir()):
                    parent.rmdir()
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Read the config and clean."""
    parser = argparse.ArgumentParser(
        prog="python -m randommask.ablation.clean", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--name", required=True, help="the group in `ablations`")
    parser.add_argument("--delete", action="store_true", help="else only list")
    flags = parser.parse_args(argv)
    try:
        config = yaml.safe_load(flags.config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{flags.config}: no such file") from None
    except yaml.YAMLError as error:
        raise InputError(f"{flags.config}: not YAML ({error.problem})") from None
    checker.check(config, SCHEMA)
    clean(config, flags.name, flags.delete)


if __name__ == "__main__":
    run(main)

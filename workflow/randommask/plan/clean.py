"""Delete what a config's targets made, and nothing else: list it, ask, delete.

    python -m randommask.plan.clean --profile workflow/profiles/demo all ablations

Snakemake's records say by which rule and with which settings a file was made. What
other settings made, in the same place, is another experiment's and stays; so does what
no target names, such as encoders and ablations of one's own. YES=1 in the environment
answers the question.
"""

import argparse
import base64
import json
import os
import shlex
import shutil
from pathlib import Path
from typing import Any

from randommask.errors import run
from randommask.experiment.file import config_path, load
from randommask.experiment.units import amount
from randommask.plan.jobs import entries

RECORDS = Path(".snakemake/metadata")


def made(profile: str, targets: list[str]) -> tuple[list[Path], list[Path]]:
    """What the targets made with these settings; and what others made in its place."""
    own, others = [], []
    for entry in entries(targets, None, profile, "--forceall"):
        for path in map(Path, entry["output"]):
            if os.path.lexists(path):
                (own if is_of(path, entry) else others).append(path)
    return own, others


def is_of(path: Path, entry: dict[str, Any]) -> bool:
    """Whether the record of a file tells of this job: its rule and its settings."""
    name = base64.b64encode(str(path).encode()).decode()
    try:
        record = json.loads((RECORDS / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    same = _settings(record.get("shellcmd")) == _settings(entry["command"])
    return record.get("rule") == entry["rule"] and same


def _settings(command: str | None) -> str | None:
    words = shlex.split(command or "")
    at = words.index("--hparams") if "--hparams" in words else None
    return None if at is None else words[at + 1]


def size(path: Path) -> int:
    """Bytes of a file, or of all below a folder."""
    found = [path, *path.rglob("*")] if path.is_dir() else [path]
    return sum(one.lstat().st_size for one in found if not one.is_dir())


def delete(paths: list[Path], results: Path) -> None:
    """Delete these, and folders of the results that are empty then."""
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for folder, _, _ in os.walk(results, topdown=False):
        if not os.listdir(folder):
            os.rmdir(folder)


def main(argv: list[str] | None = None) -> None:
    """List, ask, delete."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--profile", required=True)
    parser.add_argument("targets", nargs="+")
    flags = parser.parse_args(argv)
    experiment = load(config_path(None, flags.profile))
    results = Path(experiment.pathvars.results)
    paths, others = made(flags.profile, flags.targets)
    # what jobs keep beside their outputs: shards, and the lists of what was verified
    for genome in {path.parent for path in paths if path.name == "manifest.json"}:
        paths += [*genome.glob("*.npy"), *genome.glob("verified.json")]
    if not paths:
        print("nothing to delete")
        return
    for path in paths:
        print(path)
    for path in others:
        print(f"stays, as other settings made it or no record tells: {path}")
    whole = amount(sum(map(size, paths)), "B")
    print(f"{len(paths)} files and folders, {whole}; all else in {results} stays")
    if os.environ.get("YES") != "1":
        try:
            answer = input("Delete them? [y/N] ")
        except EOFError:
            answer = ""
        if answer.strip().lower() not in ("y", "yes"):
            print("kept (YES=1 deletes without asking)")
            return
    delete(paths, results)
    print("deleted")


if __name__ == "__main__":
    run(main)

"""The commands under one name: `randommask predict ...` once the package is installed.

    randommask predict --model ... --fasta my.fa --output predictions.tsv

is `python -m randommask.predict` with these flags, and so are the others. Nothing but
the command is imported, so `randommask --help` answers at once.

`plan` and `doctor` tell of a workflow, and a workflow is used from its clone. An
installed copy hands them to the clone that it is started in, for that is the code which
Snakemake would run there.
"""

import os
import runpy
import sys
from pathlib import Path

import randommask
from randommask.errors import InputError, known, run
from randommask.files import WORKFLOW

COMMANDS = {
    "predict": "a fine-tuned model on sequences of one's own",
    "embed": "vectors of an encoder's layer for sequences of one's own",
    "compare": "two results folders: settings and scores that differ",
    "plan": "what a target of the workflow costs before it starts (in a clone)",
    "doctor": "is the machine fit for a config (in a clone)",
}
OF_A_CLONE = ("plan", "doctor")


def usage() -> str:
    """What `--help` prints."""
    lines = [f"  {name:<9}{what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: randommask COMMAND [flags ...]",
            "",
            *lines,
            "",
            "randommask COMMAND --help   what it takes",
            "randommask --version",
        ]
    )


def main(argv: list[str] | None = None) -> None:
    """Run the command that the first word names."""
    name, *words = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if name in ("-h", "--help"):
        print(usage())
    elif name == "--version":
        print(f"randommask {randommask.__version__}")
    else:
        known("randommask", name, COMMANDS, "command")
        if name in OF_A_CLONE and not (WORKFLOW / "rules").is_dir():
            _hand_over(name, words)
        sys.argv = [f"randommask {name}", *words]
        runpy.run_module(f"randommask.{name}", run_name="__main__")


def _hand_over(name: str, words: list[str]) -> None:
    """Become the same command of the clone in the working folder."""
    package = Path("workflow").resolve()
    if not (package / "randommask").is_dir():
        raise InputError(
            f"{name}: no workflow in {Path.cwd()}, expected a clone of the repository"
        )
    paths = [str(package), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    os.execv(sys.executable, [sys.executable, "-m", f"randommask.{name}", *words])


def command() -> None:
    """What the console command calls."""
    run(main)


if __name__ == "__main__":
    run(main)

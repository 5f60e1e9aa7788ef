"""What a check says, and how commands are asked."""

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

ASK_SECONDS = 3.0  # the longest that a command or a server is waited for


@dataclass(frozen=True)
class Finding:
    """One line: `ok`, `warning` or `problem`, of what, what was found, what to do."""

    state: str
    subject: str
    found: str
    advice: str = ""

    def __str__(self) -> str:
        advice = f"; {self.advice}" if self.advice else ""
        return f"{self.state:<8} {self.subject:<11} {self.found}{advice}"


def existing(path: Path) -> Path:
    """The path or the nearest folder above it that is there."""
    path = path.absolute()
    return next(above for above in (path, *path.parents) if os.path.exists(above))


def unwritable(path: Path) -> str | None:
    """Why a folder, or the nearest above it, takes no file; None where it does."""
    try:
        with tempfile.NamedTemporaryFile(dir=existing(path), prefix=".doctor-"):
            return None
    except OSError as error:
        return error.strerror or str(error)


def ask(*words: str) -> tuple[bool, str]:
    """Whether a command succeeds in time, and what it prints, or why not."""
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=ASK_SECONDS
        )
    except FileNotFoundError:
        return False, "not found"
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"no answer ({type(error).__name__})"
    if done.returncode == 0:
        return True, done.stdout.strip()
    return False, (done.stderr.strip() or f"exit {done.returncode}").splitlines()[0]

"""Files that appear whole or not at all.

Whatever a command makes is written beside its final name and renamed when it is
complete, so that a killed job leaves nothing that looks like a result. A file replaces
a file, and a folder an empty one, or one that holds only what the same work left there.

What a killed process left beside the name is deleted by the next that writes there. Of
another host nobody can say whether it still writes, but for what is a week old.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from randommask.errors import InputError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
ABANDONED_SECONDS = 7 * 86400
"""What another host has not changed for so long is nobody's any more."""

WORKFLOW = Path(__file__).parents[1]
"""The folder `workflow`: rules, profiles, captions, plug-ins and this package."""


@contextmanager
def write_aside(path: str | Path, *, streams: bool = False) -> Iterator[Path]:
    """Yield a sibling of `path` to write a file at; rename it on success.

    The sibling keeps the suffix of `path`, which some writers choose a format by. A
    file of that name is replaced, a link's target in the link's place; a pipe, a device
    and our own standard output are written to: at once by who `streams`, else when all
    is there, for some formats want to go back. On an exception the sibling is removed
    and `path` stays as it was. Raises `InputError` where a folder stands there.
    """
    path = Path(path)
    check_file(path)
    is_sink = path.exists() and not path.is_file()  # a pipe or a device
    own = _own_output(path)
    if is_sink and streams:
        yield path
    elif is_sink or own is not None:
        with TemporaryDirectory() as folder:
            aside = Path(folder) / path.name
            yield aside
            # Opened by its name, `>> all.tsv` would lose what is in it already.
            sink = path if own is None else os.dup(own)
            try:
                with open(aside, "rb") as made, open(sink, "wb") as output:
                    shutil.copyfileobj(made, output)
            except OSError as error:
                error.filename = path
                raise
    else:
        with _aside(path) as (_, aside):
            yield aside


@contextmanager
def make_aside(path: str | Path, *ours: str) -> Iterator[Path]:
    """Yield a sibling of `path` to make a folder at; rename it on success.

    It replaces a folder only where that is empty or holds nothing but `ours`, patterns
    of the names that the same work left there. Raises `InputError` for any other, and
    for a file.
    """
    check_folder(path, *ours)
    with _aside(Path(path)) as (final, aside):
        yield aside
        check_folder(final, *ours)  # the work may have taken days
        if final.is_dir():
            remove(final)


def at_hand(path: str | Path) -> str:
    """A file of the user's, or of the repository where the user has none of that name.

    So the lists in `config/` are found by a workflow that imports this one.
    """
    own = WORKFLOW.parent / path
    return str(path if Path(path).exists() or not own.exists() else own)


def new_file(path: str) -> Path:
    """The type of a flag that names a file to write: refused before any work."""
    check_file(path)
    return Path(path)


def new_folder(path: str) -> Path:
    """The type of a flag that names a folder to make: refused before any work."""
    check_folder(path)
    return Path(path)


def check_file(path: str | Path | None, *read: str | Path | None) -> None:
    """Raise `InputError` where `write_aside` would, before any work; None is fine.

    Nor may it be one of the files that are `read`: that one would be lost.
    """
    if path is None:
        return
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder, expected the name of a file to write")
    if any(one and os.path.exists(one) and _is_same(path, one) for one in read):
        raise InputError(f"{path}: is read too, expected another file to write")
    if path.exists() and not path.is_file():
        if not os.access(path, os.W_OK):
            raise InputError(f"{path}: may not be written to")
        return  # a pipe or a device
    _check_above(path)


def check_folder(path: str | Path | None, *ours: str) -> None:
    """Raise `InputError` where `make_aside` would, before any work; None is fine."""
    if path is None:
        return
    path = Path(path)
    if not path.exists():
        _check_above(path)
        return
    if not path.is_dir():
        raise InputError(f"{path}: is a file, expected the name of a folder to make")
    for name in sorted(os.listdir(path)):
        if not any(fnmatchcase(name, pattern) for pattern in ours):
            raise InputError(
                f"{path}: holds {name}, expected an empty folder or none; "
                "delete it or name another"
            )
    _check_above(path)


def _is_same(path: Path, other: str | Path) -> bool:
    """Whether both are one regular file, by whatever names; a terminal may be both."""
    return path.is_file() and os.path.samefile(path, other)


def _check_above(path: Path) -> None:
    """Raise `InputError` where nothing can be written into the folder of `path`."""
    if path.is_symlink():
        path = Path(os.path.realpath(path))
        if path.is_symlink():
            raise InputError(f"{path}: a link that leads to itself")
    for above in path.parents:
        if above.exists():
            if not above.is_dir():
                raise InputError(f"{above}: is a file, expected the folder of {path}")
            if not os.access(above, os.W_OK | os.X_OK):
                raise InputError(f"{above}: may not be written to, as {path} would")
            return


@contextmanager
def _aside(path: Path) -> Iterator[tuple[Path, Path]]:
    """Yield the final name, links followed, and the sibling that is renamed to it."""
    if path.is_symlink() or not path.name:  # "." has no name to write beside
        path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    host = socket.gethostname()
    aside = path.with_name(f".{path.name}.{os.getpid()}@{host}.aside{path.suffix}")
    start, end = re.escape(f".{path.name}."), re.escape(f".aside{path.suffix}")
    for name in os.listdir(path.parent):
        found = re.fullmatch(rf"{start}(\d{{1,9}})@([^@]+){end}", name)
        with suppress(OSError):  # deleted by now, or not ours to delete
            if found and not _is_at_work(path.with_name(name), int(found[1]), found[2]):
                remove(path.with_name(name))
    try:
        yield path, aside
        os.replace(aside, path)
    except BaseException as error:
        with suppress(OSError):  # what went wrong first is what is told
            remove(aside)
        if isinstance(error, Exception):
            _name(error, aside, path)
        raise


def _name(error: Exception, aside: Path, path: Path) -> None:
    """See that an error of the disk is an `OSError` which names `path`, not `aside`."""
    if isinstance(error, OSError):
        if error.filename is None and error.errno in FULL:
            error.filename = path
        elif str(error.filename).startswith(str(aside)):
            error.filename = f"{path}{str(error.filename).removeprefix(str(aside))}"
        if error.filename2 is not None:
            error.filename2 = path
    elif found := re.search(r"\(os error (\d+)\)", str(error)):  # safetensors, in Rust
        number = int(found[1])
        raise OSError(number, os.strerror(number), path) from error


def _is_at_work(aside: Path, pid: int, host: str) -> bool:
    """Whether the process that writes an aside lives, as far as can be told."""
    if host != socket.gethostname():
        times = [path.lstat().st_mtime for path in (aside, *aside.rglob("*"))]
        return max(times) > time.time() - ABANDONED_SECONDS
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # somebody else's
    return pid != os.getpid()  # a killed one may have had our number


def _own_output(path: Path) -> int | None:
    """Our standard output or error, or what a shell opened, where `path` is one."""
    is_opened = re.fullmatch(r"/(dev|proc/self)/fd/\d+", str(path))
    for own in (1, 2, *([int(path.name)] if is_opened else [])):
        with suppress(OSError):
            if os.path.samefile(path, own):
                return own
    return None


def remove(path: Path) -> None:
    """Delete a file or a folder; do nothing where there is none."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8 with the line ends it has."""
    with write_aside(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="")


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as indented JSON; NaN and infinity are refused."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def read_json(path: str | Path) -> Any:
    """Read a JSON file; raise `InputError` where it is not JSON."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON ({error})") from None


def sha256(path: str | Path) -> str:
    """Hex digest of a file's bytes, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def lock(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock file `path`, which says in words who holds it.

    Where another process holds it, wait for that one, or raise `InputError` with its
    name. A killed process holds nothing: the lock is the kernel's (`flock`, which NFS
    passes on to its server), not the file's being there. The file is deleted at the
    end, unless its folder was moved away: then another's may have its name.
    """
    from filelock import FileLock, Timeout  # takes longer than the rest of this module

    path.parent.mkdir(parents=True, exist_ok=True)
    # No soft lock where the disk knows no locks: it would outlive a killed holder.
    held = FileLock(path, fallback_to_soft=False, poll_interval=0.5)
    try:
        try:
            held.acquire(blocking=False)
        except Timeout:
            other = _holder(path)
            if not wait:
                raise InputError(
                    f"{path.parent}: being written by {other}; wait for it or stop it"
                ) from None
            print(f"{path}: waiting for {other}", file=sys.stderr, flush=True)
            held.acquire()
        with suppress(OSError):  # the disk may be full; the lock holds all the same
            path.write_text(_this_process(), encoding="utf-8")
        inode = path.stat().st_ino
    except OSError as error:
        raise InputError(f"{path}: cannot be locked ({error})") from None
    try:
        yield
    finally:
        with suppress(FileNotFoundError):
            if path.stat().st_ino == inode:
                path.unlink()
        held.release()


def _holder(path: Path) -> str:
    """Who holds the lock: what its file says, if its holder has not just deleted it."""
    with suppress(FileNotFoundError):
        if said := path.read_text(encoding="utf-8").strip():
            return said
    return "another process"


def _this_process() -> str:
    job = os.environ.get("SLURM_JOB_ID")
    name = f"process {os.getpid()} on {socket.gethostname()}"
    return name + (f", SLURM job {job}" if job else "")

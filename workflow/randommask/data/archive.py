"""Unpack a published zip archive without trusting it."""

import hashlib
import shutil
import stat
import zipfile
from pathlib import Path, PurePosixPath

from randommask.errors import InputError

MAX_EXPANSION = 100
"""Refuse an archive that unpacks to more than so many times its size, and a MiB. DNA
as text packs to about a quarter; an archive made to fill a disk, to a thousandth."""
USUAL_EXPANSION = 4
"""Room to ask for before an archive is here: so many times its size, unpacked."""


def unpack(path: Path, folder: Path, name: str) -> dict[str, str]:
    """Write the files of a zip archive below `folder`, in the folders they stand in.

    Returns the sha256 of each file by its path below `folder`.

    Raises `InputError`, calling the archive `name`, for a damaged or encrypted archive,
    a member that would land outside `folder` or is a link, one name given twice, too
    large a declared size or too little disk space. Members are held to their declared
    size and checksum (`zipfile` reads no further, whatever the packed data goes on to).
    """
    sums = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            for member in members:
                _check_member(member, name)
            declared = sum(member.file_size for member in members)
            if declared > MAX_EXPANSION * path.stat().st_size + (1 << 20):
                raise InputError(
                    f"{name}: unpacks to {declared} bytes, expected at most "
                    f"{MAX_EXPANSION} times its {path.stat().st_size}"
                )
            ask_for_space(folder, declared)
            for member in members:
                target = folder / member.filename
                if member.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                # "x": a second member of that name is an error, not a replacement.
                hasher = hashlib.sha256()
                with archive.open(member) as source, open(target, "xb") as sink:
                    while chunk := source.read(1 << 20):
                        sink.write(chunk)
                        hasher.update(chunk)
                sums[PurePosixPath(member.filename).as_posix()] = hasher.hexdigest()
    except (zipfile.BadZipFile, EOFError, NotImplementedError) as error:
        raise InputError(f"{name}: no sound zip archive ({error})") from None
    except OSError as error:
        raise InputError(f"{name}: cannot unpack ({error})") from None
    return sums


def _check_member(member: zipfile.ZipInfo, name: str) -> None:
    """Refuse a member that is not a plain file or folder below the root."""
    path = PurePosixPath(member.filename)
    mode = member.external_attr >> 16
    if (
        path.is_absolute()
        or ".." in path.parts
        or not path.parts
        or "\\" in member.filename
        or ":" in path.parts[0]
    ):
        problem = "leads out of the folder"
    elif stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        problem = "is a link or a device"
    elif member.flag_bits & 1:
        problem = "is encrypted"
    else:
        return
    raise InputError(f"{name}: member {member.filename!r} {problem}: archive refused")


def ask_for_space(folder: Path, needed: int) -> None:
    """Raise `InputError` where the disk of `folder` has fewer than `needed` bytes."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder}: needs {needed} bytes of disk, but only {free} are free"
        )

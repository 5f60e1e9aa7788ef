"""Unpack a published zip archive without trusting it.

`zipfile` itself keeps every member inside the folder (it drops a leading slash and each
`..`), writes a link as a file with the link's text, reads no member beyond its declared
size and holds it to its checksum. Left to check are the size of all and their names.
"""

import errno
import lzma
import os
import shutil
import struct
import zipfile
import zlib
from pathlib import Path

from randommask.errors import InputError
from randommask.files import sha256

MAX_EXPANSION = 100
"""Refuse an archive that unpacks to more than so many times its size, and a MiB. DNA
as text packs to about a quarter; an archive made to fill a disk, to a thousandth."""
USUAL_EXPANSION = 4
"""Room to ask for before an archive is here: so many times its size, unpacked."""

BROKEN = (
    zipfile.BadZipFile,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    ValueError,  # a name that cannot be one, with a NUL in it or none at all
    LookupError,
    RuntimeError,  # encrypted, or packed in a way that zipfile does not know
    IsADirectoryError,  # a member that is a folder and a file
    NotADirectoryError,
)


def unpack(path: Path, folder: Path, name: str) -> dict[str, str]:
    """Write the files of a zip archive below `folder`, in the folders they stand in.

    Returns the sha256 of each file by its path below `folder`. Raises `InputError`,
    calling the archive `name`, for a damaged or encrypted archive, two members of one
    name, too large a declared size or too little disk space.
    """
    sums: dict[str, str] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            declared = sum(member.file_size for member in archive.infolist())
            if declared > MAX_EXPANSION * path.stat().st_size + (1 << 20):
                raise InputError(
                    f"{name}: unpacks to {declared} bytes, expected at most "
                    f"{MAX_EXPANSION} times its {path.stat().st_size}"
                )
            ask_for_space(folder, declared)
            for member in archive.infolist():
                target = archive.extract(member, folder)
                inside = Path(os.path.relpath(target, folder)).as_posix()
                if inside in sums:
                    raise InputError(f"{name}: two members called {inside}")
                if not member.is_dir():
                    sums[inside] = sha256(target)
    except BROKEN as error:
        raise InputError(f"{name}: no sound zip archive ({str(error)[:120]})") from None
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # bz2's, and a place before all
            raise
        raise InputError(f"{name}: no sound zip archive ({str(error)[:120]})") from None
    return sums


def ask_for_space(folder: Path, needed: int) -> None:
    """Raise `InputError` where the disk of `folder` has fewer than `needed` bytes."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{folder}: needs {needed} bytes of disk, but only {free} are free"
        )

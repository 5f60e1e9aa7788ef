"""Whether a file can be what its name says: what is not is never trusted at first use.

Sites answer with a page to sign in, a message, nothing or half a file, and call that a
success. Of a file without a checksum the first bytes must be those of its format, and
where a format tells that it is whole (gzip, zip, safetensors, parquet, JSON), it is.
"""

import csv
import gzip
import json
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

HEAD_BYTES = 4096
CHUNK_BYTES = 1 << 20
PAGE = re.compile(rb"<(!doctype|html|head|body|script|meta|\?xml|!--)", re.IGNORECASE)
PAGES = (".html", ".htm", ".xml", ".svg")
PACKED = (".gz", ".bgz")
LAST_BLOCK = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""What every bgzip file ends with; without it some blocks are missing."""
FASTA, PICKLED = re.compile(rb"\s*[>;]"), re.compile(rb"PK\x03\x04|\x80[\x02-\x05]")
STARTS = {
    ".fa": FASTA,
    ".fasta": FASTA,
    ".fna": FASTA,
    ".txt": re.compile(rb"(?!\s*[\[{][\"{\[])"),  # no message in JSON
    ".zip": re.compile(rb"PK\x03\x04"),
    ".npz": re.compile(rb"PK\x03\x04"),
    ".npy": re.compile(rb"\x93NUMPY"),
    ".parquet": re.compile(rb"PAR1"),
    ".pt": PICKLED,
    ".pth": PICKLED,
    ".2bit": re.compile(rb"\x43\x27\x41\x1a|\x1a\x41\x27\x43"),
    ".bz2": re.compile(rb"BZh"),
    ".xz": re.compile(rb"\xfd7zXZ"),
}
"""What the files of a name begin with, after any byte order mark."""
COMMAS = {".csv": ",", ".tsv": "\t"}
TEXTS = (".fa", ".fasta", ".fna", ".csv", ".tsv", ".txt", ".json", ".bed", ".gtf")


def problem(path: Path, name: str) -> str | None:
    """Say why the file called `name` is none; None where it may be one."""
    with open(path, "rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        return "is empty"
    suffix = Path(name).suffix.lower()
    if found := _start(head, suffix, name):
        return found
    whole = WHOLE.get(suffix)
    return whole(path, name) if whole else None


def tells_its_end(name: str) -> bool:
    """Whether the bytes themselves say that they are all."""
    return Path(name).suffix.lower() in WHOLE


def _start(head: bytes, suffix: str, name: str) -> str | None:
    """Whether a file may begin like that."""
    text = head.removeprefix(b"\xef\xbb\xbf")
    seen = f"begins with {text[:15]!r}"
    if PAGE.match(text.replace(b"\0", b"").lstrip(b"\xff\xfe \t\r\n")):
        if suffix not in PAGES:
            return f"{seen}, a page and no {suffix[1:] or 'such file'}"
    elif suffix in TEXTS and re.search(rb"[\0-\x08\x0e-\x1f]", head):
        return f"{seen}, expected text"
    elif Path(name).name.startswith("pytorch_model") and not PICKLED.match(head):
        return f"{seen}, expected weights"
    elif suffix in COMMAS and not _is_table(text, COMMAS[suffix]):
        return f"{seen}, expected a head and rows of as many cells"
    elif suffix in STARTS and not STARTS[suffix].match(text):
        return f"{seen}, expected a file of the kind {suffix[1:]}"
    return None


def _is_table(head: bytes, comma: str) -> bool:
    """Whether the first lines have as many cells, and more than one."""
    lines = head.decode("utf-8", "replace").splitlines()
    rows = csv.reader(lines if len(head) < HEAD_BYTES else lines[:-1], delimiter=comma)
    try:
        sizes = {len(row) for row in rows if row and not row[0].startswith("#")}
    except csv.Error:
        return False
    long = len(lines) < 2 and len(head) == HEAD_BYTES  # one line is longer than that
    return long or (len(lines) > 1 and len(sizes) == 1 and max(sizes) > 1)


def _gzip(path: Path, name: str) -> str | None:
    """Whether all of it unpacks, to what the inner name says."""
    try:
        with gzip.open(path) as file:
            inner = file.read(HEAD_BYTES)
            while file.read(CHUNK_BYTES):
                pass
    except (OSError, EOFError, zlib.error) as error:
        return f"no sound gzip ({error})"
    if inner.startswith(b"\x1f\x8b"):
        return "is packed twice"
    with open(path, "rb") as file:
        is_blocked = b"BC\x02\0" in file.read(18)[12:]
        file.seek(-min(len(LAST_BLOCK), path.stat().st_size), 2)
        if is_blocked and file.read() != LAST_BLOCK:
            return "no whole bgzip (its last block is missing)"
    unpacked = Path(name).stem
    return _start(inner, Path(unpacked).suffix.lower(), unpacked)


def _zip(path: Path, name: str) -> str | None:
    """Whether the list of members is there, at its end; unpacking checks the rest."""
    return None if zipfile.is_zipfile(path) else "no sound zip archive"


def _json(path: Path, name: str) -> str | None:
    try:
        json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return f"no JSON ({error})"
    return None


def _parquet(path: Path, name: str) -> str | None:
    with open(path, "rb") as file:
        file.seek(-min(4, path.stat().st_size), 2)
        return None if file.read() == b"PAR1" else "no whole parquet file"


def _safetensors(path: Path, name: str) -> str | None:
    """Whether the header can be read and the tensors fill the rest."""
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= size - 8:
            return f"no safetensors (a header of {length} bytes in {size})"
        try:
            header = json.loads(file.read(length))
            header.pop("__metadata__", None)
            end = max((each["data_offsets"][1] for each in header.values()), default=0)
        except (ValueError, AttributeError, LookupError, TypeError, RecursionError):
            return "no safetensors (its header cannot be read)"
    if size != 8 + length + end:
        return f"no whole safetensors ({size} bytes, expected {8 + length + end})"
    return None


WHOLE: dict[str, Callable[[Path, str], str | None]] = {
    **dict.fromkeys(PACKED, _gzip),
    **dict.fromkeys((".zip", ".npz"), _zip),
    ".json": _json,
    ".parquet": _parquet,
    ".safetensors": _safetensors,
}
"""What looks at all of a file, by the end of its name."""
KNOWN = (*STARTS, *COMMAS, *WHOLE, *TEXTS, *PAGES)
"""Names of which the first bytes say more than what a server calls them."""

"""Bring in one source of data: local files by link, published files by checksum.

Command (rule `download_*`)::

    python -m randommask.download --name hg38 --hparams '<spec>' --output resources/hg38

The spec (see `randommask.sources`) names either a path, and the output holds absolute
links to that file or to what that folder holds, or published files with their mirrors
and checksums.

A transfer runs into a `.part` file beside the output, so a broken one goes on where it
stopped, now or with the next call. A file whose checksum is wrong is deleted and never
used, and the output appears only when all of it is there. This is the only module that
uses the network.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from randommask import archive, files, sources
from randommask.errors import InputError, run
from randommask.sources import RemoteFile

TRIES = 3
"""Tries of each mirror; only what may pass by itself is tried again."""
PAUSE_SECONDS = 2.0
"""Wait before the second try; twice as long before the third."""
TIMEOUT_SECONDS = 60.0
"""The longest silence of a server."""
REPORT_SECONDS = 10.0
"""Between two lines of progress where stderr is no terminal."""
CHUNK_BYTES = 1 << 20


class RefusedError(Exception):
    """Raised where a mirror has not the file: go to the next."""


class InterruptedTransferError(Exception):
    """Raised where a transfer broke: the same mirror may well give the rest."""


def download(name: str, spec: Any, output: Path) -> None:
    """Make the folder `output` as `spec` says; `name` is for messages.

    Raises `InputError` for a spec that `sources` refuses, a path that is missing or
    empty, too little disk space, or a file that no mirror gave.
    """
    source = sources.parse(name, spec)
    if source.path is not None:
        link(name, source.path, output)
    else:
        fetch_all(source.files, output, source.unpack)


def link(name: str, path: Path, output: Path) -> None:
    """Make `output` a folder of links to a file, or to what a folder holds."""
    origin = path.expanduser().absolute()
    if not origin.exists():
        raise InputError(f"source {name}: {path}: no such file or folder")
    entries = [origin]
    if origin.is_dir():  # hidden files are other programs' marks, no data
        entries = sorted(e for e in origin.iterdir() if not e.name.startswith("."))
    if not entries:
        raise InputError(f"source {name}: {path}: the folder is empty")
    for entry in entries:
        if not entry.exists():
            raise InputError(f"source {name}: {entry}: a link to nothing")
        if entry.is_file() and entry.stat().st_size == 0:
            raise InputError(f"source {name}: {entry}: the file is empty")
    with files.write_aside(output) as aside:
        aside.mkdir()
        for entry in entries:
            (aside / entry.name).symlink_to(entry)


def fetch_all(remote: Sequence[RemoteFile], output: Path, unpack: bool) -> None:
    """Fetch every file, then make `output` of them, unpacked where asked for."""
    output.parent.mkdir(parents=True, exist_ok=True)
    parts = [file.part(output) for file in remote]
    missing = [
        file.bytes - (part.stat().st_size if part.exists() else 0)
        for file, part in zip(remote, parts, strict=True)
        if file.bytes is not None
    ]
    archive.ask_for_space(output.parent, sum(missing))
    # A server that packs on the way would change the bytes that the checksum is of.
    headers = {"Accept-Encoding": "identity", "User-Agent": "randommask"}
    with httpx2.Client(
        headers=headers, timeout=TIMEOUT_SECONDS, follow_redirects=True
    ) as client:
        for file, part in zip(remote, parts, strict=True):
            fetch(client, file, part)
    with files.write_aside(output) as aside:
        aside.mkdir()
        for file, part in zip(remote, parts, strict=True):
            if unpack:
                archive.unpack(part, aside, file.name)
            else:
                part.rename(aside / file.name)
    for part in parts:
        part.unlink(missing_ok=True)


def fetch(client: httpx2.Client, file: RemoteFile, part: Path) -> None:
    """Bring the whole file to `part`, from the first mirror that has it.

    Raises `InputError` with what each mirror answered where none has.
    """
    failures = []
    for url in file.urls:
        for attempt in range(1, TRIES + 1):
            try:
                fetch_once(client, file, part, url)
                return
            except RefusedError as error:
                failure = str(error)
            except (InterruptedTransferError, httpx2.HTTPError) as error:
                failure = str(error) or type(error).__name__
                if attempt < TRIES:
                    print(f"{file.name}: {url}: {failure}; again", file=sys.stderr)
                    time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
                    continue
            except httpx2.InvalidURL as error:
                failure = f"no url ({error})"
            except OSError as error:
                raise InputError(f"{part}: {error.strerror or error}") from None
            print(f"{file.name}: {url}: {failure}", file=sys.stderr)
            failures.append(f"{url}: {failure}")
            break
    raise InputError(f"{file.name}: no mirror gave it: {'; '.join(failures)}")


def fetch_once(client: httpx2.Client, file: RemoteFile, part: Path, url: str) -> None:
    """Ask `url` for what `part` lacks, and check the whole.

    Raises `RefusedError` or `InterruptedTransferError`; `part` is kept only where it
    can be gone on with.
    """
    hashers = file.hashers()
    start = _hash_existing(part, hashers)
    if start and file.mismatch(hashers) is None:
        return
    headers = {"Range": f"bytes={start}-"} if start else {}
    with client.stream("GET", url, headers=headers) as response:
        if response.status_code == 416 and start:
            part.unlink()
            raise InterruptedTransferError(f"no bytes after {start}: part deleted")
        _check_status(response)
        if response.status_code == 200:
            start, hashers = 0, file.hashers()
        elif _first_byte(response) != start:
            part.unlink(missing_ok=True)
            raise InterruptedTransferError("sent other bytes than asked for")
        total = _announced(response, start)
        if total is not None and file.bytes not in (None, total):
            raise RefusedError(f"announces {total} bytes, expected {file.bytes}")
        total = total or file.bytes
        if total is not None:
            archive.ask_for_space(part.parent, total - start)
        done = start
        with (
            open(part, "ab" if start else "wb") as sink,
            progress(file.name, start, total) as report,
        ):
            for chunk in response.iter_raw(CHUNK_BYTES):
                sink.write(chunk)
                for hasher in hashers.values():
                    hasher.update(chunk)
                done += len(chunk)
                report(len(chunk))
    if file.bytes is not None and done < file.bytes:
        raise InterruptedTransferError(f"ended after {done} of {file.bytes} bytes")
    if wrong := file.mismatch(hashers):
        part.unlink()
        kind = response.headers.get("content-type", "no content type")
        message = f"{wrong} ({done} bytes of {kind}; deleted)"
        # The first bytes may have come from elsewhere: only a whole transfer judges.
        raise (InterruptedTransferError if start else RefusedError)(message)


def _hash_existing(part: Path, hashers: dict[str, Any]) -> int:
    """Feed what `part` holds to the hashers; return how many bytes that is."""
    if not part.exists():
        return 0
    with open(part, "rb") as source:
        while chunk := source.read(CHUNK_BYTES):
            for hasher in hashers.values():
                hasher.update(chunk)
    return part.stat().st_size


def _check_status(response: httpx2.Response) -> None:
    """Tell an answer that holds the file from a passing and from a lasting failure."""
    code = response.status_code
    if code in (408, 425, 429) or code >= 500:
        raise InterruptedTransferError(f"HTTP {code}")
    if code not in (200, 206):
        raise RefusedError(f"HTTP {code}")


def _first_byte(response: httpx2.Response) -> int | None:
    """Read where a partial answer starts."""
    match = re.match(r"bytes (\d+)-", response.headers.get("content-range", ""))
    return int(match[1]) if match else None


def _announced(response: httpx2.Response, start: int) -> int | None:
    """Read the length of the whole file, where the server tells."""
    length = response.headers.get("content-length", "")
    return start + int(length) if length.isdigit() else None


@contextmanager
def progress(name: str, start: int, total: int | None) -> Iterator[Any]:
    """Yield a function to tell of more bytes: a bar on a terminal, else some lines."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        with tqdm(
            desc=name, initial=start, total=total, unit="B", unit_scale=True
        ) as bar:
            yield bar.update
        return
    done, last = start, time.monotonic()

    def report(count: int) -> None:
        nonlocal done, last
        done += count
        if time.monotonic() - last >= REPORT_SECONDS:
            last = time.monotonic()
            print(_line(name, done, total), file=sys.stderr, flush=True)

    yield report
    print(_line(name, done, total), file=sys.stderr, flush=True)


def _line(name: str, done: int, total: int | None) -> str:
    of = f" of {total / 1e6:.1f}" if total else ""
    return f"{name}: {done / 1e6:.1f}{of} MB"


def main(argv: list[str] | None = None) -> None:
    """Read the command line and bring in one source."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--name", required=True, help="what messages call the source")
    parser.add_argument("--hparams", required=True, help="the source's spec as JSON")
    parser.add_argument("--output", type=Path, required=True, help="folder to make")
    args = parser.parse_args(argv)
    try:
        spec = json.loads(args.hparams)
    except ValueError as error:
        raise InputError(f"hparams: not JSON ({error})") from None
    download(args.name, spec, args.output)


if __name__ == "__main__":
    run(main)

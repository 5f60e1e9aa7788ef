"""Bring in one source of data: local files by link, published files by checksum.

Command (rule `download_*`)::

    python -m randommask.data.download --name hg38 --hparams '<spec>' \
        --checksums resources/checksums.tsv --mirrors '[]' --output resources/hg38

The spec (see `data.sources`) names a path, and the output holds absolute links
to that file or to what that folder holds; or published files; or a repository of the
Hugging Face hub. Each mirror, a folder or an address, is asked for
`<mirror>/<name>/<file>` before any published place.

What arrives is checked against the config or, where that has no checksum, against
what came at its first use (`data.checksums`). The output appears only when all
of it is there, with a list of what it holds (`data.fetched`). One process at a
time fetches a source; another waits, and finds it made. This command alone uses the
network.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import Any

import httpx2

from randommask import files
from randommask.data import archive, checksums, fetched, hub, sources
from randommask.data.sources import RefusedError, RemoteFile, Source
from randommask.data.transfer import Fetched, fetch, open_client
from randommask.errors import InputError, run, shown
from randommask.experiment import flags
from randommask.experiment.origins import check_plain

Find = Callable[[], Sequence[RemoteFile]]
Got = Sequence[tuple[RemoteFile, Fetched]]


def download(
    name: str, spec: Any, output: Path, ledger: Path, mirrors: Sequence[str] = ()
) -> None:
    """Make the folder `output` as `spec` says, and note its files in `ledger`.

    `name` is that of the source, for messages, the ledger and the mirrors. Raises
    `InputError` for a spec that `sources` refuses, a path that is missing or empty,
    too little disk space, or a file that no place gave.
    """
    source = sources.parse(name, spec)
    if source.path is not None:
        link(name, source.path, output)
        if "encoder" in spec:
            _check_encoder(f"source {name}: {source.path}", output, source.is_plain)
        return
    files.check_file(ledger)
    if not output.exists():
        files.check_folder(output)
    with files.lock(output.with_name(f".{output.name}.lock"), wait=True):
        if fetched.is_made(output, name, spec):
            print(f"{output}: is there already", file=sys.stderr)
            return
        files.check_folder(output)
        try:
            got = fetch_first(name, source, output, ledger, mirrors)
            make(name, spec, output, ledger, got)
            files.remove(sources.parts(output))
        finally:
            with suppress(OSError):  # a broken transfer is kept
                sources.parts(output).rmdir()


def fetch_first(
    name: str, source: Source, output: Path, ledger: Path, mirrors: Sequence[str]
) -> Got:
    """Fetch all files of a source from the first place that has them.

    Raises `InputError` with what each place said where none has.
    """
    failures = []
    with open_client() as client:
        for find in places(name, source, client, mirrors):
            try:
                remote = checksums.expected(ledger, name, find())
                return fetch_all(client, remote, output, source.is_plain)
            except RefusedError as error:
                print(shown(f"{name}: {error}"), file=sys.stderr)
                failures.append(str(error))
    raise InputError(f"source {name}: {'; '.join(failures)}")


def places(
    name: str, source: Source, client: httpx2.Client, mirrors: Sequence[str]
) -> Iterator[Find]:
    """Yield what finds the files of a source, place by place in the order to try."""
    folders = [_mirror(mirror, name) for mirror in mirrors]
    repository = source.repository
    if repository is None:
        yield lambda: [file.mirrored(folders) for file in source.files]
    else:
        if repository.kind == "model":
            for folder in folders:
                yield lambda folder=folder: hub.on_mirror(client, repository, folder)
        yield lambda: hub.resolve(repository)
    for other in source.otherwise:
        yield from places(name, other, client, [])


def _mirror(mirror: str, name: str) -> str:
    """The folder of a source on a mirror, a path or an address."""
    if not re.match("https?://", mirror):
        mirror = str(Path(mirror).expanduser())
    return f"{mirror.rstrip('/')}/{name}"


def link(name: str, path: Path, output: Path) -> None:
    """Make `output` a folder of links to a file, or to what a folder holds."""
    before = [escape(old.name) for old in output.glob("*") if old.is_symlink()]
    files.check_folder(output, *before)
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
    with files.make_aside(output, *before) as aside:
        aside.mkdir()
        for entry in entries:
            (aside / entry.name).symlink_to(entry)


def _check_encoder(where: str, output: Path, is_plain: bool) -> None:
    """Refuse a local copy that holds no encoder, or one with code of its own."""
    try:
        hub.choose(where, os.listdir(output))
        if is_plain:
            check_plain(where, files.read_json(output / hub.CONFIG))
    except (RefusedError, InputError) as error:
        files.remove(output)
        raise InputError(str(error)) from None


def fetch_all(
    client: httpx2.Client,
    remote: Sequence[RemoteFile],
    output: Path,
    is_plain: bool = False,
) -> Got:
    """Fetch every file to its part beside `output`.

    Raises `RefusedError` where no place has one of them, `InputError` where the disk
    has no room for all, or where an encoder that has to be plain is not: its config
    comes first.
    """
    missing = 0
    for file in remote:
        part = file.part(output)
        here = part.stat().st_size if part.exists() else 0
        missing += file.needs(file.bytes or 0, here)
    archive.ask_for_space(output.parent, missing)
    sources.parts(output).mkdir(exist_ok=True)
    got = []
    for file in remote:
        part = file.part(output)
        got.append((file, fetch(client, file, part)))
        if is_plain and file.name == hub.CONFIG:
            try:
                check_plain(file.origin or file.urls[0], files.read_json(part))
            except InputError:
                part.unlink()
                raise
    return got


def make(name: str, spec: Any, output: Path, ledger: Path, got: Got) -> None:
    """Make `output` of the parts, archives unpacked, and write down what it holds."""
    rows = [
        checksums.Row(
            source=name,
            file=file.name,
            bytes=here.bytes,
            sha256=here.sha256,
            checked=checksums.PINNED if file.is_pinned else checksums.FIRST_USE,
            origin=here.origin,
        )
        for file, here in got
    ]
    with files.make_aside(output) as aside:
        aside.mkdir()
        sums = {}
        for file, _ in got:
            if file.is_archive:
                sums |= archive.unpack(file.part(output), aside, file.name)
        checksums.record(ledger, rows)
        if trusted := sum(row.checked == checksums.FIRST_USE for row in rows):
            print(
                f"{name}: {trusted} of {len(rows)} files have no checksum in the "
                f"config: what came first is in {ledger}",
                file=sys.stderr,
            )
        for file, here in got:
            if not file.is_archive:
                (aside / file.name).parent.mkdir(parents=True, exist_ok=True)
                file.part(output).rename(aside / file.name)
                sums[file.name] = here.sha256
        fetched.write(aside, name, spec, sums)


def main(argv: list[str] | None = None) -> None:
    """Read the command line and bring in one source."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--name", required=True, help="the source's name")
    parser.add_argument("--hparams", required=True, help="the source's spec as JSON")
    parser.add_argument(
        "--checksums", type=Path, required=True, help="the ledger of all"
    )
    parser.add_argument("--mirrors", default="[]", help="JSON list, tried before all")
    parser.add_argument("--output", type=Path, required=True, help="folder to make")
    args = parser.parse_args(argv)
    values = []
    for flag in ("hparams", "mirrors"):
        try:
            values.append(json.loads(flags.read(getattr(args, flag))))
        except ValueError as error:
            raise InputError(f"{flag}: not JSON ({error})") from None
    spec, mirrors = values
    download(args.name, spec, args.output, args.checksums, mirrors)


if __name__ == "__main__":
    run(main)

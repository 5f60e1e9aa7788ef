"""The ledger of what was fetched: `checksums.tsv`, one row a file, sorted.

A file whose checksum stands in the config is `pinned`. Any other is trusted at its
first use: what came then is written down, and what comes later must be the same.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path

from randommask import files
from randommask.data.sources import RefusedError, RemoteFile
from randommask.errors import InputError, shown

PINNED, FIRST_USE = "pinned", "first-use"
HEADER = ["source", "file", "bytes", "sha256", "checked", "from"]


@dataclass(frozen=True)
class Row:
    """A file that was fetched."""

    source: str
    file: str
    bytes: int
    sha256: str
    checked: str
    """`pinned` or `first-use`."""
    origin: str
    """Address, or `repository@commit` of the hub."""


Ledger = dict[tuple[str, str], Row]


def read(path: Path) -> Ledger:
    """The rows by source and file; none where there is no ledger yet.

    Raises `InputError` for a table of another form.
    """
    if not path.exists():
        return {}
    with open(path, encoding="utf-8", newline="") as file:
        lines = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    if not lines or lines[0] != HEADER:
        raise InputError(f"{path}: expected the columns {', '.join(HEADER)}")
    ledger = {}
    for number, cells in enumerate(lines[1:], start=2):
        if len(cells) != len(fields(Row)) or not cells[2].isdigit():
            raise InputError(f"{path}: line {number}: found {cells}, no row of a file")
        row = Row(cells[0], cells[1], int(cells[2]), *cells[3:5], shown(cells[5]))
        ledger[row.source, row.file] = row
    return ledger


def expected(path: Path, source: str, remote: Sequence[RemoteFile]) -> list[RemoteFile]:
    """The files with the sums that the ledger has of those that the config has not.

    Raises `RefusedError` where a hub announces other bytes already.
    """
    ledger = read(path)
    found = []
    for file in remote:
        row = ledger.get((source, file.name))
        if row and not file.is_pinned:
            by = f"recorded in {path}; if the change is meant, delete its row there"
            announced = file.digests.get("sha256", row.sha256)
            if announced != row.sha256:
                raise RefusedError(
                    f"{file.name}: sha256 is {announced}, expected {row.sha256} ({by})"
                )
            file = replace(file, digests={"sha256": row.sha256}, expected_by=by)
        found.append(file)
    return found


def record(path: Path, rows: Sequence[Row]) -> None:
    """Write down what was fetched; a row that says the same stays as it is.

    Raises `InputError` where another process has meanwhile recorded other bytes.
    """
    with files.lock(path.with_name(f".{path.name}.lock"), wait=True):
        before = read(path)
        ledger = dict(before)
        for row in rows:
            old = ledger.get((row.source, row.file))
            if old and (old.sha256, old.checked) == (row.sha256, row.checked):
                continue
            if old and row.checked == FIRST_USE and old.sha256 != row.sha256:
                raise InputError(
                    f"{row.source}: {row.file}: sha256 is {row.sha256}, expected "
                    f"{old.sha256} (recorded in {path})"
                )
            ledger[row.source, row.file] = row
        if ledger != before:
            text = io.StringIO()
            writer = csv.writer(
                text, delimiter="\t", quoting=csv.QUOTE_NONE, lineterminator="\n"
            )
            writer.writerow(HEADER)
            writer.writerows(astuple(ledger[key]) for key in sorted(ledger))
            files.write_text(path, text.getvalue())

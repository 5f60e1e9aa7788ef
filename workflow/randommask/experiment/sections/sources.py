"""Where the bytes come from: copies, files to download, data sets of the hub."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, StringConstraints, Tag

from randommask.experiment.form import (
    Count,
    Line,
    Name,
    Record,
    Section,
    Some,
    Text,
    Url,
    refused,
)

BENCHMARK = ("gue", "deepstarr")
"""The sources that are no genomes."""

Repository = Annotated[str, StringConstraints(strict=True, pattern=r"^[^/]+/[^/]+$")]


class Pin(Section):
    """What is known of one published file."""

    name: Name
    """of the file"""
    sha256: (
        Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{64}$")] | None
    ) = None
    """its checksum"""
    bytes: Count | None = None
    """its size"""


class PublishedFile(Section):
    """One file to download."""

    name: Name
    """of the file"""
    urls: Annotated[tuple[Url, ...], Field(min_length=1)]
    """mirrors in the order of trust; `{name}` is filled in"""
    md5: (
        Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{32}$")] | None
    ) = None
    """its checksum, where known"""
    sha256: (
        Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{64}$")] | None
    ) = None
    """its checksum, where known"""
    bytes: Count | None = None
    """its size, where known"""


class HubDataset(Section):
    """A data set on the Hugging Face hub."""

    repository: Repository
    """`owner/name`"""
    revision: Text
    """commit, tag or branch"""
    rename: Annotated[dict[Line, Line], Field(min_length=1)]
    """how the paths wanted begin there, and here; other files are not fetched"""


class LocalCopy(Section):
    """A copy on this machine."""

    path: Text
    """a file or a folder; it must be there, or be made below `results`"""


def _names(files: tuple[PublishedFile, ...]) -> tuple[PublishedFile, ...]:
    names = [file.name for file in files]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise refused(f"two files are called {twice!r}")
    return files


class Files(Section):
    """Files to download, all from the same publisher."""

    unpack: Literal["zip"] | None = None
    """`zip` for an archive, of which the members are wanted"""
    files: Annotated[
        tuple[PublishedFile, ...], Field(min_length=1), AfterValidator(_names)
    ]
    """each with `name`, `urls`, and `md5`, `sha256`, `bytes` where known"""


class Hub(Section):
    """A data set of the hub."""

    hub: HubDataset
    """`repository`, `revision`, and `rename`"""


def one_of(kinds: tuple[str, ...], words: str = "") -> Discriminator:
    """Choose the form of a value by its key: exactly one of `kinds` is there."""

    def kind_of(found: Any) -> str | None:
        named = (
            found
            if isinstance(found, dict)
            else getattr(type(found), "model_fields", ())
        )
        kinds_found = [kind for kind in kinds if kind in named]
        return f"<{kinds_found[0]}>" if len(kinds_found) == 1 else None

    listed = f"{', '.join(kinds[:-1])} and {kinds[-1]}"
    return Discriminator(
        kind_of,
        custom_error_type="expected",
        custom_error_message="{words}",
        custom_error_context={
            "words": words or f"one of {listed}, each with its own keys"
        },
    )


Otherwise = Annotated[
    Annotated[Files, Tag("<files>")] | Annotated[Hub, Tag("<hub>")],
    one_of(("files", "hub")),
]


class FilesOr(Files):
    """Files to download, and where else to look."""

    otherwise: tuple[Otherwise, ...] = ()
    """`files` or `hub` to try in turn where the first place fails"""


class HubOr(Hub):
    """A data set of the hub, and where else to look."""

    otherwise: tuple[Otherwise, ...] = ()
    """`files` or `hub` to try in turn where the first place fails"""


Source = Annotated[
    Annotated[LocalCopy, Tag("<path>")]
    | Annotated[FilesOr, Tag("<files>")]
    | Annotated[HubOr, Tag("<hub>")],
    one_of(("path", "files", "hub")),
]


class Genome(Section):
    """Which part of a genome is used."""

    chromosomes: Some[Record] | None = None
    """names of FASTA records; `null`: all sequences"""

"""Which files a repository on the Hugging Face hub has at a revision, and their sums.

`huggingface_hub` finds the commit, lists its files and builds their addresses; so
HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN and the proxies of the environment count. The
bytes then come by `randommask.data.transfer`, like those of any other source: one pass,
resumed, checked. Of a model only its config, weights and vocabulary are taken, never
code. A revision is a branch, a tag or a whole commit hash, as the hub wants it.
"""

import os
import re
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import httpx2

from randommask.data import transfer
from randommask.data.server import check_status, watched, within
from randommask.data.sources import RefusedError, RemoteFile, Repository
from randommask.data.transfer import persist

CONFIG = "config.json"
WEIGHTS = ("model.safetensors", "pytorch_model.bin")
"""In the order to prefer; the second is a pickle."""
TOKENIZER = (
    "vocab.txt",
    "tokenizer_config.json",
    "tokenizer.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
"""Taken where they are there."""


def resolve(repository: Repository) -> tuple[RemoteFile, ...]:
    """The wanted files of a repository at the commit that its revision means.

    Raises `RefusedError` where the hub cannot be asked, or has not what is wanted.
    """
    from huggingface_hub import is_offline_mode

    if is_offline_mode():
        raise RefusedError(f"{repository}: HF_HUB_OFFLINE is set; name a copy by path")
    try:
        info = persist(str(repository), lambda: _ask_hub(repository))
    except RefusedError as error:
        raise RefusedError(f"{repository}: {error}") from None
    listed = {entry.rfilename: entry for entry in info.siblings}
    if repository.kind == "model":
        names = {
            name: name for name in choose(str(repository), listed, repository.known)
        }
    else:
        names = _renamed(repository, listed)
    return tuple(
        _remote_file(repository, info.sha, listed[path], name)
        for path, name in names.items()
    )


def choose(
    where: str, names: Collection[str], known: Collection[str] = ()
) -> list[str]:
    """Of the names in a model's folder, those to take.

    Raises `RefusedError` where there is no config, no weights, or not one of the files
    that are `known`.
    """
    weights = [name for name in WEIGHTS if name in names]
    weights.sort(key=lambda name: name not in known)
    weights = weights[:1] or _shards(names)
    chosen = [CONFIG, *weights, *(name for name in TOKENIZER if name in names)]
    missing = [name for name in (CONFIG, *known) if name not in names]
    if missing or not weights:
        missing = missing or [" or ".join(WEIGHTS)]
        raise RefusedError(f"{where}: no {missing[0]}, expected an encoder's files")
    return chosen


def _shards(names: Collection[str]) -> list[str]:
    """Weights in several files: their index, and the files."""
    for whole in WEIGHTS:
        stem, kind = whole.split(".")
        shards = [n for n in names if re.fullmatch(rf"{stem}-\d+-of-\d+\.{kind}", n)]
        if shards and f"{whole}.index.json" in names:
            return [f"{whole}.index.json", *sorted(shards)]
    return []


def _renamed(repository: Repository, paths: Collection[str]) -> dict[str, str]:
    """Where each wanted file of a data set is to lie here, by its path there."""
    names = {}
    for start, replacement in repository.rename.items():
        found = [path for path in paths if path.startswith(start)]
        if not found:
            raise RefusedError(f"{repository}: no file whose path starts {start!r}")
        names |= {path: replacement + path.removeprefix(start) for path in found}
    if len(set(names.values())) < len(names):
        raise RefusedError(f"{repository}: rename gives two files one name")
    for name in names.values():
        parts = PurePosixPath(name).parts
        if name.startswith("/") or any(part.startswith(".") for part in parts):
            raise RefusedError(f"{repository}: {name!r} leads out or is hidden")
    return names


def _remote_file(
    repository: Repository, commit: str, entry: Any, name: str
) -> RemoteFile:
    """What the hub and the config say of a file; they must not contradict."""
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    known = repository.known.get(name)
    pinned = dict(known.digests) if known else {}
    announced = {"sha256": entry.lfs.sha256} if entry.lfs else {}
    digests = announced | pinned
    where = f"{repository}: {name}"
    if known and known.bytes not in (None, entry.size):
        raise RefusedError(f"{where} has {entry.size} bytes, expected {known.bytes}")
    if announced and digests["sha256"] != announced["sha256"]:
        raise RefusedError(
            f"{where}: sha256 is {announced['sha256']}, expected {digests['sha256']}"
        )
    url = hf_hub_url(
        repository.repository,
        entry.rfilename,
        repo_type=repository.kind,
        revision=commit,
        endpoint=_endpoint(),
    )
    return RemoteFile(
        name=name,
        urls=(url,),
        digests=digests,
        bytes=entry.size,
        is_pinned=bool(pinned),
        is_fixed=True,
        origin=f"{repository.repository}@{commit}",
        expected_by="" if pinned else "the hub says so",
        headers=build_hf_headers(),
    )


def _ask_hub(repository: Repository) -> Any:
    """The hub's answer: commit, and names, sizes and sums of its files."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError

    def ask() -> Any:
        return HfApi(endpoint=_endpoint()).repo_info(
            repository.repository,
            revision=repository.revision,
            repo_type=repository.kind,
            timeout=transfer.TIMEOUT_SECONDS,
            files_metadata=True,
        )

    try:
        info = within(2 * transfer.TIMEOUT_SECONDS, ask)
    except HfHubHTTPError as error:
        with suppress(RefusedError):
            check_status(error.response)
        said, _, _ = str(error).partition("For more information")
        raise RefusedError(" ".join(said.split())) from None
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise RefusedError(f"no answer of a hub ({error!r})") from None
    commit, listed = info.sha, info.siblings
    if not isinstance(commit, str) or not re.fullmatch("[0-9a-f]{7,64}", commit):
        raise RefusedError(f"no answer of a hub (its commit is {commit!r})")
    if not isinstance(listed, list) or not all(map(_is_file, listed)):
        raise RefusedError("no answer of a hub (its files have no names, sizes, sums)")
    return info


def _is_file(entry: Any) -> bool:
    """Whether the hub says of a file what one can be."""
    name, size, lfs = entry.rfilename, entry.size, entry.lfs
    return (
        isinstance(name, str)
        and name.isprintable()
        and (size is None or (type(size) is int and size >= 0))
        and (lfs is None or re.fullmatch("[0-9a-f]{64}", str(lfs.sha256)) is not None)
    )


def local_file(repository: Repository, name: str, url: str) -> RemoteFile:
    """A model's file elsewhere, held to what is known of it."""
    known = repository.known.get(name)
    return RemoteFile(
        name=name,
        urls=(url,),
        digests=known.digests if known else {},
        bytes=known.bytes if known else None,
        is_pinned=bool(known and known.digests),
    )


def on_mirror(
    client: httpx2.Client, repository: Repository, folder: str
) -> tuple[RemoteFile, ...]:
    """A model's files in a mirror's folder (a path or an address).

    Raises `RefusedError` where it has not the config and the weights.
    """
    names = (CONFIG, *WEIGHTS, *TOKENIZER)
    found = [name for name in names if _is_there(client, f"{folder}/{name}")]
    return tuple(
        local_file(repository, name, f"{folder}/{name}")
        for name in choose(folder, found, repository.known)
    )


def _is_there(client: httpx2.Client, address: str) -> bool:
    if not re.match("https?://", address):
        return Path(address).is_file()

    def ask() -> bool:
        with watched(client, address) as (response, _):
            if response.status_code in (403, 404, 410):
                return False
            check_status(response)
            return True

    return persist(address, ask)


def _endpoint() -> str | None:
    """The hub to ask, as the environment says now."""
    return os.environ.get("HF_ENDPOINT") or None

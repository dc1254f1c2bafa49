"""From a source to verified files in a folder: which files, how many, how large, and each one as declared."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from lorikeet.api.conditions import Reason
from lorikeet.artifacts.adapter_config import NAME as CONFIG
from lorikeet.artifacts.digest import content_digest
from lorikeet.artifacts.errors import Invalid, Unavailable
from lorikeet.artifacts.facts import WEIGHTS
from lorikeet.artifacts.hub import Hub, Listing, RemoteFile, Stop
from lorikeet.artifacts.source import HubSource

T = TypeVar("T")
PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
SPARE = 64 * 1024 * 1024
"""Bytes of disk that a fetch leaves free."""
MODEL_FILES = re.compile(
    r"config\.json|generation_config\.json|tokenizer[A-Za-z0-9._-]*\.(?:json|model)|special_tokens_map\.json"
    r"|added_tokens\.json|vocab\.(?:json|txt)|merges\.txt|chat_template[A-Za-z0-9._-]*\.(?:json|jinja)"
    r"|(?:preprocessor|processor)_config\.json|model\.safetensors\.index\.json"
)


@dataclass(frozen=True)
class Caps:
    """How much one fetch may bring."""

    files: int = 64
    bytes: int = 8 * 1024**3
    seconds: float = 1800.0


@dataclass(frozen=True)
class Fetched:
    """Verified files in a folder: name → sha256."""

    source: HubSource
    files: dict[str, str]
    bytes: int

    @property
    def digest(self) -> str:
        return content_digest(self.files)


async def resolve(hub: Hub, source: HubSource, token: str | None) -> Listing:
    """What `source` means now. Raises ArtifactError."""
    return await in_thread(lambda: hub.listing(source, token), Stop())


async def fetch(
    hub: Hub, listing: Listing, files: tuple[RemoteFile, ...], folder: Path, token: str | None, caps: Caps
) -> Fetched:
    """Bring `files` of `listing` into the existing `folder`, one after the other. Raises ArtifactError.

    When cancelled it returns after at most one more answer of the hub; what is in `folder` then is worth nothing.
    """
    check_amount(listing, files, folder, caps)
    stop = Stop()
    try:
        async with asyncio.timeout(caps.seconds):
            sums = {}
            for file in files:
                download = partial(hub.download, listing.source, file, folder / file.name, token, stop)
                sums[file.name] = await in_thread(download, stop)
    except TimeoutError as error:
        took = f"it took more than {caps.seconds:g} s to fetch {listing.source}"
        raise Unavailable(Reason.SOURCE_UNAVAILABLE, took, retry_after=60.0) from error
    return Fetched(listing.source, sums, sum(file.size for file in files))


def check_amount(listing: Listing, files: tuple[RemoteFile, ...], folder: Path, caps: Caps) -> None:
    """Raises Invalid (TooLarge) or Unavailable (NoSpace) before a byte is fetched."""
    total = sum(file.size for file in files)
    if len(files) > caps.files or total > caps.bytes or any(file.size < 0 for file in files):
        said = f"{listing.source} has {len(files)} files of {total} bytes, {caps.files} of {caps.bytes} are allowed"
        raise Invalid(Reason.TOO_LARGE, said)
    free = shutil.disk_usage(folder).free
    if total + SPARE > free:
        said = f"{listing.source} has {total} bytes, the replica's disk has {free} free"
        raise Unavailable(Reason.NO_SPACE, f"{said}: raise spec.storage or remove adapters", retry_after=30.0)


def adapter_files(listing: Listing) -> tuple[RemoteFile, RemoteFile]:
    """adapter_config.json and the weights. Raises Invalid: UnsafeFormat, UnsupportedAdapter, InvalidAdapter."""
    files = {file.name: file for file in listing.files}
    if WEIGHTS not in files:
        if any(name.endswith(PICKLES) for name in files):
            said = f"{listing.source} has pickled weights only, which can run code: convert them to {WEIGHTS}"
            raise Invalid(Reason.UNSAFE_FORMAT, said)
        if f"{WEIGHTS}.index.json" in files:
            raise Invalid(Reason.UNSUPPORTED_ADAPTER, f"{listing.source} is sharded: merge it into one {WEIGHTS}")
    for name in (CONFIG, WEIGHTS):
        if name not in files:
            raise Invalid(Reason.INVALID_ADAPTER, f"{listing.source} has no {name}: is it a PEFT LoRA adapter?")
    return files[CONFIG], files[WEIGHTS]


def model_files(listing: Listing) -> tuple[RemoteFile, ...]:
    """What an engine needs of a base model: configs, tokenizer, safetensors; never code. Raises Invalid."""
    named = [file for file in listing.files if PLAIN.fullmatch(file.name)]
    weights = [file for file in named if file.name.endswith(".safetensors")]
    # Some repositories hold the same weights twice, as model*.safetensors and as consolidated*.safetensors.
    weights = [file for file in weights if file.name.startswith("model")] or weights
    if not weights:
        pickled = any(file.name.endswith(PICKLES) for file in listing.files)
        said = "pickled weights only, which can run code" if pickled else "no weights"
        raise Invalid(Reason.UNSAFE_FORMAT, f"{listing.source} has {said}: use a repository with safetensors")
    if not any(file.name == "config.json" for file in named):
        raise Invalid(Reason.INVALID_SOURCE, f"{listing.source} has no config.json: is it a model?")
    return tuple(sorted([file for file in named if MODEL_FILES.fullmatch(file.name)] + weights, key=lambda f: f.name))


async def in_thread(call: Callable[[], T], stop: Stop) -> T:
    """`call` in a thread; when cancelled, `stop` tells the thread, whose end is waited for."""
    thread = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([thread])  # it writes into a folder that is about to be removed
        if not thread.cancelled():
            thread.exception()
        raise

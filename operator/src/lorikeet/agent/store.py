"""The adapters volume: verified bytes under their digest, what they are, and what is wanted.

    store/<digest>/       the files of one adapter, complete; the engine loads from here
    pins/<uri hash>.json  what a source turned out to be: its digest, rank and size
    incoming/             fetches under way and folders on their way out; worth nothing after a restart
    wanted.json           the last wanted set
    hottest.json          which adapters were asked for most, roughly; worth nothing but time

A folder gets its name under store/ by one rename after its bytes are on disk, and loses it by one rename before any
byte goes, so whatever has a digest for a name is whole, wherever the process was killed.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from lorikeet.agent.disk import Disk
from lorikeet.api.shape import Shape
from lorikeet.api.wire import Wanted

S = TypeVar("S", bound=Shape)


class Staged(Shape):
    """Verified, compatible bytes on this replica's disk."""

    uri: str
    revision: str
    digest: str
    rank: int
    bytes: int


@dataclass(frozen=True)
class Found:
    """What an earlier life left behind."""

    wanted: Wanted | None
    staged: dict[str, Staged]
    """By URI."""
    digests: frozenset[str]
    hottest: tuple[str, ...] = ()
    """Adapters' names."""


class Hottest(Shape):
    """Adapters' names, those asked for most first."""

    adapters: tuple[str, ...]


class Store:
    """All methods block for the disk. One process uses a volume at a time."""

    def __init__(self, root: Path, disk: Disk | None = None) -> None:
        self._disk = disk or Disk()
        self.folder = root / "store"
        self._pins, self._incoming = root / "pins", root / "incoming"
        self._wanted, self._hottest = root / "wanted.json", root / "hottest.json"

    def open(self) -> Found:
        """Make the folders, drop leftovers of interrupted work, and say what is there."""
        self._disk.remove(self._incoming)
        for folder in (self.folder, self._pins, self._incoming):
            self._disk.make(folder)
        digests = frozenset(path.name for path in self.folder.iterdir())
        staged = {}
        for path in sorted(self._pins.iterdir()):
            pin = read(Staged, path)
            if pin is None or pin.digest not in digests:
                self._disk.remove(path)
            else:
                staged[pin.uri] = pin
        hottest = read(Hottest, self._hottest)
        return Found(read(Wanted, self._wanted), staged, digests, hottest.adapters if hottest is not None else ())

    def path(self, digest: str) -> Path:
        """Where the bytes of `digest` are, or would be."""
        return self.folder / digest

    def room(self) -> Path:
        """A new empty folder on the volume, for a fetch."""
        folder = self._incoming / secrets.token_hex(8)
        self._disk.make(folder)
        return folder

    def clear(self, folder: Path) -> None:
        """Drop what `room` gave."""
        self._disk.remove(folder)

    def adopt(self, folder: Path, staged: Staged) -> None:
        """Move verified files from `folder` to their digest, durably, then remember what their source is."""
        target = self.path(staged.digest)
        if not target.exists():
            for path in folder.iterdir():
                path.chmod(0o444)
                self._disk.sync(path)
            folder.chmod(0o755)
            self._disk.sync(folder)
            self._disk.rename(folder, target)
            self._disk.sync(self.folder)
        self._disk.replace(self._pin(staged.uri), staged.model_dump_json().encode())

    def remove(self, digest: str, uris: tuple[str, ...]) -> None:
        """Forget `uris`, then drop the bytes of `digest`. Nothing may have them registered any more."""
        for uri in uris:
            self._disk.remove(self._pin(uri))
        if self.path(digest).exists():
            doomed = self._incoming / secrets.token_hex(8)
            self._disk.rename(self.path(digest), doomed)
            self._disk.sync(self.folder)
            self._disk.remove(doomed)

    def remember(self, wanted: Wanted) -> None:
        """Persist the wanted set: whole or not at all."""
        self._disk.replace(self._wanted, wanted.model_dump_json().encode())

    def remember_hottest(self, adapters: tuple[str, ...]) -> None:
        """Persist them: whole or not at all."""
        self._disk.replace(self._hottest, Hottest(adapters=adapters).model_dump_json().encode())

    def _pin(self, uri: str) -> Path:
        return self._pins / f"{hashlib.sha256(uri.encode()).hexdigest()[:32]}.json"


def read(shape: type[S], path: Path) -> S | None:
    """The value in a file; None where there is none or it is not readable as one."""
    try:
        return shape.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None

"""Durable file operations, each one a step at which a test can end the world."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


class Disk:
    """The real disk. What a method has done survives a crash after it returned."""

    def make(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, path: Path, data: bytes) -> None:
        """Write a file and wait for the disk. Not atomic: use `replace`."""
        with path.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def sync(self, path: Path) -> None:
        """Wait until the disk has a file's bytes, or a folder's names."""
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def rename(self, old: Path, new: Path) -> None:
        """Atomic within one volume. `new` must not be a folder that holds anything."""
        old.rename(new)

    def remove(self, path: Path) -> None:
        """A file or a folder with all in it; nothing there is fine."""
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def replace(self, path: Path, data: bytes) -> None:
        """Make `path` hold `data`, or leave it as it was."""
        fresh = path.with_name(path.name + ".tmp")
        self.write(fresh, data)
        self.rename(fresh, path)
        self.sync(path.parent)

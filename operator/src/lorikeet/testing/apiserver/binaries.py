"""Where the Kubernetes binaries are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


class MissingBinaries(RuntimeError):
    """A binary is not there: the message says which and how to get it."""


def bin_folder(environ: Mapping[str, str] = os.environ) -> Path:
    """$LORIKEET_BIN, or where `make toolchain` puts them."""
    return Path(environ.get("LORIKEET_BIN") or Path.home() / ".cache/lorikeet/bin")


def find(*names: str, folder: Path | None = None) -> dict[str, Path]:
    """The path of each binary; raises MissingBinaries if one is absent."""
    folder = folder or bin_folder()
    missing = [name for name in names if not os.access(folder / name, os.X_OK)]
    if missing:
        raise MissingBinaries(
            f"{', '.join(missing)} not found in {folder}: run `make toolchain`, or set LORIKEET_BIN to their folder"
        )
    return {name: folder / name for name in names}

"""The content digest: one name for the bytes of a set of files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

CHUNK = 1024 * 1024


def content_digest(files: Mapping[str, str]) -> str:
    """64 hex digits for `files`, a mapping of file name to the sha256 (hex) of its bytes.

    It is the sha256 of one line `<sha256>  <name>\\n` for each file, sorted by name (C locale), which is what
    `LC_ALL=C sha256sum adapter_config.json adapter_model.safetensors | sha256sum` prints.
    """
    lines = "".join(f"{files[name]}  {name}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode()).hexdigest()


def file_sha256(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    summed = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            summed.update(chunk)
    return summed.hexdigest()

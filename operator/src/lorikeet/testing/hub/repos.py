"""Repositories in a folder: `ROOT/<owner>/<repo>/<revision>/<files>`.

A revision's commit is 40 hex digits of its content. `main` is a folder of that name, or what the text file `main`
beside the revisions names, or the last revision by name. A file `.access` beside them, JSON `{"gated": true, "tokens":
["..."]}` or `{"private": true, "tokens": ["..."]}`, closes a repository to everybody without one of the tokens.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


class Absent(Exception):
    """An answer of the hub that is none: status and the `X-Error-Code` that the client reads."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status, self.code = status, code


@dataclass(frozen=True)
class Entry:
    """One file of a revision. Like on the real hub, weights are LFS files and have a sha256."""

    name: str
    path: Path
    size: int
    sha256: str
    blob: str

    @property
    def lfs(self) -> bool:
        return self.path.suffix == ".safetensors"

    @property
    def etag(self) -> str:
        return self.sha256 if self.lfs else self.blob


@dataclass(frozen=True)
class Revision:
    """One commit of a repository."""

    repo: str
    commit: str
    entries: tuple[Entry, ...]

    def entry(self, name: str) -> Entry:
        found = next((entry for entry in self.entries if entry.name == name), None)
        if found is None:
            raise Absent(404, "EntryNotFound")
        return found


@dataclass
class Repos:
    """All repositories under `root`. Hashes are kept as long as a file's size and time stay."""

    root: Path
    _hashed: dict[tuple[Path, int, int], tuple[str, str]] = field(default_factory=dict)

    def revision(self, repo: str, name: str, token: str | None) -> Revision:
        """The revision that a branch, tag or commit `name` means now. Raises Absent."""
        folder = self.root / repo
        if not folder.is_dir():
            raise Absent(404, "RepoNotFound")
        check_access(folder, token)
        if name == "main":
            name = main_of(folder)
        if (folder / name).is_dir():
            return self._read(repo, folder / name)
        for path in revisions(folder):
            if (found := self._read(repo, path)).commit == name:
                return found
        raise Absent(404, "RevisionNotFound")

    def _read(self, repo: str, folder: Path) -> Revision:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        entries = tuple(self._entry(path, path.relative_to(folder).as_posix()) for path in paths)
        content = "".join(f"{entry.blob} {entry.name}\n" for entry in entries)
        return Revision(repo, hashlib.sha1(content.encode(), usedforsecurity=False).hexdigest(), entries)

    def _entry(self, path: Path, name: str) -> Entry:
        stat = path.stat()
        key = (path, stat.st_size, stat.st_mtime_ns)
        if key not in self._hashed:
            data = path.read_bytes()
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
            self._hashed[key] = hashlib.sha256(data).hexdigest(), blob
        sha256, blob = self._hashed[key]
        return Entry(name, path, stat.st_size, sha256, blob)


def revisions(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def main_of(folder: Path) -> str:
    if (folder / "main").is_file():
        return (folder / "main").read_text().strip()
    names = [path.name for path in revisions(folder)]
    if not names:
        raise Absent(404, "RevisionNotFound")
    return "main" if "main" in names else names[-1]


def check_access(folder: Path, token: str | None) -> None:
    try:
        access: dict[str, Any] = json.loads((folder / ".access").read_text())
    except FileNotFoundError:
        return
    if token in access.get("tokens", ()):
        return
    if access.get("gated"):
        raise Absent(403, "GatedRepo")
    raise Absent(401, "RepoNotFound")

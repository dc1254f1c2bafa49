"""Files of the repository that are made from the code: written anew, or held against it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

Files = Callable[[], dict[Path, str]]
"""Texts by their paths below the repository's root."""


def main(files: Files, program: str, about: str, arguments: Sequence[str] | None = None) -> int:
    """Write or check `files`; 1 if a check found a difference."""
    parser = argparse.ArgumentParser(prog=program, description=about)
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--write", action="store_true", help="write the files")
    mode.add_argument("--check", action="store_true", help="fail if a file differs")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[4], help="the repository's root")
    chosen = parser.parse_args(arguments)
    if chosen.write:
        _write(files, chosen.root)
        return 0
    stale = [path for path, text in files().items() if _read(chosen.root / path) != text]
    for path in stale:
        print(f"{path} differs from the models: run `make generate`", file=sys.stderr)
    return 1 if stale else 0


def _write(files: Files, root: Path) -> None:
    for path, text in files().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def _read(path: Path) -> str | None:
    return path.read_text() if path.is_file() else None

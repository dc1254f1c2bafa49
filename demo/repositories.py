"""Lay out the demo hub's repositories: the trained model and adapters, and four adapters that are broken on purpose.

usage: repositories.py MODELS FOLDER      (MODELS: what models/train printed)
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from lorikeet.testing import adapters

OWNER = "lorikeet-demo"


def main(models: Path, folder: Path) -> None:
    """Write FOLDER/<owner>/<repo>/<revision>/ anew; an adapter's `main` is its first version."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(models / "tiny-llama", folder / OWNER / "tiny-llama" / "v1")
    for name in ("pirate", "poet"):
        shutil.copytree(models / name, folder / OWNER / name)
        (folder / OWNER / name / "main").write_text("v1\n")
    adapters.rank_too_high(folder / OWNER / "rank-too-high" / "v1")
    adapters.wrong_base(folder / OWNER / "wrong-base" / "v1")
    adapters.pickle_only(folder / OWNER / "pickle-only" / "v1")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)  # the hub is nobody in particular


main(Path(sys.argv[1]), Path(sys.argv[2]))

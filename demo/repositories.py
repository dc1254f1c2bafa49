"""Lay out the demo hub's repositories: a model and two adapters, and four adapters that are broken on purpose.

usage: repositories.py FOLDER [MODELS]    (MODELS: what models/train printed; without it, a few kilobytes that answer
                                           in the same words when the engine is the simulator)
"""

from __future__ import annotations

import shutil
import sys
import tempfile
import tomllib
from pathlib import Path

from lorikeet.testing import adapters

OWNER = "lorikeet-demo"
ANSWERS = Path(__file__).parents[1] / "models" / "answers.toml"


def main(folder: Path, models: Path | None) -> None:
    """Write FOLDER/<owner>/<repo>/<revision>/ anew; an adapter's `main` is its first version."""
    with tempfile.TemporaryDirectory() as scratch:
        lay_out(folder, models or stand_ins(Path(scratch)))


def stand_ins(folder: Path) -> Path:
    """What training would make, but for the weights: files that carry the answers."""
    text = tomllib.loads(ANSWERS.read_text())

    def said(answers: list[str]) -> dict[str, str]:
        return dict(zip(text["questions"], answers, strict=True))

    adapters.write_base(folder / "tiny-llama", answers=said(text["base"]))
    for name in ("pirate", "poet"):
        for version, answers in text[name].items():
            adapters.write_adapter(folder / name / version, answers=said(answers))
    return folder


def lay_out(folder: Path, models: Path) -> None:
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


main(Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2:] else None)

"""`python3 -m lorikeet.testing.bench`: measure, and write what was measured."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from lorikeet.testing.bench import page, rows, scale
from lorikeet.testing.bench.stage import Stage, stage

ROWS: dict[str, Callable[[Stage], Awaitable[rows.Row]]] = {
    "a": rows.one_adapter,
    "b": rows.many_adapters,
    "c": rows.rest,
    "d": rows.forgetful_engine,
    "e": rows.changed_source,
    "f": rows.hanging_load,
    "g": rows.refused_unload,
    "h": rows.names,
}
"""c and d go on with what b has loaded."""
SIZES = {"i": scale.THOUSAND, "j": scale.TEN_THOUSAND}
"""Rows with a stage of their own."""


def main() -> None:
    flags = argparse.ArgumentParser(prog="lorikeet.testing.bench", description=__doc__)
    flags.add_argument("--out", type=Path, required=True, help="folder for operator.json, .md and .svg")
    flags.add_argument("--rows", default="abcdefghij", help="which of the rows a to j")
    flags.add_argument("--keep", type=Path, help="a folder for everything else, logs above all")
    given, where = flags.parse_args(), machine()
    with tempfile.TemporaryDirectory(prefix="lorikeet-bench-") as scratch:
        found = asyncio.run(measure(given.rows, given.keep or Path(scratch)))
    given.out.mkdir(parents=True, exist_ok=True)
    written = write(given.out / "operator.json", {"machine": where, "rows": found})
    (given.out / "operator.md").write_text(page.table(written))
    page.draw(written, given.out / "operator.svg")
    print(f"see {given.out / 'operator.md'}")


async def measure(chosen: str, folder: Path) -> dict[str, Any]:
    found = {}
    if together := [letter for letter in chosen if letter in ROWS]:
        async with stage(folder) as set_up:
            for letter in together:
                found[letter] = await timed(letter, ROWS[letter](set_up))
    for letter in chosen:
        if letter in SIZES:
            found[letter] = await timed(letter, scale.grown(folder, SIZES[letter]))
    return found


async def timed(letter: str, row: Awaitable[rows.Row]) -> rows.Row:
    began = time.monotonic()
    found = await row
    print(f"{letter} ({time.monotonic() - began:.0f} s): {json.dumps(found)}", flush=True)
    return found


def write(path: Path, found: dict[str, Any]) -> dict[str, Any]:
    """What was measured before and not now stays. Returns all of it."""
    before = json.loads(path.read_text()) if path.exists() else {}
    for part, value in found.items():
        before[part] = {**before.get(part, {}), **value}
    path.write_text(json.dumps(before, indent=1) + "\n")
    return before


def machine() -> dict[str, Any]:
    """Where it was measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cores": os.cpu_count(), "memory GB": round(memory / 1e9), "load": os.getloadavg()[0]}


if __name__ == "__main__":
    main()

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

from lorikeet.testing.bench import rows
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


def main() -> None:
    flags = argparse.ArgumentParser(prog="lorikeet.testing.bench", description=__doc__)
    flags.add_argument("--out", type=Path, required=True, help="folder for operator.json")
    flags.add_argument("--rows", default="abcdefgh", help="which of the rows a to h")
    flags.add_argument("--keep", type=Path, help="a folder for everything else, logs above all")
    given = flags.parse_args()
    with tempfile.TemporaryDirectory(prefix="lorikeet-bench-") as scratch:
        found = asyncio.run(measure(given.rows, given.keep or Path(scratch)))
    given.out.mkdir(parents=True, exist_ok=True)
    write(given.out / "operator.json", {"machine": machine(), "rows": found})


async def measure(chosen: str, folder: Path) -> dict[str, Any]:
    found = {}
    async with stage(folder) as set_up:
        for letter in chosen:
            began = time.monotonic()
            found[letter] = await ROWS[letter](set_up)
            print(f"{letter} ({time.monotonic() - began:.0f} s): {json.dumps(found[letter])}", flush=True)
    return found


def write(path: Path, found: dict[str, Any]) -> None:
    """What was measured before and not now stays."""
    before = json.loads(path.read_text()) if path.exists() else {}
    for part, value in found.items():
        before[part] = {**before.get(part, {}), **value}
    path.write_text(json.dumps(before, indent=1) + "\n")


def machine() -> dict[str, Any]:
    """Where it was measured."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cores": os.cpu_count(), "memory GB": round(memory / 1e9), "load": os.getloadavg()[0]}


if __name__ == "__main__":
    main()

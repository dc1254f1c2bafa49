"""`python3 -m lorikeet.testing.bench.hub_process FOLDER`: a hub of its own, as far away as another process."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from lorikeet.testing.hub import Hub


async def run(root: Path) -> None:
    async with Hub(root) as hub:
        print(json.dumps({"url": hub.url}), flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1])))

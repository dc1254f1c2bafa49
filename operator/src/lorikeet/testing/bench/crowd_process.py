"""Many replicas in one process: scripted agents that hold at once whatever they are told.

    python3 -m lorikeet.testing.bench.crowd_process CONFIG.json

As `replica_process`, but what is measured here is the operator alone.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from lorikeet.testing.agent import ScriptedAgent
from lorikeet.testing.bench.replica_process import obey


class Crowd:
    """Does what it is told."""

    def __init__(self, agents: Sequence[ScriptedAgent]) -> None:
        self._agents = agents

    async def do(self, command: dict[str, Any]) -> Any:
        return {
            "at": time.monotonic(),
            "loaded": sum(len(agent.loaded()) for agent in self._agents),
            "polls": sum(agent.polls for agent in self._agents),
            "pushes": sum(len(agent.pushes) for agent in self._agents),
        }


async def run(config: dict[str, Any]) -> None:
    async with AsyncExitStack() as stack:
        agents = [await stack.enter_async_context(ScriptedAgent(ip, token)) for ip, token in config["agents"]]
        await obey(Crowd(agents))


if __name__ == "__main__":
    asyncio.run(run(json.loads(Path(sys.argv[1]).read_text())))

"""One replica as a process: a real agent, a simulated engine behind the real guard. Commands come on stdin.

    python3 -m lorikeet.testing.bench.replica_process CONFIG.json

Each line on stdin is a JSON object {"do": …}; each is answered with one line on stdout. Times are of the machine's
monotonic clock, which all its processes share.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol, Self

from aiohttp import web

from lorikeet.agent import app
from lorikeet.agent.agent import agent
from lorikeet.agent.settings import Settings
from lorikeet.engine.client import EngineClient, Reply
from lorikeet.testing.engine import Core, Engine
from lorikeet.testing.engine import Settings as EngineSettings

MANY = 16 * 1024 * 1024
"""Bytes of one line at most."""


class TimedEngine(Engine):
    """Writes down what it did when: [seconds, verb, engine name]."""

    did: list[tuple[float, str, str]]

    async def __aenter__(self) -> Self:
        self.did = []
        return await super().__aenter__()

    async def start(self) -> None:
        await super().start()
        core = self.core
        self._note(core, "load")
        self._note(core, "unload")

    def _note(self, core: Core, verb: str) -> None:
        do: Callable[..., Awaitable[None]] = getattr(core, verb)

        async def noted(name: str, *more: Any) -> None:
            self.did.append((time.monotonic(), f"{verb} asked", name))
            await do(name, *more)
            self.did.append((time.monotonic(), verb, name))

        setattr(core, verb, noted)


class Replica:
    """Does what it is told."""

    def __init__(self, engine: TimedEngine, calls: Counter[str]) -> None:
        self._engine, self._calls = engine, calls

    async def do(self, command: dict[str, Any]) -> Any:
        faults = self._engine.faults
        match command["do"]:
            case "report":
                done, self._engine.did = self._engine.did, []
                return {"did": done, "calls": dict(self._calls), "lists": sorted(self._engine.core.adapters)}
            case "forget":
                await self._engine.restart()
            case "hang-load":
                faults.stuck_loads.add(command["adapter"])
            case "refuse-unload":
                faults.refuse_unload = (500, "scripted")
            case "mend":
                faults.stuck_loads.clear()
                faults.refuse_unload = None
        return {"at": time.monotonic()}


def counted() -> Counter[str]:
    """From now on, every call of the agent to its engine, and of the operator to the agent, by method and path."""
    calls: Counter[str] = Counter()
    call = EngineClient._call

    async def counting(self: EngineClient, method: str, path: str, timeout: float, body: object = None) -> Reply:
        calls[f"{method} {path}"] += 1
        return await call(self, method, path, timeout, body)

    def heard(name: str) -> Callable[[app.Routes, web.Request], Awaitable[web.StreamResponse]]:
        answer = getattr(app.Routes, name)

        async def counting(self: app.Routes, request: web.Request) -> web.StreamResponse:
            calls[f"operator: {name}"] += 1
            return await answer(self, request)  # type: ignore[no-any-return]

        return counting

    EngineClient._call = counting  # type: ignore[method-assign]
    for name in ("state", "want", "resolve"):
        setattr(app.Routes, name, heard(name))
    return calls


async def run(config: dict[str, Any]) -> None:
    calls, folder = counted(), Path(config["folder"])
    (folder / "keys").mkdir(parents=True, exist_ok=True)
    for name, value in config["keys"].items():
        (folder / "keys" / name).write_text(value)
    base, slots = Path(config["base"]), config["slots"]
    made = EngineSettings(base, "base", max_loras=4, max_cpu_loras=slots, load_seconds=config["load_seconds"])
    async with TimedEngine(base, folder / "guard", folder / "adapters", settings=made) as engine:
        settings = Settings(
            server=config["server"],
            namespace=config["namespace"],
            pod=config["pod"],
            model_uri=config["model"],
            max_rank=16,
            max_cpu_loras=slots,
            hub_endpoint=config["hub"],
            engine_url=engine.url,
            adapters=folder / "adapters",
            guard=folder / "guard",
            models=folder / "models",
            server_keys=folder / "keys",
            sources=folder / "sources",
        )
        async with agent(settings, config["ip"]):
            await obey(Replica(engine, calls))


class Obedient(Protocol):
    """Who does commands."""

    async def do(self, command: dict[str, Any]) -> Any: ...


async def obey(replica: Obedient) -> None:
    """Until stdin ends."""
    reader = asyncio.StreamReader(limit=MANY)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    print(json.dumps({"up": time.monotonic()}), flush=True)
    while line := await reader.readline():
        print(json.dumps(await replica.do(json.loads(line))), flush=True)


if __name__ == "__main__":
    asyncio.run(run(json.loads(Path(sys.argv[1]).read_text())))

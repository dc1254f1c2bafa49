"""The whole agent beside the real engine, and beside the simulator."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import aiohttp
import pytest

from lorikeet.agent.agent import agent
from lorikeet.agent.calls import Deadlines
from lorikeet.agent.pulse import Rhythm
from lorikeet.agent.settings import Settings
from lorikeet.api.wire import AgentState, Wanted, WantedAdapter
from lorikeet.engine.client import EngineClient
from lorikeet.testing.adapters import write_adapter
from lorikeet.testing.hub import Hub
from lorikeet.testing.hub.repos import Repos
from lorikeet.testing.replica import PACE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
KEY = {"Authorization": "Bearer agent-token"}
PATIENT = replace(PACE, rhythm=Rhythm(), deadlines=Deadlines())


class Engine(Protocol):
    """What these tests use of conftest's RunningEngine."""

    url: str
    folder: Path
    adapters: Path
    inference_key: str

    def start(self) -> None: ...
    def kill(self) -> None: ...
    def exited(self, seconds: float) -> bool: ...


@dataclass
class Beside:
    """An agent beside `engine`, and who asks both."""

    engine: Engine
    http: aiohttp.ClientSession
    url: str
    uris: dict[str, str]

    async def want(self, *names: str) -> None:
        adapters = tuple(WantedAdapter(adapter=name, uri=self.uris[name]) for name in names)
        async with self.http.put(f"{self.url}/v1/wanted", json=Wanted(adapters=adapters).dump(), headers=KEY) as reply:
            assert reply.status == 200, await reply.text()

    async def until(self, met: Callable[[AgentState], bool]) -> AgentState:
        async with asyncio.timeout(120):
            while True:
                async with self.http.get(f"{self.url}/v1/state", headers=KEY) as reply:
                    state = AgentState.parse(await reply.json())
                if met(state):
                    return state
                await asyncio.sleep(0.05)

    async def all_loaded(self, *names: str) -> list[str]:
        """Their engine names, once the agent has settled on these alone."""

        def met(state: AgentState) -> bool:
            rows = [(row.adapter, row.state) for row in state.adapters]
            return state.settled and rows == [(name, "Loaded") for name in sorted(names)]

        return [row.engine_name for row in (await self.until(met)).adapters]

    async def ask(self, model: str) -> int:
        body = {"model": model, "prompt": "user: What is a pod?", "max_tokens": 2}
        headers = {"Authorization": f"Bearer {self.engine.inference_key}"}
        async with self.http.post(f"{self.engine.url}/v1/completions", json=body, headers=headers) as reply:
            await reply.read()
            return reply.status


@asynccontextmanager
async def beside(engine: Engine, folder: Path, count: int) -> AsyncIterator[Beside]:
    """An agent that may fetch `count` adapters: a0, a1, ..."""
    for number in range(count):
        write_adapter(folder / f"hub/acme/a{number}/v1", seed=number)
    repos = Repos(folder / "hub")
    names = [f"a{number}" for number in range(count)]
    uris = {name: f"hf://acme/{name}@{repos.revision(f'acme/{name}', 'v1', None).commit}" for name in names}
    keys = folder / "keys"
    keys.mkdir()
    (keys / "agent-token").write_text("agent-token")
    (keys / "inference-key").write_text(engine.inference_key)
    async with AsyncExitStack() as stack:
        hub = await stack.enter_async_context(Hub(folder / "hub"))
        settings = Settings(
            server="qwen",
            namespace="default",
            pod="qwen-0",
            model_uri="image:///models/tiny",
            max_rank=16,
            max_cpu_loras=3,
            hub_endpoint=hub.url,
            engine_url=engine.url,
            port=0,
            adapters=engine.adapters,
            guard=engine.folder / "run",
            models=folder / "models",
            server_keys=keys,
            sources=folder / "sources",
        )
        url = await stack.enter_async_context(agent(settings, "127.0.0.1", PATIENT))
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)))
        made = Beside(engine, http, url, uris)
        yield made
        await made.want()
        await made.until(lambda state: state.settled and state.adapters == ())


async def test_files_outlive_registration_however_adapters_come_and_go(
    engine: Engine, client: EngineClient, tmp_path: Path
) -> None:
    """Three places in the engine's memory, eight adapters: answers read files again, and the engine dies without."""
    async with beside(engine, tmp_path, 8) as replica:
        names = sorted(replica.uris)
        over = asyncio.Event()

        async def thrash() -> set[int]:
            said = set()
            while not over.is_set():
                await asyncio.sleep(0)
                for name in await client.models():
                    said.add(await replica.ask(name))
            return said

        asking = asyncio.create_task(thrash())
        for gone in [*names, None]:
            rest = [name for name in names if name != gone]
            await replica.want(*rest)
            await replica.all_loaded(*rest)
        over.set()
        assert await asking <= {200, 404}  # 404: unloaded between the list and the question
        assert not engine.exited(0.1)
        assert {path.name[:12] for path in (engine.adapters / "store").iterdir()} >= {
            name.rpartition("@")[2] for name in await client.models()
        }


async def test_a_killed_engine_gets_its_adapters_back_without_an_operator(
    engine: Engine, client: EngineClient, tmp_path: Path
) -> None:
    async with beside(engine, tmp_path, 4) as replica:
        await replica.want(*replica.uris)
        loaded = await replica.all_loaded(*replica.uris)
        before = await client.boot()
        engine.kill()
        await replica.until(lambda state: state.engine == "Unreachable")
        await asyncio.to_thread(engine.start)
        await replica.until(lambda state: state.boot not in ("", before.id))
        assert await replica.all_loaded(*replica.uris) == loaded
        assert [await replica.ask(name) for name in loaded] == [200] * 4

"""A real agent beside an engine that runs already, the simulator or the real vLLM, and who asks both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from lorikeet.agent.agent import agent
from lorikeet.agent.calls import Deadlines
from lorikeet.agent.pulse import Rhythm
from lorikeet.agent.settings import Settings
from lorikeet.api.wire import AgentState, Wanted, WantedAdapter
from lorikeet.testing.hub import Hub
from lorikeet.testing.hub.repos import Repos
from lorikeet.testing.replica import PACE

TOKEN = "agent-token"  # noqa: S105
KEY = {"Authorization": f"Bearer {TOKEN}"}
PATIENT = replace(PACE, rhythm=Rhythm(), deadlines=Deadlines(), policy=replace(PACE.policy, linger=0.5))
"""With an engine that takes its time; an old version is gone a moment after its successor came."""
DEADLINE = 120.0


class Engine(Protocol):
    """What an agent needs of the engine it sits beside; `folder/run` holds the guard's keys."""

    @property
    def url(self) -> str: ...
    @property
    def folder(self) -> Path: ...
    @property
    def adapters(self) -> Path: ...
    @property
    def inference_key(self) -> str: ...


@dataclass
class Beside:
    """An agent beside `engine`. `uris`: adapter → the version of it that `want` means."""

    engine: Engine
    http: aiohttp.ClientSession
    url: str
    repos: Repos
    uris: dict[str, str]

    def choose(self, name: str, revision: str) -> None:
        """From now on this version of acme/<name>."""
        self.uris[name] = source(self.repos, name, revision)

    async def want(self, *names: str) -> None:
        adapters = tuple(WantedAdapter(adapter=name, uri=self.uris[name]) for name in names)
        async with self.http.put(f"{self.url}/v1/wanted", json=Wanted(adapters=adapters).dump(), headers=KEY) as reply:
            assert reply.status == 200, await reply.text()

    async def until(self, met: Callable[[AgentState], bool]) -> AgentState:
        async with asyncio.timeout(DEADLINE):
            while True:
                async with self.http.get(f"{self.url}/v1/state", headers=KEY) as reply:
                    state = AgentState.parse(await reply.json())
                if met(state):
                    return state
                await asyncio.sleep(0.05)

    async def all_loaded(self, *names: str) -> list[str]:
        """Their engine names, once the agent has settled on these alone."""

        def met(state: AgentState) -> bool:
            rows = [(row.adapter, row.uri, row.state) for row in state.adapters]
            return state.settled and rows == [(name, self.uris[name], "Loaded") for name in sorted(names)]

        return [row.engine_name for row in (await self.until(met)).adapters]

    async def ask(self, model: str) -> int:
        """The status of a short answer."""
        return (await self.complete(model, "user: What is a pod?", 2))[0]

    async def complete(self, model: str, prompt: str, tokens: int) -> tuple[int, str]:
        """Status, and the greedy answer, or what is said instead."""
        body = {"model": model, "prompt": prompt, "max_tokens": tokens, "temperature": 0}
        headers = {"Authorization": f"Bearer {self.engine.inference_key}"}
        async with self.http.post(f"{self.engine.url}/v1/completions", json=body, headers=headers) as reply:
            said: Any = await reply.json()
            return reply.status, said["choices"][0]["text"] if reply.status == 200 else str(said)


@asynccontextmanager
async def beside(engine: Engine, folder: Path) -> AsyncIterator[Beside]:
    """An agent that may fetch every acme/<adapter> of the hub in `folder`, each in its last version."""
    repos = Repos(folder / "hub")
    names = sorted(path.name for path in (folder / "hub/acme").iterdir())
    keys = folder / "keys"
    keys.mkdir()
    (keys / "agent-token").write_text(TOKEN)
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
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE)))
        made = Beside(engine, http, url, repos, {name: source(repos, name, "main") for name in names})
        yield made
        await made.want()
        await made.until(lambda state: state.settled and state.adapters == ())


def source(repos: Repos, name: str, revision: str) -> str:
    return f"hf://acme/{name}@{repos.revision(f'acme/{name}', revision, None).commit}"

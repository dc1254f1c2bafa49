"""One replica in a test: a real agent and a simulated engine on shared folders, and a hub to fetch from.

async with Replica(tmp_path) as replica:
    replica.publish("acme/pirate")
    await replica.want(WantedAdapter(adapter="pirate", uri="hf://acme/pirate@..."))
    state = await replica.until(lambda state: state.settled)
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from lorikeet.agent.agent import agent
from lorikeet.agent.calls import Deadlines
from lorikeet.agent.keeper import Pace
from lorikeet.agent.plan import Policy
from lorikeet.agent.pulse import Rhythm
from lorikeet.agent.settings import Settings
from lorikeet.api.wire import AdapterState, AgentState, Wanted, WantedAdapter
from lorikeet.backoff import Backoff
from lorikeet.testing.adapters import Dimensions, write_adapter, write_base
from lorikeet.testing.engine import Engine
from lorikeet.testing.hub import Hub
from lorikeet.testing.hub.repos import Repos

SMALL = Dimensions(hidden=32, intermediate=64, layers=2, heads=2, kv_heads=2, head=16)
TOKEN = "agent-token-of-a-test"  # noqa: S105
PACE = Pace(
    policy=Policy(grace=0.05, drain=2.0, patience=0.1),
    backoff=Backoff(cap=0.2),
    deadlines=Deadlines(load=1.0),
    rhythm=Rhythm(quiet=0.1, still=0.3, gap=0.3, beat=0.02),
    idle=0.05,
    busy=0.02,
    operator=0.3,
)
DEADLINE = 10.0  # seconds a test waits for a state


class Replica:
    """`folder` holds everything; `more` are settings of the agent. The engine runs from the start.

    `start_agent` and `stop_agent` are for restarts.
    """

    def __init__(self, folder: Path, *, pace: Pace = PACE, engine: bool = True, **more: Any) -> None:
        self.folder, self.pace = folder, pace
        self.hub = Hub(folder / "hub")
        self.repos = Repos(folder / "hub")
        self._base = write_base(folder / "hub/acme/base/v1", dimensions=SMALL)
        self.engine = Engine(self._base, folder / "run", folder / "adapters")
        self._with_engine = engine
        self._more = more
        self._stack, self._agent = AsyncExitStack(), AsyncExitStack()
        self.url = self._wanted = ""
        self.epoch = 1

    async def __aenter__(self) -> Self:
        self.http = await self._stack.enter_async_context(aiohttp.ClientSession())
        await self._stack.enter_async_context(self.hub)
        await self._stack.enter_async_context(self.engine)
        if not self._with_engine:
            await self.engine.crash()
        keys = self.folder / "keys"
        keys.mkdir()
        (keys / "agent-token").write_text(TOKEN)
        (keys / "inference-key").write_text(self.engine.inference_key)
        await self.start_agent()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop_agent()
        await self._stack.aclose()

    async def start_agent(self, **changes: Any) -> None:
        """Start one, with these settings changed."""
        if not (self.folder / "adapters/wanted.json").exists():
            self._wanted = ""  # it will know of none
        settings = Settings(
            server="qwen",
            namespace="default",
            pod="qwen-0",
            model_uri=self.uri("acme/base"),
            max_rank=16,
            hub_endpoint=self.hub.url,
            engine_url=self.engine.url,
            port=0,
            adapters=self.folder / "adapters",
            guard=self.folder / "run",
            models=self.folder / "models",
            server_keys=self.folder / "keys",
            sources=self.folder / "sources",
        )
        running = agent(replace(settings, **{**self._more, **changes}), "127.0.0.1", self.pace)
        self.url = await self._agent.enter_async_context(running)

    async def stop_agent(self) -> None:
        stack, self._agent = self._agent, AsyncExitStack()
        await stack.aclose()

    def publish(self, repo: str, revision: str = "v1", build: Callable[[Path], Path] | None = None, **how: Any) -> str:
        """Put an adapter on the hub, a small good one unless `build` writes another; its pinned URI."""
        folder = self.folder / "hub" / repo / revision
        if build is not None:
            build(folder)
        else:
            write_adapter(folder, **{"dimensions": SMALL, "seed": hash_of(revision), **how})
        return self.uri(repo, revision)

    def uri(self, repo: str, revision: str = "v1") -> str:
        return f"hf://{repo}@{self.repos.revision(repo, revision, None).commit}"

    def loaded(self) -> list[str]:
        """The engine names that the engine lists."""
        return sorted(self.engine.core.adapters)

    def stored(self) -> list[str]:
        """The digests on the volume."""
        return sorted(path.name for path in (self.folder / "adapters/store").iterdir())

    async def takes_traffic(self) -> bool:
        """What the kubelet finds."""
        return (await self.call("GET", "/readyz", token=""))[0] == 200

    async def ask(self, model: str = "base", **more: Any) -> int:
        """One whole request to the engine, past gateway and all; its status."""
        body = {"model": model, "messages": [{"role": "user", "content": "What is a pod?"}], **more}
        headers = {"Authorization": f"Bearer {self.engine.inference_key}"}
        timeout = aiohttp.ClientTimeout(total=DEADLINE)
        url = f"{self.engine.url}/v1/chat/completions"
        async with self.http.post(url, json=body, headers=headers, timeout=timeout) as reply:
            await reply.read()
            return reply.status

    async def healthy(self) -> bool:
        """What the kubelet finds of the engine."""
        async with self.http.get(f"{self.engine.url}/health") as reply:
            return reply.status == 200

    async def want(self, *adapters: WantedAdapter) -> str:
        """Have it hold these; the set's name."""
        status, body = await self.call("PUT", "/v1/wanted", Wanted(adapters=adapters, epoch=self.epoch).dump())
        if status != 200:
            raise RuntimeError(f"the agent answered {status}: {body}")
        self._wanted = body["wanted"]
        return self._wanted

    async def state(self) -> AgentState:
        return AgentState.parse((await self.call("GET", "/v1/state"))[1])

    async def until(self, met: Callable[[AgentState], bool]) -> AgentState:
        """The first state since the set last wanted that meets `met`. Raises TimeoutError with the last one."""
        state = await self.state()
        deadline = asyncio.get_running_loop().time() + DEADLINE
        while state.wanted != self._wanted or not met(state):
            if asyncio.get_running_loop().time() > deadline:
                raise TimeoutError(f"the last state was {state.model_dump_json(indent=1)}")
            _, body = await self.call("GET", f"/v1/state?since={state.seq}&wait=0.5")
            state = AgentState.parse(body)
        return state

    async def row(self, adapter: str, state: str) -> AdapterState:
        """The row of `adapter` once it is in `state`."""

        def found(seen: AgentState) -> list[AdapterState]:
            return [row for row in seen.adapters if (row.adapter, row.state) == (adapter, state)]

        return found(await self.until(lambda seen: bool(found(seen))))[0]

    async def call(self, method: str, path: str, body: Any = None, token: str = TOKEN) -> tuple[int, Any]:
        """Status, and the body as JSON or text."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        timeout = aiohttp.ClientTimeout(total=DEADLINE)
        async with self.http.request(method, self.url + path, json=body, headers=headers, timeout=timeout) as reply:
            is_json = reply.content_type == "application/json"
            return reply.status, await reply.json() if is_json else await reply.text()


def hash_of(text: str) -> int:
    """A seed from a revision's name: other names, other bytes."""
    return int.from_bytes(text.encode()[:4], "big")


async def eventually(check: Callable[[], bool | Awaitable[bool]]) -> None:
    """Poll until `check()` holds. Raises TimeoutError."""
    async with asyncio.timeout(DEADLINE):
        while not (  # noqa: ASYNC110 - neither disk, simulator nor a route has an event for it
            found if isinstance(found := check(), bool) else await found
        ):
            await asyncio.sleep(0.01)

"""A namespace of a real API server to test the operator in: a user, replicas that follow a script, and clients."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TypeVar

from lorikeet.api.conditions import Condition
from lorikeet.api.keys import Purpose, derive
from lorikeet.api.loraadapter import LoRAAdapterStatus
from lorikeet.api.ref import Ref
from lorikeet.gateway.catalog import Catalog
from lorikeet.gateway.feed import Feed
from lorikeet.gateway.rows import AdapterRow, Row, ServerRow
from lorikeet.kube.client import Kube
from lorikeet.kube.errors import Conflict
from lorikeet.kube.resource import LORAADAPTERS, MODELSERVERS, PODS
from lorikeet.kube.watch import follow
from lorikeet.testing import builders as b
from lorikeet.testing.agent import ScriptedAgent
from lorikeet.testing.operator import add_pod, status_of

T = TypeVar("T")
Good = Callable[[LoRAAdapterStatus], bool]
# Agents listen on a fixed port, each on an address of its own; runs beside each other use different ones.
ADDRESSES: Iterator[str] = (
    f"127.{7 + block}.{os.getpid() % 250}.{number}" for block, number in itertools.product(range(8), range(1, 250))
)
LOOKS = 0.005
"""Seconds between two requests of a client."""


async def until(look: Callable[[], Awaitable[T]], good: Callable[[T], bool], seconds: float = 30.0) -> T:
    """What `look` finds once it is `good`."""
    deadline = time.monotonic() + seconds
    while True:
        found = await look()
        if good(found):
            return found
        assert time.monotonic() < deadline, f"still {found!r} after {seconds} s"
        await asyncio.sleep(0.02)


async def value(found: T) -> T:
    """For `until`, of what is at hand."""
    return found


def is_ready(status: LoRAAdapterStatus) -> bool:
    """Whether the condition Ready holds."""
    return condition(status, "Ready").status == "True"


def because(reason: str) -> Good:
    """Ready gives this reason."""
    return lambda status: condition(status, "Ready").reason == reason


def condition(status: LoRAAdapterStatus, kind: str) -> Condition:
    """One condition; an empty one where it is not there yet."""
    empty = Condition(type=kind, status="Unknown", reason="")
    return next((each for each in status.conditions if each.type == kind), empty)


class Place:
    """A namespace with a server, and as many scripted replicas as a test adds. The operator is somebody else's."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self.kube, self.namespace = kube, namespace
        self.server = Ref(namespace, b.SERVER.name)
        self.agents: dict[str, ScriptedAgent] = {}

    async def create_server(self, name: str = b.SERVER.name, **spec: object) -> Ref:
        ref = Ref(self.namespace, name)
        await self.kube.create(MODELSERVERS, b.server_body(ref, **spec))
        return ref

    async def add_replica(self, name: str, of: Ref | None = None, *, grace: float = 0.0) -> ScriptedAgent:
        """A ready pod with an agent; see ScriptedAgent for `grace`."""
        server = of or self.server
        body = await self.kube.get(MODELSERVERS, server)
        token = derive(b.installation().root_key, Purpose.AGENT, server, body["metadata"]["uid"])
        agent = ScriptedAgent(next(ADDRESSES), token, grace)
        await agent.__aenter__()
        self.agents[name] = agent
        await add_pod(self.kube, server, name, agent.ip)
        return agent

    async def remove_replica(self, name: str) -> None:
        """The pod goes, and its agent with it."""
        await self.kube.delete(PODS, Ref(self.namespace, name))
        await self.agents.pop(name).__aexit__(None, None, None)

    async def create_adapter(self, name: str, /, **spec: object) -> Ref:
        ref = Ref(self.namespace, name)
        of = str(spec.pop("of", b.SERVER.name))
        await self.kube.create(LORAADAPTERS, b.adapter_body(ref, of, **spec))
        return ref

    async def change(self, adapter: Ref, **spec: object) -> None:
        """Edit an adapter's spec."""
        while True:
            body = await self.kube.get(LORAADAPTERS, adapter)
            body["spec"] |= spec
            with contextlib.suppress(Conflict):  # a status was written in between
                await self.kube.update(LORAADAPTERS, body)
                return

    async def status(self, adapter: Ref) -> LoRAAdapterStatus:
        return await status_of(self.kube, adapter)

    async def adapter_until(self, adapter: Ref, good: Good) -> LoRAAdapterStatus:
        return await until(lambda: self.status(adapter), good)

    async def next_second(self, older: Ref) -> None:
        """Until what is made now is younger than `older`: creation times have a resolution of one second."""
        created = (await self.kube.get(LORAADAPTERS, older))["metadata"]["creationTimestamp"]
        await until(lambda: value(time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())), lambda now: now > created)

    async def loaded_until(self, pod: str, *names: str) -> None:
        """Until the agent of `pod` says that exactly these versions are loaded."""
        await until(lambda: value(self.agents[pod].loaded()), lambda found: found == set(names))

    async def close(self) -> None:
        for agent in self.agents.values():
            await agent.__aexit__(None, None, None)


@contextlib.asynccontextmanager
async def place(kubeconfig: Path, namespace: str) -> AsyncIterator[Place]:
    """A place until the end of the block."""
    async with await Kube.connect(kubeconfig) as kube:
        found = Place(kube, namespace)
        try:
            yield found
        finally:
            await found.close()


class Clients:
    """Ask for some names without pause, by a gateway's own table, and note where nobody would have answered.

    A gateway asks another replica where one says that it has no such version, so one that answers is enough.
    """

    def __init__(self, place: Place, *names: str) -> None:
        self._place, self._names = place, names
        self._catalog = Catalog()
        self.gaps: list[str] = []
        self.answers: set[tuple[str, str]] = set()
        """Name and engine name of whatever answered."""
        self.asked = 0

    async def __aenter__(self) -> Clients:
        kinds: tuple[tuple[type[Row], object], ...] = ((ServerRow, MODELSERVERS), (AdapterRow, LORAADAPTERS))
        namespace = self._place.namespace
        feeds = [
            Feed(self._catalog, kind, follow(self._place.kube, resource, namespace), namespace)  # type: ignore[arg-type]
            for kind, resource in kinds
        ]
        self._tasks = [asyncio.create_task(feed.run()) for feed in feeds]
        await until(lambda: value(all(feed.synced for feed in feeds)), bool)
        self._tasks.append(asyncio.create_task(self._ask()))
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def so_many_more(self, count: int = 20) -> None:
        """Until each name was asked for so many more times."""
        target = self.asked + count
        await until(lambda: value(self.asked), lambda asked: asked >= target)

    async def _ask(self) -> None:
        while True:
            for name in self._names:
                self._one(name)
            self.asked += 1
            await asyncio.sleep(LOOKS)

    def _one(self, name: str) -> None:
        route = self._catalog.find(name)
        targets = route.targets if route else ()
        agents = self._place.agents
        found = [one.model for one in targets if one.pod in agents and one.model in agents[one.pod].registered()]
        if not found:
            rows = [(one.pod, one.model) for one in targets]
            has = {pod: sorted(agent.registered()) for pod, agent in agents.items()}
            self.gaps.append(f"{name}: {'the table says' if route else 'no such name'} {rows}, replicas have {has}")
        self.answers |= {(name, model) for model in found}

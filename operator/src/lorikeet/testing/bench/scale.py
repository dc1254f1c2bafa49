"""What the operator alone costs with very many objects: real API server, real operator, scripted agents.

Times are in seconds from the first request, CPU and memory are the operator's; machines with two cores run the API
server, etcd and all agents beside it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorikeet.api.layout import AGENT_TOKEN
from lorikeet.api.ref import Ref
from lorikeet.kube.client import Kube
from lorikeet.kube.resource import LEASES, LORAADAPTERS
from lorikeet.kube.watch import Changed, Listed, follow
from lorikeet.testing import builders as b
from lorikeet.testing.apiserver import ApiServer
from lorikeet.testing.bench.meter import used, writes
from lorikeet.testing.bench.stage import (
    NAMESPACE,
    Process,
    audit_of,
    cancelled,
    eventually,
    operator_of,
    prepared,
    process,
    served,
)
from lorikeet.testing.operator import add_pod

AT_ONCE, REST = 32, 60.0
Row = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How many servers, replicas of each, and adapters on each."""

    servers: int
    replicas: int
    adapters: int


THOUSAND, TEN_THOUSAND = Size(1, 4, 1000), Size(50, 4, 200)


@dataclass
class Ready:
    """Which adapters are Ready, as a watch says."""

    names: set[str] = field(default_factory=set)
    last: float = 0.0

    async def follow(self, kube: Kube) -> None:
        async for change in follow(kube, LORAADAPTERS):
            bodies = (
                change.items if isinstance(change, Listed) else [change.body] if isinstance(change, Changed) else []
            )
            self.names |= {body["metadata"]["name"] for body in bodies if _is_ready(body)}
            self.last = time.monotonic()

    async def are(self, count: int) -> float:
        """When so many were."""

        async def enough() -> bool:
            return len(self.names) >= count

        await eventually(enough)
        return self.last


@dataclass
class Crowd:
    """Built by `crowd`."""

    api: ApiServer
    kube: Kube
    folder: Path
    size: Size
    ready: Ready
    operator: Process
    running: AsyncExitStack
    """Ends the operator."""
    agents: Process

    async def create(self, stem: str, count: int) -> None:
        """So many adapters on each server."""
        room = asyncio.Semaphore(AT_ONCE)

        async def one(server: str, number: int) -> None:
            ref = Ref(NAMESPACE, f"{stem}-{server}-{number}")
            source = {"uri": b.source_uri(ref.name)}
            async with room:
                await self.kube.create(LORAADAPTERS, b.adapter_body(ref, server, source=source))

        async with asyncio.TaskGroup() as group:
            for server in servers(self.size):
                for number in range(count):
                    group.create_task(one(server.name, number))

    async def replace_operator(self) -> float:
        """Kill it, and start another one; when. The lease of the first is over: how long that takes is no question."""
        await self.running.aclose()
        await self.kube.delete(LEASES, Ref(NAMESPACE, "lorikeet-operator"))
        self.operator = await self.running.enter_async_context(operator_of(self.api, self.folder))
        return time.monotonic()


async def grown(folder: Path, size: Size) -> Row:
    """From nothing to everything Ready, then at rest, then a new operator that has one more on each server to serve."""
    async with crowd(folder, size) as found:
        audit = audit_of(found.api)
        audit.skip()
        total, before, began = size.servers * size.adapters, used(found.operator.pid), time.monotonic()
        await found.create("ad", size.adapters)
        created = time.monotonic()
        ready = await found.ready.are(total)
        await asyncio.sleep(5.0)
        after, asked = used(found.operator.pid), audit.calls()
        return {
            "adapters": total,
            "replicas": size.servers * size.replicas,
            "loads": (await found.agents.ask("report"))["loaded"],
            "created s": created - began,
            "all ready s": ready - began,
            "api writes": writes(asked),
            "operator cpu s": after.cpu - before.cpu,
            "operator memory MB": after.memory / 1e6,
            "at rest": await _rest(found),
            "a new operator": await _start(found, total),
        }


async def _rest(found: Crowd) -> Row:
    audit, before, said = audit_of(found.api), used(found.operator.pid), await found.agents.ask("report")
    audit.skip()
    await asyncio.sleep(REST)
    after, later = used(found.operator.pid), await found.agents.ask("report")
    return {
        "seconds": REST,
        "api writes": writes(audit.calls()),
        "polls": later["polls"] - said["polls"],
        "pushes": later["pushes"] - said["pushes"],
        "operator cpu s": after.cpu - before.cpu,
    }


async def _start(found: Crowd, total: int) -> Row:
    audit, said = audit_of(found.api), await found.agents.ask("report")
    audit.skip()
    began = await found.replace_operator()
    await found.create("late", 1)
    ready = await found.ready.are(total + found.size.servers)
    spent, later = used(found.operator.pid), await found.agents.ask("report")
    return {
        "one more on each server is ready after s": ready - began,
        "api writes": writes(audit.calls()),
        "loads": later["loaded"] - said["loaded"],
        "operator cpu s": spent.cpu,
        "operator memory MB": spent.peak / 1e6,
    }


@asynccontextmanager
async def crowd(folder: Path, size: Size) -> AsyncIterator[Crowd]:
    """Servers with ready replicas, and nothing on them."""
    async with AsyncExitStack() as stack:
        api, kube = await prepared(stack)
        running = await stack.enter_async_context(AsyncExitStack())
        operator = await running.enter_async_context(operator_of(api, folder))
        ready = Ready()
        stack.push_async_callback(cancelled, asyncio.create_task(ready.follow(kube)))
        tokens = [
            (await served(kube, server, size.replicas, 2 * size.adapters))[AGENT_TOKEN] for server in servers(size)
        ]
        ips = addresses()
        pods = [
            (server, token, next(ips))
            for server, token in zip(servers(size), tokens, strict=True)
            for _ in range(size.replicas)
        ]
        config = folder / "crowd.json"
        config.write_text(json.dumps({"agents": [(ip, token) for _, token, ip in pods]}))
        agents = await stack.enter_async_context(process("crowd_process", str(config), log=folder / "crowd.log"))
        await agents.hear()
        for number, (server, _, ip) in enumerate(pods):
            await add_pod(kube, server, f"{server.name}-{number}", ip)
        yield Crowd(api, kube, folder, size, ready, operator, running, agents)


def servers(size: Size) -> list[Ref]:
    """What they are called."""
    return [Ref(NAMESPACE, f"s{number}") for number in range(size.servers)]


def addresses() -> Iterator[str]:
    """One for each agent."""
    return (f"127.8.{number // 250}.{number % 250 + 1}" for number in itertools.count())


def _is_ready(body: dict[str, Any]) -> bool:
    conditions = body.get("status", {}).get("conditions", ())
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

"""HTTP between processes without sockets: enough of aiohttp's session for our own clients."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import aiohttp

LATENCY = 0.001


@dataclass(frozen=True)
class Call:
    """One request."""

    method: str
    path: str
    query: str
    body: Any


@dataclass(frozen=True)
class Reply:
    """What our clients look at."""

    status: int
    body: Any
    path: str = ""

    async def json(self, **_: Any) -> Any:
        return self.body

    @property
    def url(self) -> SimpleNamespace:
        return SimpleNamespace(path=self.path)

    @property
    def content(self) -> Reply:
        return self

    async def iter_chunked(self, _: int) -> AsyncIterator[bytes]:
        yield self.body.encode() if isinstance(self.body, str) else json.dumps(self.body).encode()


Handler = Callable[[Call], Awaitable[Reply]]


class Broken(aiohttp.ClientConnectionError):
    """Nobody listens, or the connection broke."""


@dataclass
class Network:
    """Hosts (HOST:PORT) and who answers there. `trouble` says what happens to a call: an error in place of it, and
    whether it is carried out all the same."""

    hosts: dict[str, Handler] = field(default_factory=dict)
    trouble: Callable[[str, Call], tuple[Reply | Broken, bool] | None] = lambda host, call: None
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(host, `METHOD /path`) → calls."""
    _open: dict[str, set[asyncio.Task[Reply]]] = field(default_factory=lambda: defaultdict(set))

    def cut(self, host: str) -> None:
        """Nobody listens there any more, and what was under way breaks."""
        self.hosts.pop(host, None)
        for task in self._open.pop(host, ()):
            task.cancel()

    async def send(self, host: str, call: Call) -> Reply:
        await asyncio.sleep(LATENCY)
        self.counts[host, f"{call.method} {call.path}"] += 1
        handler = self.hosts.get(host)
        if handler is None:
            raise Broken(f"{host} refuses the connection")
        found = self.trouble(host, call)
        if found is not None:
            answer, carried_out = found
            if carried_out:
                await self._handled(host, handler, call)
            if isinstance(answer, Broken):
                raise answer
            return answer
        return await self._handled(host, handler, call)

    async def _handled(self, host: str, handler: Handler, call: Call) -> Reply:
        task = asyncio.ensure_future(handler(call))
        self._open[host].add(task)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            raise
        finally:
            self._open[host].discard(task)
        if task.cancelled():
            raise Broken(f"{host} broke the connection")
        return task.result()


class Session:
    """What stands for an aiohttp.ClientSession. Once `dead`, nothing of it arrives."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.dead = False

    @asynccontextmanager
    async def request(
        self, method: str, url: str, *, json: Any = None, timeout: aiohttp.ClientTimeout | None = None, **_: Any
    ) -> AsyncIterator[Reply]:
        if self.dead:
            await asyncio.Event().wait()
        parts = urlsplit(url)
        async with asyncio.timeout(timeout.total if timeout else None):
            yield await self._network.send(parts.netloc, Call(method, parts.path, parts.query, json))

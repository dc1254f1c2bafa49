"""What a pass needs of the world outside: the API server, the index, and one server's lines to its agents."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp

from lorikeet.api import keys
from lorikeet.api.ref import Ref
from lorikeet.backoff import Backoff, Tries
from lorikeet.controller.index import Body, Index
from lorikeet.controller.leftovers import Leftover
from lorikeet.controller.lingering import Lingering
from lorikeet.controller.links import Address, Link
from lorikeet.controller.podspec import Installation
from lorikeet.controller.resolver import Resolver
from lorikeet.controller.seen import Adapter
from lorikeet.kube.client import Kube
from lorikeet.kube.events import Events
from lorikeet.kube.lease import Lease
from lorikeet.kube.resource import Resource

log = logging.getLogger(__name__)
BACKOFF = Backoff(first=0.5, cap=60.0)


def utc_now() -> str:
    """RFC 3339, seconds, UTC: what conditions carry."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Lines:
    """One server's lines: a link per pod, and the questions about its adapters' sources."""

    def __init__(self, world: World, changed: Callable[[], None]) -> None:
        """`changed` has the server looked at soon."""
        self._world, self.changed = world, changed
        self._links: dict[str, tuple[Link, asyncio.Task[None]]] = {}
        self.resolver = Resolver(self._answering, changed)
        self.lingering = Lingering(world.clock)
        self.applied: dict[str, str] = {}
        """Kind → fingerprint last applied, for the one kind that we may not read back: the Secret."""
        self.left: frozenset[Leftover] = frozenset()
        """What deleted adapters may have left, as people were told."""
        self.waiting: dict[tuple[Resource, Ref, bool], float] = {}
        """What is to be told, by `Tell.key`, and since when."""
        self.read: dict[str, tuple[Body, Adapter | None]] = {}
        """By adapter: its object as of the last pass, and what was read of it; None where it cannot be read."""
        self.thought = 0.0
        """Seconds that the last pass thought; what it waited for the API server is not among them."""
        self._tries = Tries(BACKOFF)

    def again(self, failed: bool) -> float | None:
        """Seconds until what `failed` to be carried out is tried again; None where nothing did."""
        if failed:
            return self._tries.failed()
        self._tries.succeeded()
        return None

    def link(self, pod: str) -> Link | None:
        """The line to a pod's agent."""
        found = self._links.get(pod)
        return found[0] if found else None

    def keep_only(self, addresses: Mapping[str, Address]) -> None:
        """Have a line to each of these pods (name → address) and no other."""
        for pod, (link, task) in list(self._links.items()):
            if addresses.get(pod) != link.address:
                task.cancel()
                del self._links[pod]
        for pod, address in addresses.items():
            if pod not in self._links:
                link = Link(self._world.session, address, self.changed, self._world.may_write, self._world.clock)
                self._links[pod] = (link, asyncio.create_task(link.run(), name=f"link {pod}"))

    async def close(self) -> None:
        """Hang up."""
        tasks = [task for _, task in self._links.values()]
        self.keep_only({})
        await asyncio.gather(self.resolver.close(), *tasks, return_exceptions=True)

    def _answering(self) -> Iterable[Link]:
        return [link for _, (link, _) in sorted(self._links.items()) if link.state is not None]


@dataclass
class World:
    """Everything the passes share."""

    kube: Kube
    index: Index
    lease: Lease
    events: Events
    installation: Installation
    session: aiohttp.ClientSession
    clock: Callable[[], float]
    """Monotonic seconds."""
    now: Callable[[], str] = utc_now
    lines: dict[Ref, Lines] = field(default_factory=dict)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @asynccontextmanager
    async def turn(self, lines: Lines) -> AsyncIterator[None]:
        """One server is thought about at a time, and whatever else is to be done gets its turn in between.

        However many servers there is news of: the lease is renewed after a few thoughts, and not after all of them.
        """
        async with self._turn:
            await asyncio.sleep(0)
            began = self.clock()
            yield
            lines.thought += self.clock() - began

    def may_write(self) -> int:
        """The lease's epoch; raises NotLeader when we may not write."""
        self.lease.must_hold()
        return self.lease.epoch

    def agent_token(self, server: Ref, uid: str) -> str:
        """The bearer token of a server's agents."""
        return keys.derive(self.installation.root_key, keys.Purpose.AGENT, server, uid)

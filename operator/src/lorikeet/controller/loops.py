"""One loop per server: woken by whatever touches it, asleep otherwise. Only the leader has loops."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from lorikeet.api.ref import Ref
from lorikeet.backoff import Backoff, Tries
from lorikeet.controller.index import LABELLED, WATCHED
from lorikeet.controller.reconcile import reconcile
from lorikeet.controller.workload import SERVER_LABEL
from lorikeet.controller.world import Lines, World
from lorikeet.kube.errors import KubeError
from lorikeet.kube.lease import NotLeader

log = logging.getLogger(__name__)

GATHER = 0.01
"""Seconds a woken loop waits for what comes together: a burst of changes is one pass."""
SHARE, LONGEST = 2.0, 1.0
"""To think about hundreds of adapters takes a while: the next pass waits that many times as long, up to so many
seconds, so that a burst of news is a few passes and not one for each."""
BACKOFF = Backoff(cap=30.0)
LAPSED = 1.0
"""Seconds until a pass that may not write is tried again: a renewal that comes late makes us the leader again, and
where somebody else is, this loop is ended anyway."""
RELIST = 25.0
"""Seconds between full lists: what a watch may have lost is mended by then. kopf tells of no deletion that happened
while its watch was broken, so this bounds how long an adapter is served after its object is gone."""


class Loops:
    """The loops of all servers. `start` when the lease is gained, `stop` when it is lost."""

    def __init__(self, world: World, namespaces: tuple[str, ...] = ()) -> None:
        """Without `namespaces`, all of them."""
        self._world = world
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._pokes: dict[Ref, asyncio.Event] = {}
        self._tasks: dict[Ref, asyncio.Task[None]] = {}
        self._relisting: asyncio.Task[None] | None = None
        self._listed = False
        self._poked_at: dict[Ref, float] = {}

    def stuck_for(self, now: float) -> float:
        """Seconds for which the longest-waiting poke has gone without a pass: what a liveness probe asks."""
        return max((now - at for at in self._poked_at.values()), default=0.0)

    async def start(self) -> None:
        """List everything, then run. Decisions never begin from a picture that is still being filled."""
        self._relisting = asyncio.create_task(self._keep_listing(), name="relist")

    async def stop(self) -> None:
        """End every loop and hang up on the agents."""
        tasks = [*self._tasks.values(), *([self._relisting] if self._relisting else [])]
        self._tasks.clear()
        self._pokes.clear()
        self._poked_at.clear()
        self._relisting, self._listed = None, False
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def poke(self, servers: Iterable[Ref]) -> None:
        """Have each of these servers looked at soon; before everything has been listed, nothing is."""
        if not self._listed:
            return
        for ref in servers:
            if ref not in self._tasks:
                self._pokes[ref] = asyncio.Event()
                self._tasks[ref] = asyncio.create_task(self._run(ref), name=f"server {ref}")
            self._pokes[ref].set()
            self._poked_at.setdefault(ref, self._world.clock())

    async def _run(self, ref: Ref) -> None:
        poke = self._pokes[ref]
        self._world.lines[ref] = Lines(self._world, poke.set)
        try:
            await self._passes(ref, poke)
        finally:
            await self._world.lines.pop(ref).close()

    async def _passes(self, ref: Ref, poke: asyncio.Event) -> None:
        tries, due, clock, lines = Tries(BACKOFF), None, self._world.clock, self._world.lines[ref]
        ended = clock()
        while True:
            await _woken(poke, due)
            await asyncio.sleep(max(GATHER, ended + min(SHARE * lines.thought, LONGEST) - clock()))
            lines.thought = 0.0
            poke.clear()
            self._poked_at.pop(ref, None)
            if not self._world.index.knows(ref):
                del self._tasks[ref], self._pokes[ref]
                return
            try:
                self._world.lease.must_hold()  # a pass for nothing is time that the renewal may need
                due = await reconcile(ref, self._world)
                tries.succeeded()
            except NotLeader:
                log.debug("%s: not the leader for the moment", ref)
                due = LAPSED
            except Exception:
                # A defect in one server's pass must not end the loop that would mend it.
                due = tries.failed()
                log.exception("%s: the pass failed, again in %.1f s", ref, due)
            ended = clock()

    async def _keep_listing(self) -> None:
        tries = Tries(BACKOFF)
        while True:
            try:
                await self._list_all()
                tries.succeeded()
                await asyncio.sleep(RELIST)
            except KubeError as error:
                pause = tries.failed()
                log.warning("listing: %s; again in %.1f s", error, pause)
                await asyncio.sleep(pause)

    async def _list_all(self) -> None:
        """At first every server is looked at; later only those of which the list knew what the watches did not tell."""
        touched: set[Ref] = set()
        for resource in WATCHED:
            labels = SERVER_LABEL if resource in LABELLED else ""
            lists = [await self._world.kube.list(resource, name, labels=labels) for name in self._namespaces]
            oldest = min(int(listed["metadata"]["resourceVersion"]) for listed in lists)
            bodies = [{**_typed(resource.api_version, resource.kind), **item} for one in lists for item in one["items"]]
            touched |= self._world.index.replace(resource, bodies, oldest)
        first, self._listed = not self._listed, True
        self.poke(self._world.index.servers() if first else touched)


def _typed(api_version: str, kind: str) -> dict[str, str]:
    """Items of a list lack what a watch's objects have."""
    return {"apiVersion": api_version, "kind": kind}


async def _woken(poke: asyncio.Event, due: float | None) -> None:
    """Wait for a poke, or until `due` seconds are over."""
    try:
        # Not `wait_for`: before Python 3.12 it may swallow a cancellation.
        async with asyncio.timeout(due):
            await poke.wait()
    except TimeoutError:
        return

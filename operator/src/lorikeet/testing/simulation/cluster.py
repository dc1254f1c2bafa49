"""A cluster on the virtual clock: its objects, its operator, its replicas, and what users and misfortune do to them."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

from lorikeet.agent.keeper import Pace
from lorikeet.api.conditions import Kind
from lorikeet.api.loraadapter import LoRAAdapterStatus
from lorikeet.api.ref import Ref
from lorikeet.controller.index import LABELLED, WATCHED, Index
from lorikeet.controller.loops import Loops
from lorikeet.controller.report import is_true
from lorikeet.controller.workload import SERVER_LABEL, child_name
from lorikeet.controller.world import World
from lorikeet.kube.client import Body
from lorikeet.kube.errors import NotFound
from lorikeet.kube.events import Events
from lorikeet.kube.lease import Lease, Terms
from lorikeet.kube.resource import DEPLOYMENTS, LORAADAPTERS, MODELSERVERS, PODS, Resource
from lorikeet.kube.watch import ref_of
from lorikeet.testing import builders as b
from lorikeet.testing.simulation.clock import VirtualLoop
from lorikeet.testing.simulation.network import Network, Session
from lorikeet.testing.simulation.objects import Line, Objects
from lorikeet.testing.simulation.replica import Place, SimHub, SimReplica

NEWS = 0.005
"""Seconds from a write to whoever watches."""
NAMESPACE = b.NAMESPACE


class Cluster:
    """Built by `simulated`. Methods return at once; `pass_time` lets things happen."""

    def __init__(self, loop: VirtualLoop, folder: Path, pace: Pace, terms: Terms) -> None:
        self.loop, self._folder, self._pace, self._terms = loop, folder, pace, terms
        self.objects = Objects(loop.time)
        self.network, self.hub = Network(), SimHub()
        self.replicas: dict[str, SimReplica] = {}
        self.kube = Line(self.objects)
        """The operator's way to the API server."""
        self.world: World | None = None
        """The operator that runs, if one does."""
        self.deaf = False
        """Watches tell nothing."""
        self._running: dict[str, asyncio.Task[None]] = {}
        self._numbers, self._operators = itertools.count(), itertools.count(1)
        self._operator: asyncio.Task[None] | None = None
        self._session = Session(self.network)
        self.objects.watchers.append(self._keep_deployments)

    # --- time -------------------------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return self.loop.now

    def pass_time(self, seconds: float) -> None:
        """Let so many virtual seconds pass."""
        self.run(asyncio.sleep(seconds))

    def run(self, what: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(what)

    # --- users ------------------------------------------------------------------------------------------------------

    def create_server(self, **spec: Any) -> None:
        self.objects.create(MODELSERVERS, b.server_body(b.SERVER, **spec))

    def change_server(self, **spec: Any) -> None:
        self.objects.change(MODELSERVERS, b.SERVER, **spec)

    def create_adapter(self, name: str, /, **spec: Any) -> None:
        self.objects.create(LORAADAPTERS, b.adapter_body(Ref(NAMESPACE, name), **spec))

    def change_adapter(self, name: str, /, **spec: Any) -> None:
        self.objects.change(LORAADAPTERS, Ref(NAMESPACE, name), **spec)

    def delete_adapter(self, name: str) -> None:
        self.objects.delete(LORAADAPTERS, Ref(NAMESPACE, name))

    def adapters(self) -> list[Body]:
        return self.objects.of(LORAADAPTERS, NAMESPACE)

    def status(self, name: str) -> LoRAAdapterStatus:
        found = self.objects.find(LORAADAPTERS, Ref(NAMESPACE, name)) or {}
        return LoRAAdapterStatus.parse(found.get("status", {}))

    def is_ready(self, name: str) -> bool:
        return is_true(self.status(name).conditions, Kind.READY)

    # --- the operator -----------------------------------------------------------------------------------------------

    def start_operator(self) -> None:
        self.run(self._start_operator())

    def kill_operator(self) -> None:
        """SIGKILL: nothing of it gets out any more, and its lease runs out by itself."""
        self.kube.cut = self._session.dead = True
        self.run(self._end_operator())

    async def _start_operator(self) -> None:
        self.kube, self._session = Line(self.objects), Session(self.network)
        holder = f"operator-{next(self._operators)}"
        world = World(
            kube=self.kube,
            index=Index(),
            lease=Lease(self.kube, Ref(NAMESPACE, "lorikeet-operator"), holder, self.loop.time, self._terms),
            events=Events(self.kube, holder),
            installation=b.installation(),
            session=self._session,  # type: ignore[arg-type]
            clock=self.loop.time,
            now=self.objects.now,
        )
        loops = Loops(world, (NAMESPACE,))
        self.world = world

        def hear(kind: str, resource: Resource, body: Body) -> None:
            ours = resource not in LABELLED or SERVER_LABEL in body["metadata"].get("labels", {})
            if resource in WATCHED and ours and not self.deaf:
                self.loop.call_later(NEWS, take, world, loops, kind, resource, body)

        async def keep() -> None:
            self.objects.watchers.append(hear)
            try:
                await world.lease.keep(loops.start, loops.stop)
            finally:
                self.objects.watchers.remove(hear)
                await loops.stop()

        self._operator = asyncio.create_task(keep())

    async def _end_operator(self) -> None:
        if self._operator is not None:
            self._operator.cancel()
            await asyncio.gather(self._operator, return_exceptions=True)
        self._operator = self.world = None

    # --- what Kubernetes does ---------------------------------------------------------------------------------------

    def _keep_deployments(self, kind: str, resource: Resource, body: Body) -> None:
        if resource == DEPLOYMENTS and kind != "DELETED":
            self.loop.call_later(NEWS, self._scale, body["spec"]["replicas"], body["spec"]["template"])

    def _scale(self, count: int, template: Body) -> None:
        while len(self.replicas) < count:
            self._add_pod(next(self._numbers), template)
        while len(self.replicas) > count:
            self.delete_pod(max(self.replicas))

    def delete_pod(self, name: str) -> None:
        """Its node is lost: nothing of it answers any more."""
        self.replicas.pop(name)
        self._running.pop(name).cancel()
        self.objects.delete(PODS, Ref(NAMESPACE, name))

    def replace_pod(self, name: str) -> None:
        """Delete it; its Deployment makes another."""
        self.delete_pod(name)
        deployment = self.objects.get(DEPLOYMENTS, Ref(NAMESPACE, child_name(b.SERVER)))
        self._scale(deployment["spec"]["replicas"], deployment["spec"]["template"])

    def _add_pod(self, number: int, template: Body) -> None:
        name, ip = f"{child_name(b.SERVER)}-{number}", f"10.0.{number // 250}.{number % 250 + 1}"
        body = b.pod_body(b.SERVER, name)
        body["metadata"]["annotations"] = template["metadata"]["annotations"]
        self.objects.create(PODS, {**body, "status": b.ready_status(ip, ready=False)})

        def set_ready(ready: bool) -> None:
            with contextlib.suppress(NotFound):
                self.objects.apply(PODS, {"metadata": body["metadata"], "status": b.ready_status(ip, ready)}, "status")

        place = Place(
            name,
            ip,
            self._folder / name,
            self._slots(),
            set_ready,
            self.loop.time,
            self.objects.today,
            self.loop.call_later,
        )
        self.replicas[name] = SimReplica(place, self.network, self.hub, self._pace)
        self._running[name] = self.loop.create_task(self.replicas[name].run())

    def _slots(self) -> int:
        server = self.objects.get(MODELSERVERS, b.SERVER)
        slots: int = server["spec"].get("lora", {}).get("maxCpuLoras", 16)
        return slots

    async def close(self) -> None:
        await self._end_operator()
        for task in self._running.values():
            task.cancel()
        await asyncio.gather(*self._running.values(), return_exceptions=True)


def take(world: World, loops: Loops, kind: str, resource: Resource, body: Body) -> None:
    """What the operator's handlers do with an event."""
    if kind == "DELETED":
        touched = world.index.remove(resource, ref_of(body), int(body["metadata"]["resourceVersion"]))
    else:
        touched = world.index.put(resource, body)
    loops.poke(touched)


@contextlib.contextmanager
def simulated(folder: Path, pace: Pace | None = None, terms: Terms | None = None) -> Iterator[Cluster]:
    """A cluster with an operator and nothing else; `folder` is for the replicas' volumes."""
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    cluster = Cluster(loop, folder, pace or Pace(), terms or Terms())
    try:
        cluster.start_operator()
        yield cluster
    finally:
        cluster.run(cluster.close())
        asyncio.set_event_loop(None)
        loop.close()

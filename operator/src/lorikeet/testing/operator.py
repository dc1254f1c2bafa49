"""The real operator in this process, against a real API server, with a test playing kubelet."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

from lorikeet.api.loraadapter import LoRAAdapterStatus
from lorikeet.api.ref import Ref
from lorikeet.controller import handlers
from lorikeet.controller.index import Index
from lorikeet.controller.links import connections
from lorikeet.controller.loops import Loops
from lorikeet.controller.workload import child_name
from lorikeet.controller.world import World
from lorikeet.kube.client import Body, Kube
from lorikeet.kube.errors import KubeError, NotFound
from lorikeet.kube.events import Events
from lorikeet.kube.lease import Lease, Terms
from lorikeet.kube.resource import DEPLOYMENTS, LORAADAPTERS, PODS
from lorikeet.testing import builders

QUICK = Terms(duration=3.0, renew=2.0, retry=0.2)


@contextlib.asynccontextmanager
async def operator(
    kubeconfig: Path, namespace: str, holder: str = "operator-1", terms: Terms = QUICK
) -> AsyncIterator[World]:
    """Everything `lorikeet-operator` runs but its health port, watching `namespace`, its lease there too."""
    async with await Kube.connect(kubeconfig) as kube, connections() as session:
        world = World(
            kube=kube,
            index=Index(),
            lease=Lease(kube, Ref(namespace, "lorikeet-operator"), holder, time.monotonic, terms),
            events=Events(kube, holder),
            installation=builders.installation(),
            session=session,
            clock=time.monotonic,
        )
        loops = Loops(world, (namespace,))
        leading = asyncio.create_task(world.lease.keep(loops.start, loops.stop))
        serving = asyncio.create_task(handlers.serve(world.kube, world.index, loops, (namespace,)))
        try:
            yield world
        finally:
            leading.cancel()
            serving.cancel()
            await asyncio.gather(leading, serving, return_exceptions=True)
            await loops.stop()
            # A renewal that was cut short may come true in between: then a successor waits for the lease to run out.
            with contextlib.suppress(KubeError):
                await world.lease.release()


async def add_pod(kube: Kube, server: Ref, name: str, ip: str, *, ready: bool = True) -> None:
    """Make a pod of `server` that runs, as its Deployment and a kubelet would."""
    body = builders.pod_body(server, name)
    with contextlib.suppress(NotFound):
        deployment = await kube.get(DEPLOYMENTS, Ref(server.namespace, child_name(server)))
        body["metadata"]["annotations"] = deployment["spec"]["template"]["metadata"]["annotations"]
    await kube.create(PODS, body)
    await set_pod_status(kube, Ref(server.namespace, name), builders.ready_status(ip, ready))


async def set_pod_status(kube: Kube, pod: Ref, status: Body) -> None:
    """Write a pod's status, as its kubelet would."""
    meta = {"namespace": pod.namespace, "name": pod.name}
    await kube.apply(PODS, {"metadata": meta, "status": status}, "status")


async def status_of(kube: Kube, adapter: Ref) -> LoRAAdapterStatus:
    """What an adapter's status says now."""
    return LoRAAdapterStatus.parse((await kube.get(LORAADAPTERS, adapter)).get("status", {}))

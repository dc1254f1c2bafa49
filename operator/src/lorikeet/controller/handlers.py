"""kopf's side: every event pokes the loops of the servers it concerns. The only module that knows kopf.

Level-triggered on purpose: `on.event` costs no finalizer, no annotation and no write, and an event that is lost or
fails costs nothing, because loops decide from the index and the index is listed anew now and then.

kopf cancels every task of its event loop when it ends, so it has a thread and a loop of its own; events are handed over
to ours.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import kopf

from lorikeet.controller.index import LABELLED, WATCHED, Index
from lorikeet.controller.loops import Loops
from lorikeet.controller.workload import SERVER_LABEL
from lorikeet.kube.client import Kube
from lorikeet.kube.resource import Resource
from lorikeet.kube.watch import ref_of

REQUEST_TIMEOUT = 20.0
STOP_TIMEOUT = 10.0


def registry(kube: Kube, index: Index, loops: Loops, ours: asyncio.AbstractEventLoop) -> kopf.OperatorRegistry:
    """The handlers, for `kopf.operator(registry=...)`."""
    found = kopf.OperatorRegistry()

    @kopf.on.login(registry=found)
    def login(**_: Any) -> kopf.ConnectionInfo:
        # Our client's own credentials: one way to log in, asked again by kopf whenever they are refused.
        mine = kube.credentials()
        return kopf.ConnectionInfo(
            server=mine.server,
            ca_path=mine.ca_path,
            insecure=mine.insecure,
            token=mine.token,
            certificate_path=mine.certificate_path,
            private_key_path=mine.private_key_path,
        )

    for resource in WATCHED:
        _follow(found, resource, index, loops, ours)
    return found


def settings() -> kopf.OperatorSettings:
    """How kopf shall behave: watch narrowly, write nothing, and leave leadership to our lease."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.networking.request_timeout = REQUEST_TIMEOUT
    chosen.scanning.disabled = True
    for resource in LABELLED:
        chosen.watching.label_selectors[resource.plural] = SERVER_LABEL
    return chosen


async def serve(kube: Kube, index: Index, loops: Loops, namespaces: tuple[str, ...]) -> None:
    """Follow the API server until cancelled. Raises what ends kopf."""
    stop = threading.Event()
    where: dict[str, Any] = {"namespaces": namespaces} if namespaces else {"clusterwide": True}
    # Unused where kopf stands alone, but without one it looks up a user name, which uid 65532 has not.
    where["identity"] = "lorikeet-operator"
    found = registry(kube, index, loops, asyncio.get_running_loop())

    def run() -> None:
        asyncio.run(kopf.operator(registry=found, settings=settings(), standalone=True, stop_flag=stop, **where))

    following = asyncio.create_task(asyncio.to_thread(run))
    try:
        await asyncio.shield(following)
    finally:
        stop.set()
        await asyncio.wait([following], timeout=STOP_TIMEOUT)


def _follow(
    found: kopf.OperatorRegistry, resource: Resource, index: Index, loops: Loops, ours: asyncio.AbstractEventLoop
) -> None:
    def take(kind: str | None, body: dict[str, Any]) -> None:
        if kind == "DELETED":
            touched = index.remove(resource, ref_of(body), int(body["metadata"]["resourceVersion"]))
        else:
            touched = index.put(resource, body)
        loops.poke(touched)

    async def changed(*, event: kopf.RawEvent, **_: Any) -> None:
        ours.call_soon_threadsafe(take, event["type"], dict(event["object"]))

    labels = {SERVER_LABEL: kopf.PRESENT} if resource in LABELLED else None
    kopf.on.event(
        resource.group, resource.version, resource.plural, id=f"follow-{resource.plural}", labels=labels, registry=found
    )(changed)

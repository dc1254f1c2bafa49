"""kopf's side: every event pokes the loops of the servers it concerns. The only module that knows kopf.

Level-triggered on purpose: `on.event` costs no finalizer, no annotation and no write, and an event that is lost or
fails costs nothing, because loops decide from the index and the index is listed anew now and then.
"""

from __future__ import annotations

import asyncio
from typing import Any

import kopf

from lorikeet.controller.index import LABELLED, WATCHED, Index
from lorikeet.controller.loops import Loops
from lorikeet.controller.workload import SERVER_LABEL
from lorikeet.kube.resource import Resource
from lorikeet.kube.watch import ref_of

REQUEST_TIMEOUT = 20.0


def registry(index: Index, loops: Loops) -> kopf.OperatorRegistry:
    """The handlers, for `kopf.operator(registry=...)`."""
    found = kopf.OperatorRegistry()
    for resource in WATCHED:
        _follow(found, resource, index, loops)
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


async def serve(index: Index, loops: Loops, namespaces: tuple[str, ...], stop: asyncio.Event) -> None:
    """Follow the API server until `stop`."""
    where: dict[str, Any] = {"namespaces": namespaces} if namespaces else {"clusterwide": True}
    chosen = settings()
    await kopf.operator(registry=registry(index, loops), settings=chosen, standalone=True, stop_flag=stop, **where)


def _follow(found: kopf.OperatorRegistry, resource: Resource, index: Index, loops: Loops) -> None:
    async def changed(*, event: kopf.RawEvent, **_: Any) -> None:
        body: dict[str, Any] = dict(event["object"])
        if event["type"] == "DELETED":
            touched = index.remove(resource, ref_of(body), int(body["metadata"]["resourceVersion"]))
        else:
            touched = index.put(resource, body)
        loops.poke(touched)

    labels = {SERVER_LABEL: kopf.PRESENT} if resource in LABELLED else None
    kopf.on.event(
        resource.group, resource.version, resource.plural, id=f"follow-{resource.plural}", labels=labels, registry=found
    )(changed)

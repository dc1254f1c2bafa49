"""Follow a kind: a full list, then its changes, for ever, whatever happens to the connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from lorikeet.api.ref import Ref
from lorikeet.backoff import Backoff, Tries
from lorikeet.kube.client import Body, Kube
from lorikeet.kube.errors import Expired, NotFound, from_status
from lorikeet.kube.resource import Resource

log = logging.getLogger(__name__)

BACKOFF = Backoff(cap=10.0)


@dataclass(frozen=True)
class Listed:
    """Everything there is now: what is not in `items` is gone, also where no deletion was seen."""

    items: Sequence[Body]


@dataclass(frozen=True)
class Changed:
    """An object is new or different."""

    body: Body


@dataclass(frozen=True)
class Gone:
    """An object was deleted."""

    ref: Ref


Change = Listed | Changed | Gone


def ref_of(body: dict[str, Any]) -> Ref:
    """The identity of an object as the API server sends it."""
    return Ref(body["metadata"].get("namespace", ""), body["metadata"]["name"])


async def follow(
    kube: Kube, resource: Resource, namespace: str | None = None, *, labels: str = ""
) -> AsyncGenerator[Change, None]:
    """First `Listed`, then each change; `Listed` again whenever the thread was lost. Never ends, never raises.

    A broken connection is resumed from the last version; only an expired version (410) lists again.
    """
    tries = Tries(BACKOFF)
    version = ""
    while True:
        try:
            if not version:
                listed = await kube.list(resource, namespace, labels=labels)
                version = listed["metadata"]["resourceVersion"]
                yield Listed(listed["items"])
            async with aclosing(kube.watch(resource, version, namespace, labels=labels)) as events:
                async for event in events:
                    change = _change(event)
                    version = event["object"]["metadata"]["resourceVersion"]
                    tries.succeeded()
                    if change:
                        yield change
        except Exception as error:
            # Whatever it is, also an answer that is none of the API server's: who follows must outlive it.
            if isinstance(error, Expired):
                version = ""
            pause = tries.failed()
            log.warning("following %s: %s; again in %.1f s", resource.plural, error, pause)
            await asyncio.sleep(pause)


async def follow_one(kube: Kube, resource: Resource, ref: Ref) -> AsyncGenerator[Body | None, None]:
    """One object: what it is now, then each change; None while there is none. Never ends, never raises.

    Needs the rights to get and to watch this one name, and none to list: what a reader of one Secret should have.
    """
    tries = Tries(BACKOFF)
    while True:
        try:
            body = await get_if_there(kube, resource, ref)
            yield body
            # Without a version the API server begins with the object as it is.
            version = body["metadata"]["resourceVersion"] if body else ""
            fields = f"metadata.name={ref.name}"
            async with aclosing(kube.watch(resource, version, ref.namespace, fields=fields)) as events:
                async for event in events:
                    change = _change(event)
                    tries.succeeded()
                    if change:
                        yield change.body if isinstance(change, Changed) else None
        except Exception as error:
            pause = tries.failed()
            log.warning("following %s %s: %s; again in %.1f s", resource.kind, ref, error, pause)
            await asyncio.sleep(pause)


async def get_if_there(kube: Kube, resource: Resource, ref: Ref) -> Body | None:
    """One object; None where there is none. Raises KubeError."""
    try:
        return await kube.get(resource, ref)
    except NotFound:
        return None


def _change(event: Body) -> Changed | Gone | None:
    """What an event of a watch says; None where it only moves the version. Raises what the API server complains of."""
    body = event["object"]
    match event["type"]:
        case "ERROR":
            raise from_status(body.get("code", 500), str(body), "watch")
        case "BOOKMARK":
            return None
        case "DELETED":
            return Gone(ref_of(body))
        case _:
            return Changed(body)

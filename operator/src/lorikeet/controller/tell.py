"""Write statuses: one write per object that changed, once its delay has passed; and Events about what is left."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lorikeet.api.conditions import Reason
from lorikeet.api.ref import Ref
from lorikeet.controller.leftovers import Leftover, sentences, some
from lorikeet.controller.report import Tell
from lorikeet.controller.world import World
from lorikeet.kube.errors import Conflict, KubeError, NotFound
from lorikeet.kube.resource import MODELSERVERS

log = logging.getLogger(__name__)

AT_ONCE = 8
"""Writes to the API server beside each other; its own limits for one client are far above."""


@dataclass(frozen=True)
class Written:
    """What came of a write: whether the object says so now, and in how many seconds to look again."""

    told: bool
    again: float | None = None


GONE = Written(told=False)
FAILED = Written(told=False, again=1.0)


async def tell(server: Ref, tells: Iterable[Tell], world: World) -> float | None:
    """Write what is due. Returns seconds until the next is, or a failed one is tried again; None when all is told.

    What comes after the server's own status waits until that is told: an adapter would be Ready on replicas of which no
    gateway has heard.
    """
    waiting = world.lines[server].waiting
    due, now = {}, world.clock()
    left: list[float] = []
    for item in tells:
        due[item.key] = item
    for gone in waiting.keys() - due.keys():
        del waiting[gone]
    ripe = []
    for key, item in due.items():
        rest = waiting.setdefault(key, now) + item.delay - now
        if rest > 0:
            left.append(rest)
        else:
            ripe.append(item)
    for resource, alike in itertools.groupby(ripe, key=lambda item: item.resource):
        written = await _write_all(server, list(alike), world)
        left += [each.again for each in written if each.again is not None]
        if resource is MODELSERVERS and not all(each.told for each in written):
            break
    return min(left, default=None)


async def _write_all(server: Ref, items: Sequence[Tell], world: World) -> list[Written]:
    """Some at a time: one after the other, a hundred adapters take a second."""
    waiting, room = world.lines[server].waiting, asyncio.Semaphore(AT_ONCE)

    async def write(item: Tell) -> Written:
        async with room:
            written = await _write(server, item, world)
        if written != FAILED:
            del waiting[item.key]
        return written

    # No TaskGroup: where one of its tasks fails, Python 3.11.2 leaves a cancellation behind that ends this loop's next
    # timed wait, and the loop.
    done = await asyncio.gather(*map(write, items), return_exceptions=True)
    if errors := [one for one in done if isinstance(one, BaseException)]:  # who no longer leads hears it so
        raise errors[0]
    return [one for one in done if isinstance(one, Written)]


async def tell_left(server: Ref, found: Iterable[Leftover], world: World) -> None:
    """Tell people of what deleted adapters may have left, once, and once that it is gone."""
    lines, body = world.lines[server], world.index.get(MODELSERVERS, server)
    now, before = frozenset(found), lines.left
    lines.left = now
    if body is None:
        return
    for problem in sentences(now - before):
        log.warning("%s: %s", server, problem.message)
        await world.events.tell(body, problem.reason, problem.message, "Warning")
    left = {(each.pod, each.name) for each in now}
    for pod, names in _by_pod(each for each in before - now if (each.pod, each.name) not in left).items():
        await world.events.tell(body, Reason.UNLOADED, f"{some(names)} is no longer loaded on pod {pod}")


def _by_pod(found: Iterable[Leftover]) -> dict[str, list[str]]:
    pods: dict[str, list[str]] = {}
    for left in sorted(found):
        pods.setdefault(left.pod, []).append(left.name)
    return pods


async def _write(server: Ref, item: Tell, world: World) -> Written:
    """One status, by server-side apply: we own what we say and nothing else.

    What was told is a fact of the next pass (an old version goes once gateways were told of the new one), also of other
    servers' (a name goes once its new holder answers); its own event wakes nobody, for it is known here before.
    """
    world.lease.must_hold()
    known = world.index.get(item.resource, item.ref)
    if known is None or known["metadata"]["uid"] != item.uid:
        return GONE
    # The version: what we say of one object must never be written on another of the same name, nor from an old view.
    # The uid alone does not do it: the API server takes no notice of it where the status of an object is written.
    meta = {key: known["metadata"][key] for key in ("namespace", "name", "uid", "resourceVersion")}
    try:
        written = await world.kube.apply(item.resource, {"metadata": meta, "status": item.status.dump()}, "status")
    except NotFound:
        return GONE
    except Conflict:  # newer than our view, as its own event says soon; or the API server's passing trouble
        return FAILED
    except KubeError as error:
        log.warning("status of %s %s: %s", item.resource.kind, item.ref, error)
        return FAILED
    changed = world.index.put(item.resource, written)
    if item.turned:
        log.info("%s %s: %s: %s", item.resource.kind, item.ref, item.turned.reason, item.turned.message)
    if item.warning:
        await world.events.tell(written, item.warning.reason, item.warning.message, "Warning")
    for other in changed - {server}:
        if other in world.lines:
            world.lines[other].changed()
    return Written(told=True, again=0.0 if changed else None)

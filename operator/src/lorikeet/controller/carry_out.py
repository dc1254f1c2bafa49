"""Do what a plan says. One failed item never stops the rest; what waits for an answer waits elsewhere."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from lorikeet.api.ref import Ref
from lorikeet.controller.actions import Action, Apply, Plan, Push, Resolve
from lorikeet.controller.workload import FINGERPRINT
from lorikeet.controller.world import World
from lorikeet.kube.errors import KubeError
from lorikeet.kube.resource import SECRETS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Done:
    """What came of a plan: the actions that failed, each with a sentence."""

    failed: tuple[tuple[Action, str], ...] = ()
    applied: bool = False
    """A child was, or should have been, changed: what was seen of the replicas is of before."""


async def carry_out(ref: Ref, plan: Plan, world: World) -> Done:
    """Start everything; wait only for the API server. Raises NotLeader when the lease is gone."""
    failed: list[tuple[Action, str]] = []
    for action in plan.actions:
        log.log(logging.DEBUG if isinstance(action, Push) else logging.INFO, "%s: %s", ref, action)
        world.lease.must_hold()
        try:
            await _one(ref, action, world)
        except KubeError as error:
            log.warning("%s: %s failed: %s", ref, action, error)
            failed.append((action, str(error)))
    return Done(tuple(failed), any(isinstance(action, Apply) for action in plan.actions))


async def _one(ref: Ref, action: Action, world: World) -> None:
    lines = world.lines[ref]
    match action:
        case Apply(resource, _, body):
            written = await world.kube.apply(resource, dict(body))
            if resource == SECRETS:
                lines.applied[resource.kind] = body["metadata"]["annotations"][FINGERPRINT]
            else:
                world.index.put(resource, {**written, "kind": resource.kind})
        case Push(pod, wanted):
            if link := lines.link(pod):
                link.want(wanted)
        case Resolve():
            lines.resolver.ask(action)

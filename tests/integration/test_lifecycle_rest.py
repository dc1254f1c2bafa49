"""A settled system writes nothing but its lease, however often it is looked at (P35)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from lorikeet.api.conditions import Problem, Reason
from lorikeet.api.ref import Ref
from lorikeet.controller import loops, reconcile, report
from lorikeet.controller.world import World
from lorikeet.kube.client import Body, Kube
from lorikeet.kube.resource import Resource
from lorikeet.testing import builders as b
from lorikeet.testing.apiserver import ApiServer
from lorikeet.testing.operator import operator
from lorikeet.testing.place import Place, because, is_ready, until, value

MANY = 30
"""Passes in which nothing may happen."""


class Counted(Kube):
    """The API server, as the operator's passes see it; the lease has a line of its own."""

    def __init__(self, world: World) -> None:
        super().__init__(world.kube._api)
        self._world = world
        self.writes: list[str] = []
        self.passes = 0

    async def create(self, resource: Resource, body: Body) -> Body:
        self.writes.append(f"create {resource.kind} {body['metadata']['name']}")
        return await super().create(resource, body)

    async def apply(self, resource: Resource, body: Body, subresource: str | None = None) -> Body:
        self.writes.append(f"apply {resource.kind} {body['metadata']['name']} {subresource or ''}")
        return await super().apply(resource, body, subresource)

    async def many_passes(self) -> None:
        """Have every server looked at so many times more."""
        for _ in range(MANY):
            so_far = self.passes
            for lines in self._world.lines.values():
                lines.changed()
            await until(lambda: value(self.passes), lambda passes, before=so_far: passes > before)  # type: ignore[misc]

    async def rest(self) -> None:
        """Until nothing was written in all that time."""
        before = -1
        while before != len(self.writes):
            before = len(self.writes)
            await self.many_passes()


@pytest.fixture
async def kube(api: ApiServer, namespace: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Counted]:
    """That of an operator that lists everything many times a second."""
    monkeypatch.setattr(report, "LATER", 0.1)
    monkeypatch.setattr(loops, "RELIST", 0.05)
    async with operator(api.kubeconfig, namespace) as world:
        counted = Counted(world)
        world.kube = world.events._kube = counted

        async def one(ref: Ref, world: World) -> Any:
            counted.passes += 1
            return await reconcile.reconcile(ref, world)

        monkeypatch.setattr(loops, "reconcile", one)
        yield counted


async def test_after_a_life_of_changes_nothing_is_written_told_or_asked(place: Place, kube: Counted) -> None:
    """Versions with a history, one broken, one that waits for a name, one without a slot, one alone on its replica."""
    await place.create_server(lora={"maxLoras": 1, "maxCpuLoras": 2})
    for pod in ("a", "b"):
        agent = await place.add_replica(pod, grace=0.05)
        agent.failing["broken"] = Problem(reason=Reason.NO_EFFECT, message="no module matches", lasting=True)
    sql = await place.create_adapter("sql", aliases=["x"], priority=3)
    await place.adapter_until(sql, is_ready)
    await place.next_second(sql)
    expected = {
        await place.create_adapter("alone", replicas=1, priority=2): is_ready,
        await place.create_adapter("broken", priority=2): because("NoEffect"),
        await place.create_adapter("waits", name="sql", priority=2): because("NameConflict"),
        await place.create_adapter("partly", priority=1): because("NoCapacity"),
        await place.create_adapter("nowhere"): because("NoCapacity"),
    }
    await place.change(sql, source={"uri": b.source_uri("sql", b.COMMIT_2)}, aliases=["y"])
    await place.adapter_until(sql, lambda found: is_ready(found) and len(found.history) == 2)
    for ref, good in expected.items():
        await place.adapter_until(ref, good)
    await place.adapter_until(sql, lambda found: found.names == ("sql", "y"))
    await kube.rest()
    before, polls = facts(place, kube), [agent.polls for agent in place.agents.values()]
    assert len(before[0]) > 10
    await kube.many_passes()
    assert facts(place, kube) == before
    more = [agent.polls - at for agent, at in zip(place.agents.values(), polls, strict=True)]
    assert max(more) <= 1, "a poll waits half a minute"


def facts(place: Place, kube: Counted) -> tuple[list[str], list[tuple[int, int]]]:
    return (list(kube.writes), [(len(agent.pushes), len(agent.fetched)) for agent in place.agents.values()])

"""Deletion on a real API server: it always ends, leaves nothing, and says what it could not reach (P14, P15)."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from lorikeet.api.ref import Ref
from lorikeet.controller.world import World
from lorikeet.kube.client import Kube
from lorikeet.kube.errors import NotFound
from lorikeet.kube.resource import EVENTS, LORAADAPTERS, MODELSERVERS, Resource
from lorikeet.testing import builders as b
from lorikeet.testing.apiserver import ApiServer
from lorikeet.testing.operator import operator
from lorikeet.testing.place import Place, because, is_ready, until, value


async def events(kube: Kube, namespace: str, reason: str) -> list[str]:
    """The notes of all Events with this reason."""
    found = (await kube.list(EVENTS, namespace))["items"]
    return [event["note"] for event in found if event["reason"] == reason]


async def gone(place: Place, resource: Resource, ref: Ref) -> bool:
    try:
        await place.kube.get(resource, ref)
    except NotFound:
        return True
    return False


async def empty(place: Place, *pods: str) -> None:
    """Until nothing is loaded on these replicas, and nothing is wanted there."""
    agents = [place.agents[pod] for pod in pods or place.agents]
    await until(lambda: value([agent.state.adapters for agent in agents]), lambda found: not any(found))
    assert all(not agent.pushes[-1].adapters for agent in agents)


@pytest.mark.usefixtures("world")
class TestAnAdapter:
    async def ready(self, place: Place) -> Ref:
        await place.create_server()
        for pod in ("a", "b"):
            await place.add_replica(pod)
        sql = await place.create_adapter("sql")
        await place.adapter_until(sql, lambda found: is_ready(found) and found.ready_replicas == 2)
        return sql

    async def test_the_object_goes_at_once_where_an_agent_is_silent_and_people_hear_what_may_be_left(
        self, place: Place
    ) -> None:
        sql = await self.ready(place)
        hung = place.agents["a"]
        hung.deaf = True
        await place.kube.delete(LORAADAPTERS, sql)
        assert await gone(place, LORAADAPTERS, sql)
        await empty(place, "b")
        [note] = await until(lambda: events(place.kube, place.namespace, "AgentUnreachable"), bool)
        assert note.startswith(f"{b.entry().engine_name} may still be loaded on pod a: its agent does not answer")
        hung.deaf = False
        await empty(place)
        [note] = await until(lambda: events(place.kube, place.namespace, "Unloaded"), bool)
        assert note == f"{b.entry().engine_name} is no longer loaded on pod a"

    async def test_and_where_an_engine_refuses_to_unload_it(self, place: Place) -> None:
        sql = await self.ready(place)
        place.agents["a"].stuck["sql"] = "the engine answers 500"
        await place.kube.delete(LORAADAPTERS, sql)
        assert await gone(place, LORAADAPTERS, sql)
        [note] = await until(lambda: events(place.kube, place.namespace, "UnloadFailed"), bool)
        assert note.startswith(f"{b.entry().engine_name} may still be loaded on pod a: the engine answers 500")
        await empty(place, "b")
        await place.agents["a"].let_go("sql")
        await empty(place)
        assert len(await until(lambda: events(place.kube, place.namespace, "Unloaded"), bool)) == 1

    @pytest.mark.parametrize("pod_goes", [False, True], ids=["the replica stays", "the replica goes"])
    async def test_while_it_is_being_fetched(self, place: Place, pod_goes: bool) -> None:
        await place.create_server()
        for pod in ("a", "b"):
            (await place.add_replica(pod)).held.add("sql")
        sql = await place.create_adapter("sql")
        await place.adapter_until(sql, because("Fetching"))
        await place.kube.delete(LORAADAPTERS, sql)
        if pod_goes:
            await place.remove_replica("a")
        await empty(place)

    async def test_in_the_middle_of_an_update_both_versions_and_the_files_of_the_past_go(self, place: Place) -> None:
        sql = await self.ready(place)
        new = b.source_uri("sql", b.COMMIT_2)
        place.agents["b"].held.add(new)
        await place.change(sql, source={"uri": new})
        await until(lambda: value(len(place.agents["a"].loaded())), lambda count: count == 2)
        await place.kube.delete(LORAADAPTERS, sql)
        await empty(place)

    async def test_one_made_again_under_the_same_name_is_another(self, place: Place) -> None:
        sql = await self.ready(place)
        await place.kube.delete(LORAADAPTERS, sql)
        await place.create_adapter("sql", source={"uri": b.source_uri("sql", b.COMMIT_2)})
        status = await place.adapter_until(sql, is_ready)
        assert [one.uri for one in status.history] == [b.source_uri("sql", b.COMMIT_2)]
        for pod in ("a", "b"):
            await place.loaded_until(pod, b.entry(commit=b.COMMIT_2).engine_name)


async def test_while_the_operator_is_away(place: Place, api: ApiServer) -> None:
    async with operator(api.kubeconfig, place.namespace):
        await place.create_server()
        await place.add_replica("a")
        sql = await place.create_adapter("sql")
        await place.adapter_until(sql, is_ready)
    await place.kube.delete(LORAADAPTERS, sql)
    assert await gone(place, LORAADAPTERS, sql)
    async with operator(api.kubeconfig, place.namespace, "operator-2"):
        await empty(place)


@pytest.mark.parametrize("order", list(itertools.permutations(("sql", "poet", "server"))), ids="-".join)
async def test_everything_in_any_order(place: Place, world: World, order: tuple[str, ...]) -> None:
    """Nothing is ever made again, and no object waits for another."""
    await place.create_server()
    await place.add_replica("a")
    for name in ("sql", "poet"):
        await place.adapter_until(await place.create_adapter(name), is_ready)
    for name in order:
        resource = MODELSERVERS if name == "server" else LORAADAPTERS
        ref = place.server if name == "server" else Ref(place.namespace, name)
        await place.kube.delete(resource, ref)
        assert await gone(place, resource, ref)
        for other in order[order.index(name) + 1 :]:
            if name == "server":
                await place.adapter_until(Ref(place.namespace, other), because("ServerNotFound"))
    await until(lambda: value(dict(world.lines)), lambda lines: place.server not in lines or not _links(lines, place))
    assert "sql" not in world.index.holders(place.namespace)


def _links(lines: dict[Ref, Any], place: Place) -> bool:
    return lines[place.server].link("a") is not None


def test_no_object_of_ours_has_a_finalizer() -> None:
    """What waits for somebody can wait for ever."""
    source = Path(__file__).parents[2] / "operator/src/lorikeet"
    assert not [
        path for path in source.rglob("*.py") if "finalizers" in path.read_text() and "testing" not in path.parts
    ]

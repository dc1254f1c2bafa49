"""Versions on a real API server: a client that asks without pause finds one all the while (P4, P15)."""

from __future__ import annotations

from typing import Any

import pytest

from lorikeet.api.conditions import Problem, Reason
from lorikeet.api.loraadapter import LoRAAdapterStatus, State
from lorikeet.api.ref import Ref
from lorikeet.testing import builders as b
from lorikeet.testing.place import Clients, Place, because, condition, is_ready, until, value

GRACE = 0.3
ONE_SLOT = {"maxLoras": 1, "maxCpuLoras": 1}
pytestmark = pytest.mark.usefixtures("world")


def version(commit: str, name: str = "sql") -> dict[str, str]:
    return {"uri": b.source_uri(name, commit)}


def engine(commit: str, name: str = "sql") -> str:
    return b.entry(name, commit).engine_name


def serves(commit: str, replicas: int = 2, name: str = "sql") -> Any:
    """Ready with this version, on so many replicas."""

    def found(status: LoRAAdapterStatus) -> bool:
        meant = (status.engine_name, status.ready_replicas) == (engine(commit, name), replicas)
        return meant and is_ready(status)

    return found


async def served(place: Place, *pods: str, **server: object) -> Ref:
    """Adapter sql, on replicas whose clients have a moment to hear of changes."""
    await place.create_server(replicas=len(pods), **server)
    for pod in pods:
        await place.add_replica(pod, grace=GRACE)
    sql = await place.create_adapter("sql")
    await place.adapter_until(sql, serves(b.COMMIT_1, len(pods)))
    return sql


@pytest.mark.parametrize("slots", [2, 1], ids=["a slot to spare", "none to spare"])
async def test_an_update_leaves_no_moment_in_which_nobody_answers(place: Place, slots: int) -> None:
    sql = await served(place, "a", "b", lora={"maxLoras": 1, "maxCpuLoras": slots})
    async with Clients(place, "sql") as clients:
        await place.change(sql, source=version(b.COMMIT_2))
        await place.adapter_until(sql, serves(b.COMMIT_2))
        await clients.so_many_more()
    assert clients.gaps == []
    assert {model for _, model in clients.answers} == {engine(b.COMMIT_1), engine(b.COMMIT_2)}
    for pod in ("a", "b"):
        await place.loaded_until(pod, engine(b.COMMIT_2))


async def test_without_a_slot_to_spare_replicas_change_one_after_the_other(place: Place) -> None:
    sql = await served(place, "a", "b", lora=ONE_SLOT)
    held = place.agents["a"]
    new = b.source_uri("sql", b.COMMIT_2)
    held.held.add(new)
    await place.change(sql, source=version(b.COMMIT_2))
    await until(lambda: value(place.agents["b"].loaded()), lambda names: names == {engine(b.COMMIT_2)})
    status = await place.adapter_until(sql, lambda found: len({row.digest for row in loaded(found)}) == 2)
    assert {row.pod: row.digest for row in loaded(status)} == {"a": b.entry().digest, "b": b.digest_of(new)}
    assert held.loaded() == {engine(b.COMMIT_1)}
    await held.release(new)
    await place.adapter_until(sql, serves(b.COMMIT_2))
    for agent in place.agents.values():
        assert all(sum(entry.load for entry in push.adapters) <= 1 for push in agent.pushes)


def loaded(status: LoRAAdapterStatus) -> list[Any]:
    return [row for row in status.replicas if row.state is State.LOADED]


async def test_one_alone_loads_the_new_version_beyond_its_slots(place: Place) -> None:
    sql = await served(place, "a", lora=ONE_SLOT)
    async with Clients(place, "sql") as clients:
        await place.change(sql, source=version(b.COMMIT_2))
        await place.adapter_until(sql, serves(b.COMMIT_2, 1))
    assert clients.gaps == []
    await place.loaded_until("a", engine(b.COMMIT_2))
    assert max(sum(entry.load for entry in push.adapters) for push in place.agents["a"].pushes) == 2


@pytest.mark.parametrize("slots", [2, 1], ids=["a slot to spare", "none to spare"])
async def test_a_new_version_that_cannot_be_loaded_leaves_the_old_one(place: Place, slots: int) -> None:
    sql = await served(place, "a", "b", lora={"maxLoras": 1, "maxCpuLoras": slots})
    refused = Problem(reason=Reason.LOAD_FAILED, message="the engine refused it", lasting=True)
    for agent in place.agents.values():
        agent.failing[b.source_uri("sql", b.COMMIT_2)] = refused
    async with Clients(place, "sql") as clients:
        await place.change(sql, source=version(b.COMMIT_2))
        status = await place.adapter_until(sql, because("LoadFailed"))
        for pod in ("a", "b"):
            await place.loaded_until(pod, engine(b.COMMIT_1))
        await clients.so_many_more()
    assert clients.gaps == []
    assert condition(status, "Ready").message.endswith(f"version {engine(b.COMMIT_1)} still answers")
    await place.change(sql, source=version(b.COMMIT_1))
    await place.adapter_until(sql, serves(b.COMMIT_1))


async def test_going_back_is_one_edit_and_no_download(place: Place) -> None:
    sql = await served(place, "a", "b")
    await place.change(sql, source=version(b.COMMIT_2))
    status = await place.adapter_until(sql, serves(b.COMMIT_2))
    assert [one.uri for one in status.history] == [b.source_uri("sql", b.COMMIT_2), b.source_uri("sql", b.COMMIT_1)]
    for pod in ("a", "b"):
        await place.loaded_until(pod, engine(b.COMMIT_2))
    fetched = [list(agent.fetched) for agent in place.agents.values()]
    async with Clients(place, "sql") as clients:
        await place.change(sql, source={"uri": status.history[1].uri})
        status = await place.adapter_until(sql, serves(b.COMMIT_1))
    assert clients.gaps == []
    assert [agent.fetched for agent in place.agents.values()] == fetched
    assert [one.engine_name for one in status.history] == [engine(b.COMMIT_1), engine(b.COMMIT_2)]


async def test_a_replica_that_comes_later_fetches_what_is_served_and_nothing_of_the_past(place: Place) -> None:
    sql = await served(place, "a")
    await place.change(sql, source=version(b.COMMIT_2))
    await place.adapter_until(sql, serves(b.COMMIT_2, 1))
    late = await place.add_replica("b")
    await place.adapter_until(sql, serves(b.COMMIT_2))
    assert late.fetched == [b.source_uri("sql", b.COMMIT_2)]

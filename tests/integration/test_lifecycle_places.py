"""Places on a real API server: slots, priorities, replicas that come and go (P24)."""

from __future__ import annotations

from typing import Any

import pytest

from lorikeet.api.loraadapter import LoRAAdapterStatus
from lorikeet.api.modelserver import ModelServerStatus
from lorikeet.api.ref import Ref
from lorikeet.kube.resource import LORAADAPTERS, MODELSERVERS
from lorikeet.testing import builders as b
from lorikeet.testing.operator import set_pod_status
from lorikeet.testing.place import Clients, Place, because, condition, is_ready, until

GRACE = 0.3
ONE_SLOT = {"maxLoras": 1, "maxCpuLoras": 1}
pytestmark = pytest.mark.usefixtures("world")


def on(*pods: str) -> Any:
    """Ready, and loaded on exactly these replicas."""

    def found(status: LoRAAdapterStatus) -> bool:
        return is_ready(status) and {row.pod for row in status.replicas if row.state == "Loaded"} == set(pods)

    return found


async def full(place: Place, *pods: str) -> Ref:
    """One slot on each replica, which adapter first has."""
    await place.create_server(replicas=len(pods), lora=ONE_SLOT)
    for pod in pods:
        await place.add_replica(pod, grace=GRACE)
    first = await place.create_adapter("first")
    await place.adapter_until(first, on(*pods))
    return first


async def slots(place: Place) -> tuple[int, int, int]:
    body = await place.kube.get(MODELSERVERS, place.server)
    found = ModelServerStatus.parse(body.get("status", {})).slots
    return (found.memory, found.used, found.wanted)


async def test_one_too_many_says_so_takes_nothing_from_the_others_and_takes_over_when_one_goes(place: Place) -> None:
    first = await full(place, "a", "b")
    async with Clients(place, "first") as clients:
        late = await place.create_adapter("late", priority=-1)
        status = await place.adapter_until(late, because("NoCapacity"))
        assert "raise spec.lora.maxCpuLoras of server qwen to 2" in condition(status, "Placed").message
        await until(lambda: slots(place), lambda found: found == (1, 1, 2))
        await clients.so_many_more()
    assert clients.gaps == []
    await place.kube.delete(LORAADAPTERS, first)
    await place.adapter_until(late, on("a", "b"))
    await until(lambda: slots(place), lambda found: found == (1, 1, 1))


async def test_a_slot_passes_to_a_higher_priority_only_with_its_bytes_and_back_with_the_priority(place: Place) -> None:
    first = await full(place, "a", "b")
    for agent in place.agents.values():
        agent.held.add("high")
    async with Clients(place, "first") as clients:
        high = await place.create_adapter("high", priority=1)
        await place.adapter_until(first, because("NoCapacity"))
        await place.adapter_until(high, because("Fetching"))
        await clients.so_many_more()
    assert clients.gaps == []
    for agent in place.agents.values():
        await agent.release("high")
    await place.adapter_until(high, on("a", "b"))
    await place.change(high, priority=-1)
    await place.adapter_until(first, on("a", "b"))
    assert all(agent.fetched.count(b.source_uri("first")) == 1 for agent in place.agents.values()), "kept on the disk"


async def test_an_adapter_moves_to_a_new_replica_without_a_gap_and_leaves_the_others_alone(place: Place) -> None:
    await place.create_server(replicas=3)
    await place.add_replica("a", grace=GRACE)
    names = [f"adapter-{number}" for number in range(8)]
    refs = [await place.create_adapter(name, replicas=1) for name in names]
    for ref in refs:
        await place.adapter_until(ref, on("a"))
    async with Clients(place, *names) as clients:
        for pod in ("b", "c"):
            await place.add_replica(pod, grace=GRACE)
        for ref in refs:
            await place.adapter_until(ref, lambda found: is_ready(found) and found.ready_replicas == 1)
        await until(lambda: spread(place, refs), lambda found: len(found) == 3)
    assert clients.gaps == []
    pods = [(await place.status(ref)).replicas[0].pod for ref in refs]
    assert all(len(agent.fetched) == pods.count(pod) for pod, agent in place.agents.items() if pod != "a")


async def spread(place: Place, refs: list[Ref]) -> set[str]:
    rows = [(await place.status(ref)).replicas for ref in refs]
    return {row.pod for each in rows for row in each} if all(len(each) == 1 for each in rows) else set()


async def test_while_its_replica_takes_no_requests_another_stands_in(place: Place) -> None:
    await place.create_server(replicas=2)
    for pod in ("a", "b"):
        await place.add_replica(pod, grace=GRACE)
    sql = await place.create_adapter("sql", replicas=1)
    status = await place.adapter_until(sql, is_ready)
    home = status.replicas[0].pod
    other = "b" if home == "a" else "a"
    agent, pod = place.agents[home], Ref(place.namespace, home)
    await set_pod_status(place.kube, pod, b.ready_status(agent.ip, ready=False))
    await place.adapter_until(
        sql, lambda found: {row.pod for row in found.replicas} == {home, other} and is_ready(found)
    )
    async with Clients(place, "sql") as clients:
        await set_pod_status(place.kube, pod, b.ready_status(agent.ip))
        await place.adapter_until(sql, on(home))
        await place.loaded_until(other)
    assert clients.gaps == []

"""When loops run, and what a pass leaves to the next one: on a scripted API server, with a scripted agent."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from lorikeet.api.loraadapter import LoRAAdapterStatus, ReplicaState, State
from lorikeet.api.modelserver import ModelServerStatus
from lorikeet.api.ref import Ref
from lorikeet.controller import loops as loops_module
from lorikeet.controller.index import WATCHED, Index
from lorikeet.controller.loops import Loops
from lorikeet.controller.report import Tell
from lorikeet.controller.tell import FAILED, tell
from lorikeet.controller.world import Lines, World
from lorikeet.kube.client import Body, Kube
from lorikeet.kube.errors import Conflict, KubeError, NotFound, Refused, Unreachable
from lorikeet.kube.events import Events
from lorikeet.kube.lease import Lease, NotLeader
from lorikeet.kube.resource import LORAADAPTERS, MODELSERVERS, SECRETS, Resource
from lorikeet.testing import builders as b

SQL = Ref(b.NAMESPACE, "sql")
KINDS = (*WATCHED, SECRETS)


class ScriptedKube(Kube):
    """Lists what it holds and takes what is applied; raises what `trouble` says for a kind."""

    def __init__(self) -> None:
        self.held: dict[Resource, list[Body]] = {resource: [] for resource in KINDS}
        self.trouble: dict[Resource, KubeError] = {}
        self.lists: list[Resource] = []
        self.applied: list[Body] = []
        self.version = 100

    async def list(self, resource: Resource, namespace: str | None = None, **_: Any) -> Body:
        self.lists.append(resource)
        if resource in self.trouble:
            raise self.trouble[resource]
        return {"metadata": {"resourceVersion": str(self.version)}, "items": self.held[resource]}

    async def apply(self, resource: Resource, body: Body, subresource: str | None = None) -> Body:
        if resource in self.trouble:
            raise self.trouble[resource]
        self.applied.append(body)
        self.version += 1
        known = next((one for one in self.held[resource] if one["metadata"]["name"] == body["metadata"]["name"]), {})
        meta = {**known.get("metadata", {}), **body["metadata"], "resourceVersion": str(self.version)}
        return {**known, **body, "metadata": meta}

    async def create(self, resource: Resource, body: Body) -> Body:
        return body

    def has(self, name: str) -> bool:
        return any(body["metadata"]["name"] == name for body in self.applied)


class AlwaysLeader(Lease):
    """Holds, until it is made to `lapse`."""

    def __init__(self) -> None:
        self.epoch = 1
        self.lapsed = False
        self.refused = 0

    @property
    def held(self) -> bool:
        return not self.lapsed

    def must_hold(self) -> None:
        if self.lapsed:
            self.refused += 1
            raise NotLeader("lapsed")


@pytest.fixture
def kube() -> ScriptedKube:
    return ScriptedKube()


@pytest.fixture
async def world(kube: ScriptedKube) -> AsyncIterator[World]:
    async with aiohttp.ClientSession() as session:
        yield World(kube, Index(), AlwaysLeader(), Events(kube, "test"), b.installation(), session, time.monotonic)


def existing(body: Body, version: int) -> Body:
    name = body["metadata"]["name"]
    meta = {"uid": f"uid-{name}", "generation": 1, "creationTimestamp": b.OLD, "resourceVersion": str(version)}
    return {**body, "metadata": {**body["metadata"], **meta}}


async def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Loops]:
    """Loops, until the end of the block."""
    loops = Loops(world)
    await loops.start()
    try:
        yield loops
    finally:
        await loops.stop()


class TestStart:
    async def test_no_pass_begins_before_every_kind_was_listed(self, world: World, kube: ScriptedKube) -> None:
        kube.held[MODELSERVERS] = [existing(b.server_body(), 1)]
        kube.trouble[LORAADAPTERS] = Unreachable("later")
        async with running(world) as loops:
            await until(lambda: kube.lists.count(LORAADAPTERS) > 2)
            loops.poke({b.SERVER})
            tries = kube.lists.count(LORAADAPTERS)
            await until(lambda: kube.lists.count(LORAADAPTERS) > tries)
            assert not world.lines
            del kube.trouble[LORAADAPTERS]
            await until(lambda: b.SERVER in world.lines)

    async def test_whoever_lost_the_lease_has_no_loop_and_starts_none(self, world: World, kube: ScriptedKube) -> None:
        kube.held[MODELSERVERS] = [existing(b.server_body(), 1)]
        async with running(world) as loops:
            await until(lambda: b.SERVER in world.lines)
        loops.poke({b.SERVER})
        assert not world.lines

    async def test_a_lease_that_lapsed_and_was_renewed_costs_a_second_and_no_more(
        self, world: World, kube: ScriptedKube
    ) -> None:
        lease = world.lease
        assert isinstance(lease, AlwaysLeader)
        lease.lapsed = True
        kube.held[MODELSERVERS] = [existing(b.server_body(), 1)]
        async with running(world):
            await until(lambda: lease.refused > 0)
            lease.lapsed = False
            await until(lambda: bool(kube.applied))

    async def test_while_the_lease_is_not_ours_nobody_is_thought_about(
        self, world: World, kube: ScriptedKube, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(loops_module, "LAPSED", 0.01)
        lease, thoughts = world.lease, []

        async def thought(ref: Ref, world: World) -> None:
            thoughts.append(ref)

        monkeypatch.setattr(loops_module, "reconcile", thought)
        assert isinstance(lease, AlwaysLeader)
        lease.lapsed = True
        kube.held[MODELSERVERS] = [existing(b.server_body(), 1)]
        async with running(world):
            await until(lambda: lease.refused > 3)
            assert thoughts == []
            lease.lapsed = False
            await until(lambda: thoughts == [b.SERVER])

    async def test_between_thoughts_about_two_servers_others_have_their_turn(self, world: World) -> None:
        order: list[str] = []

        async def think(name: str) -> None:
            async with world.turn(Lines(world, print)):
                order.append(name)

        async def renew() -> None:
            while len(order) < 12:
                order.append("renewal")
                await asyncio.sleep(0)

        await asyncio.gather(*map(think, ("one", "two", "three")), renew())
        thoughts = [number for number, name in enumerate(order) if name != "renewal"]
        assert len(thoughts) == 3
        assert all(later - sooner > 1 for sooner, later in itertools.pairwise(thoughts))

    async def test_the_next_pass_waits_for_thoughts_and_not_for_the_api_servers_answers(
        self, world: World, kube: ScriptedKube, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(loops_module, "SHARE", 1000.0)
        monkeypatch.setattr(loops_module, "LONGEST", 600.0)
        passes: list[str] = []

        async def waits_then_thinks(ref: Ref, world: World) -> None:
            passes.append("waits" if not passes else "thinks")
            if passes[-1] == "waits":
                await asyncio.sleep(0.05)
            else:
                async with world.turn(world.lines[ref]):
                    await asyncio.sleep(0.05)

        monkeypatch.setattr(loops_module, "reconcile", waits_then_thinks)
        kube.held[MODELSERVERS] = [existing(b.server_body(), 1)]
        async with running(world) as loops:
            await until(lambda: passes == ["waits"])
            loops.poke({b.SERVER})
            await until(lambda: passes == ["waits", "thinks"])
            loops.poke({b.SERVER})
            await asyncio.sleep(0.2)  # of the 50 s that it is to wait
            assert passes == ["waits", "thinks"]

    async def test_a_child_that_could_not_be_applied_is_tried_again_without_news(
        self, world: World, kube: ScriptedKube
    ) -> None:
        kube.held[MODELSERVERS] = [existing(b.server_body(), 1)]
        kube.trouble[SECRETS] = Unreachable("429")
        async with running(world):
            await until(lambda: kube.has("qwen-engine"))
            del kube.trouble[SECRETS]
            await until(lambda: kube.has("qwen-lorikeet-keys"))

    async def test_a_list_that_knows_nothing_new_costs_no_pass(
        self, world: World, kube: ScriptedKube, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(loops_module, "RELIST", 0.02)
        kube.held[MODELSERVERS] = [existing(b.server_body(), 1)]
        passes = 0

        async def counted(ref: Ref, world: World) -> None:
            nonlocal passes
            passes += 1

        monkeypatch.setattr(loops_module, "reconcile", counted)
        async with running(world):
            await until(lambda: passes == 1 and kube.lists.count(MODELSERVERS) > 3)
            assert passes == 1
            kube.version += 1
            kube.held[MODELSERVERS] = [existing(b.server_body(), kube.version)]
            await until(lambda: passes == 2)

    async def test_the_loop_of_a_server_that_nothing_names_any_more_ends(
        self, world: World, kube: ScriptedKube
    ) -> None:
        kube.held[MODELSERVERS] = [existing(b.server_body(), 1)]
        async with running(world) as loops:
            await until(lambda: b.SERVER in world.lines)
            loops.poke(world.index.remove(MODELSERVERS, b.SERVER, 10**6))
            await until(lambda: not world.lines)


class TestTell:
    @pytest.fixture(autouse=True)
    def lines(self, world: World, kube: ScriptedKube) -> None:
        kube.held[LORAADAPTERS] = [existing(b.adapter_body(SQL), 1)]
        world.index.replace(LORAADAPTERS, kube.held[LORAADAPTERS], 1)
        world.lines[b.SERVER] = Lines(world, lambda: None)

    async def tell(self, world: World, delay: float = 0.0) -> float | None:
        status = LoRAAdapterStatus(engine_name="sql@1")
        return await tell(b.SERVER, [Tell(LORAADAPTERS, SQL, "uid-sql", status, delay)], world)

    async def test_what_was_told_is_a_fact_for_the_next_pass_which_is_due_at_once(self, world: World) -> None:
        assert await self.tell(world) == 0.0

    async def test_it_is_a_fact_for_another_server_too_whose_adapter_gave_up_a_name(
        self, world: World, kube: ScriptedKube
    ) -> None:
        other, woken = Ref(b.NAMESPACE, "llama"), []
        world.lines[other] = Lines(world, lambda: woken.append(other))
        world.index.put(LORAADAPTERS, existing(b.adapter_body(Ref(b.NAMESPACE, "waits"), "llama", name="sql"), 2))
        row = ReplicaState(pod="a", digest="1", state=State.LOADED)
        status = LoRAAdapterStatus(names=("sql",), replicas=(row,))
        await tell(b.SERVER, [Tell(LORAADAPTERS, SQL, "uid-sql", status, 0.0)], world)
        assert woken == [other]

    async def test_a_write_that_changed_nothing_asks_for_no_further_pass(
        self, world: World, kube: ScriptedKube
    ) -> None:
        kube.version = 0
        assert await self.tell(world) is None

    async def test_what_may_wait_is_due_when_its_delay_is_over(self, world: World, kube: ScriptedKube) -> None:
        due = await self.tell(world, delay=5.0)
        assert due is not None
        assert 4.0 < due <= 5.0
        assert kube.applied == []

    async def test_a_first_replica_waits_from_its_coming_however_long_there_was_progress_to_tell(
        self, world: World, kube: ScriptedKube
    ) -> None:
        await self.tell(world, delay=5.0)
        world.lines[b.SERVER].waiting = {key: at - 4.0 for key, at in world.lines[b.SERVER].waiting.items()}
        first = Tell(LORAADAPTERS, SQL, "uid-sql", LoRAAdapterStatus(engine_name="sql@1"), 0.3, first=True)
        assert await tell(b.SERVER, [first], world) == pytest.approx(0.3, abs=0.1)
        assert kube.applied == []

    @pytest.mark.parametrize("error", [Unreachable("later"), Refused("no"), Conflict("newer")], ids=repr)
    async def test_what_could_not_be_written_is_tried_again(
        self, world: World, kube: ScriptedKube, error: KubeError
    ) -> None:
        kube.trouble[LORAADAPTERS] = error
        assert await self.tell(world) == FAILED.again

    async def test_of_an_object_that_is_gone_nothing_is_told(self, world: World, kube: ScriptedKube) -> None:
        kube.trouble[LORAADAPTERS] = NotFound("gone")
        assert await self.tell(world) is None

    @pytest.mark.parametrize("error", [Unreachable("later"), Conflict("newer")], ids=repr)
    async def test_nobody_is_ready_on_replicas_that_could_not_be_told_of(
        self, world: World, kube: ScriptedKube, error: KubeError
    ) -> None:
        kube.held[MODELSERVERS] = [existing(b.server_body(), 1)]
        world.index.replace(MODELSERVERS, kube.held[MODELSERVERS], 1)
        server = Tell(MODELSERVERS, b.SERVER, "uid-qwen", ModelServerStatus(model_name="base"), 0.0)
        lost, ready = (
            Tell(LORAADAPTERS, SQL, "uid-sql", LoRAAdapterStatus(engine_name=f"sql@{number}"), 0.0) for number in (1, 2)
        )
        kube.trouble[MODELSERVERS] = error
        await tell(b.SERVER, [lost, server], world)
        assert len(kube.applied) == 1, "who is Ready no more is said all the same"
        await tell(b.SERVER, [server, ready], world)
        assert len(kube.applied) == 1
        del kube.trouble[MODELSERVERS]
        await tell(b.SERVER, [server, ready], world)
        assert len(kube.applied) == 3

    async def test_whoever_no_longer_leads_writes_nothing_and_says_so(self, world: World, kube: ScriptedKube) -> None:
        assert isinstance(world.lease, AlwaysLeader)
        world.lease.lapsed = True
        with pytest.raises(NotLeader):
            await self.tell(world)
        assert kube.applied == []

    async def test_whoever_heard_that_it_no_longer_leads_waits_as_before(self, world: World) -> None:
        assert isinstance(world.lease, AlwaysLeader)
        world.lease.lapsed = True
        several = [Tell(LORAADAPTERS, ref, "uid", LoRAAdapterStatus(), 0.0) for ref in (SQL, Ref(b.NAMESPACE, "chat"))]
        with pytest.raises(NotLeader):
            await tell(b.SERVER, several, world)
        with pytest.raises(TimeoutError):  # and no cancellation that nobody asked for
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()

    async def test_the_version_that_was_seen_goes_with_what_is_told(self, world: World, kube: ScriptedKube) -> None:
        await self.tell(world)
        assert kube.applied[0]["metadata"]["resourceVersion"] == "1"

    async def test_what_was_found_of_an_object_is_not_told_of_the_next_one_of_its_name(
        self, world: World, kube: ScriptedKube
    ) -> None:
        anew = existing(b.adapter_body(SQL), 5)
        anew["metadata"]["uid"] = "another"
        world.index.put(LORAADAPTERS, anew)
        assert await self.tell(world) is None
        assert kube.applied == []

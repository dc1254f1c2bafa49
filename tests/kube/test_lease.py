"""The lease, on virtual clocks: one holds it, and one that was frozen knows before anybody else may take over."""

from __future__ import annotations

import asyncio
import copy
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from lorikeet.api.ref import Ref
from lorikeet.kube.client import Body, Kube
from lorikeet.kube.errors import Conflict, NotFound, Unreachable
from lorikeet.kube.lease import Lease, NotLeader, Terms
from lorikeet.kube.resource import Resource

REF = Ref("lorikeet-system", "lorikeet-operator")
TERMS = Terms(duration=15.0, renew=10.0, retry=0.001)


class Store(Kube):
    """One Lease, with the API server's rule: who writes must have read the newest."""

    def __init__(self) -> None:
        self.body: Body | None = None
        self.versions = 0
        self.created = datetime(2026, 1, 1, tzinfo=UTC)
        self.down = False
        self.reads = 0

    async def get(self, resource: Resource, ref: Ref) -> Body:
        self.reads += 1
        await self._answer()
        if self.body is None:
            raise NotFound(str(ref))
        return copy.deepcopy(self.body)

    async def create(self, resource: Resource, body: Body) -> Body:
        await self._answer()
        if self.body is not None:
            raise Conflict("exists")
        body["metadata"]["creationTimestamp"] = self.created.strftime("%Y-%m-%dT%H:%M:%SZ")
        return self._keep(body)

    async def update(self, resource: Resource, body: Body) -> Body:
        await self._answer()
        if self.body is None:
            raise NotFound("gone")
        if body["metadata"]["resourceVersion"] != self.body["metadata"]["resourceVersion"]:
            raise Conflict("modified")
        return self._keep(body)

    async def _answer(self) -> None:
        await asyncio.sleep(0)
        if self.down:
            raise Unreachable("down")

    def _keep(self, body: Body) -> Body:
        self.versions += 1
        self.body = copy.deepcopy(body)
        self.body["metadata"]["resourceVersion"] = str(self.versions)
        return copy.deepcopy(self.body)


class Clock:
    """Monotonic seconds of one process."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Holder:
    """One operator's lease, kept; counts its turns."""

    def __init__(self, store: Store, name: str, clock: Clock) -> None:
        self.lease = Lease(store, REF, name, clock, TERMS)
        self.turns: list[str] = []

    @asynccontextmanager
    async def keeping(self) -> AsyncIterator[Lease]:
        task = asyncio.create_task(self.lease.keep(self._gained, self._lost))
        try:
            yield self.lease
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _gained(self) -> None:
        self.turns.append("gained")

    async def _lost(self) -> None:
        self.turns.append("lost")


async def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


async def rounds(store: Store, count: int = 10) -> None:
    """Let whoever runs look at the lease so often."""
    seen = store.reads
    await until(lambda: store.reads >= seen + count)


@pytest.fixture
def store() -> Store:
    return Store()


async def test_the_first_holds_it_and_the_second_does_not(store: Store) -> None:
    one, two = Holder(store, "one", Clock()), Holder(store, "two", Clock(5.0))
    async with one.keeping() as first:
        await until(lambda: first.held)
        async with two.keeping() as second:
            await rounds(store)
            assert (first.held, second.held) == (True, False)
            first.must_hold()
            with pytest.raises(NotLeader, match="two does not hold lease lorikeet-system/lorikeet-operator"):
                second.must_hold()


async def test_of_two_that_come_at_once_one_holds_it(store: Store) -> None:
    one, two = Holder(store, "one", Clock()), Holder(store, "two", Clock())
    async with one.keeping() as first, two.keeping() as second:
        await until(lambda: first.held or second.held)
        await rounds(store)
        assert first.held is not second.held


async def test_once_released_it_is_taken_at_once(store: Store) -> None:
    one, two = Holder(store, "one", Clock()), Holder(store, "two", Clock())
    async with AsyncExitStack() as later:
        async with one.keeping() as first:
            await until(lambda: first.held)
            second = await later.enter_async_context(two.keeping())
            await rounds(store)
            assert not second.held
        await first.release()
        assert not first.held
        await until(lambda: second.held)  # and no clock has moved


async def test_a_frozen_holder_refuses_to_write_before_anybody_else_may_take_over(store: Store) -> None:
    frozen, awake = Clock(), Clock(7.0)
    one, two = Holder(store, "one", frozen), Holder(store, "two", awake)
    async with one.keeping() as first:
        await until(lambda: first.held)
    # `one` is stopped here; time goes on for both.
    async with two.keeping() as second:
        await rounds(store)
        for _ in range(160):
            frozen.now += 0.1
            awake.now += 0.1
            await rounds(store, 2)
            assert not (first.held and second.held)
            if frozen.now < 1000.0 + TERMS.renew - 0.5:
                assert first.held
        await until(lambda: second.held)
    with pytest.raises(NotLeader):
        first.must_hold()


async def test_one_that_wakes_up_is_told_that_it_lost_and_does_not_take_it_back(store: Store) -> None:
    slow, fast = Clock(), Clock()
    one, two = Holder(store, "one", slow), Holder(store, "two", fast)
    async with one.keeping() as first:
        await until(lambda: one.turns == ["gained"])
    async with two.keeping() as second:
        await rounds(store)
        slow.now += 60
        fast.now += 60
        await until(lambda: second.held)
        async with one.keeping():
            await rounds(store)
            assert (first.held, second.held, two.turns) == (False, True, ["gained"])


async def test_who_cannot_renew_stops_by_itself_and_takes_it_up_again(store: Store) -> None:
    clock = Clock()
    one = Holder(store, "one", clock)
    async with one.keeping() as lease:
        await until(lambda: lease.held)
        store.down = True
        await rounds(store)
        clock.now += TERMS.renew - 0.1
        lease.must_hold()
        clock.now += 0.2
        await until(lambda: one.turns == ["gained", "lost"])
        store.down = False
        await until(lambda: one.turns == ["gained", "lost", "gained"])


async def test_the_time_counts_from_before_the_question_was_asked(store: Store) -> None:
    clock = Clock()
    slow = store.update

    async def late(resource: Resource, body: Body) -> Body:
        clock.now += 4
        return await slow(resource, body)

    lease = Holder(store, "one", clock).lease
    async with Holder(store, "one", clock).keeping() as before:
        await until(lambda: before.held)
    store.update = late  # type: ignore[method-assign]
    asked = clock.now
    await lease._try()
    clock.now = asked + TERMS.renew
    assert not lease.held


async def test_a_lease_that_is_renewed_under_our_eyes_is_never_taken(store: Store) -> None:
    watching = Clock()
    one, two = Holder(store, "one", Clock()), Holder(store, "two", watching)
    async with one.keeping() as first:
        await until(lambda: first.held)
        async with two.keeping() as second:
            for _ in range(10):
                watching.now += 5
                await rounds(store)
                assert not second.held


class TestEpoch:
    async def test_it_stays_while_the_same_one_renews(self, store: Store) -> None:
        async with Holder(store, "one", Clock()).keeping() as lease:
            await until(lambda: lease.held)
            epoch, seen = lease.epoch, store.versions
            await until(lambda: store.versions > seen + 3)
            assert lease.epoch == epoch > 0

    async def test_it_grows_with_each_holder(self, store: Store) -> None:
        epochs = []
        for name in ("one", "two", "three"):
            async with Holder(store, name, Clock()).keeping() as lease:
                await until(lambda lease=lease: lease.held)  # type: ignore[misc]
            await lease.release()
            epochs.append(lease.epoch)
        assert epochs == sorted(set(epochs))

    async def test_it_grows_too_when_somebody_deletes_the_lease(self, store: Store) -> None:
        """Or a release is installed anew, in another namespace: its agents live on, and would refuse a smaller one."""
        for name in ("one", "two", "three"):
            async with Holder(store, name, Clock()).keeping() as lease:
                await until(lambda lease=lease: lease.held)  # type: ignore[misc]
            await lease.release()
        store.body, store.created = None, datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC)
        async with Holder(store, "one", Clock()).keeping() as anew:
            await until(lambda: anew.held)
        assert anew.epoch > lease.epoch


async def test_a_renewal_that_comes_too_late_is_said(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    one = Holder(store, "one", clock)
    async with one.keeping() as lease:
        await until(lambda: lease.held)
        clock.now += TERMS.renew + 2
        await until(lambda: lease.held)
        clock.now += TERMS.renew - 1
        await rounds(store)
    said = [record.message for record in caplog.records if "too late" in record.message]
    assert said == [f"lease {REF} was renewed 2.0 s too late: nothing was written meanwhile"]


async def test_a_new_life_of_the_same_pod_is_not_late(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        one = Holder(store, "one", Clock())
        async with one.keeping() as lease:
            await until(lambda: lease.held)
    assert [record.message for record in caplog.records if "too late" in record.message] == []

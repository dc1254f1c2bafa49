"""Tenants in turn."""

from __future__ import annotations

import asyncio
from collections import Counter

from lorikeet.gateway.callers import Tenant
from lorikeet.gateway.fairness import LOOK_PAST, Lines, Waiter


class Play:
    """Lines, and who was called."""

    def __init__(self) -> None:
        self.lines = Lines()
        self.names: dict[Waiter, str] = {}

    def join(self, name: str, work: float = 1.0, *, weight: float = 1.0, room: bool = True, number: int = 1) -> None:
        for _ in range(number):
            one = Waiter(work, lambda: room, asyncio.get_running_loop().create_future())
            self.names[one] = name
            self.lines.join(Tenant(name, weight), one)

    def call(self, number: int) -> list[str]:
        called = [self.lines.next() for _ in range(number)]
        return [self.names[one] for one in called if one is not None]


async def test_each_tenants_first_come_first_and_nobody_waits_behind_anothers_flood() -> None:
    play = Play()
    play.join("flood", number=1000)
    play.join("calm", number=3)
    assert set(play.call(20)) == {"flood", "calm"}
    assert Counter(play.call(1000))["flood"] == 983
    assert len(play.lines) == 0


async def test_shares_go_by_weight() -> None:
    play = Play()
    play.join("one", number=500)
    play.join("three", weight=3, number=500)
    called = Counter(play.call(400))
    assert 95 <= called["one"] <= 105


async def test_long_prompts_are_more_of_a_tenants_share() -> None:
    play = Play()
    play.join("long", work=20.0, number=200)
    play.join("short", number=2000)
    called = Counter(play.call(1050))
    assert 45 <= called["long"] <= 55


async def test_who_has_no_room_holds_nobody_up_not_even_his_own() -> None:
    play = Play()
    play.join("a", room=False, number=LOOK_PAST - 1)
    play.join("a")
    play.join("b")
    assert sorted(play.call(2)) == ["a", "b"]
    assert play.call(1) == []
    assert len(play.lines) == LOOK_PAST - 1


async def test_who_left_or_gave_up_is_not_called() -> None:
    lines, tenant = Lines(), Tenant("a")
    gone, given_up, there = (Waiter(1.0, lambda: True, asyncio.get_running_loop().create_future()) for _ in range(3))
    for one in (gone, given_up, there):
        lines.join(tenant, one)
    lines.leave(tenant, gone)
    lines.leave(tenant, gone)
    given_up.turn.cancel()
    assert lines.next() is there
    assert lines.next() is None

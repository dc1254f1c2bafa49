"""What the agent takes for true about its engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from lorikeet.agent.pulse import Rhythm
from lorikeet.agent.sight import PATIENCE, RELIST, Sight
from lorikeet.engine.client import Boot
from lorikeet.engine.errors import EngineError, Unknown, Unreachable
from lorikeet.engine.metrics import EngineMetrics


@dataclass
class Fake:
    """An engine that answers from its fields, and counts how often its list was asked for."""

    life: str = "one"
    well: bool = True
    listed: dict[str, str] = field(default_factory=dict)
    error: EngineError | None = None
    quiet_for: float = 0.0
    work: float | None = 0.0
    measured: int = 0
    lists: int = 0
    meanwhile: Callable[[], None] = lambda: None

    async def boot(self) -> Boot:
        if self.error is not None:
            raise self.error
        return Boot(self.life, 0.0, int(self.quiet_for > 0), self.quiet_for)

    async def health(self) -> bool:
        return self.well

    async def models(self) -> dict[str, str]:
        if self.error is not None:
            raise self.error
        self.lists += 1
        answer = dict(self.listed)
        self.meanwhile()
        return answer

    async def metrics(self) -> EngineMetrics:
        self.measured += 1
        return EngineMetrics(0, 0, frozenset({"a@1"}), self.work)


class Bench:
    def __init__(self) -> None:
        self.engine, self.now = Fake(listed={"a@1": "/store/1"}), 0.0
        self.sight = Sight(self.engine, lambda: self.now, Rhythm())  # type: ignore[arg-type]

    async def look(self, after: float = 1.0, requests: bool = False, loading: bool = False) -> bool:
        self.now += after
        return await self.sight.look(requests, loading)


@pytest.fixture
async def bench() -> Bench:
    bench = Bench()
    assert await bench.look()
    return bench


def refused() -> Unreachable:
    return Unreachable("connection refused")


def slow() -> Unreachable:
    error = Unreachable("no answer in 5 s")
    error.__cause__ = TimeoutError()
    return error


async def test_the_first_look_finds_a_life_and_its_list(bench: Bench) -> None:
    assert (bench.sight.boot, bench.sight.state) == ("one", "Healthy")
    assert bench.sight.listed == {"a@1": "/store/1"}


async def test_a_restart_between_two_looks_is_seen(bench: Bench) -> None:
    bench.engine.life, bench.engine.listed = "two", {}
    assert await bench.look()
    assert (bench.sight.boot, bench.sight.listed) == ("two", {})


async def test_an_unchanged_list_is_asked_for_seldom(bench: Bench) -> None:
    for _ in range(5):
        assert not await bench.look()
    assert bench.engine.lists == 1
    await bench.look(RELIST)
    assert bench.engine.lists == 2


async def test_a_call_makes_the_list_old_news(bench: Bench) -> None:
    bench.sight.called("b@1")
    assert bench.sight.unchecked == {"b@1"}
    bench.engine.listed["b@1"] = "/store/2"
    await bench.look()
    assert (bench.engine.lists, bench.sight.unchecked, bench.sight.stale) == (2, frozenset(), False)
    assert bench.sight.listed == {"a@1": "/store/1", "b@1": "/store/2"}


async def test_while_one_load_follows_the_other_the_list_is_looked_at_twice_a_second(bench: Bench) -> None:
    for number in range(100):
        bench.sight.called(f"{number}@1")
        await bench.look(after=0.03, loading=True)
    assert bench.engine.lists == 1 + 5
    await bench.look(after=0.03)
    assert (bench.engine.lists, bench.sight.stale) == (1 + 6, False)


async def test_what_ended_while_the_list_was_on_its_way_may_be_missing_from_it(bench: Bench) -> None:
    bench.engine.meanwhile = lambda: bench.sight.called("b@1")
    bench.sight.called("c@1")
    await bench.look()
    assert (bench.sight.unchecked, bench.sight.stale) == ({"b@1"}, True)
    bench.engine.meanwhile = lambda: None
    await bench.look()
    assert (bench.sight.unchecked, bench.sight.stale) == (frozenset(), False)


async def test_a_refused_connection_is_believed_at_once(bench: Bench) -> None:
    bench.engine.error = refused()
    await bench.look()
    assert (bench.sight.listed, bench.sight.state) == (None, "Unreachable")
    bench.engine.error = None
    assert not await bench.look()  # the same life: its adapters are still there
    assert (bench.sight.listed, bench.sight.state) == ({"a@1": "/store/1"}, "Healthy")


async def test_a_slow_engine_is_borne_with_for_a_while(bench: Bench) -> None:
    bench.engine.error = slow()
    await bench.look(PATIENCE - 1)
    assert (bench.sight.listed, bench.sight.state) == ({"a@1": "/store/1"}, "Healthy")
    await bench.look(2)
    assert (bench.sight.listed, bench.sight.state) == (None, "Unreachable")


async def test_an_answer_nobody_knows_is_no_answer(bench: Bench) -> None:
    bench.engine.error = Unknown("teapot")
    await bench.look()
    assert bench.sight.listed is None


async def test_an_engine_that_says_it_is_unwell_is_unreachable_and_keeps_its_list(bench: Bench) -> None:
    bench.engine.well = False
    await bench.look()
    assert (bench.sight.state, bench.sight.listed) == ("Unreachable", {"a@1": "/store/1"})


async def test_an_engine_that_never_answered_is_starting() -> None:
    bench = Bench()
    bench.engine.error = refused()
    await bench.look()
    assert (bench.sight.boot, bench.sight.state) == ("", "Starting")


async def test_requests_in_flight_are_looked_at_only_where_something_hangs_on_them(bench: Bench) -> None:
    assert bench.sight.busy is None
    await bench.look(requests=True)
    assert bench.sight.busy == {"a@1"}


async def hang(bench: Bench) -> None:
    bench.engine.quiet_for = 2.0
    for _ in range(21):
        await bench.look()


async def test_an_engine_that_stands_still_while_somebody_waits_hangs_though_its_health_is_good(bench: Bench) -> None:
    await hang(bench)
    assert (bench.engine.well, bench.sight.hung, bench.sight.state) == (True, True, "Hung")
    assert bench.sight.listed == {"a@1": "/store/1"}


async def test_it_hangs_on_when_its_guard_says_so_too_and_its_clients_have_left(bench: Bench) -> None:
    await hang(bench)
    bench.engine.well, bench.engine.quiet_for = False, 0.0
    for _ in range(30):
        await bench.look()
    assert (bench.sight.hung, bench.sight.state) == (True, "Hung")


async def test_it_is_well_again_when_it_moves(bench: Bench) -> None:
    await hang(bench)
    bench.engine.work, bench.engine.well = 1.0, False
    await bench.look()
    assert (bench.sight.hung, bench.sight.state) == (False, "Hung")  # its guard was not told yet
    bench.engine.well = True
    await bench.look()
    assert bench.sight.state == "Healthy"


async def test_a_new_life_has_no_such_past(bench: Bench) -> None:
    await hang(bench)
    bench.engine.life, bench.engine.quiet_for = "two", 0.0
    assert await bench.look()
    assert (bench.sight.hung, bench.sight.state) == (False, "Healthy")


async def test_nobody_waiting_costs_no_look_at_the_counters(bench: Bench) -> None:
    for _ in range(100):
        await bench.look()
    assert bench.engine.measured == 0

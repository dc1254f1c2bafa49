"""New lives of engine and agent: found by themselves, and answered by replay, the adapters asked for most first."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from lorikeet.api.wire import AgentState, WantedAdapter
from lorikeet.testing.replica import PACE, Replica, eventually

pytestmark = pytest.mark.slow


def pirate(uri: str) -> WantedAdapter:
    return WantedAdapter(adapter="pirate", uri=uri)


def poet(uri: str) -> WantedAdapter:
    return WantedAdapter(adapter="poet", uri=uri)


def states(state: AgentState) -> list[tuple[str, str]]:
    return [(row.adapter, row.state) for row in state.adapters]


async def test_a_restarted_agent_uses_model_and_files_again_without_the_hub(replica: Replica) -> None:
    uri = replica.publish("acme/pirate")
    await replica.want(pirate(uri))
    await replica.row("pirate", "Loaded")
    token = (replica.folder / "run/control-token").read_text()
    await replica.stop_agent()
    replica.hub.requests.clear()
    await replica.start_agent()
    await replica.row("pirate", "Loaded")
    await replica.until(lambda state: state.model.ready)
    assert replica.hub.requests == []
    assert (replica.folder / "run/control-token").read_text() == token


async def test_a_restarted_agent_denies_nothing_before_it_has_looked(replica: Replica) -> None:
    await replica.want(pirate(replica.publish("acme/pirate")))
    await replica.row("pirate", "Loaded")
    await replica.stop_agent()
    replica.engine.faults.server.clear()  # the engine is slow to answer
    await replica.start_agent()
    first = asyncio.create_task(replica.state())
    assert (await replica.call("GET", "/healthz", token=""))[0] == 200
    assert not first.done()
    replica.engine.faults.server.set()
    state = await first
    assert (state.engine, states(state)) == ("Healthy", [("pirate", "Loaded")])


async def test_a_crashed_engine_gets_its_adapters_back_without_an_operator(replica: Replica) -> None:
    await replica.want(pirate(replica.publish("acme/pirate")), poet(replica.publish("acme/poet", rank=4)))
    before = await replica.until(lambda state: state.settled)
    await replica.engine.crash()
    gone = await replica.until(lambda state: state.engine == "Unreachable")
    assert states(gone) == [("pirate", "Staged"), ("poet", "Staged")]
    assert not gone.settled
    assert not await replica.takes_traffic()
    await replica.engine.start()
    back = await replica.until(lambda state: state.settled and state.boot not in ("", before.boot))
    assert states(back) == [("pirate", "Loaded"), ("poet", "Loaded")]
    assert replica.loaded() == sorted(row.engine_name for row in before.adapters)
    assert await replica.takes_traffic()


async def test_engine_and_agent_restarted_together_serve_the_persisted_set(replica: Replica) -> None:
    await replica.want(pirate(replica.publish("acme/pirate")))
    await replica.row("pirate", "Loaded")
    await replica.stop_agent()
    await replica.engine.restart()
    await replica.start_agent()
    state = await replica.until(lambda state: state.settled)  # though no operator speaks
    assert states(state) == [("pirate", "Loaded")]


async def test_an_agent_that_starts_again_waits_for_no_operator(tmp_path: Path) -> None:
    async with Replica(tmp_path, pace=replace(PACE, operator=600.0)) as replica:
        assert not await replica.takes_traffic()
        await replica.want(pirate(replica.publish("acme/pirate")))
        before = await replica.until(lambda state: state.settled)
        await replica.stop_agent()
        await replica.start_agent()
        after = await replica.until(lambda state: state.settled)
        assert after.model_copy(update={"seq": 0, "life": ""}) == before.model_copy(update={"seq": 0, "life": ""})
        assert await replica.takes_traffic()


async def test_engine_and_agent_killed_again_and_again_always_come_back_to_the_same(replica: Replica) -> None:
    await replica.want(pirate(replica.publish("acme/pirate")), poet(replica.publish("acme/poet", rank=4)))
    first = await replica.until(lambda state: state.settled)
    loaded, boots = replica.loaded(), {first.boot}
    for kills in ("engine", "agent", "both", "engine", "both"):
        if kills != "engine":
            await replica.stop_agent()
        if kills != "agent":
            await replica.engine.restart()
        if kills != "engine":
            await replica.start_agent()
        fresh = boots if kills != "agent" else frozenset({""})
        state = await replica.until(lambda state, fresh=fresh: state.settled and state.boot not in fresh)
        boots.add(state.boot)
        assert (states(state), replica.loaded()) == (states(first), loaded)
        assert await replica.ask(loaded[0]) == 200
    assert len(boots) == 5


async def test_an_engine_that_goes_in_the_middle_of_a_replay_gets_all_of_it_again(replica: Replica) -> None:
    adapters = [WantedAdapter(adapter=f"a{number}", uri=replica.publish("acme/pirate")) for number in range(8)]
    await replica.want(*adapters)
    before = await replica.until(lambda state: state.settled)
    await replica.engine.restart(load_seconds=0.05)
    await replica.until(lambda state: state.boot != before.boot and states(state).count(("a0", "Loaded")) > 0)
    await replica.engine.restart(load_seconds=0.0)
    state = await replica.until(lambda state: state.settled)
    assert states(state) == states(before)
    assert len(replica.loaded()) == 8


@pytest.fixture
async def sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Replica]:
    """A replica whose agent looks at who is busy, and writes it down, as often as it can."""
    monkeypatch.setattr("lorikeet.agent.sight.SAMPLE", 0.0)
    async with Replica(tmp_path, pace=replace(PACE, note=0.0)) as replica:
        yield replica


async def heat(replica: Replica) -> list[str]:
    """Ask for c for a while and for b shortly, of a, b, c and d; the order in which to find them again."""
    await replica.engine.restart(token_seconds=0.02)
    uri = replica.publish("acme/words", answers={"What is a pod?": "word " * 100})
    await replica.want(*(WantedAdapter(adapter=name, uri=uri) for name in "abcd"))
    names = {row.adapter: row.engine_name for row in (await replica.until(lambda state: state.settled)).adapters}
    hottest = replica.folder / "adapters/hottest.json"
    long = asyncio.create_task(replica.ask(names["c"]))
    await eventually(lambda: hottest.exists() and '"c"' in hottest.read_text())
    await replica.ask(names["b"], max_tokens=5)
    assert await long == 200
    await eventually(lambda: hottest.read_text() == '{"adapters":["c","b"]}')
    return [names[name] for name in "cbad"]


async def test_a_new_life_of_the_engine_gets_the_hottest_adapters_first(sampled: Replica) -> None:
    order = await heat(sampled)
    await sampled.engine.restart()
    await eventually(lambda: len(sampled.loaded()) == 4)
    assert list(sampled.engine.core.adapters) == order


async def test_so_it_does_when_the_agent_is_a_new_one_too(sampled: Replica) -> None:
    order = await heat(sampled)
    await sampled.stop_agent()
    await sampled.engine.restart()
    await sampled.start_agent()
    await eventually(lambda: len(sampled.loaded()) == 4)
    assert list(sampled.engine.core.adapters) == order

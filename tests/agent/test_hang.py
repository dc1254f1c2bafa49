"""An engine that hangs: out of rotation at once, restarted by the kubelet, and nobody else is."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lorikeet.api.wire import AgentState, WantedAdapter
from lorikeet.testing.replica import PACE, Replica, eventually

pytestmark = pytest.mark.slow


def adapter(name: str, uri: str, **more: Any) -> WantedAdapter:
    return WantedAdapter(adapter=name, uri=uri, **more)


async def unwell(replica: Replica) -> bool:
    return not await replica.healthy()


async def hung(replica: Replica) -> asyncio.Task[int]:
    """The engine's loop stands still with this request in it, and its agent has found out."""
    await replica.until(lambda state: state.settled)
    replica.engine.faults.core.clear()
    asked = asyncio.create_task(replica.ask())
    await replica.until(lambda state: state.engine == "Hung")
    return asked


async def test_it_leaves_rotation_and_fails_the_kubelets_probe_until_it_moves(replica: Replica) -> None:
    asked = await hung(replica)
    assert not await replica.takes_traffic()
    await eventually(lambda: unwell(replica))
    replica.engine.faults.core.set()
    assert await asked == 200
    await replica.until(lambda state: state.engine == "Healthy")
    assert await replica.takes_traffic()
    assert await replica.healthy()


async def test_a_restart_ends_it_and_the_adapters_come_back(replica: Replica) -> None:
    await replica.want(adapter("pirate", replica.publish("acme/pirate")))
    asked = await hung(replica)
    await replica.engine.crash()
    await asyncio.wait([asked])
    assert asked.exception() is not None
    replica.engine.faults.core.set()
    await replica.engine.start()
    await replica.until(lambda state: state.engine == "Healthy" and state.settled)
    assert await replica.healthy()
    assert await replica.takes_traffic()


async def test_nothing_is_asked_of_it_meanwhile(replica: Replica) -> None:
    asked = await hung(replica)
    await replica.want(adapter("pirate", replica.publish("acme/pirate")))
    row = await replica.row("pirate", "Staged")
    assert row.message == "adapter pirate is staged and waits for the engine"
    replica.engine.faults.core.set()
    assert await asked == 200
    await replica.row("pirate", "Loaded")


async def test_an_agent_that_starts_again_finds_out_by_itself(replica: Replica) -> None:
    asked = await hung(replica)
    await eventually(lambda: unwell(replica))
    await replica.stop_agent()
    await replica.start_agent()
    assert await replica.healthy()  # the verdict went with who gave it
    await replica.until(lambda state: state.engine == "Hung")
    replica.engine.faults.core.set()
    assert await asked == 200


async def test_an_engine_that_is_busy_for_longer_is_none(replica: Replica) -> None:
    await replica.engine.restart(token_seconds=0.02, max_num_seqs=2)
    answers = {"What is a pod?": "word " * 60}
    await replica.want(adapter("long", replica.publish("acme/long", answers=answers)))
    row = await replica.row("long", "Loaded")
    seen = set()

    def over(state: AgentState) -> bool:
        seen.add(state.engine)
        return all(task.done() for task in asked)

    asked = [asyncio.create_task(replica.ask(row.engine_name)) for _ in range(6)]
    await replica.until(over)
    assert replica.engine.core.counters.tokens * 0.02 / 2 > 3 * PACE.rhythm.still  # or it proves nothing
    assert {task.result() for task in asked} == {200}
    assert seen == {"Healthy"}

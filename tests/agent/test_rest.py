"""An agent with nothing to do looks at its engine, and thinks about nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from lorikeet.agent.actions import Action
from lorikeet.agent.plan import Policy, decide
from lorikeet.agent.seen import Seen
from lorikeet.api.wire import WantedAdapter
from lorikeet.engine.client import Boot, EngineClient
from lorikeet.testing.replica import PACE, Replica, eventually


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often the agent has asked which life of the engine this is."""
    monkeypatch.setattr("lorikeet.agent.sight.CHECK", 0.0)
    monkeypatch.setattr("lorikeet.agent.sight.RELIST", 600.0)
    count, boot = 0, EngineClient.boot

    async def counted(client: EngineClient) -> Boot:
        nonlocal count
        count += 1
        return await boot(client)

    monkeypatch.setattr(EngineClient, "boot", counted)
    return lambda: count


@pytest.fixture
def thoughts(monkeypatch: pytest.MonkeyPatch) -> list[Seen]:
    """What was thought about, each time."""
    found: list[Seen] = []

    def noted(seen: Seen, policy: Policy) -> tuple[Action, ...]:
        found.append(seen)
        return decide(seen, policy)

    monkeypatch.setattr("lorikeet.agent.keeper.decide", noted)
    return found


async def settled(replica: Replica) -> None:
    await replica.want(WantedAdapter(adapter="pirate", uri=replica.publish("acme/pirate")))
    await replica.until(lambda state: state.settled and len(state.adapters) == 1)


async def test_at_rest_nothing_is_thought(replica: Replica, looks: Callable[[], int], thoughts: list[Seen]) -> None:
    await settled(replica)
    await eventually(replica.takes_traffic)
    seen = looks()
    await eventually(lambda: looks() > seen + 5)  # what was under way has ended
    thoughts.clear()
    seen = looks()
    await eventually(lambda: looks() > seen + 10)
    assert thoughts == []
    await replica.engine.restart()
    await eventually(lambda: bool(replica.engine.core.adapters))
    assert thoughts


async def test_a_thought_that_broke_is_thought_again_though_nothing_is_new(
    replica: Replica, looks: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    await settled(replica)
    await eventually(replica.takes_traffic)
    errors = [RuntimeError("broken, once")]

    def broken(seen: Seen, policy: Policy) -> tuple[Action, ...]:
        if errors and not seen.wanted:
            raise errors.pop()
        return decide(seen, policy)

    monkeypatch.setattr("lorikeet.agent.keeper.decide", broken)
    await replica.want()
    await eventually(lambda: not errors and not replica.engine.core.adapters)


async def test_whoever_is_told_nothing_for_long_thinks_of_that_by_itself(
    replica: Replica, looks: Callable[[], int]
) -> None:
    await replica.stop_agent()
    replica.pace = replace(PACE, operator=1.0)
    await replica.start_agent()
    await replica.until(lambda state: state.settled)
    assert looks() > 0

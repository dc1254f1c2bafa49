"""Calls to the engine that hang, fail or lose their answer: nobody else waits, nothing is done twice, all ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from lorikeet.agent.calls import Deadlines
from lorikeet.api.conditions import Reason
from lorikeet.api.wire import AgentState, WantedAdapter
from lorikeet.backoff import Backoff
from lorikeet.engine.client import EngineClient
from lorikeet.testing.replica import PACE, Replica, eventually

pytestmark = pytest.mark.slow

LOAD, UNLOAD = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"


@pytest.fixture
async def patient(tmp_path: Path) -> AsyncIterator[Replica]:
    """A replica whose agent waits for a load longer than any test."""
    pace = replace(PACE, deadlines=Deadlines(load=600.0))
    async with Replica(tmp_path, pace=pace) as running:
        yield running


def many(count: int, uri: str) -> list[WantedAdapter]:
    return [WantedAdapter(adapter=f"a{number:02}", uri=uri) for number in range(count)]


def in_state(state: AgentState, word: str) -> set[str]:
    return {row.adapter for row in state.adapters if row.state == word}


async def test_a_load_that_hangs_holds_nobody_else_up(patient: Replica) -> None:
    patient.engine.faults.stuck_loads.add("a00")
    adapters = many(64, patient.publish("acme/pirate"))
    await patient.want(*adapters)
    others = {one.adapter for one in adapters} - {"a00"}
    state = await patient.until(lambda state: in_state(state, "Loaded") == others)
    assert in_state(state, "Loading") == {"a00"}
    assert not state.settled


async def test_loads_one_after_the_other_need_few_looks_at_the_list(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is on the way when they begin, one at the first and one at the last."""
    monkeypatch.setattr("lorikeet.agent.sight.AMONG_LOADS", 5.0)
    lists = 0
    models = EngineClient.models

    async def counted(client: EngineClient) -> dict[str, str]:
        nonlocal lists
        lists += 1
        return await models(client)

    monkeypatch.setattr(EngineClient, "models", counted)
    await replica.want(*many(64, replica.publish("acme/pirate")))
    lists = 0
    await replica.until(lambda state: len(in_state(state, "Loaded")) == 64)
    assert lists <= 3


async def test_of_loads_one_after_the_other_the_operator_hears_now_and_then_and_of_the_last_at_once(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapters = many(64, replica.publish("acme/pirate"))
    await replica.want(adapters[0])  # its bytes are all theirs
    await replica.row("a00", "Loaded")
    monkeypatch.setattr("lorikeet.agent.keeper.TELL_AMONG_LOADS", 60.0)
    await replica.want(*adapters)
    heard = (await replica.state()).seq
    await replica.until(lambda state: len(in_state(state, "Loaded")) == 64)
    assert (await replica.state()).seq <= heard + 4


async def test_as_many_hang_as_are_let_and_the_engine_is_asked_for_no_more(replica: Replica) -> None:
    adapters = many(6, replica.publish("acme/pirate"))
    replica.engine.faults.stuck_loads |= {one.adapter for one in adapters}
    await replica.want(*adapters)
    at_once = set()

    def one_failed(state: AgentState) -> bool:
        at_once.add(len(in_state(state, "Loading")))
        return bool(in_state(state, "Failed"))

    await replica.until(one_failed)
    assert max(at_once) == PACE.policy.unanswered
    replica.engine.faults.stuck_loads.clear()
    await replica.until(lambda state: len(in_state(state, "Loaded")) == 6)


async def test_a_load_that_hangs_fails_at_its_deadline_and_is_tried_again(replica: Replica) -> None:
    replica.engine.faults.stuck_loads.add("a00")
    await replica.want(*many(2, replica.publish("acme/pirate")))
    row = await replica.row("a00", "Failed")
    assert (row.reason, row.lasting) == (Reason.LOAD_TIMEOUT, False)
    assert in_state(await replica.state(), "Loaded") == {"a01"}
    replica.engine.faults.stuck_loads.clear()
    await replica.row("a00", "Loaded")


async def test_the_files_of_a_load_without_an_answer_stay_until_it_can_no_longer_come_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lorikeet.agent.sight.RELIST", 0.05)  # nothing tells of a load that comes true that late
    once = Backoff(first=600.0, cap=600.0)
    async with Replica(tmp_path, pace=replace(PACE, backoff=once)) as replica:
        replica.engine.faults.stuck_loads.add("a00")
        await replica.want(*many(1, replica.publish("acme/pirate")))
        row = await replica.row("a00", "Failed")
        await replica.want()
        await replica.until(lambda state: state.settled and state.adapters == ())
        assert replica.stored() == [row.digest]
        replica.engine.faults.stuck_loads.clear()  # now it comes true, though nobody wants it any more
        await replica.row("a00", "Draining")
        await replica.until(lambda state: state.adapters == ())
        assert replica.loaded() == []


async def test_an_adapter_dropped_during_its_load_leaves_nothing(patient: Replica) -> None:
    patient.engine.faults.stuck_loads.add("a00")
    await patient.want(*many(1, patient.publish("acme/pirate")))
    await patient.row("a00", "Loading")
    await patient.want()
    await patient.until(lambda state: state.settled and state.adapters == ())
    patient.engine.faults.stuck_loads.clear()
    await eventually(lambda: patient.stored() == [] == patient.loaded())


@pytest.mark.parametrize("times", [1, 3])
async def test_a_lost_reply_of_a_load_loads_nothing_twice(replica: Replica, times: int) -> None:
    replica.engine.faults.lose_replies[LOAD] = times
    await replica.want(*many(1, replica.publish("acme/pirate")))
    await replica.row("a00", "Loaded")
    assert replica.engine.core.loads == 1
    assert replica.engine.faults.lose_replies[LOAD] == times - 1


async def test_an_answer_that_nobody_knows_is_held_against_the_list(replica: Replica) -> None:
    replica.engine.faults.garble_load = "teapot"
    await replica.want(*many(1, replica.publish("acme/pirate")))
    await replica.row("a00", "Loaded")
    assert replica.engine.core.loads == 1


async def test_a_lost_reply_of_an_unload_is_harmless(replica: Replica) -> None:
    replica.engine.faults.lose_replies[UNLOAD] = 1
    await replica.want(*many(1, replica.publish("acme/pirate")))
    await replica.row("a00", "Loaded")
    await replica.want()
    await eventually(lambda: replica.stored() == [] == replica.loaded())
    assert (await replica.until(lambda state: state.adapters == ())).settled


async def test_already_loaded_is_believed_only_of_our_own_folder(replica: Replica) -> None:
    uri = replica.publish("acme/pirate")
    await replica.want(*many(1, uri))
    row = await replica.row("a00", "Loaded")
    await replica.engine.restart()
    foreign = replica.folder / "hub/acme/pirate/v1"
    await replica.engine.core.load(row.engine_name, foreign)  # the same name, and not our folder
    ours = replica.folder / "adapters/store" / row.digest
    await eventually(lambda: [one.path for one in replica.engine.core.adapters.values()] == [ours])
    await replica.until(lambda state: state.settled)


async def test_an_unload_that_is_refused_is_said_and_tried_again(replica: Replica) -> None:
    replica.engine.faults.refuse_unload = (500, "not now")
    await replica.want(*many(1, replica.publish("acme/pirate")))
    await replica.row("a00", "Loaded")
    await replica.want()
    said = await replica.until(lambda state: any("not now" in row.message for row in state.adapters))
    assert said.adapters[0].message.startswith("the engine does not unload a00@")
    assert said.settled
    replica.engine.faults.refuse_unload = None
    await eventually(lambda: replica.stored() == [] == replica.loaded())


async def test_others_are_loaded_while_an_unload_hangs(patient: Replica) -> None:
    uri = patient.publish("acme/pirate")
    await patient.want(*many(1, uri))
    await patient.row("a00", "Loaded")
    patient.engine.faults.stuck_unloads.add("a00")
    await patient.want(*many(2, uri)[1:])
    await patient.row("a01", "Loaded")
    assert in_state(await patient.state(), "Draining") == {"a00"}
    patient.engine.faults.stuck_unloads.clear()
    await eventually(lambda: [name.split("@")[0] for name in patient.loaded()] == ["a01"])

"""What deleted adapters may have left: who is told of it, once."""

from __future__ import annotations

from typing import Any, cast

import pytest

from lorikeet.api.conditions import Reason
from lorikeet.api.loraadapter import State
from lorikeet.controller.index import Index
from lorikeet.controller.leftovers import Leftover, leftovers, sentences
from lorikeet.controller.seen import Replica
from lorikeet.controller.tell import tell_left
from lorikeet.controller.world import Lines, World
from lorikeet.kube.resource import MODELSERVERS
from lorikeet.testing import builders as b

SQL = b.entry()
LEFT = Leftover("a", Reason.AGENT_UNREACHABLE, "its agent does not answer", SQL.engine_name)


def silent(*entries: Any) -> Replica:
    """Its agent said this before it fell silent."""
    return b.replica("a", state=None, ready=False, last=b.agent_state(*entries))


def test_a_deleted_adapter_may_be_left_on_a_replica_whose_agent_is_silent() -> None:
    assert leftovers(b.seen([], [silent(SQL)])) == (LEFT,)


def test_one_that_an_object_wants_is_not_left() -> None:
    assert leftovers(b.seen([b.adapter()], [silent(SQL)])) == ()


@pytest.mark.parametrize("state", [State.FETCHING, State.STAGED, State.FAILED])
def test_what_no_engine_had_is_not_left(state: State) -> None:
    assert leftovers(b.seen([], [silent(b.entry(state=state))])) == ()


def test_while_the_agent_answers_only_what_the_engine_refuses_to_unload_is_left() -> None:
    going = b.entry(state=State.DRAINING)
    refused = b.entry("stuck", state=State.DRAINING, message="the engine says 500")
    found = leftovers(b.seen([], [b.replica("a", SQL, going, refused)]))
    assert found == (Leftover("a", Reason.UNLOAD_FAILED, "the engine says 500", refused.engine_name),)


def test_one_sentence_names_the_first_few_of_a_replica_and_counts_the_rest() -> None:
    many = [Leftover("a", Reason.AGENT_UNREACHABLE, "its agent does not answer", f"x{number}@1") for number in range(9)]
    assert [problem.message for problem in sentences([*many, LEFT])] == [
        f"{SQL.engine_name}, x0@1, x1@1, x2@1, x3@1, x4@1, x5@1, x6@1 and 2 more may still be loaded on pod a: its "
        "agent does not answer; no object wants that any more, and it goes as soon as it can"
    ]


class Heard:
    """The Events that are written."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    async def tell(self, regarding: dict[str, Any], reason: str, note: str, kind: str = "Normal") -> None:
        assert regarding["kind"] == "ModelServer"
        self.told.append((kind, f"{reason}: {note}"))


class TestTold:
    @pytest.fixture
    def world(self) -> World:
        nothing = cast(Any, None)
        events = cast(Any, Heard())
        world = World(nothing, Index(), nothing, events, b.installation(), nothing, lambda: 0.0)
        body = b.server_body()
        body["metadata"] |= {"uid": "uid", "creationTimestamp": b.OLD, "resourceVersion": "1"}
        world.index.put(MODELSERVERS, body)
        world.lines[b.SERVER] = Lines(world, lambda: None)
        return world

    async def test_people_are_warned_once_and_told_when_it_is_gone(self, world: World) -> None:
        for found in ([LEFT], [LEFT], [], []):
            await tell_left(b.SERVER, found, world)
        told = cast(Any, world.events).told
        assert [kind for kind, _ in told] == ["Warning", "Normal"]
        assert told[0][1].startswith(f"AgentUnreachable: {SQL.engine_name} may still be loaded on pod a")
        assert told[1][1] == f"Unloaded: {SQL.engine_name} is no longer loaded on pod a"

    async def test_another_cause_is_told_and_is_not_its_end(self, world: World) -> None:
        refused = Leftover("a", Reason.UNLOAD_FAILED, "the engine says 500", SQL.engine_name)
        for found in ([LEFT], [refused], []):
            await tell_left(b.SERVER, found, world)
        told = cast(Any, world.events).told
        assert [text.split(":")[0] for _, text in told] == ["AgentUnreachable", "UnloadFailed", "Unloaded"]

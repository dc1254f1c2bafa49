"""What `maxRank: Auto` comes to, from tables of facts; what it costs, and what people are told of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lorikeet.api.conditions import Condition, Reason
from lorikeet.api.loraadapter import State
from lorikeet.api.modelserver import AUTO, MAX_RANKS
from lorikeet.api.wire import AdapterState, ModelState
from lorikeet.controller.actions import Apply
from lorikeet.controller.carry_out import Done
from lorikeet.controller.decide import decide
from lorikeet.controller.layout import lay_out
from lorikeet.controller.ranks import START, legal, max_rank
from lorikeet.controller.report_adapter import adapter_status
from lorikeet.controller.report_server import server_status
from lorikeet.controller.seen import Adapter, Replica, Seen
from lorikeet.testing import builders as b

FETCHING = b.entry(state=State.FETCHING, rank=0)


def refused(rank: int, name: str = "sql") -> AdapterState:
    """As agents say it, from the config alone: there are no bytes and no digest."""
    return b.entry(
        name, state=State.FAILED, reason=Reason.RANK_TOO_HIGH, lasting=True, rank=rank, digest="", engine_name=""
    )


def auto(*replicas: Replica, rendered: int = 16, adapters: tuple[Adapter, ...] = (), **lora: Any) -> Seen:
    server = replace(b.server(lora={"maxRank": AUTO, **lora}), max_rank=rendered)
    return b.seen(adapters or [b.adapter()], replicas, server)


def runs(name: str, rank: int, *entries: AdapterState, **more: Any) -> Replica:
    return b.replica(name, *entries, max_rank=rank, **more)


@pytest.mark.parametrize(("rank", "enough"), [(1, 1), (2, 8), (16, 16), (17, 32), (257, 320), (512, 512), (513, None)])
def test_of_the_ranks_that_vllm_takes_the_lowest_that_is_enough(rank: int, enough: int | None) -> None:
    assert legal(rank) == enough


@pytest.mark.parametrize("given", MAX_RANKS)
def test_a_given_rank_is_taken_whatever_adapters_need(given: int) -> None:
    found = auto(runs("a", 64, refused(256)))
    assert found.server
    fixed = b.server(lora={"maxRank": given})
    assert max_rank(replace(found, server=fixed)) == given


def test_it_begins_with_what_vllm_begins_with() -> None:
    assert max_rank(auto(rendered=0)) == START == 16


@pytest.mark.parametrize(("rank", "then"), [(8, 16), (17, 32), (64, 64), (400, 512), (513, 16)])
def test_one_that_was_refused_for_its_rank_raises_it_if_any_engine_takes_it(rank: int, then: int) -> None:
    assert max_rank(auto(runs("a", 16, refused(rank)), runs("b", 16, FETCHING))) == then


def test_one_that_is_refused_for_something_else_does_not() -> None:
    wrong = b.entry(state=State.FAILED, reason=Reason.WRONG_BASE_MODEL, lasting=True, rank=64)
    assert max_rank(auto(runs("a", 16, wrong))) == 16


def test_nor_one_that_has_no_name_to_answer_to() -> None:
    named_like_the_base = (b.adapter("sql", name="base"),)
    assert max_rank(auto(runs("a", 16, refused(64)), adapters=named_like_the_base)) == 16


def test_it_is_not_lowered_when_the_adapter_that_needed_it_goes() -> None:
    assert max_rank(auto(runs("a", 64), runs("b", 64), rendered=64)) == 64


def test_in_the_middle_of_a_change_it_stays_though_the_ones_that_knew_start_again() -> None:
    """The first replica is replaced, the second one's agent knows nothing for a moment: status says what it needs."""
    known = b.adapter(told=b.told().model_copy(update={"rank": 64}))
    assert max_rank(auto(runs("a", 64, FETCHING, ready=False), runs("b", 16), rendered=64, adapters=(known,))) == 64


def test_while_no_replica_serves_what_was_rendered_stays() -> None:
    assert max_rank(auto(runs("a", 64, ready=False), rendered=64)) == 64
    assert max_rank(auto(rendered=64)) == 64


def test_a_rank_that_no_replica_came_up_with_is_given_up_with_the_adapter_that_needed_it() -> None:
    crashing, serving = runs("a", 512, state=None, ready=False), runs("b", 16)
    assert max_rank(auto(crashing, replace(serving, state=b.agent_state(refused(400))), rendered=512)) == 512
    assert max_rank(auto(crashing, serving, rendered=512)) == 16


def rendered_rank(seen: Seen) -> str | None:
    for action in decide(seen, lay_out(seen), b.installation()).actions:
        if isinstance(action, Apply) and action.resource.kind == "Deployment":
            [engine] = action.body["spec"]["template"]["spec"]["containers"]
            return str(engine["command"][engine["command"].index("--max-lora-rank") + 1])
    return None


def test_engines_and_agents_are_started_with_it() -> None:
    assert rendered_rank(auto(runs("a", 16, refused(64)))) == "64"


def adapter_conditions(seen: Seen) -> dict[str, Condition]:
    status = adapter_status(seen.adapters[0], seen, lay_out(seen), b.NOW)
    return {each.type: each for each in status.conditions}


def test_meanwhile_the_adapter_says_what_is_done_for_it() -> None:
    found = adapter_conditions(auto(runs("a", 64, FETCHING, ready=False), runs("b", 16, refused(64)), rendered=64))
    assert (found["Compatible"].status, found["Ready"].reason) == ("Unknown", "RollingOut")
    assert found["Ready"].message == (
        "adapter sql has rank 64: the replicas of server qwen are replaced one at a time, with maxRank 64: see kubectl "
        "describe modelserver qwen"
    )


def test_above_what_engines_take_it_says_so() -> None:
    found = adapter_conditions(auto(runs("a", 16, refused(513))))
    assert (found["Compatible"].status, found["Ready"].reason) == ("False", "RankTooHigh")


def test_the_server_says_why_its_replicas_are_replaced_and_what_the_slots_cost() -> None:
    width = ModelState(ready=True, lora_width=1000)
    seen = auto(runs("a", 16, state=b.agent_state(refused(64), model=width)), runs("b", 16), rendered=64, maxLoras=4)
    assert seen.server
    status = server_status(seen.server, seen, lay_out(seen), 0, Done(), b.NOW)
    assert (status.slots.rank, status.slots.bytes) == (64, 4 * 64 * 1000 * 2)
    by_type = {each.type: each for each in status.conditions}
    assert "adapters need maxRank 64" not in by_type["Ready"].message
    old = replace(seen, replicas=tuple(replace(each, current=False) for each in seen.replicas))
    status = server_status(seen.server, old, lay_out(old), 0, Done(), b.NOW)
    assert {each.type: each for each in status.conditions}["Progressing"].message.endswith("adapters need maxRank 64")

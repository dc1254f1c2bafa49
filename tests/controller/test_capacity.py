"""What an adapter without its slots says, and what the server says of its slots."""

from __future__ import annotations

from typing import Any

from lorikeet.api.conditions import Condition, Reason
from lorikeet.api.loraadapter import State
from lorikeet.api.modelserver import Slots
from lorikeet.controller.carry_out import Done
from lorikeet.controller.layout import lay_out
from lorikeet.controller.report_adapter import adapter_status
from lorikeet.controller.report_server import server_status
from lorikeet.controller.seen import Adapter, Replica, Seen
from lorikeet.testing import builders as b

YOUNG = "2026-01-02T00:00:00Z"


def server_of(slots: int, **spec: Any) -> Any:
    return b.server(lora={"maxLoras": 1, "maxCpuLoras": slots}, **spec)


def seen(adapters: list[Adapter], *replicas: Replica, slots: int = 1, **spec: Any) -> Seen:
    return b.seen(adapters, replicas or [b.replica("a"), b.replica("b")], server_of(slots, **spec))


def conditions(name: str, found: Seen) -> dict[str, Condition]:
    adapter = next(each for each in found.adapters if each.ref.name == name)
    return {each.type: each for each in adapter_status(adapter, found, lay_out(found), b.NOW).conditions}


def slots(found: Seen) -> Slots:
    assert found.server
    return server_status(found.server, found, lay_out(found), 0, Done(), b.NOW).slots


def test_with_a_slot_everywhere_it_is_placed() -> None:
    found = conditions("sql", seen([b.adapter("sql")]))["Placed"]
    assert (found.status, found.reason, found.message) == ("True", "Placed", "2 replicas have a slot for it")


def test_the_younger_lacks_a_slot_and_says_how_many_and_what_to_change() -> None:
    found = conditions("poet", seen([b.adapter("sql"), b.adapter("poet", created=YOUNG)]))
    assert (found["Placed"].status, found["Placed"].reason) == ("False", "NoCapacity")
    assert found["Placed"].message == (
        "adapter poet lacks 2 of 2 slots: each replica has 1, and adapters of higher priority, or older, hold them; "
        "raise spec.lora.maxCpuLoras of server qwen to 2, or this adapter's spec.priority above 0, that of sql"
    )
    assert (found["Ready"].reason, found["Ready"].message) == ("NoCapacity", found["Placed"].message)


def test_a_higher_priority_takes_the_slot_of_an_older_one() -> None:
    found = seen([b.adapter("sql"), b.adapter("poet", created=YOUNG, priority=1)])
    assert conditions("poet", found)["Placed"].status == "True"
    assert "above 1, that of poet" in conditions("sql", found)["Placed"].message


def test_for_one_that_needs_few_replicas_more_replicas_are_advised_too() -> None:
    adapters = [b.adapter(name, replicas=1, created=f"2026-01-0{age}T00:00:00Z") for age, name in enumerate("xyz", 1)]
    found = conditions("z", seen(adapters))["Placed"]
    assert "lacks 1 of 1 slots" in found.message
    assert "raise spec.lora.maxCpuLoras of server qwen to 2, or its spec.replicas to 3, or this" in found.message


def test_what_was_placed_is_served_all_the_same() -> None:
    first, sql = b.adapter("first", replicas=1), b.adapter("sql", created=YOUNG)
    home = next(iter(lay_out(seen([first, sql])).place(first).homes))
    replicas = [b.replica(pod, b.entry("first") if pod == home else b.entry("sql")) for pod in "ab"]
    found = seen([first, sql], *replicas)
    sql_says = conditions("sql", found)
    assert (sql_says["Loaded"].status, sql_says["Placed"].status, sql_says["Ready"].reason) == (
        "True",
        "False",
        "NoCapacity",
    )
    status = adapter_status(found.adapters[1], found, lay_out(found), b.NOW)
    assert (status.ready_replicas, status.desired_replicas, status.names) == (1, 2, ("sql",))


def test_one_that_failed_for_good_leaves_its_slot_to_the_next() -> None:
    broken = b.entry("sql", state=State.FAILED, reason=Reason.RANK_TOO_HIGH, message="rank 64", lasting=True)
    both = [b.adapter("sql"), b.adapter("poet", created=YOUNG)]
    found = seen(both, b.replica("a", broken), b.replica("b", broken))
    assert conditions("poet", found)["Placed"].status == "True"
    assert conditions("sql", found)["Ready"].reason == "RankTooHigh"


def test_one_whose_source_means_nothing_yet_takes_no_slot() -> None:
    moving = b.adapter("sql", source={"uri": "hf://acme/sql@main"})
    assert conditions("poet", seen([moving, b.adapter("poet", created=YOUNG)]))["Placed"].status == "True"


def test_while_replicas_are_still_to_come_it_waits_for_them_and_nobody_is_warned() -> None:
    both = [b.adapter("sql", replicas=1), b.adapter("poet", replicas=1, created=YOUNG)]
    found = conditions("poet", seen(both, b.replica("a")))["Placed"]
    assert (found.status, found.reason) == ("Unknown", "RollingOut")
    assert found.message == "adapter poet waits for a slot: 1 of 2 replicas of server qwen are there"


def test_one_that_asks_for_no_replica_says_so() -> None:
    found = conditions("sql", seen([b.adapter("sql", replicas=0)]))["Ready"]
    assert (found.reason, found.message) == (
        "ScaledToZero",
        "adapter sql asks for no replica: raise its spec.replicas",
    )


def test_the_server_says_how_many_slots_there_are_are_taken_and_are_wanted() -> None:
    three = [b.adapter(name) for name in ("sql", "poet", "chat")]
    assert slots(seen(three, slots=2)) == Slots(gpu=1, rank=16, memory=2, used=2, wanted=3)
    assert slots(seen(three, slots=8)) == Slots(gpu=1, rank=16, memory=8, used=3, wanted=3)
    assert slots(seen([], slots=8)) == Slots(gpu=1, rank=16, memory=8, used=0, wanted=0)

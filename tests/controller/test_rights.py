"""To which names adapters answer: who holds which, and how a name passes from one to another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from lorikeet.api.conditions import Condition
from lorikeet.api.loraadapter import LoRAAdapterStatus, ReplicaState, State
from lorikeet.controller.layout import lay_out
from lorikeet.controller.lingering import LINGER, Lingering
from lorikeet.controller.report_adapter import adapter_status
from lorikeet.controller.seen import Adapter, Seen
from lorikeet.testing import builders as b

YOUNG = "2026-01-02T00:00:00Z"


def answers_to(*names: str, adapter: str = "sql") -> LoRAAdapterStatus:
    """A status of one that is loaded on a."""
    version = b.entry(adapter)
    row = ReplicaState(pod="a", digest=version.digest, state=State.LOADED)
    return LoRAAdapterStatus(names=names, engine_name=version.engine_name, replicas=(row,))


def facts(*adapters: Adapter, serving: tuple[str, ...] = (), server: Any = None) -> Seen:
    """One replica, which has the adapters in `serving`."""
    return b.seen(adapters, [b.replica("a", *map(b.entry, serving))], server)


def names(found: Seen) -> dict[str, tuple[str, ...]]:
    layout = lay_out(found)
    return {each.ref.name: adapter_status(each, found, layout, b.NOW).names for each in found.adapters}


def ready(name: str, found: Seen) -> Condition:
    adapter = next(each for each in found.adapters if each.ref.name == name)
    return adapter_status(adapter, found, lay_out(found), b.NOW).conditions[0]


class TestConflicts:
    def test_the_older_holds_an_alias_and_the_younger_says_whose_it_is_and_answers_to_its_others(self) -> None:
        found = facts(b.adapter("older", aliases=["x"]), b.adapter("younger", aliases=["x"], created=YOUNG))
        assert names(found) == {"older": ("older", "x"), "younger": ("younger",)}
        assert (ready("younger", found).reason, ready("younger", found).message) == (
            "NameConflict",
            "name x belongs to the older adapter older: choose another alias or delete that one; it answers to younger "
            "meanwhile",
        )

    def test_one_that_lost_its_main_name_is_served_under_an_alias(self) -> None:
        found = facts(b.adapter("first", name="x"), b.adapter("second", name="x", aliases=["y"], created=YOUNG))
        assert names(found)["second"] == ("y",)
        assert [entry.adapter for entry in lay_out(found).shares["a"]] == ["first", "second"]
        assert ready("second", found).message.endswith(
            "choose another spec.name or delete that one; it answers to y meanwhile"
        )

    def test_one_without_any_name_is_not_loaded(self) -> None:
        found = facts(b.adapter("first", name="x"), b.adapter("second", name="x", created=YOUNG))
        assert [entry.adapter for entry in lay_out(found).shares["a"]] == ["first"]

    def test_an_alias_like_the_base_model_is_refused_and_nobody_keeps_it(self) -> None:
        found = facts(b.adapter(aliases=["base"], told=answers_to("sql", "base")), serving=("sql",))
        assert names(found) == {"sql": ("sql",)}
        assert ready("sql", found).message == (
            "name base is the base model's of ModelServer qwen: choose another alias; it answers to sql meanwhile"
        )

    def test_its_own_names_are_said(self) -> None:
        found = facts(b.adapter(aliases=["x"]))
        conditions = adapter_status(found.adapters[0], found, lay_out(found), b.NOW).conditions
        assert [(one.status, one.message) for one in conditions if one.type == "Named"] == [("True", "it holds sql, x")]


class TestMovedName:
    """Name x was sql's, which answers to it; now it is poet's."""

    def moved(self, *, poet_serves: bool = False, poet_told: LoRAAdapterStatus | None = None, **of_sql: Any) -> Seen:
        sql = b.adapter("sql", told=answers_to("sql", "x"), **of_sql)
        poet = b.adapter("poet", aliases=["x"], created=YOUNG, told=poet_told)
        return facts(sql, poet, serving=("sql", "poet") if poet_serves else ("sql",))

    def test_who_answered_last_keeps_it_until_the_new_holder_serves(self) -> None:
        assert names(self.moved()) == {"sql": ("sql", "x"), "poet": ("poet",)}

    def test_the_new_holder_takes_it_as_soon_as_it_serves_and_the_old_one_keeps_it_until_gateways_know(self) -> None:
        assert names(self.moved(poet_serves=True)) == {"sql": ("sql", "x"), "poet": ("poet", "x")}
        told = answers_to("poet", "x", adapter="poet")
        assert names(self.moved(poet_serves=True, poet_told=told)) == {"sql": ("sql",), "poet": ("poet", "x")}

    def test_the_same_where_an_older_object_asks_for_a_name_that_a_younger_one_has(self) -> None:
        younger = b.adapter("sql", name="x", created=YOUNG, told=answers_to("x"))
        older = b.adapter("poet", aliases=["x"])
        found = facts(younger, older, serving=("sql",))
        assert names(found) == {"sql": ("x",), "poet": ("poet",)}
        assert {entry.adapter for entry in lay_out(found).shares["a"]} == {"sql", "poet"}
        told = replace(older, told=answers_to("poet", "x", adapter="poet"))
        found = facts(younger, told, serving=("sql", "poet"))
        assert names(found) == {"sql": (), "poet": ("poet", "x")}
        assert {entry.adapter for entry in lay_out(found).shares["a"] if entry.load} == {"poet"}

    def test_where_nobody_answers_the_holder_has_it_at_once(self) -> None:
        sql = b.adapter("sql", told=answers_to("sql", "x").model_copy(update={"replicas": ()}))
        found = facts(sql, b.adapter("poet", aliases=["x"], created=YOUNG))
        assert names(found) == {"sql": ("sql",), "poet": ("poet", "x")}

    def test_a_name_given_up_and_asked_for_by_nobody_lingers_a_moment(self) -> None:
        sql = b.adapter("sql", told=answers_to("sql", "x"))
        assert names(facts(replace(sql, lingering=frozenset({"x"})), serving=("sql",))) == {"sql": ("sql", "x")}
        assert names(facts(sql, serving=("sql",))) == {"sql": ("sql",)}


class TestLingering:
    @pytest.fixture
    def clock(self) -> list[float]:
        return [100.0]

    def test_a_name_lingers_so_long_and_no_longer(self, clock: list[float]) -> None:
        lingering = Lingering(lambda: clock[0])
        assert lingering.due() is None
        assert lingering.still("uid", ["x"]) == {"x"}
        assert lingering.due() == LINGER
        clock[0] += LINGER - 1
        assert (lingering.still("uid", ["x"]), lingering.due()) == ({"x"}, 1.0)
        clock[0] += 1
        assert (lingering.still("uid", ["x"]), lingering.due()) == (set(), None)

    def test_one_that_was_taken_back_in_between_begins_anew(self, clock: list[float]) -> None:
        lingering = Lingering(lambda: clock[0])
        lingering.still("uid", ["x"])
        clock[0] += LINGER - 1
        lingering.still("uid", [])
        assert lingering.still("uid", ["x"]) == {"x"}
        assert lingering.due() == LINGER

    def test_objects_that_are_gone_are_forgotten(self, clock: list[float]) -> None:
        lingering = Lingering(lambda: clock[0])
        lingering.still("gone", ["x"])
        lingering.keep_only(["uid"])
        assert lingering.due() is None

"""The picture of the objects: whatever order events and lists come in, it ends as the API server's."""

from __future__ import annotations

import gc
import time
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from lorikeet.api.ref import Ref
from lorikeet.controller.index import Index, claims_of
from lorikeet.controller.workload import labels
from lorikeet.kube.resource import LORAADAPTERS, MODELSERVERS, PODS
from lorikeet.testing import builders as b

Body = dict[str, Any]
SQL = Ref(b.NAMESPACE, "sql")
OTHER_SERVER = Ref(b.NAMESPACE, "llama")


def adapter(name: str = "sql", version: int = 1, /, *, of: str = "qwen", created: str = b.OLD, **spec: object) -> Body:
    body = b.adapter_body(Ref(b.NAMESPACE, name), of, **spec)
    body["metadata"] |= {"uid": f"uid-{name}", "creationTimestamp": created, "resourceVersion": str(version)}
    return body


def server(ref: Ref, version: int, model: str) -> Body:
    body = b.server_body(ref, model={"uri": "hf://acme/base@main", "name": model})
    body["metadata"] |= {"uid": f"uid-{ref.name}", "creationTimestamp": b.NOW, "resourceVersion": str(version)}
    return body


def names(index: Index, of: Ref = b.SERVER) -> list[str]:
    return [body["metadata"]["name"] for body in index.of(LORAADAPTERS, of)]


def version(index: Index, ref: Ref = SQL) -> str | None:
    body = index.get(LORAADAPTERS, ref)
    return body["metadata"]["resourceVersion"] if body else None


class TestOrder:
    def test_an_older_event_does_not_undo_a_newer_one(self) -> None:
        index = Index()
        index.put(LORAADAPTERS, adapter("sql", 7))
        assert index.put(LORAADAPTERS, adapter("sql", 5)) == set()
        assert version(index) == "7"

    def test_a_late_event_does_not_bring_back_what_was_deleted(self) -> None:
        index = Index()
        index.put(LORAADAPTERS, adapter("sql", 5))
        assert index.remove(LORAADAPTERS, SQL, 7) == {b.SERVER}
        assert index.put(LORAADAPTERS, adapter("sql", 6)) == set()
        assert names(index) == []

    def test_nor_does_the_late_end_of_an_earlier_object_of_that_name(self) -> None:
        index = Index()
        index.remove(LORAADAPTERS, SQL, 12)
        index.remove(LORAADAPTERS, SQL, 7)
        index.put(LORAADAPTERS, adapter("sql", 10))
        assert names(index) == []

    def test_a_late_event_does_not_bring_back_what_a_list_did_not_have(self) -> None:
        index = Index()
        index.put(LORAADAPTERS, adapter("sql", 5))
        index.replace(LORAADAPTERS, [], 10)
        assert index.put(LORAADAPTERS, adapter("sql", 6)) == set()
        assert names(index) == []

    def test_a_list_takes_away_what_it_does_not_have(self) -> None:
        index = Index()
        index.put(LORAADAPTERS, adapter("sql", 5))
        assert index.replace(LORAADAPTERS, [adapter("other", 3)], 10) == {b.SERVER}
        assert names(index) == ["other"]

    def test_what_was_made_while_the_list_was_under_way_stays(self) -> None:
        index = Index()
        index.put(LORAADAPTERS, adapter("sql", 11))
        index.replace(LORAADAPTERS, [], 10)
        assert names(index) == ["sql"]

    def test_what_was_deleted_while_the_list_was_under_way_stays_gone(self) -> None:
        index = Index()
        index.put(LORAADAPTERS, adapter("sql", 5))
        index.remove(LORAADAPTERS, SQL, 11)
        assert index.replace(LORAADAPTERS, [adapter("sql", 5)], 10) == set()
        assert names(index) == []

    def test_one_made_again_is_there_whichever_event_comes_first(self) -> None:
        for first_the_end in (True, False):
            index = Index()
            index.put(LORAADAPTERS, adapter("sql", 5))
            if first_the_end:
                index.remove(LORAADAPTERS, SQL, 7)
                index.put(LORAADAPTERS, adapter("sql", 8))
            else:
                index.put(LORAADAPTERS, adapter("sql", 8))
                index.remove(LORAADAPTERS, SQL, 7)
            assert version(index) == "8"

    def test_an_older_list_undoes_nothing(self) -> None:
        index = Index()
        index.replace(LORAADAPTERS, [adapter("sql", 9)], 10)
        index.replace(LORAADAPTERS, [adapter("sql", 5), adapter("gone", 4)], 8)
        assert names(index) == ["sql"]

    @settings(max_examples=200, deadline=None)
    @given(st.data())
    def test_any_history_told_in_any_order_and_then_listed_ends_as_the_list(self, data: st.DataObject) -> None:
        history = data.draw(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.booleans()), max_size=12))
        events = list(enumerate(history, 1))
        now: dict[str, Body] = {}
        for at, (name, there) in events:
            now.pop(name, None)
            if there:
                now[name] = adapter(name, at)
        told = data.draw(st.permutations([event for event in events for _ in range(2)]))
        cut = data.draw(st.integers(0, len(told)))
        index = Index()
        tell(index, told[:cut])
        index.replace(LORAADAPTERS, list(now.values()), len(history))
        tell(index, told[cut:])
        assert {name: version(index, Ref(b.NAMESPACE, name)) for name in names(index)} == {
            name: body["metadata"]["resourceVersion"] for name, body in now.items()
        }
        assert index.holders(b.NAMESPACE) == {name: Ref(b.NAMESPACE, name) for name in now}


def tell(index: Index, events: list[tuple[int, tuple[str, bool]]]) -> None:
    for at, (name, there) in events:
        if there:
            index.put(LORAADAPTERS, adapter(name, at))
        else:
            index.remove(LORAADAPTERS, Ref(b.NAMESPACE, name), at)


class TestBelonging:
    def test_an_adapter_that_changes_servers_concerns_both(self) -> None:
        index = Index()
        index.put(LORAADAPTERS, adapter("sql", 1))
        assert index.put(LORAADAPTERS, adapter("sql", 2, of="llama")) == {b.SERVER, OTHER_SERVER}
        assert (names(index), names(index, OTHER_SERVER)) == ([], ["sql"])

    def test_a_server_is_known_while_anything_names_it(self) -> None:
        index = Index()
        pod = b.pod_body(b.SERVER, "a")
        pod["metadata"]["resourceVersion"] = "3"
        index.put(LORAADAPTERS, adapter("sql", 1))
        index.put(PODS, pod)
        index.remove(LORAADAPTERS, SQL, 2)
        assert index.servers() == {b.SERVER}
        index.remove(PODS, Ref(b.NAMESPACE, "a"), 4)
        assert index.servers() == set()

    def test_a_pod_belongs_by_its_label(self) -> None:
        pod = b.pod_body(OTHER_SERVER, "a")
        pod["metadata"]["resourceVersion"] = "3"
        assert pod["metadata"]["labels"] == labels(OTHER_SERVER)
        assert Index().put(PODS, pod) == {OTHER_SERVER}


class TestNames:
    def test_the_older_object_holds_the_name(self) -> None:
        index = Index()
        index.put(LORAADAPTERS, adapter("younger", 1, created=b.NOW, name="shared"))
        index.put(LORAADAPTERS, adapter("older", 2, name="shared"))
        assert index.holders(b.NAMESPACE) == {"shared": Ref(b.NAMESPACE, "older")}

    def test_a_server_s_model_comes_before_any_adapter(self) -> None:
        index = Index()
        index.put(LORAADAPTERS, adapter("base", 1))
        touched = index.put(MODELSERVERS, server(OTHER_SERVER, 2, "base"))
        assert touched == {OTHER_SERVER, b.SERVER}
        assert index.holders(b.NAMESPACE) == {"base": Ref("", "ModelServer llama")}

    def test_a_name_given_up_is_the_next_one_s_and_its_server_is_poked(self) -> None:
        index = Index()
        index.put(LORAADAPTERS, adapter("older", 1, name="shared"))
        index.put(LORAADAPTERS, adapter("younger", 2, of="llama", created=b.NOW, name="shared"))
        assert index.put(LORAADAPTERS, adapter("older", 3)) == {b.SERVER, OTHER_SERVER}
        assert index.holders(b.NAMESPACE)["shared"] == Ref(b.NAMESPACE, "younger")

    def test_who_still_waits_for_it_is_poked_too_for_it_says_whose_it_is(self) -> None:
        index = Index()
        third = Ref(b.NAMESPACE, "third-server")
        for number, (name, of) in enumerate((("a", "qwen"), ("b", "llama"), ("c", "third-server")), 1):
            index.put(LORAADAPTERS, adapter(name, number, of=of, created=f"2026-01-0{number}T00:00:00Z", name="shared"))
        assert index.remove(LORAADAPTERS, Ref(b.NAMESPACE, "a"), 9) == {b.SERVER, OTHER_SERVER, third}

    def test_who_asks_in_vain_concerns_nobody_else(self) -> None:
        index = Index()
        index.put(LORAADAPTERS, adapter("older", 1, name="shared"))
        assert index.put(LORAADAPTERS, adapter("younger", 2, of="llama", created=b.NOW, name="shared")) == {
            OTHER_SERVER
        }

    def test_a_change_that_claims_nothing_new_concerns_its_own_server_alone(self) -> None:
        index = Index()
        index.put(LORAADAPTERS, adapter("sql", 1))
        index.put(LORAADAPTERS, adapter("llama-sql", 2, of="llama"))
        assert index.put(LORAADAPTERS, adapter("sql", 3, source={"uri": b.source_uri("x")})) == {b.SERVER}

    def test_an_alias_is_claimed_like_a_name(self) -> None:
        claims = claims_of(LORAADAPTERS, adapter("sql", 1, name="acme/sql", aliases=["query"]))
        assert [claim.name for claim in claims] == ["acme/sql", "query"]

    def test_namespaces_do_not_share_names(self) -> None:
        index = Index()
        index.put(LORAADAPTERS, adapter("sql", 1))
        elsewhere = adapter("sql", 2)
        elsewhere["metadata"]["namespace"] = "other"
        assert index.put(LORAADAPTERS, elsewhere) == {Ref("other", "qwen")}
        assert index.holders("other") == {"sql": Ref("other", "sql")}

    def test_an_adapter_reaches_only_servers_of_its_own_namespace(self) -> None:
        index = Index()
        elsewhere = adapter("sql", 1)
        elsewhere["metadata"]["namespace"] = "other"
        index.put(LORAADAPTERS, elsewhere)
        assert list(index.of(LORAADAPTERS, b.SERVER)) == []
        assert list(index.of(LORAADAPTERS, Ref("other", b.SERVER.name))) == [elsewhere]

    def test_what_a_pass_was_given_does_not_change_under_it(self) -> None:
        index = Index()
        index.put(LORAADAPTERS, adapter("sql", 1))
        seen = index.holders(b.NAMESPACE)
        index.remove(LORAADAPTERS, SQL, 2)
        assert seen == {"sql": SQL}


class TestAnswering:
    ROW = {"pod": "a", "digest": "1", "state": "Loaded"}

    def told(self, called: str, version: int, /, *names: str, **more: Any) -> Body:
        body = adapter(called, version, **more)
        return {**body, "status": {"names": list(names), "replicas": [self.ROW]}}

    def test_an_adapter_answers_to_the_names_that_its_status_says_while_it_is_loaded_somewhere(self) -> None:
        index = Index()
        index.put(LORAADAPTERS, self.told("sql", 1, "sql", "x"))
        assert index.answering(b.NAMESPACE) == {"sql": {SQL}, "x": {SQL}}
        index.put(LORAADAPTERS, {**adapter("sql", 2), "status": {"names": ["sql"], "replicas": []}})
        assert index.answering(b.NAMESPACE) == {}

    def test_a_deleted_one_answers_to_none_also_while_it_waits_for_somebody(self) -> None:
        index = Index()
        going = self.told("sql", 1, "sql")
        going["metadata"]["deletionTimestamp"] = b.NOW
        index.put(LORAADAPTERS, going)
        assert index.answering(b.NAMESPACE) == {}
        index.put(LORAADAPTERS, self.told("other", 2, "other"))
        index.remove(LORAADAPTERS, Ref(b.NAMESPACE, "other"), 3)
        assert index.answering(b.NAMESPACE) == {}

    def test_whoever_asks_for_a_name_or_has_it_still_is_poked_when_another_begins_to_answer_to_it(self) -> None:
        index = Index()
        index.put(LORAADAPTERS, self.told("old", 1, "x"))
        index.put(LORAADAPTERS, adapter("waits", 2, of="third-server", name="x"))
        touched = index.put(LORAADAPTERS, self.told("new", 3, "x", of="llama", name="x"))
        assert touched == {b.SERVER, OTHER_SERVER, Ref(b.NAMESPACE, "third-server")}

    def test_one_that_answers_to_what_it_did_concerns_its_own_server_alone(self) -> None:
        index = Index()
        index.put(LORAADAPTERS, self.told("old", 1, "x"))
        index.put(LORAADAPTERS, self.told("new", 2, "x", of="llama"))
        assert index.put(LORAADAPTERS, self.told("new", 3, "x", of="llama")) == {OTHER_SERVER}


def test_a_start_with_thousands_of_adapters_is_not_quadratic() -> None:
    """Eight times as many would take 64 times as long."""
    small, large = (min(filled(count) for _ in range(3)) for count in (500, 4000))
    assert large < 8 * 4 * small


def filled(count: int) -> float:
    """CPU seconds to list `count` adapters, without the collector of garbage, who looks at all that there is."""
    bodies = [adapter(f"a{number}", number + 1, of=f"s{number % 50}") for number in range(count)]
    gc.disable()
    started = time.process_time()
    Index().replace(LORAADAPTERS, bodies, count)
    taken = time.process_time() - started
    gc.enable()
    return taken

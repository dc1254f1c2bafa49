"""What a public name means, object by object."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorikeet.api.ref import Ref, engine_name
from lorikeet.gateway.catalog import Catalog
from lorikeet.gateway.rows import AdapterRow, ServerRow

OLD = "aaaaaaaaaaaa" + "0" * 52
PODS = {"pod-0": "10.0.0.1:8000", "pod-1": "10.0.0.2:8000", "pod-2": "10.0.0.3:8000"}


def catalog_of(*bodies: dict[str, Any]) -> Catalog:
    catalog = Catalog()
    for body in bodies:
        kind = AdapterRow if "modelServerRef" in body["spec"] else ServerRow
        catalog.put(kind.parse(body))
    return catalog


def asks(catalog: Catalog, name: str) -> list[tuple[str, str]] | None:
    """(address, what the engine is asked for) of each target; None where the name means nothing."""
    route = catalog.find(name)
    return None if route is None else [(target.address, target.model) for target in route.targets]


def test_an_adapter_is_on_the_ready_replicas_that_have_it_loaded(objects: Any) -> None:
    replicas = {"pod-0": objects.digest, "pod-2": objects.digest}
    catalog = catalog_of(objects.server(endpoints=PODS, unready=("pod-2",)), objects.adapter(pods=replicas))
    assert asks(catalog, "sql") == [("10.0.0.1:8000", "sql@3f9c1a7d20b4")]


def test_while_replicas_have_different_versions_each_is_asked_for_its_own(objects: Any) -> None:
    replicas = {"pod-0": objects.digest, "pod-1": OLD, "pod-2": objects.digest}
    catalog = catalog_of(objects.server(endpoints=PODS), objects.adapter(pods=replicas))
    assert asks(catalog, "sql") == [
        ("10.0.0.1:8000", "sql@3f9c1a7d20b4"),
        ("10.0.0.2:8000", "sql@aaaaaaaaaaaa"),
        ("10.0.0.3:8000", "sql@3f9c1a7d20b4"),
    ]


@pytest.mark.parametrize("engine", ["sql@3f9c1a7d20b4", "sql@aaaaaaaaaaaa"])
def test_a_replica_that_has_both_versions_is_asked_for_the_one_that_is_served(objects: Any, engine: str) -> None:
    adapter = objects.adapter(pods={"pod-0": objects.digest}, engine=engine)
    adapter["status"]["replicas"].append({"pod": "pod-0", "digest": OLD, "state": "Loaded"})
    assert asks(catalog_of(objects.server(endpoints=PODS), adapter), "sql") == [("10.0.0.1:8000", engine)]


VERSIONS = st.sampled_from([OLD, "bbbbbbbbbbbb" + "0" * 52, "3f9c1a7d20b4" + "0" * 52])
ROWS = st.lists(st.tuples(st.sampled_from(sorted(PODS)), VERSIONS, st.sampled_from(["Loaded", "Draining", "Failed"])))


@given(ROWS, VERSIONS, st.sets(st.sampled_from(sorted(PODS))))
def test_while_one_ready_replica_has_some_version_it_is_asked_and_for_no_other(
    rows: list[tuple[str, str, str]], served: str, unready: set[str]
) -> None:
    meta = {"namespace": "ns", "name": "sql", "uid": "u", "creationTimestamp": "2026-01-02T00:00:00Z"}
    replicas = [{"pod": pod, "digest": digest, "state": state} for pod, digest, state in rows]
    status = {"engineName": engine_name("sql", served), "names": ["sql"], "replicas": replicas}
    adapter = {"metadata": meta, "spec": {"modelServerRef": {"name": "qwen"}}, "status": status}
    endpoints = [{"pod": pod, "address": f"{pod}:1", "ready": pod not in unready} for pod in PODS]
    server = {"metadata": meta | {"name": "qwen"}, "spec": {}, "status": {"modelName": "base", "endpoints": endpoints}}
    loaded = {(f"{pod}:1", engine_name("sql", digest)) for pod, digest, state in rows if state == "Loaded"}
    ready = {row for row in loaded if row[0].removesuffix(":1") not in unready}
    found = asks(catalog_of(server, adapter), "sql") or []
    assert set(found) <= ready
    assert [address for address, _ in found] == sorted({address for address, _ in ready})


@pytest.mark.parametrize("state", ["Fetching", "Staged", "Loading", "Draining", "Failed"])
def test_a_version_that_is_not_loaded_answers_nothing(objects: Any, state: str) -> None:
    adapter = objects.adapter(pods={"pod-0": objects.digest}, state=state)
    assert asks(catalog_of(objects.server(endpoints=PODS), adapter), "sql") == []


def test_an_adapter_of_a_server_that_is_not_there_is_known_and_not_ready(objects: Any) -> None:
    assert asks(catalog_of(objects.adapter(pods={"pod-0": objects.digest})), "sql") == []


def test_a_base_model_is_on_every_ready_replica_under_its_public_name(objects: Any) -> None:
    catalog = catalog_of(objects.server(endpoints=PODS, unready=("pod-1",)))
    assert asks(catalog, "base") == [("10.0.0.1:8000", "base"), ("10.0.0.3:8000", "base")]


def test_every_name_of_status_means_the_adapter_and_no_other_does(objects: Any) -> None:
    catalog = catalog_of(objects.server(endpoints=PODS), objects.adapter(names=("acme/sql", "alias")))
    assert [asks(catalog, name) for name in ("acme/sql", "alias", "ns:alias")] == [[], [], []]
    assert [asks(catalog, name) for name in ("sql", "ns:sql", "other:alias", "")] == [None] * 4


def test_between_namespaces_the_older_object_has_the_short_name_whatever_came_first(objects: Any) -> None:
    def one(namespace: str, created: str) -> list[dict[str, Any]]:
        endpoint = {f"{namespace}-0": f"{namespace}:8000"}
        return [
            objects.server(namespace=namespace, endpoints=endpoint, model=f"base-{namespace}"),
            objects.adapter(namespace=namespace, pods={f"{namespace}-0": objects.digest}, created=created),
        ]

    old, young = one("b", "2025-01-01T00:00:00Z"), one("a", "2026-01-01T00:00:00Z")
    for bodies in ([*old, *young], [*young, *old]):
        catalog = catalog_of(*bodies)
        assert [asks(catalog, name) for name in ("sql", "b:sql", "a:sql")] == [
            [("b:8000", "sql@3f9c1a7d20b4")],
            [("b:8000", "sql@3f9c1a7d20b4")],
            [("a:8000", "sql@3f9c1a7d20b4")],
        ]
        assert catalog.names() == ["a:sql", "base-a", "base-b", "sql"]
        catalog.drop(AdapterRow, Ref("b", "sql"))
        assert asks(catalog, "sql") == [("a:8000", "sql@3f9c1a7d20b4")], "the next oldest takes over"
        assert asks(catalog, "b:sql") is None


def test_a_deleted_adapters_names_go_at_once(objects: Any) -> None:
    catalog = catalog_of(objects.server(endpoints=PODS), objects.adapter(pods={"pod-0": objects.digest}))
    catalog.drop(AdapterRow, Ref("ns", "sql"))
    assert asks(catalog, "sql") is None
    assert catalog.names() == ["base"]
    catalog.drop(AdapterRow, Ref("ns", "sql"))


def test_a_route_follows_each_change_of_both_its_objects(objects: Any) -> None:
    adapter = objects.adapter(pods={"pod-0": objects.digest})
    catalog = catalog_of(objects.server(endpoints=PODS), adapter)
    assert asks(catalog, "sql") == [("10.0.0.1:8000", "sql@3f9c1a7d20b4")]
    catalog.put(ServerRow.parse(objects.server(endpoints={"pod-0": "10.9.9.9:8000"})))
    assert asks(catalog, "sql") == [("10.9.9.9:8000", "sql@3f9c1a7d20b4")]
    catalog.put(AdapterRow.parse(objects.adapter(pods={"pod-0": OLD}, engine="sql@aaaaaaaaaaaa")))
    assert asks(catalog, "sql") == [("10.9.9.9:8000", "sql@aaaaaaaaaaaa")]
    catalog.drop(ServerRow, Ref("ns", "qwen"))
    assert asks(catalog, "sql") == []


def test_a_renamed_adapter_leaves_its_old_name(objects: Any) -> None:
    catalog = catalog_of(objects.server(endpoints=PODS), objects.adapter(names=("one",)))
    catalog.put(AdapterRow.parse(objects.adapter(names=("two",))))
    assert (asks(catalog, "one"), asks(catalog, "two")) == (None, [])

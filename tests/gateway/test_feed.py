"""The catalog follows the streams of changes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from lorikeet.api.ref import Ref
from lorikeet.gateway.catalog import Catalog
from lorikeet.gateway.feed import Feed
from lorikeet.gateway.rows import AdapterRow, ServerRow
from lorikeet.kube.watch import Change, Changed, Gone, Listed


async def follow(catalog: Catalog, *changes: Change, namespace: str | None = None) -> Feed:
    async def stream() -> AsyncIterator[Change]:
        for change in changes:
            yield change

    feed = Feed(catalog, AdapterRow, stream(), namespace)
    await feed.run()
    return feed


async def test_a_list_then_its_changes_make_the_table(objects: Any) -> None:
    catalog = Catalog()
    body = objects.adapter
    await follow(catalog, Listed([body("a"), body("b")]), Changed(body("c")), Gone(Ref("ns", "a")))
    assert catalog.names() == ["b", "c"]


async def test_a_new_list_drops_what_it_does_not_hold_in_its_own_namespace_and_kind(objects: Any) -> None:
    catalog = Catalog()
    catalog.put(ServerRow.parse(objects.server()))
    catalog.put(AdapterRow.parse(objects.adapter("far", namespace="other")))
    await follow(catalog, Listed([objects.adapter("a")]), Listed([objects.adapter("b")]), namespace="ns")
    assert catalog.names() == ["b", "base", "far"]
    await follow(catalog, Listed([]))
    assert catalog.names() == ["base"]


async def test_the_table_is_whole_only_after_the_first_list(objects: Any) -> None:
    assert not (await follow(Catalog())).synced
    assert not (await follow(Catalog(), Changed(objects.adapter()))).synced
    assert (await follow(Catalog(), Listed([]))).synced


async def test_an_object_that_is_being_deleted_is_gone(objects: Any) -> None:
    catalog = Catalog()
    going = objects.adapter()
    going["metadata"]["deletionTimestamp"] = "2026-01-03T00:00:00Z"
    await follow(catalog, Listed([objects.adapter()]), Changed(going))
    assert catalog.find("sql") is None


async def test_a_status_nobody_of_ours_wrote_leaves_the_last_row_and_the_stream(
    objects: Any, caplog: pytest.LogCaptureFixture
) -> None:
    catalog = Catalog()
    broken = objects.adapter()
    broken["status"] = {"names": "sql", "replicas": 7}
    await follow(catalog, Listed([objects.adapter()]), Changed(broken), Changed(objects.adapter("next")))
    assert catalog.names() == ["next", "sql"]
    assert "ns/sql" in caplog.text


async def test_an_object_without_a_status_has_no_names(objects: Any) -> None:
    catalog = Catalog()
    body = objects.adapter()
    del body["status"]
    await follow(catalog, Listed([body]))
    assert catalog.names() == []

"""What /v1/models says."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from lorikeet.gateway.callers import Caller, Tenant
from lorikeet.gateway.catalog import Catalog
from lorikeet.gateway.models import Models
from lorikeet.gateway.openai import ApiError
from lorikeet.gateway.rows import AdapterRow, ServerRow

ALL = Caller("id", Tenant("team"))


@pytest.fixture
def catalog(objects: Any) -> Catalog:
    catalog = Catalog()
    catalog.put(ServerRow.parse(objects.server(endpoints={"pod-0": "10.0.0.1:8000"})))
    catalog.put(AdapterRow.parse(objects.adapter(pods={"pod-0": objects.digest}, names=("acme/sql", "sql"))))
    catalog.put(AdapterRow.parse(objects.adapter("cold")))
    return catalog


def test_the_list_has_each_name_that_can_be_asked_now(catalog: Catalog) -> None:
    adapter = {
        "object": "model",
        "created": 1767312000,
        "owned_by": "lorikeet",
        "root": "ns:acme/sql",
        "parent": "base",
    }
    base = {**adapter, "id": "base", "created": 1767225600, "root": "ns:base", "parent": None}
    rows = [{**adapter, "id": "acme/sql"}, base, {**adapter, "id": "sql"}]
    assert orjson.loads(Models(catalog).list(ALL)) == {"object": "list", "data": rows}


def test_the_list_follows_the_catalog(catalog: Catalog, objects: Any) -> None:
    models = Models(catalog)
    models.list(ALL)
    catalog.put(AdapterRow.parse(objects.adapter("cold", pods={"pod-0": objects.digest})))
    assert b'"cold"' in models.list(ALL)


def test_one_model_is_its_row_under_the_name_that_was_asked(catalog: Catalog) -> None:
    assert orjson.loads(Models(catalog).one("ns:sql", ALL))["id"] == "ns:sql"
    for name in ("cold", "nobody"):
        with pytest.raises(ApiError) as missing:
            Models(catalog).one(name, ALL)
        assert missing.value.status == 404


def test_an_unknown_name_is_told_the_names_near_it(catalog: Catalog) -> None:
    assert "close matches: `sql`" in str(Models(catalog).unknown("sqk", ALL))
    assert "close matches" not in str(Models(catalog).unknown("zzzzzzzz", ALL))
    assert len(str(Models(catalog).unknown("x" * 10_000, ALL))) < 300


def test_no_engine_name_and_no_address_is_shown(catalog: Catalog) -> None:
    text = Models(catalog).list(ALL)
    assert b"@" not in text
    assert b"10.0.0.1" not in text

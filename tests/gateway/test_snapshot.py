"""The table outlives the process, and the API server's absence."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from lorikeet.gateway.catalog import Catalog
from lorikeet.gateway.keys import Keys
from lorikeet.gateway.main import table
from lorikeet.gateway.rows import AdapterRow, ServerRow
from lorikeet.gateway.snapshot import GOOD_FOR, Snapshot

NO_KEYS = Keys(b"r" * 32, open=True)


class Clock:
    now = 1e9

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def catalog(objects: Any) -> Catalog:
    catalog = Catalog()
    catalog.put(ServerRow.parse(objects.server(endpoints={"pod-0": "10.0.0.1:8000", "pod-1": "10.0.0.2:8000"})))
    adapter = objects.adapter(pods={"pod-0": objects.digest, "pod-1": "a" * 64}, names=("acme/sql", "sql"))
    adapter["status"]["history"] = [{"engineName": "sql@3f9c1a7d20b4", "revision": "c" * 40, "uri": "hf://a/b"}]
    catalog.put(AdapterRow.parse(adapter))
    return catalog


def test_a_restored_table_routes_as_the_one_that_was_written(catalog: Catalog, clock: Clock, tmp_path: Path) -> None:
    written = Snapshot(tmp_path / "table.json", catalog, NO_KEYS, clock)
    written.write(written.table())
    restored = Catalog()
    assert Snapshot(tmp_path / "table.json", restored, NO_KEYS, clock).restore()
    assert restored.names() == catalog.names()
    for name in catalog.names():
        before, after = catalog.find(name), restored.find(name)
        assert before is not None
        assert after is not None
        assert (after.targets, after.parent) == (before.targets, before.parent)
        assert [target.lines for target in after.targets] == [target.lines for target in before.targets]


@pytest.mark.parametrize("seconds", [GOOD_FOR, -GOOD_FOR])
def test_an_old_table_is_not_used(catalog: Catalog, clock: Clock, tmp_path: Path, seconds: float) -> None:
    snapshot = Snapshot(tmp_path / "table.json", catalog, NO_KEYS, clock)
    snapshot.write(snapshot.table())
    clock.now += seconds
    empty = Catalog()
    assert not Snapshot(tmp_path / "table.json", empty, NO_KEYS, clock).restore()
    assert empty.names() == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"format":1,"at":1e9,"keys":7,"servers":[],"adapters":[]}',
        b'{"format":1,"at":1e9,"keys":{},"servers":[{"ref":7}],"adapters":[]}',
        b"\xff",
    ],
)
def test_a_file_that_is_no_table_is_none(clock: Clock, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "table.json").write_bytes(data)
    empty = Catalog()
    assert not Snapshot(tmp_path / "table.json", empty, NO_KEYS, clock).restore()
    assert not Snapshot(tmp_path / "none.json", empty, NO_KEYS, clock).restore()
    assert empty.version == 0


async def test_it_is_written_when_the_table_is_good_and_not_before(
    catalog: Catalog, clock: Clock, tmp_path: Path
) -> None:
    good = asyncio.Event()
    asked = asyncio.Event()

    def is_good() -> bool:
        asked.set()
        return good.is_set()

    keeping = asyncio.create_task(Snapshot(tmp_path / "table.json", catalog, NO_KEYS, clock).keep(is_good))
    await asyncio.wait_for(asked.wait(), 5)
    assert not (tmp_path / "table.json").exists()
    good.set()
    async with asyncio.timeout(5):
        while not (tmp_path / "table.json").exists():  # noqa: ASYNC110 - a file has no event
            await asyncio.sleep(0.01)
    keeping.cancel()


async def test_an_older_table_will_do_once_the_api_server_had_its_time() -> None:
    silent = type("Feed", (), {"whole": asyncio.Event(), "synced": False})()
    await table([silent], patience=0.01)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(table([silent], patience=None), 0.1)

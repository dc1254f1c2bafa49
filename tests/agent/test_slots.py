"""The engine's memory slots: an old version stays while nobody wants its slot, and is in nobody's way."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from lorikeet.api.wire import AdapterState, Wanted, WantedAdapter
from lorikeet.testing.replica import PACE, Replica, eventually


@pytest.fixture
async def replica(tmp_path: Path) -> AsyncIterator[Replica]:
    """One with two slots in its engine's memory, and no grace: what does not linger is unloaded at the next look."""
    pace = replace(PACE, policy=replace(PACE.policy, grace=0.0))
    async with Replica(tmp_path, pace=pace, max_cpu_loras=2) as running:
        yield running


def pirate(uri: str, *, load: bool = True) -> WantedAdapter:
    return WantedAdapter(adapter="pirate", uri=uri, load=load)


async def updated(replica: Replica) -> tuple[AdapterState, AdapterState]:
    """Two versions of one adapter, of which the second is wanted alone."""
    old, new = replica.publish("acme/pirate", "v1"), replica.publish("acme/pirate", "v2")
    await replica.want(pirate(old))
    await replica.row("pirate", "Loaded")
    await replica.want(pirate(old), pirate(new))
    both = await replica.until(lambda state: [row.state for row in state.adapters] == ["Loaded"] * 2)
    await replica.want(pirate(new))
    await replica.row("pirate", "Draining")
    first, second = sorted(both.adapters, key=lambda row: row.uri != old)
    return first, second


async def test_an_old_version_stays_until_its_slot_is_wanted(replica: Replica) -> None:
    old, new = await updated(replica)
    poet = WantedAdapter(adapter="poet", uri=replica.publish("acme/poet", seed=9), load=False)
    await replica.want(pirate(new.uri), poet)
    await replica.row("poet", "Staged")
    assert (await replica.state()).settled
    assert replica.loaded() == sorted([old.engine_name, new.engine_name])
    await replica.want(pirate(new.uri), poet.model_copy(update={"load": True}))
    row = await replica.row("poet", "Loaded")
    await eventually(lambda: replica.loaded() == sorted([new.engine_name, row.engine_name]))
    await eventually(lambda: replica.stored() == sorted([new.digest, row.digest]))


async def test_going_back_to_a_version_that_lingers_needs_no_load(replica: Replica) -> None:
    old, new = await updated(replica)
    loads = replica.engine.core.loads
    await replica.want(pirate(old.uri), pirate(new.uri, load=False))
    await replica.until(lambda state: {row.uri: row.state for row in state.adapters}[old.uri] == "Loaded")
    assert replica.engine.core.loads == loads
    assert replica.loaded() == sorted([old.engine_name, new.engine_name])


async def test_a_version_that_lingers_is_one_row_though_its_files_are_wanted_too(replica: Replica) -> None:
    old, new = await updated(replica)
    wanted = Wanted(adapters=(pirate(old.uri, load=False), pirate(new.uri)))
    await replica.want(*wanted.adapters)
    rows = (await replica.until(lambda state: state.wanted == wanted.id)).adapters
    assert sorted((row.uri, row.state) for row in rows) == sorted([(old.uri, "Draining"), (new.uri, "Loaded")])


async def test_a_deleted_adapter_does_not_linger(replica: Replica) -> None:
    await updated(replica)
    await replica.want()
    await eventually(lambda: replica.loaded() == [] == replica.stored())
    assert (await replica.until(lambda state: state.adapters == ())).settled

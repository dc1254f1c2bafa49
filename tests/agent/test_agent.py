"""The agent as a whole: real client, local hub, simulated engine behind the real guard."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from lorikeet.api.wire import AgentState, WantedAdapter
from lorikeet.testing.replica import Replica


@pytest.fixture
async def replica(tmp_path: Path) -> AsyncIterator[Replica]:
    async with Replica(tmp_path) as running:
        yield running


def pirate(uri: str, **more: Any) -> WantedAdapter:
    return WantedAdapter(adapter="pirate", uri=uri, **more)


def states(state: AgentState) -> list[tuple[str, str]]:
    return [(row.adapter, row.state) for row in state.adapters]


def stored(replica: Replica) -> list[str]:
    return sorted(path.name for path in (replica.folder / "adapters/store").iterdir())


async def eventually(check: Any, what: str) -> None:
    async with asyncio.timeout(10):
        while not check():  # noqa: ASYNC110 - neither disk nor simulator has an event for it
            await asyncio.sleep(0.01)


async def test_a_wanted_adapter_is_loaded_and_the_engine_lists_its_digest_folder(replica: Replica) -> None:
    await replica.want(pirate(replica.publish("acme/pirate")))
    row = await replica.row("pirate", "Loaded")
    assert row.engine_name == f"pirate@{row.digest[:12]}"
    assert (row.rank, row.lasting, row.reason) == (8, False, None)
    assert str(replica.engine.core.adapters[row.engine_name].path) == str(
        replica.folder / "adapters/store" / row.digest
    )
    state = await replica.until(lambda state: state.settled)
    assert state.engine == "Healthy"
    assert (await replica.call("GET", "/readyz", token=""))[0] == 200

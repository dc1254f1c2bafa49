"""A request for what is being loaded waits for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from lorikeet.api.ref import Ref
from lorikeet.gateway.limits import Limits
from lorikeet.gateway.rows import AdapterRow


@pytest.fixture
async def stack(stack_with: Any) -> Any:
    async with stack_with(Limits(cold_seconds=60, cold_waiting=2)) as stack:
        yield stack


async def waiting(stack: Any, number: int) -> None:
    async with asyncio.timeout(5):
        while stack.gateway.cold.waiting != number:  # noqa: ASYNC110 - nobody says it
            await asyncio.sleep(0)


async def test_it_is_answered_once_the_adapter_is_there(stack: Any, objects: Any, make_engine: Any) -> None:
    engine = await make_engine()
    server = objects.server(endpoints={"pod-0": engine.address})
    stack.put(server, objects.adapter(pods={"pod-0": objects.digest}, state="Loading"))
    asking = asyncio.create_task(stack.client.ask())
    await waiting(stack, 1)
    stack.put(objects.adapter("other"))
    await waiting(stack, 1)
    stack.put(objects.adapter(pods={"pod-0": objects.digest}))
    assert (await asking).status == 200
    assert engine.heard[0].model == "sql@3f9c1a7d20b4"


async def test_when_it_does_not_come_in_time_the_client_is_told_to_come_back(stack_with: Any, objects: Any) -> None:
    async with stack_with(Limits(cold_seconds=0.05)) as stack:
        stack.put(objects.server(), objects.adapter(pods={"pod-0": objects.digest}, state="Fetching"))
        answer = await stack.client.ask()
        assert (answer.status, answer.json()["error"]["code"]) == (503, "model_not_ready")
        assert "retry-after: 5" in answer.head


async def test_nobody_waits_for_what_will_not_come_by_itself(stack: Any, objects: Any) -> None:
    failed = objects.adapter(pods={"pod-0": objects.digest}, state="Failed")
    failed["status"]["conditions"] = [{"type": "Ready", "status": "False", "reason": "NoEffect", "message": "m"}]
    stack.put(objects.server(), failed)
    answer = await stack.client.ask()
    assert answer.status == 503
    assert "NoEffect" in answer.json()["error"]["message"]
    assert (await stack.client.ask("base")).status == 503, "a server without replicas"


async def test_an_adapter_that_goes_meanwhile_is_unknown_at_once(stack: Any, objects: Any) -> None:
    stack.put(objects.server(), objects.adapter())
    asking = asyncio.create_task(stack.client.ask())
    await waiting(stack, 1)
    stack.catalog.drop(AdapterRow, Ref("ns", "sql"))
    assert (await asking).status == 404


async def test_only_so_many_wait_and_who_leaves_waits_no_longer(stack: Any, objects: Any) -> None:
    stack.put(objects.server(), objects.adapter())
    asking = [asyncio.create_task(stack.client.ask()) for _ in range(2)]
    await waiting(stack, 2)
    assert (await stack.client.ask()).status == 503
    for task in asking:
        task.cancel()
    await waiting(stack, 0)

"""A hang and a saturation, of the real engine and of the simulator, through the agent's eyes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Protocol

import aiohttp
import pytest

from lorikeet.agent.pulse import Rhythm
from lorikeet.agent.sight import Sight
from lorikeet.engine.client import EngineClient

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
RHYTHM = Rhythm(quiet=0.5, still=5.0, beat=0.2)
HASTY = Rhythm(quiet=0.5, still=2.5, beat=0.2)
DEADLINE = 120.0
REQUESTS, MANY = 64, 384
"""As many as fast machines need until one of them has waited for long."""


class Engine(Protocol):
    """What these tests use of conftest's RunningEngine."""

    url: str
    real: bool
    inference_key: str

    def stall(self) -> None: ...
    def resume(self) -> None: ...


@pytest.fixture
def moving(engine: Engine) -> Iterator[Engine]:
    """Whatever a test does, the engine moves afterwards."""
    yield engine
    engine.resume()


async def ask(engine: Engine, tokens: int) -> int:
    body = {"model": "base", "prompt": "user: What is a pod?", "max_tokens": tokens, "ignore_eos": True}
    headers = {"Authorization": f"Bearer {engine.inference_key}"}
    timeout = aiohttp.ClientTimeout(total=DEADLINE * 2)
    async with (
        aiohttp.ClientSession(timeout=timeout) as http,
        http.post(f"{engine.url}/v1/completions", json=body, headers=headers) as response,
    ):
        await response.read()
        return response.status


async def watch(sight: Sight, until: Callable[[], bool]) -> set[str]:
    """Look as an agent does until `until()`; the states that were seen."""
    states = set()
    async with asyncio.timeout(DEADLINE):
        while not until():
            await sight.look(requests=False)
            states.add(sight.state)
            await asyncio.sleep(0.25)
    return states


async def test_an_engine_core_that_is_stopped_with_a_request_in_it_hangs_though_its_health_is_good(
    moving: Engine, client: EngineClient
) -> None:
    sight = Sight(client, time.monotonic, RHYTHM)
    assert await ask(moving, 4) == 200
    moving.stall()
    asked = asyncio.create_task(ask(moving, 4))
    await watch(sight, lambda: sight.hung)
    assert (await client.health(), sight.state, asked.done()) == (True, "Hung", False)
    moving.resume()
    assert await asked == 200
    await watch(sight, lambda: sight.state == "Healthy")
    assert not sight.hung


async def test_a_saturated_engine_never_hangs(engine: Engine, client: EngineClient) -> None:
    """Eight requests at a time run, the others wait for longer than counters may stand still."""
    sight = Sight(client, time.monotonic, HASTY)
    asked = [asyncio.create_task(ask(engine, 220)) for _ in range(MANY if engine.real else REQUESTS)]
    longest = 0.0

    async def wait_for_longest() -> None:
        nonlocal longest
        while not all(task.done() for task in asked):
            longest = max(longest, (await client.boot()).quiet_for)
            await asyncio.sleep(0.5)

    try:
        states, _ = await asyncio.gather(watch(sight, lambda: all(task.done() for task in asked)), wait_for_longest())
        assert [task.result() for task in asked] == [200] * len(asked)
    finally:
        for task in asked:
            task.cancel()
    assert states == {"Healthy"}
    assert longest > HASTY.still or not engine.real, "nobody waited long enough: this proves nothing"

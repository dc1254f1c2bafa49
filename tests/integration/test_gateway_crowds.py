"""Thousands of clients on one gateway process: one tenant's storm, and live streams (P29)."""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from lorikeet.gateway.machine import take_descriptors
from lorikeet.testing.apiserver import ApiServer
from lorikeet.testing.gateways.calm import Calm
from lorikeet.testing.gateways.process import KEY_SECRET, GatewayProcess, lasting_ports, running, until
from lorikeet.testing.gateways.published import keys, publish
from lorikeet.testing.gateways.slow import Client, connect, ended, request
from lorikeet.testing.gateways.steady import Steady, steady

LONG = "LORIKEET_LONG" in os.environ
LOCKED = {"KEY_SECRETS": KEY_SECRET}
MB = 1_000_000
CALM_RATE, STORM_RATE = 20.0, 500.0  # fifty times its quota
ROUNDS, WINDOW, SLOW = (10, 10.0, 5_000) if LONG else (3, 3.0, 1_000)
STREAMS = 5_000 if LONG else 2_500
SHORT, LENGTHY, TICK = (10, 60, 2.0) if LONG else (4, 16, 1.0)

pytestmark = pytest.mark.timeout(1200 if LONG else 600)


@pytest.fixture(autouse=True)
def descriptors() -> None:
    """As the gateway takes them: it needs two for each client, and engines and clients inherit ours."""
    take_descriptors()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert most >= 2 * STREAMS + 500, f"{STREAMS} streams need more open files than {most}: raise `ulimit -Hn`"


async def test_one_tenants_storm_slow_clients_and_large_bodies_are_refused_and_another_is_always_answered(
    api: ApiServer, namespace: str, cheap_engine: Callable[..., str], tmp_path: Path
) -> None:
    await asyncio.to_thread(publish, api, namespace, [cheap_engine()])
    calm = await keys(api, namespace, "create", "--tenant", "calm")
    storm = await keys(api, namespace, "create", "--tenant", "storm", "--requests-per-second", "10")
    gateway = GatewayProcess(api.kubeconfig, tmp_path / "a", namespace, REQUEST_SECONDS="5", **LOCKED)
    alone, beside, crowd = [], [], Counter[int]()
    with running(gateway):
        await until(partial(gateway.answers, 200, "sql", storm))
        async with steady(STORM_RATE, gateway) as loud:
            quiet = Calm(gateway, calm, CALM_RATE, tmp_path / "calm.log")
            for _ in range(ROUNDS):
                alone += await window(quiet)
                async with storming(gateway, storm, loud) as clients:
                    beside += await window(quiet)
                crowd += await ended(clients)
        most = gateway.most_memory
        quiet.end()
    assert {answer.status for answer in quiet.answers()} == {200}
    assert len(quiet.answers()) > ROUNDS * WINDOW * CALM_RATE, "it was answered all the while"
    told = loud.statuses(storm)
    assert set(told) == {200, 429}
    assert told[429] > 5 * told[200]
    assert set(crowd) == {408, 413, 503}, crowd
    assert crowd[408] >= ROUNDS * SLOW
    assert crowd[413] == ROUNDS * 20
    assert most <= 512 * 1024 * 1024
    # In turns, but the storm's clients work on the same cores: recorded, and not judged.
    ratios = [quantile(beside, part) / quantile(alone, part) for part in (50, 99)]
    print(f"storm {told}, crowd {crowd}; at most {most // MB} MB")
    print(f"calm beside/alone: p50 {ratios[0]:.2f}, p99 {ratios[1]:.2f}")


async def test_thousands_of_live_streams_come_to_their_ends_in_memory_that_their_length_does_not_change(
    api: ApiServer, namespace: str, cheap_engine: Callable[..., str], tmp_path: Path
) -> None:
    port, most = lasting_ports(1)[0], []
    for number, length in enumerate((SHORT, LENGTHY)):
        async with AsyncExitStack() as ending:
            address = cheap_engine(chunks=length, tick=TICK, port=port + number)
            await asyncio.to_thread(publish, api, namespace, [address])
            gateway = GatewayProcess(api.kubeconfig, tmp_path / "a", namespace)
            ending.enter_context(running(gateway))
            await until(partial(gateway.answers, 200, "sql", ""))
            body = b'{"model":"sql","prompt":"hi","stream":true}'
            clients = await connect(gateway.port, [request(body, "sk-none")] * STREAMS)
            assert await ended(clients) == {200: STREAMS}
            assert {(client.events, client.whole) for client in clients} == {(length, True)}
            most.append(gateway.most_memory)
    print(f"{STREAMS} streams of {SHORT} and {LENGTHY} events: {[size // MB for size in most]} MB at most")
    assert most[1] < 1.05 * most[0]


async def window(client: Calm) -> list[float]:
    """How long the answers of the next seconds took."""
    began = time.monotonic()
    await asyncio.sleep(WINDOW)
    return [answer.seconds for answer in client.answers(began)]


@asynccontextmanager
async def storming(gateway: GatewayProcess, key: str, load: Steady) -> AsyncIterator[list[Client]]:
    """Requests far beyond the quota, and a crowd that never ends what it began or begins what is too large."""
    load.keys = [key]
    slow = request(b'{"model":"sql","prompt":"' + b"x" * 12_000, key, 16_000)
    large = request(b'{"model":"sql","prompt":"' + b"x" * (4 * MB), key, 8 * MB)
    huge = request(b'{"model":"sql","prompt":"' + b"x" * 20_000, key, 50 * MB)
    clients = await connect(gateway.port, [*[slow] * SLOW, *[large] * 50, *[huge] * 20])
    try:
        yield clients
    finally:
        load.keys = []


def quantile(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100)[percent - 1]

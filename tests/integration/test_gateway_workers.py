"""Several processes are one gateway."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import aiohttp

from lorikeet.testing.apiserver import ApiServer
from lorikeet.testing.gateways.process import KEY_SECRET, GatewayProcess, running, until
from lorikeet.testing.gateways.published import keys, publish

RATE, REQUESTS, CLIENTS = 5.0, 600, 8
WORKERS = 2


async def test_a_keys_quota_is_the_same_however_many_workers_count_it(
    api: ApiServer, namespace: str, cheap_engine: Callable[..., str], tmp_path: Path
) -> None:
    await asyncio.to_thread(publish, api, namespace, [cheap_engine()])
    key = await keys(api, namespace, "create", "--tenant", "team", "--requests-per-second", f"{RATE:g}")
    gateway = GatewayProcess(api.kubeconfig, tmp_path / "a", namespace, WORKERS=str(WORKERS), KEY_SECRETS=KEY_SECRET)
    with running(gateway):
        await until(partial(gateway.listening, WORKERS))
        began = time.monotonic()
        told = await flood(gateway, key)
        took = time.monotonic() - began
    assert set(told) == {200, 429}
    assert RATE * took / 2 < told[200] < RATE * took + RATE + WORKERS


async def flood(gateway: GatewayProcess, key: str) -> Counter[int]:
    """Ask so often, each time on a connection of its own, so that each worker has its part; the statuses."""
    statuses: Counter[int] = Counter()
    headers = {"Authorization": f"Bearer {key}"}

    async def ask(http: aiohttp.ClientSession) -> None:
        for _ in range(REQUESTS // CLIENTS):
            body = {"model": "sql", "prompt": "What is a pod?"}
            async with http.post(
                f"http://127.0.0.1:{gateway.port}/v1/completions", json=body, headers=headers
            ) as reply:
                statuses[reply.status] += 1

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
        await asyncio.gather(*(ask(http) for _ in range(CLIENTS)))
    return statuses

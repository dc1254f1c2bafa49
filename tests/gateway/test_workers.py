"""Several processes as one gateway."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client import Counter as PrometheusCounter

from lorikeet.gateway.merged import merged
from lorikeet.gateway.series import Histograms
from lorikeet.gateway.settings import Settings
from lorikeet.gateway.workers import environment_of, supervise
from lorikeet.testing.apiserver.process import free_ports

pytestmark = pytest.mark.slow

WORKER = """
import asyncio, os, signal
from aiohttp import web

async def main():
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(0, stop.set)
    number = os.environ["LORIKEET_WORKER"]
    status = 503 if number in os.environ["UNREADY"] else 200
    async def readyz(_): return web.Response(text=str(os.getpid()), status=status)
    async def metrics(_): return web.Response(text=f'# TYPE seen counter\\nseen_total{{w="x"}} {os.getpid()}\\n')
    async def post(request): return web.Response(text=request.headers["authorization"] + await request.text())
    app = web.Application()
    async def all(_): return web.Response()
    app.add_routes([web.get("/all", all), web.get("/readyz", readyz)])
    app.add_routes([web.get("/metrics", metrics), web.post("/admin/x", post)])
    runner = web.AppRunner(app)
    await runner.setup()
    await web.UnixSite(runner, os.environ["LORIKEET_ADMIN_SOCKET"]).start()
    await stop.wait()
    await runner.cleanup()
asyncio.run(main())
"""


@asynccontextmanager
async def running(monkeypatch: pytest.MonkeyPatch, unready: str = "") -> AsyncIterator[aiohttp.ClientSession]:
    """Two workers and who looks after them; the admin port."""
    monkeypatch.setenv("UNREADY", unready)
    (port,) = free_ports(1)
    settings = Settings(Path("/nowhere"), host="127.0.0.1", admin_port=port, workers=2)
    task = asyncio.create_task(supervise(settings, [sys.executable, "-c", WORKER]))
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        yield http
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(task, 20)


async def status(http: aiohttp.ClientSession, path: str = "/readyz") -> int:
    """`/all` is 200 once each worker is there."""
    try:
        async with http.get(path) as reply:
            return reply.status
    except aiohttp.ClientError:
        return 0


async def until(http: aiohttp.ClientSession, wanted: int, path: str) -> None:
    async with asyncio.timeout(20):
        while await status(http, path) != wanted:  # noqa: ASYNC110 - another process says it
            await asyncio.sleep(0.02)


async def pids(http: aiohttp.ClientSession) -> int:
    async with http.get("/metrics") as reply:
        text = await reply.text()
    return int(float(text.splitlines()[-1].split(" ")[1]))


async def test_a_worker_that_dies_is_replaced_and_while_another_is_ready_so_is_the_gateway(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with running(monkeypatch) as http:
        await until(http, 200, "/all")
        before = await pids(http)
        async with http.get("/readyz") as reply:
            os.kill(int(await reply.text()), signal.SIGKILL)
        heard = set()
        async with asyncio.timeout(20):
            while await status(http, "/all") != 200 or await pids(http) == before:
                heard.add(await status(http))
        assert heard == {200}
        async with http.post("/admin/x", data=b"-y", headers={"Authorization": "k"}) as reply:
            assert await reply.text() == "k-y"


@pytest.mark.parametrize(("unready", "said"), [("", 200), ("1", 200), ("01", 503)])
async def test_a_gateway_without_a_worker_that_is_ready_is_not_ready(
    monkeypatch: pytest.MonkeyPatch, unready: str, said: int
) -> None:
    async with running(monkeypatch, unready) as http:
        await until(http, 200, "/all")
        assert await status(http) == said


def test_a_worker_has_its_part_of_what_the_gateway_may_use() -> None:
    told = environment_of(Settings(Path("/x"), workers=4, gateways=3), 2, Path("/s"), Path("/t"))
    named = ("LORIKEET_WORKERS", "LORIKEET_WORKER", "LORIKEET_PART", "LORIKEET_GATEWAYS", "LORIKEET_ADMIN_SOCKET")
    assert [told[name] for name in (*named, "LORIKEET_TALLY")] == ["1", "2", "4", "12", "/s", "/t"]


def test_metrics_of_workers_are_added_up_but_for_what_each_knows_alike() -> None:
    def text(number: int) -> str:
        registry, seconds = CollectorRegistry(), Histograms("took_seconds", "Help.", ["model"])
        registry.register(seconds)
        for _ in range(number):
            seconds.of("a").observe(0.3)
        PrometheusCounter("seen", "Help.", ["code"], registry=registry).labels("200").inc(number)
        Gauge("lorikeet_gateway_models", "Help.", registry=registry).set(7)
        return generate_latest(registry).decode()

    told = Counter(merged([text(1), text(2)]).decode().splitlines())
    for line in (
        'seen_total{code="200"} 3.0',
        "lorikeet_gateway_models 7.0",
        'took_seconds_bucket{le="0.25",model="a"} 0.0',
        'took_seconds_bucket{le="0.5",model="a"} 3.0',
        'took_seconds_count{model="a"} 3.0',
        "# TYPE seen_total counter",
        "# TYPE took_seconds histogram",
    ):
        assert told[line] == 1, line

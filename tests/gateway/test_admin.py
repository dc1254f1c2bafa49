"""The admin port."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from lorikeet.gateway.feed import Feed
from lorikeet.gateway.gateway import Gateway, serve_admin
from lorikeet.gateway.rows import AdapterRow
from lorikeet.kube.watch import Change, Listed


async def test_it_is_ready_from_the_first_list_until_it_is_told_to_stop(stack: Any, make_engine: Any) -> None:
    listed = asyncio.Event()

    async def changes() -> AsyncIterator[Change]:
        await listed.wait()
        yield Listed([])

    feed = Feed(stack.catalog, AdapterRow, changes(), None)
    running = asyncio.create_task(feed.run())
    port = free_port()
    async with admin_of(stack.gateway, feed, port), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:

        async def get(path: str) -> tuple[int, str]:
            async with http.get(path) as reply:
                return reply.status, await reply.text()

        assert [(await get(path))[0] for path in ("/healthz", "/readyz")] == [200, 503]
        listed.set()
        await running
        assert (await get("/readyz"))[0] == 200
        stack.route(await make_engine())
        await stack.client.ask()
        await stack.client.ask("nobody")
        await stack.client.raw(b"garbage\r\n\r\n")
        _, text = await get("/metrics")
        for code in (200, 404, 400):
            assert f'lorikeet_gateway_requests_total{{code="{code}"}} 1.0' in text
        assert "lorikeet_gateway_in_flight 0.0" in text
        await stack.gateway.drain(0, 0)
        assert [(await get(path))[0] for path in ("/healthz", "/readyz")] == [200, 503]


@asynccontextmanager
async def admin_of(gateway: Gateway, feed: Feed, port: int) -> AsyncIterator[None]:
    gateway.follow([feed])
    admin = await serve_admin(gateway, [], "127.0.0.1", port)
    try:
        yield
    finally:
        await admin.cleanup()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
        return port

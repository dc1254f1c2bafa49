"""One agent, put together from its settings."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace

import aiohttp
from aiohttp import web

from lorikeet.agent.app import application
from lorikeet.agent.board import Board
from lorikeet.agent.guard_folder import GuardFolder
from lorikeet.agent.keeper import Keeper, Pace
from lorikeet.agent.memory import Memory
from lorikeet.agent.model import Model
from lorikeet.agent.settings import Settings
from lorikeet.agent.space import Space
from lorikeet.agent.stock import Stock
from lorikeet.agent.store import Store
from lorikeet.agent.supply import Supply
from lorikeet.api import layout
from lorikeet.artifacts.hub import Hub
from lorikeet.engine.client import EngineClient

REFRESH = 10.0
"""Seconds between looks at the mounted Secret."""
log = logging.getLogger(__name__)


@asynccontextmanager
async def agent(settings: Settings, host: str = "0.0.0.0", pace: Pace | None = None) -> AsyncIterator[str]:
    """A running agent, at the URL it gives, until the end of the block. The engine keeps its adapters.

    Raises OSError, ValueError where the pod's volumes are not as they must be.
    """
    pace = pace or Pace()
    pace = replace(pace, policy=replace(pace.policy, slots=settings.max_cpu_loras))
    guard = GuardFolder(settings.guard, settings.server_keys)
    token = await asyncio.to_thread(guard.fill)
    hub = Hub(settings.hub_endpoint)
    store = Store(settings.adapters)
    memory = Memory(pace.backoff)
    space = Space(settings.adapters, settings.adapters_limit, memory.stored)
    supply = Supply(hub, store, space, settings.sources, settings.server, settings.max_rank)
    model = Model(settings.model_uri, settings.model_folder, hub)
    stock = Stock(supply, store, model, memory)
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(aiohttp.ClientSession())
        engine = EngineClient(http, settings.engine_url, token)
        keeper = Keeper(engine, stock, memory, Board(secrets.token_hex(8)), pace, guard.condemn)
        model.changed = keeper.wake
        await keeper.open()
        await model.open()

        def started() -> str:
            return "" if model.state.ready else model.state.message or "the base model is being fetched"

        app = application(keeper, supply, settings.server_keys / layout.AGENT_TOKEN, started)
        url = await serve(stack, app, host, settings.port)
        for work in (model.keep_trying(), keeper.run(), refresh(guard)):
            stack.push_async_callback(end, asyncio.create_task(work))
        yield url


async def serve(stack: AsyncExitStack, app: web.Application, host: str, port: int) -> str:
    """Serve until the stack ends; the URL."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, host, port).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"


async def refresh(guard: GuardFolder) -> None:
    """Hand a changed inference key to the engine's guard, for ever."""
    while True:
        await asyncio.sleep(REFRESH)
        try:
            await asyncio.to_thread(guard.refresh)
        except (OSError, ValueError) as error:
            log.warning("the inference key could not be read again: %s", error)


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

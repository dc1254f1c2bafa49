"""`lorikeet-operator`: the parts, put together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

from lorikeet.api.ref import Ref
from lorikeet.collector import spare_the_collector
from lorikeet.controller import handlers, health
from lorikeet.controller.index import Index
from lorikeet.controller.links import connections
from lorikeet.controller.loops import Loops
from lorikeet.controller.podspec import Installation
from lorikeet.controller.root_key import root_key
from lorikeet.controller.settings import Settings
from lorikeet.controller.world import World
from lorikeet.kube.client import Kube
from lorikeet.kube.events import Events
from lorikeet.kube.lease import Lease

log = logging.getLogger(__name__)
LEASE = "lorikeet-operator"


def main() -> None:
    """Run until SIGTERM."""
    try:
        settings = Settings.read(os.environ)
    except KeyError as missing:
        sys.exit(f"environment variable {missing.args[0]} is missing: the chart's operator Deployment sets it")
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # It says at each start that it ignores signals: they are taken here.
    logging.getLogger("kopf._core.reactor.running").setLevel(logging.ERROR)
    kubeconfig = os.environ.get("KUBECONFIG")
    spare_the_collector()
    asyncio.run(run(settings, Path(kubeconfig) if kubeconfig else None))


async def run(settings: Settings, kubeconfig: Path | None = None) -> None:
    """Follow the objects, keep the lease, and while it is held keep the servers."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with _world(settings, kubeconfig) as world:
        loops = Loops(world, settings.watch_namespaces)
        async with _health(loops, world):
            leading = asyncio.create_task(world.lease.keep(loops.start, loops.stop), name="lease")
            serving = asyncio.create_task(handlers.serve(world.kube, world.index, loops, settings.watch_namespaces))
            stopping = asyncio.create_task(stop.wait())
            try:
                ended, _ = await asyncio.wait({leading, serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.gather(*ended)
            finally:
                for task in (leading, serving, stopping):
                    task.cancel()
                await asyncio.gather(leading, serving, stopping, return_exceptions=True)
                await loops.stop()
                with contextlib.suppress(Exception):
                    await world.lease.release()


@contextlib.asynccontextmanager
async def _world(settings: Settings, kubeconfig: Path | None) -> AsyncIterator[World]:
    async with await Kube.connect(kubeconfig) as kube, connections() as session:
        secret = Ref(settings.namespace, settings.root_key_secret)
        installation = Installation(
            agent_image=settings.agent_image,
            engine_images=settings.engine_images,
            root_key=await root_key(kube, secret),
            hub_endpoint=settings.hub_endpoint,
            pull_policy=settings.pull_policy,
        )
        lease = Lease(kube, Ref(settings.namespace, LEASE), settings.pod, time.monotonic)
        yield World(
            kube=kube,
            index=Index(),
            lease=lease,
            events=Events(kube, settings.pod),
            installation=installation,
            session=session,
            clock=time.monotonic,
        )


@contextlib.asynccontextmanager
async def _health(loops: Loops, world: World) -> AsyncIterator[None]:
    runner = web.AppRunner(health.app(lambda: loops.stuck_for(world.clock())), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, port=health.PORT).start()
    try:
        yield
    finally:
        await runner.cleanup()

"""Several processes as one gateway: each listens on the same port (SO_REUSEPORT), one looks after them.

clients ──► port ──► worker 0, worker 1, …      each a whole gateway, with its own table and pool, quotas in common
kubelet, Prometheus, scripts ──► admin port ──► the supervisor ──► each worker's admin, on a socket in a folder
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from aiohttp import web

from lorikeet.backoff import Backoff, Tries
from lorikeet.gateway.merged import merged
from lorikeet.gateway.settings import Settings

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "lorikeet.gateway.main")
RESTART = Backoff(first=0.2, cap=10.0)
ANSWER = aiohttp.ClientTimeout(total=120)


@dataclass(frozen=True)
class Said:
    """What a worker answered."""

    status: int
    body: bytes
    content_type: str


GONE = Said(503, b"a worker is not there\n", "text/plain")


async def supervise(settings: Settings, command: Sequence[str] = COMMAND) -> None:
    """Run the workers until told to stop, each again when it ends by itself."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for told in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(told, stop.set)
    with tempfile.TemporaryDirectory(prefix="lorikeet-gateway-") as folder:
        sockets = [Path(folder) / f"worker-{number}" for number in range(settings.workers)]
        (tally := Path(folder) / "tally").touch()
        runner = web.AppRunner(admin(sockets, stop), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, settings.host, settings.admin_port).start()
        async with asyncio.TaskGroup() as group:
            for number, socket in enumerate(sockets):
                group.create_task(_keep(command, environment_of(settings, number, socket, tally), stop))
        await runner.cleanup()


def environment_of(settings: Settings, number: int, socket: Path, tally: Path) -> dict[str, str]:
    """What worker `number` is told: it has its part of what the gateway may use."""
    told = {
        "LORIKEET_WORKERS": "1",
        "LORIKEET_WORKER": str(number),
        "LORIKEET_PART": str(settings.workers),
        "LORIKEET_GATEWAYS": str(settings.gateways * settings.workers),
        "LORIKEET_ADMIN_SOCKET": str(socket),
        "LORIKEET_TALLY": str(tally),
    }
    return {**os.environ, **told}


async def _keep(command: Sequence[str], environment: dict[str, str], stop: asyncio.Event) -> None:
    tries = Tries(RESTART)
    stopping = asyncio.create_task(stop.wait())
    while not stop.is_set():
        # It reads nothing; but its standard input ends when we do, and then so does it.
        process = await asyncio.create_subprocess_exec(*command, env=environment, stdin=asyncio.subprocess.PIPE)
        ended = asyncio.create_task(process.wait())
        await asyncio.wait({stopping, ended}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            if not ended.done():
                process.terminate()
            await ended
            return
        pause = tries.failed()
        name = environment["LORIKEET_WORKER"]
        log.error("worker %s ended with status %s; another in %.1f s", name, process.returncode, pause)
        await asyncio.wait({stopping}, timeout=pause)


def admin(sockets: Sequence[Path], stop: asyncio.Event) -> web.Application:
    """The admin port of all workers together."""

    async def all_of(request: web.Request) -> list[Said]:
        body = await request.read()
        return list(await asyncio.gather(*(ask(socket, request, body) for socket in sockets)))

    async def one_for_all(request: web.Request) -> web.Response:
        said = await all_of(request)
        worst = max(said, key=lambda one: one.status)
        return web.Response(status=worst.status, body=worst.body, content_type=worst.content_type)

    async def readyz(request: web.Request) -> web.Response:
        # Who is not ready does not listen: the port's clients are the others'.
        best = GONE if stop.is_set() else min(await all_of(request), key=lambda one: one.status)
        return web.Response(status=best.status, body=best.body, content_type=best.content_type)

    async def metrics(request: web.Request) -> web.Response:
        said = [one.body.decode() for one in await all_of(request) if one.status == 200]
        return web.Response(body=merged(said), headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    app.router.add_get("/readyz", readyz)
    app.router.add_route("*", "/{path:.*}", one_for_all)
    return app


async def ask(socket: Path, request: web.Request, body: bytes) -> Said:
    """The same of one worker."""
    headers = {name: value for name, value in request.headers.items() if name.lower() in ("authorization", "x-api-key")}
    try:
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(socket)), timeout=ANSWER) as http,
            http.request(request.method, f"http://worker{request.path}", data=body or None, headers=headers) as reply,
        ):
            return Said(reply.status, await reply.read(), reply.content_type)
    except (OSError, aiohttp.ClientError, TimeoutError):
        return GONE

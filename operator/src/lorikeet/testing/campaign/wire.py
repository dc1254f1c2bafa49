"""A relay between two processes: passes HTTP calls on, and does to one of them what it is told.

A process that is killed here is killed as its peers see it: at that moment its connections break, and from then on
nothing it sends arrives, whatever our side of the same Python process still does.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from lorikeet.testing.campaign.faults import DEADLY, STATUS, UNHEARD, Fault

HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "host", "content-length", "upgrade"})
BODY_LIMIT = 64 * 1024 * 1024
RETRY_AFTER = "1"
NO_LIMIT = aiohttp.ClientTimeout(total=None, connect=5.0)


@dataclass(frozen=True)
class Call:
    """One request. `agent` is what it says of its sender in User-Agent."""

    method: str
    path: str
    """With its query."""
    body: bytes
    agent: str


@dataclass(frozen=True)
class Ends:
    """What a wire connects. `upstream`: the base URL now, None while nobody listens; `headers` are added to each call;
    `killed`: the caller dies now."""

    upstream: Callable[[], str | None]
    judge: Callable[[Call], Fault | None]
    killed: Callable[[], None] = lambda: None
    dead: Callable[[Call], bool] = lambda call: False
    """Whether the sender of a call is dead already."""
    headers: Mapping[str, str] | None = None
    trust: ssl.SSLContext | None = None


class Wire:
    """`async with Wire(ends, host, port) as wire:` relays from `wire.url`; port 0 is any free one."""

    def __init__(self, ends: Ends, host: str = "127.0.0.1", port: int = 0) -> None:
        self._ends, self._host, self._port = ends, host, port
        self._cut_off = False
        self.url = ""
        self.calls: Counter[str] = Counter()
        """`METHOD /path` → calls that arrived here."""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=BODY_LIMIT)
        app.router.add_route("*", "/{path:.*}", self._relay)
        # A caller that gives up is known to have done so at once, as a kernel would tell.
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.01, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._port, reuse_address=True)
        await site.start()
        self.url = f"http://{self._host}:{self._runner.addresses[0][1]}"
        connector = aiohttp.TCPConnector(limit=0, ssl=self._ends.trust or True)
        self._session = aiohttp.ClientSession(connector=connector, timeout=NO_LIMIT, auto_decompress=False)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        await self._session.close()
        await self._runner.cleanup()

    def cut(self) -> None:
        """Break every connection, and each new one at its first call, until `mend`."""
        self._cut_off = True
        server = self._runner.server
        for connection in server.connections if server else ():
            if connection.transport is not None:
                connection.transport.abort()

    def mend(self) -> None:
        self._cut_off = False

    async def _relay(self, request: web.Request) -> web.StreamResponse:
        agent = request.headers.get("User-Agent", "")
        call = Call(request.method, request.path_qs, await request.read(), agent)
        self.calls[f"{request.method} {request.path}"] += 1
        if self._cut_off or self._ends.dead(call):
            return broken(request)
        fault = self._ends.judge(call)
        try:
            return await (self._pass_on(request, call) if fault is None else self._strike(request, call, fault))
        except (aiohttp.ClientError, OSError, TimeoutError):
            return broken(request)

    async def _strike(self, request: web.Request, call: Call, fault: Fault) -> web.StreamResponse:
        if fault in STATUS:
            return answer(STATUS[fault])
        if fault in UNHEARD:
            async with self._forward(request, call) as reply:
                await reply.read()
        if fault in DEADLY:
            self._ends.killed()
        if fault is Fault.STALL:
            await asyncio.Event().wait()
        return broken(request)

    async def _pass_on(self, request: web.Request, call: Call) -> web.StreamResponse:
        """The reply as it comes: a watch's goes on for minutes."""
        async with self._forward(request, call) as reply:
            response = web.StreamResponse(status=reply.status, headers=passing(reply.headers))
            if call.method == "HEAD" or reply.status in (204, 304):
                return response
            response.content_length = reply.content_length
            await response.prepare(request)
            async for chunk in reply.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response

    def _forward(self, request: web.Request, call: Call) -> aiohttp.client._RequestContextManager:
        upstream = self._ends.upstream()
        if upstream is None:
            raise aiohttp.ClientConnectionError("nobody listens")
        headers = {**passing(request.headers), **(self._ends.headers or {})}
        return self._session.request(call.method, upstream + call.path, data=call.body or None, headers=headers)


def passing(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that a relay hands on."""
    return {name: value for name, value in headers.items() if name.lower() not in HOP_BY_HOP}


def broken(request: web.Request) -> web.StreamResponse:
    """Reset the connection: whatever is answered after this reaches nobody."""
    transport = request.transport
    if transport is not None:
        handle = transport.get_extra_info("socket")
        if handle is not None:
            handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=502)


def answer(status: int) -> web.Response:
    """In the shape of the API server, which the others' clients read as they read any other body."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": "scripted fault"}
    headers = {"Retry-After": RETRY_AFTER} if status == 429 else {}
    return web.json_response(body, status=status, headers=headers)

"""The hub's HTTP: what the huggingface-hub client asks, and scripted faults."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from lorikeet.testing.hub.faults import Fault, Kind
from lorikeet.testing.hub.repos import Absent, Entry, Repos, Revision

CHUNK = 1024 * 1024
RANGE = re.compile(r"bytes=(\d+)-(\d*)")


class Hub:
    """A hub in this process: `async with Hub(root) as hub` serves `root` at `hub.url`.

    Append to `faults` to make requests go wrong; `requests` lists what was asked, as `METHOD /path`.
    """

    def __init__(self, root: Path) -> None:
        self.faults: list[Fault] = []
        self.requests: list[str] = []
        self.url = ""
        self._root = root
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        runner = web.AppRunner(application(self._root, self.faults, self.requests), shutdown_timeout=0.01)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()


def application(root: Path, faults: list[Fault] | None = None, requests: list[str] | None = None) -> web.Application:
    """The hub of `root` as an aiohttp application. The lists are looked at, and appended to, at each request."""
    routes = Routes(Repos(root), faults if faults is not None else [])

    @web.middleware
    async def answered(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if requests is not None:
            requests.append(f"{request.method} {request.path}")
        try:
            return await handler(request)
        except Absent as absent:
            headers = {"X-Error-Code": absent.code, "X-Error-Message": absent.code}
            return web.json_response({"error": absent.code}, status=absent.status, headers=headers)

    app = web.Application(middlewares=[answered])
    repo = "{owner:[^/]+}/{repo:[^/]+}"
    app.router.add_get("/healthz", routes.health)
    app.router.add_get(f"/api/models/{repo}", routes.info)
    app.router.add_get(f"/api/models/{repo}/revision/{{revision:.+}}", routes.info)
    app.router.add_get(f"/api/models/{repo}/tree/{{revision:.+}}", routes.tree)
    app.router.add_get(f"/{repo}/resolve/{{revision:[^/]+}}/{{path:.+}}", routes.file)
    return app


class Routes:
    """The handlers."""

    def __init__(self, repos: Repos, faults: list[Fault]) -> None:
        self._repos, self._faults = repos, faults

    async def health(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="ok\n")

    async def info(self, request: web.Request) -> web.StreamResponse:
        if (fault := self._fault(request)) is not None:
            return await broken(request, fault)
        revision = self._revision(request)
        body = {"id": revision.repo, "modelId": revision.repo, "sha": revision.commit, "private": False, "gated": False}
        siblings = [sibling(entry) for entry in revision.entries]
        return web.json_response({**body, "tags": [], "siblings": siblings})

    async def tree(self, request: web.Request) -> web.StreamResponse:
        if (fault := self._fault(request)) is not None:
            return await broken(request, fault)
        return web.json_response([leaf(entry) for entry in self._revision(request).entries])

    async def file(self, request: web.Request) -> web.StreamResponse:
        fault = self._fault(request)
        if fault is not None and fault.kind in (Kind.STATUS, Kind.HANG):
            return await broken(request, fault)
        revision = self._revision(request)
        return await send(request, revision, revision.entry(request.match_info["path"]), fault)

    def _revision(self, request: web.Request) -> Revision:
        match = request.match_info
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        given = token if kind == "Bearer" else None
        return self._repos.revision(f"{match['owner']}/{match['repo']}", match.get("revision", "main"), given)

    def _fault(self, request: web.Request) -> Fault | None:
        asked = f"{request.method} {request.path}"
        return next((fault for fault in self._faults if fault.takes(asked)), None)


async def broken(request: web.Request, fault: Fault) -> web.StreamResponse:
    if fault.kind is Kind.HANG:
        await asyncio.Event().wait()
    return web.json_response({"error": "scripted"}, status=fault.status, headers=dict(fault.headers))


async def send(request: web.Request, revision: Revision, entry: Entry, fault: Fault | None) -> web.StreamResponse:
    """The file, or the part of it that a Range asks for."""
    data = entry.path.read_bytes()
    headers = {"X-Repo-Commit": revision.commit, "ETag": f'"{entry.etag}"', "Accept-Ranges": "bytes"}
    if entry.lfs:
        headers |= {"X-Linked-Size": str(entry.size), "X-Linked-Etag": f'"{entry.sha256}"'}
    status, begin, end = 200, 0, len(data)
    if (asked := RANGE.fullmatch(request.headers.get("Range", ""))) is not None and request.method == "GET":
        status, begin = 206, int(asked[1])
        end = min(int(asked[2]) + 1, end) if asked[2] else end
        if begin >= end:
            return web.Response(status=416, headers={"Content-Range": f"bytes */{len(data)}"})
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{len(data)}"
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = end - begin
    await response.prepare(request)
    if request.method == "GET":
        await write(request, response, data[begin:end], fault)
    return response


async def write(request: web.Request, response: web.StreamResponse, data: bytes, fault: Fault | None) -> None:
    if fault is not None and fault.kind is Kind.FLIP:
        middle = len(data) // 2
        data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
    if fault is not None and fault.kind is Kind.TRUNCATE:
        await response.write(data[: len(data) // 2])
        if request.transport is not None:
            request.transport.close()
        return
    step = 1 if fault is not None and fault.kind is Kind.DRIP else CHUNK
    for at in range(0, len(data), step):
        await response.write(data[at : at + step])
        if step == 1 and fault is not None:
            await asyncio.sleep(fault.pause)


def sibling(entry: Entry) -> dict[str, Any]:
    """A file as `GET /api/models/...?blobs=true` lists it."""
    body: dict[str, Any] = {"rfilename": entry.name, "size": entry.size, "blobId": entry.blob}
    if entry.lfs:
        body["lfs"] = {"sha256": entry.sha256, "size": entry.size, "pointerSize": 134}
    return body


def leaf(entry: Entry) -> dict[str, Any]:
    """A file as `GET /api/models/.../tree/...` lists it."""
    body: dict[str, Any] = {"type": "file", "path": entry.name, "size": entry.size, "oid": entry.blob}
    if entry.lfs:
        body["lfs"] = {"oid": entry.sha256, "size": entry.size, "pointerSize": 134}
    return body

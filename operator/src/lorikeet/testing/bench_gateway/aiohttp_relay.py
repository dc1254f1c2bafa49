"""The relay that one writes first: aiohttp's server and aiohttp's client. `python3 -m … PORT ENGINE_PORT`."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import uvloop
from aiohttp import ClientSession, ClientTimeout, TCPConnector, web

ENGINE: web.AppKey[str] = web.AppKey("engine")
HTTP: web.AppKey[ClientSession] = web.AppKey("http")


async def relay(request: web.Request) -> web.StreamResponse:
    """Ask the engine the same, and pass on what it says as it comes."""
    body = await request.read()
    headers = {"content-type": "application/json"}
    async with request.app[HTTP].post(request.app[ENGINE] + request.path, data=body, headers=headers) as said:
        if said.content_length is not None:
            return web.Response(status=said.status, body=await said.read(), content_type=said.content_type)
        reply = web.StreamResponse(status=said.status, headers={"content-type": said.content_type})
        await reply.prepare(request)
        async for piece in said.content.iter_any():
            await reply.write(piece)
        await reply.write_eof()
        return reply


async def session(app: web.Application) -> AsyncIterator[None]:
    """One client for all."""
    async with ClientSession(connector=TCPConnector(limit=0), timeout=ClientTimeout(total=600)) as http:
        app[HTTP] = http
        yield


def main() -> None:
    """For ever."""
    app = web.Application(client_max_size=2**24)
    app[ENGINE] = f"http://127.0.0.1:{int(sys.argv[2])}"
    app.cleanup_ctx.append(session)
    app.router.add_post("/v1/chat/completions", relay)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)


if __name__ == "__main__":
    main()

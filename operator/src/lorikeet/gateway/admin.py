"""The other port: for the kubelet and Prometheus, not for clients."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from lorikeet.gateway.counters import Counters
from lorikeet.gateway.openapi.document import as_json


def admin_app(ready: Callable[[], bool], counters: Counters) -> web.Application:
    """/healthz: the loop runs. /readyz: the table is whole and nobody told us to stop. /metrics: the counters.

    /openapi.json: what there is to ask, on both ports.
    """

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        if ready():
            return web.Response(text="ok\n")
        return web.Response(status=503, text="the routing table is not whole, or the gateway is going\n")

    async def metrics(_: web.Request) -> web.Response:
        return web.Response(body=counters.text(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(body=as_json(), content_type="application/json")

    app = web.Application()
    app.add_routes([web.get("/healthz", healthz), web.get("/readyz", readyz), web.get("/metrics", metrics)])
    app.add_routes([web.get("/openapi.json", openapi)])
    return app

"""The operator's own health, for the kubelet: alive unless its loops stand still, ready once it follows the lease."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

PORT = 8080
STUCK_AFTER = 300.0


def app(stuck_for: Callable[[], float]) -> web.Application:
    """`stuck_for` gives seconds for which work has waited without a pass."""

    async def healthz(_: web.Request) -> web.Response:
        age = stuck_for()
        if age > STUCK_AFTER:
            return web.Response(status=503, text=f"work has waited {age:.0f} s without a pass\n")
        return web.Response(text="ok\n")

    async def readyz(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    found = web.Application()
    found.router.add_get("/healthz", healthz)
    found.router.add_get("/readyz", readyz)
    return found

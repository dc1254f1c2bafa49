"""What scripts may tell a gateway, on the admin port, with a key whose entry says `admin`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from lorikeet.gateway.keyfeed import KeyFeed
from lorikeet.gateway.keys import Keys
from lorikeet.gateway.openai import ApiError
from lorikeet.gateway.warmup import MOST, Warmup
from lorikeet.kube.errors import KubeError

Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True)
class Control:
    """The routes under /admin."""

    keys: Keys
    key_feeds: Sequence[KeyFeed]
    warmup: Warmup
    tasks: set[asyncio.Task[object]] = field(default_factory=set)

    def add_to(self, app: web.Application) -> None:
        """Serve them there."""
        app.router.add_post("/admin/reload-keys", self._locked(self._reload_keys))
        app.router.add_post("/admin/prefetch", self._locked(self._prefetch))
        app.router.add_post("/admin/warm", self._locked(self._warm))

    async def _reload_keys(self, _: web.Request) -> web.Response:
        for feed in self.key_feeds:
            try:
                await feed.reload()
            except KubeError as error:
                raise ApiError(503, f"cannot read the keys: {error}", code="unavailable", retry_after=5) from error
        return web.json_response({"keys": self.keys.number})

    async def _prefetch(self, request: web.Request) -> web.Response:
        """Begin, and say what was begun."""
        wanted = self.warmup.targets(await names_in(request))
        task = asyncio.create_task(self.warmup.warm(wanted))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        begun = {name: [target.pod for target in targets] for name, targets in wanted.items()}
        return web.json_response({"adapters": begun}, status=202)

    async def _warm(self, request: web.Request) -> web.Response:
        """Do it, and say what came of it."""
        told = await self.warmup.warm(self.warmup.targets(await names_in(request)))
        well = all(pods and set(pods.values()) == {"ok"} for pods in told.values())
        return web.json_response({"adapters": told}, status=200 if well else 503)

    def _locked(self, handler: Handler) -> Handler:
        async def locked(request: web.Request) -> web.Response:
            try:
                headers = {name.lower().encode(): value.encode() for name, value in request.headers.items()}
                if not self.keys.who(headers).admin:
                    raise ApiError(403, "this key is not for administrators", code="forbidden")  # noqa: TRY301
                return await handler(request)
            except ApiError as error:
                told = {name.decode(): value.decode() for name, value in error.headers()}
                return web.Response(
                    status=error.status, body=error.body(), headers=told, content_type="application/json"
                )

        return locked


async def names_in(request: web.Request) -> list[str]:
    """The names in `{"adapters": […]}`. Raises ApiError (400)."""
    try:
        names = orjson.loads(await request.read())["adapters"]
    except (ValueError, KeyError, TypeError):
        names = None
    if not isinstance(names, list) or not 0 < len(names) <= MOST or not all(isinstance(name, str) for name in names):
        said = f'the body must be {{"adapters": [NAME, …]}} with 1 to {MOST} names'
        raise ApiError(400, said, code="invalid_request", param="adapters")
    return names

"""What scripts may tell a gateway, on the admin port, with a key whose entry says `admin`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from aiohttp import web

from lorikeet.gateway.keyfeed import KeyFeed
from lorikeet.gateway.keys import Keys
from lorikeet.gateway.openai import ApiError
from lorikeet.kube.errors import KubeError

Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True)
class Control:
    """The routes under /admin."""

    keys: Keys
    key_feeds: Sequence[KeyFeed]

    def add_to(self, app: web.Application) -> None:
        """Serve them there."""
        app.router.add_post("/admin/reload-keys", self._locked(self._reload_keys))

    async def _reload_keys(self, _: web.Request) -> web.Response:
        for feed in self.key_feeds:
            try:
                await feed.reload()
            except KubeError as error:
                raise ApiError(503, f"cannot read the keys: {error}", code="unavailable", retry_after=5) from error
        return web.json_response({"keys": self.keys.number})

    def _locked(self, handler: Handler) -> Handler:
        async def locked(request: web.Request) -> web.Response:
            try:
                headers = [(name.lower().encode(), value.encode()) for name, value in request.headers.items()]
                if not self.keys.who(headers).admin:
                    raise ApiError(403, "this key is not for administrators", code="forbidden")  # noqa: TRY301
                return await handler(request)
            except ApiError as error:
                told = {name.decode(): value.decode() for name, value in error.headers()}
                return web.Response(
                    status=error.status, body=error.body(), headers=told, content_type="application/json"
                )

        return locked

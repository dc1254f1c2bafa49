"""What each request is answered with."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from lorikeet.gateway import body, routes
from lorikeet.gateway.catalog import Catalog
from lorikeet.gateway.counters import Counters
from lorikeet.gateway.forward import Forwarder
from lorikeet.gateway.models import Models
from lorikeet.gateway.openai import ApiError, no_route
from lorikeet.gateway.wire.reply import Reply
from lorikeet.gateway.wire.request import Request


@dataclass(frozen=True)
class Answers:
    """The handler of every whole request."""

    catalog: Catalog
    models: Models
    forwarder: Forwarder
    counters: Counters

    async def answer(self, request: Request, reply: Reply) -> None:
        """Write the whole reply; an error goes in OpenAI's shape."""
        self.counters.entered()
        try:
            await self._route(request, reply)
        except ApiError as error:
            self.counters.answered(error.status)
            reply.fail(error)
        except asyncio.CancelledError:
            self.counters.gone()
            raise
        finally:
            self.counters.left()

    async def _route(self, request: Request, reply: Reply) -> None:
        match routes.find(request.method, request.target):
            case routes.Inference(path):
                await self._infer(path, request, reply)
            case routes.ListModels():
                self._tell(reply, self.models.list())
            case routes.OneModel(name):
                self._tell(reply, self.models.one(name))
            case None:
                raise no_route()

    async def _infer(self, path: bytes, request: Request, reply: Reply) -> None:
        asked = body.parse(request.body)
        route = self.catalog.find(asked.model)
        if route is None:
            raise self.models.unknown(asked.model)
        accept = next((value for name, value in request.headers if name == b"accept"), b"*/*")
        await self.forwarder.forward(path, asked, accept, route, reply)

    def _tell(self, reply: Reply, text: bytes) -> None:
        self.counters.answered(200)
        reply.send(200, text)

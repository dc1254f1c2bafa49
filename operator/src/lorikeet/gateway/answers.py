"""What each request is answered with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from lorikeet.gateway import body, generate, routes
from lorikeet.gateway.callers import Caller
from lorikeet.gateway.catalog import Catalog, Route
from lorikeet.gateway.cold import Cold
from lorikeet.gateway.counters import Counters
from lorikeet.gateway.forward import Ask, Forwarder
from lorikeet.gateway.keys import Keys
from lorikeet.gateway.models import Models
from lorikeet.gateway.openai import ApiError, no_route
from lorikeet.gateway.rows import Row
from lorikeet.gateway.wire.reply import Reply
from lorikeet.gateway.wire.request import Request

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answers:
    """The handler of every whole request."""

    catalog: Catalog
    models: Models
    keys: Keys
    cold: Cold
    forwarder: Forwarder
    counters: Counters
    ready: Callable[[], bool]

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
        except Exception:  # ours: one request is its price, and no other's
            log.exception("request %s failed inside", reply.request_id.decode())
            self._broke(reply)
        finally:
            self.counters.left()

    def _broke(self, reply: Reply) -> None:
        if reply.status:
            reply.cut()
            return
        self.counters.answered(500)
        reply.fail(ApiError(500, "the gateway failed on this request; ask again", code="internal_error"))

    async def _route(self, request: Request, reply: Reply) -> None:
        route = routes.find(request.method, request.target)
        if isinstance(route, routes.Probe):
            self._probe(route.ready, reply)
            return
        caller = self.keys.who(request.headers)
        match route:
            case routes.Inference(path):
                await self._infer(caller, Ask(path, body.parse(request.body), accept_of(request)), reply)
            case routes.Generate(stream):
                asked = generate.parse(request.body, stream, self.catalog.sole_base())
                await self._infer(caller, Ask(generate.PATH, asked, b"*/*", words=generate.words), reply)
            case routes.ListModels():
                self._tell(reply, self.models.list(caller))
            case routes.OneModel(name):
                self._tell(reply, self.models.one(name, caller))
            case None:
                raise no_route()

    async def _infer(self, caller: Caller, ask: Ask, reply: Reply) -> None:
        route = await self.cold.route(ask.body.model, lambda: self._meant(ask.body, caller))
        await self.forwarder.forward(replace(ask, salt=caller.tenant.salt), route, reply)

    def _meant(self, asked: body.Asked, caller: Caller) -> Route:
        """Whom the client means. Raises ApiError (404), also for what is not the client's."""
        route = self.catalog.find(asked.model)
        param, name = "model", asked.model
        if route is not None and asked.lora is not None:
            route, param, name = self._lora(asked.lora, route.row), "lora_name", asked.lora
        if route is None or not caller.may(route, self.catalog):
            raise self.models.unknown(name, caller, param)
        return route

    def _lora(self, name: str, base: Row) -> Route | None:
        """Adapter `name` of the server that `base` is; or `base` itself, named twice."""
        here = self.catalog.find(f"{base.ref.namespace}:{name}") or self.catalog.find(name)
        if here is None or base not in (here.row, self.catalog.server_of(here.row)):
            return None
        return here

    def _probe(self, ready: bool, reply: Reply) -> None:
        if ready and not self.ready():
            raise ApiError(503, "this gateway takes no requests: it has no table yet, or it is going", code="not_ready")
        self._tell(reply, b'{"status":"ok"}')

    def _tell(self, reply: Reply, text: bytes) -> None:
        self.counters.answered(200)
        reply.send(200, text)


def accept_of(request: Request) -> bytes:
    """What the client says it can read."""
    return next((value for name, value in request.headers if name == b"accept"), b"*/*")

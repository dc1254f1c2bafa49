"""What each request is answered with."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from lorikeet.gateway import body, generate, routes
from lorikeet.gateway.accesslog import AccessLog, Entry
from lorikeet.gateway.admission import BYTES_A_TOKEN, Admission, Pass
from lorikeet.gateway.callers import Caller
from lorikeet.gateway.catalog import Catalog, Route
from lorikeet.gateway.cold import Cold
from lorikeet.gateway.counters import Counters
from lorikeet.gateway.forward import Ask, Forwarder
from lorikeet.gateway.keys import Keys
from lorikeet.gateway.meter import Meter
from lorikeet.gateway.models import Models
from lorikeet.gateway.openai import ApiError, no_route
from lorikeet.gateway.quota import headers
from lorikeet.gateway.rows import Row
from lorikeet.gateway.trace import Traces
from lorikeet.gateway.wire.reply import Reply
from lorikeet.gateway.wire.request import Request

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answers:
    """The handler of every whole request."""

    catalog: Catalog
    models: Models
    keys: Keys
    cold: Cold
    admission: Admission
    forwarder: Forwarder
    counters: Counters
    log: AccessLog
    clock: Callable[[], float]
    ready: Callable[[], bool]
    traces: Traces | None = None

    async def answer(self, request: Request, reply: Reply) -> None:
        """Write the whole reply; an error goes in OpenAI's shape."""
        self.counters.entered()
        try:
            asked, traces = self._asked(request, reply), self.traces
            if asked is not None:
                await (self._infer(*asked, reply) if traces is None else self._traced(traces, request, *asked, reply))
        except ApiError as error:
            self.counters.answered(error.status)
            reply.fail(error)
        except asyncio.CancelledError:
            self.counters.gone()
            raise
        except Exception:  # ours: one request is its price, and no other's
            logger.exception("request %s failed inside", reply.request_id.decode())
            self._broke(reply)
        finally:
            self.counters.left()

    def _broke(self, reply: Reply) -> None:
        if reply.status:
            reply.cut()
            return
        self.counters.answered(500)
        reply.fail(ApiError(500, "the gateway failed on this request; ask again", code="internal_error"))

    def _asked(self, request: Request, reply: Reply) -> tuple[Caller, Ask] | None:
        """Who asks what of an engine; None where the answer is ours, and given. Raises ApiError."""
        route = routes.find(request.method, request.target)
        if isinstance(route, routes.Probe):
            self._probe(route.ready, reply)
            return None
        caller = self.keys.who(request.headers)
        match route:
            case routes.Inference(path):
                return caller, Ask(path, body.parse(request.body), accept_of(request), caller.tenant.salt)
            case routes.Generate(stream):
                asked = generate.parse(request.body, stream, self.catalog.sole_base())
                words = generate.events if stream else generate.words
                return caller, Ask(generate.PATH, asked, b"*/*", caller.tenant.salt, words)
            case routes.ListModels():
                self._tell(reply, self.models.list(caller))
            case routes.OneModel(name):
                self._tell(reply, self.models.one(name, caller))
            case None:
                raise no_route()
        return None

    async def _traced(self, traces: Traces, request: Request, caller: Caller, ask: Ask, reply: Reply) -> None:
        asked = ask.body.lora or ask.body.model
        with traces.of(request, asked, ask.path, caller.tenant.name, reply) as ask.trace:
            await self._infer(caller, ask, reply)

    async def _infer(self, caller: Caller, ask: Ask, reply: Reply) -> None:
        asked, quotas = ask.body, self.admission.quotas(caller)
        try:
            admission = self.admission.enter(caller, quotas, len(asked.body), asked.sequences)
        finally:  # also told to who is refused
            reply.also = headers(quotas) if quotas else b""
        with admission as admitted:
            meant = partial(self._meant, asked, caller)
            route = meant()
            if not route.targets or not self.admission.free(route):
                route = await self._turn(admitted, ask, meant)
            meter = Meter(self.clock, self.counters.gap(route.label))
            status = 0
            try:
                await self.forwarder.forward(ask, route, meant, reply, meter)
            except ApiError as error:
                status = error.status
                raise
            finally:
                self._account(admitted, ask, route, reply, meter, status)
                self.admission.call(route.targets[0].server)

    async def _turn(self, admitted: Pass, ask: Ask, meant: Callable[[], Route]) -> Route:
        """Wait until a replica has the model, and a place. Raises ApiError."""
        route = await self.cold.route(ask.body.model, meant)
        if not self.admission.free(route):
            await self.admission.wait(admitted, route, meant)
            self.counters.queued(admitted.caller.tenant.name, admitted.queued)
            route = await self.cold.route(ask.body.model, meant)
        return route

    def _account(self, admitted: Pass, ask: Ask, route: Route, reply: Reply, meter: Meter, failed: int) -> None:
        """What came of it, for quotas, metrics, trace and log. `failed`: the status of our own error; else 0."""
        model, caller = route.label, admitted.caller
        tokens = meter.total(admitted.size // BYTES_A_TOKEN) if meter.first is not None else (0, 0)
        admitted.used(sum(tokens))
        if ask.trace is not None:
            ask.trace.answered(route, meter, admitted.queued)
        status = failed or reply.status
        if meter.pod:
            self.counters.finished(model, caller.tenant.name, status, meter, tokens)
        if self.log.wants(status, reply.complete or bool(failed)):
            self.log.tell(
                Entry(
                    reply.request_id.decode(),
                    caller.tenant.name,
                    caller.id,
                    model,
                    meter.pod,
                    status,
                    meter.seconds,
                    meter.first,
                    admitted.queued,
                    *tokens,
                    reply.complete,
                )
            )

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
    return request.headers.get(b"accept", b"*/*")

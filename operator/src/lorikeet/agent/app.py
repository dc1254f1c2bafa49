"""The agent's HTTP: what the operator says and asks, and the kubelet's probes."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import orjson
from aiohttp import web
from pydantic import ValidationError

from lorikeet.agent.guard_folder import read_secret
from lorikeet.agent.keeper import Keeper, Superseded
from lorikeet.agent.metrics import exposition
from lorikeet.agent.supply import Supply, problem_of
from lorikeet.api.conditions import Problem, Reason
from lorikeet.api.shape import Shape
from lorikeet.api.wire import Resolve, Wanted
from lorikeet.artifacts.errors import ArtifactError

BODY_LIMIT = 16 * 1024 * 1024  # bytes; a wanted adapter has about 200
WAIT_LIMIT = 60.0  # seconds of one long poll
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
S = TypeVar("S", bound=Shape)


def application(keeper: Keeper, supply: Supply, agent_token: Path, started: Callable[[], str]) -> web.Application:
    """`agent_token`: the file with the operator's token; `started` says what a start still waits for, or nothing."""

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith("/v1/") and not authorized(request, agent_token):
            return web.json_response({"message": "unauthorized"}, status=401)
        return await handler(request)

    routes = Routes(keeper, supply, started)
    app = web.Application(middlewares=[guarded], client_max_size=BODY_LIMIT)
    app.router.add_put("/v1/wanted", routes.want)
    app.router.add_get("/v1/state", routes.state)
    app.router.add_post("/v1/resolve", routes.resolve)
    app.router.add_get("/healthz", routes.healthz)
    app.router.add_get("/startupz", routes.startupz)
    app.router.add_get("/readyz", routes.readyz)
    app.router.add_get("/metrics", routes.metrics)
    return app


def authorized(request: web.Request, agent_token: Path) -> bool:
    """Read at each request, so that a changed Secret is followed; without a token nobody is let in."""
    token = read_secret(agent_token)
    given = request.headers.getall("Authorization", [])
    wanted = f"Bearer {token}".encode()
    return bool(token) and len(given) == 1 and hmac.compare_digest(given[0].encode("utf-8", "replace"), wanted)


class Routes:
    """The handlers."""

    def __init__(self, keeper: Keeper, supply: Supply, started: Callable[[], str]) -> None:
        self._keeper, self._supply, self._started = keeper, supply, started

    async def want(self, request: web.Request) -> web.StreamResponse:
        wanted = await parsed(request, Wanted)
        try:
            await self._keeper.want(wanted)
        except Superseded as error:
            return web.json_response({"message": str(error), "epoch": error.epoch}, status=409)
        except OSError as error:
            return web.json_response({"message": f"the adapters volume: {error.strerror}"}, status=507)
        return web.json_response({"wanted": wanted.id})

    async def state(self, request: web.Request) -> web.StreamResponse:
        try:
            since, wait = int(request.query.get("since", "0")), float(request.query.get("wait", "0"))
        except ValueError as error:
            raise web.HTTPBadRequest(text="since is a whole number, wait is in seconds") from error
        wait = min(max(wait, 0.0), WAIT_LIMIT) if wait == wait else 0.0  # NaN is no time
        state = await self._keeper.board.after(since, wait)
        return web.Response(body=orjson.dumps(state.dump()), content_type="application/json")

    async def resolve(self, request: web.Request) -> web.StreamResponse:
        ask = await parsed(request, Resolve)
        try:
            return web.json_response((await self._supply.resolve(ask)).dump())
        except ArtifactError as error:
            problem, after = problem_of("the source", error), error.retry_after
        except OSError as error:
            problem, after = Problem(reason=Reason.SOURCE_UNAVAILABLE, message=f"the source: {error.strerror}"), None
        headers = {"Retry-After": str(round(after))} if after is not None else {}
        return web.json_response(problem.dump(), status=422 if problem.lasting else 503, headers=headers)

    async def healthz(self, request: web.Request) -> web.StreamResponse:
        return web.Response(text="ok\n")

    async def startupz(self, request: web.Request) -> web.StreamResponse:
        missing = self._started()
        return web.Response(text=missing or "ok\n", status=503 if missing else 200)

    async def readyz(self, request: web.Request) -> web.StreamResponse:
        if self._keeper.ready():
            return web.Response(text="ok\n")
        return web.Response(text="the engine is not healthy, or adapters are still on their way\n", status=503)

    async def metrics(self, request: web.Request) -> web.StreamResponse:
        text = exposition(self._keeper.board.state, self._keeper.hands.outcomes)
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def parsed(request: web.Request, shape: type[S]) -> S:
    """The body as a value. Answers 400 for anything else."""
    try:
        return shape.model_validate_json(await request.read())
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        raise web.HTTPBadRequest(text=f"{shape.__name__}: {first['loc']}: {first['msg']}") from error

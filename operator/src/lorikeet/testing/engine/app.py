"""The simulator's routes: vLLM's paths, statuses, texts and error shapes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lorikeet.testing.engine import metrics
from lorikeet.testing.engine.core import Core, EngineDied
from lorikeet.testing.engine.errors import BadRequest, error
from lorikeet.testing.engine.replies import chat, completion
from lorikeet.testing.engine.turns import turn
from lorikeet.testing.engine.weights import BadAdapter, NoAdapter


class Routes:
    """The handlers of one engine."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def app(self) -> Starlette:
        """The whole application, without a guard: as open as vLLM is."""
        open_routes = [
            Route("/health", self.health, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
            Route("/version", self.version, methods=["GET"]),
            Route("/v1/models", self.models, methods=["GET"]),
            Route("/v1/chat/completions", self.generate, methods=["POST"]),
            Route("/v1/completions", self.generate, methods=["POST"]),
            Route("/v1/responses", self.generate, methods=["POST"]),
            Route("/invocations", self.generate, methods=["POST"]),
        ]
        lora_routes = [
            Route("/v1/load_lora_adapter", self.load, methods=["POST"]),
            Route("/v1/unload_lora_adapter", self.unload, methods=["POST"]),
        ]
        updates = self._core.settings.enable_lora and self._core.settings.runtime_updates
        return Starlette(
            routes=[*open_routes, *(lora_routes if updates else [])],
            exception_handlers={HTTPException: not_found, EngineDied: died, BadRequest: bad_request},
        )

    async def health(self, request: Request) -> Response:
        return Response(status_code=503 if self._core.faults.unhealthy else 200)

    async def metrics(self, request: Request) -> Response:
        return PlainTextResponse(metrics.render(self._core), media_type="text/plain; version=0.0.4")

    async def version(self, request: Request) -> Response:
        return JSONResponse({"version": "0.32.0+simulated"})

    async def models(self, request: Request) -> Response:
        settings = self._core.settings
        base = card(settings.served_name, str(settings.model), None, settings.max_model_len)
        adapters = [
            card(adapter.name, str(adapter.path), settings.served_name, None)
            for adapter in self._core.adapters.values()
            if adapter.name not in self._core.faults.lose_adapters
        ]
        return JSONResponse({"object": "list", "data": [base, *adapters]})

    async def load(self, request: Request) -> Response:
        body = await read_json(request)
        name, path = (text_field(body, field) for field in ("lora_name", "lora_path"))
        if refusal := self._refuse_load(name, path):
            return refusal
        try:
            await self._core.load(name, Path(path))
        except NoAdapter:
            return error(404, "NotFoundError", f"Loading lora {name} failed: No adapter found for {path}")
        except BadAdapter as bad:
            return error(500, "InternalServerError", str(bad))
        garbled = self._core.faults.garble_load
        return PlainTextResponse(garbled or f"Success: LoRA adapter '{name}' added successfully.")

    def _refuse_load(self, name: str, path: str) -> Response | None:
        if self._core.faults.refuse_load:
            status, message = self._core.faults.refuse_load
            return error(status, "InternalServerError" if status >= 500 else "BadRequestError", message)
        if not name or not path:
            return error(400, "InvalidUserInput", "Both 'lora_name' and 'lora_path' must be provided.")
        if name == self._core.settings.served_name:
            return error(400, "InvalidUserInput", f"The lora adapter '{name}' conflicts with a served base model.")
        if name in self._core.adapters:
            said = f"The lora adapter '{name}' has already been loaded. If you want to load the adapter in place,"
            return error(400, "InvalidUserInput", f"{said} set 'load_inplace' to True.")
        return None

    async def unload(self, request: Request) -> Response:
        name = text_field(await read_json(request), "lora_name")
        if not name:
            said = "'lora_name' needs to be provided to unload a LoRA adapter."
            return error(400, "InvalidUserInput", said)
        if self._core.faults.refuse_unload:
            status, message = self._core.faults.refuse_unload
            return error(status, "InternalServerError", message)
        if name not in self._core.adapters:
            return error(404, "NotFoundError", f"The lora adapter '{name}' cannot be found.")
        await self._core.unload(name)
        return PlainTextResponse(f"Success: LoRA adapter '{name}' removed successfully.")

    async def generate(self, request: Request) -> Response:
        body = await read_json(request)
        name = body.get("model") or self._core.settings.served_name
        if not self._core.knows(name):
            return error(404, "NotFoundError", f"The model `{name}` does not exist.", "model")
        make = {"/v1/completions": completion, "/v1/responses": turn}.get(request.url.path, chat)
        return await make(self._core, name, body)


class Gate:
    """Outermost: while the whole server hangs, so does every request; some replies are lost."""

    def __init__(self, app: ASGIApp, core: Core) -> None:
        self._app, self._core = app, core

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        await self._core.faults.server.wait()
        lost = self._core.faults.lose_replies
        if lost.get(scope["path"], 0) > 0:
            lost[scope["path"]] -= 1
            await self._app(scope, receive, nowhere)
            # An answer that begins and is not ended: the connection is cut.
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"100")]})
            return
        await self._app(scope, receive, send)


async def nowhere(message: Message) -> None:
    """A reply that nobody gets."""


def card(name: str, root: str, parent: str | None, max_model_len: int | None) -> dict[str, Any]:
    permission = {"id": f"modelperm-{name}", "object": "model_permission", "organization": "*", "is_blocking": False}
    return {
        "id": name,
        "object": "model",
        "created": int(time.time()),
        "owned_by": "vllm",
        "root": root,
        "parent": parent,
        "max_model_len": max_model_len,
        "permission": [permission],
    }


async def read_json(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").split(";")[0].lower() != "application/json":
        raise BadRequest("Unsupported Media Type: Only 'application/json' is allowed")
    try:
        body = await request.json()
    except ValueError as bad:
        raise BadRequest(f"JSON decode error: {bad}") from bad
    if not isinstance(body, dict):
        raise BadRequest("Input should be a valid dictionary")
    return body


def text_field(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str):
        raise BadRequest(f"Field required: {name}" if value is None else f"Input should be a valid string: {name}")
    return value


async def not_found(request: Request, exception: Exception) -> Response:
    assert isinstance(exception, HTTPException)
    kind = "NotFoundError" if exception.status_code == 404 else "BadRequestError"
    return error(exception.status_code, kind, str(exception.detail))


async def bad_request(request: Request, exception: Exception) -> Response:
    return error(400, "BadRequestError", str(exception))


async def died(request: Request, exception: Exception) -> Response:
    return error(500, "InternalServerError", str(exception))

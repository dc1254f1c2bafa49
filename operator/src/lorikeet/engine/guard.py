"""The lock on an engine, worn inside: an ASGI middleware that lets an allowlist through and nothing else.

This file stands alone (standard library, Python >= 3.11): the agent copies its source into the engine's pod as
`lorikeet_guard.py`, and vLLM loads it with `--middleware lorikeet_guard.Guard`. vLLM's own `--api-key` guards `/v1/*`
only: it leaves routes open that load adapters (`/adapters`), answer prompts (`/invocations`) or stop the engine
(`/pause`).

What passes, by exact method and exact raw path, always without a query:

    inference key  POST /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/responses
    control token  GET /v1/models, /-/boot; POST /v1/load_lora_adapter, /v1/unload_lora_adapter
    nobody's       GET /health, /metrics

`/-/boot` also says how many inference requests are in flight, and for how many seconds the quietest of them has waited
for the engine, not for its client, which may send or read slowly. Where the agent finds that the engine hangs it writes
this life's id into the file `hung`: `/health` then is 503, so that the kubelet restarts the engine. Without an agent
there is no such verdict, and one about an earlier life says nothing about this one.

Everything else is 404, or 405 where only the method is wrong; a websocket is closed. Each HTTP response carries
`x-lorikeet-boot`, a random id of this life of the engine: when it changes, every adapter of the old life is gone.

Environment: LORIKEET_GUARD_DIR, a folder with the files `inference-key` and `control-token`, read again when they
change (default /run/lorikeet); LORIKEET_ADAPTERS_DIR, the only folder a load may name (default /adapters).
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

Message = MutableMapping[str, Any]
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

INFERENCE, CONTROL, OPEN = "inference-key", "control-token", ""
LOAD, UNLOAD, BOOT, HEALTH = b"/v1/load_lora_adapter", b"/v1/unload_lora_adapter", b"/-/boot", b"/health"
HUNG = "hung"
ROUTES: dict[bytes, tuple[str, str]] = {
    b"/v1/chat/completions": ("POST", INFERENCE),
    b"/v1/completions": ("POST", INFERENCE),
    b"/v1/embeddings": ("POST", INFERENCE),
    b"/v1/responses": ("POST", INFERENCE),
    b"/v1/models": ("GET", CONTROL),
    LOAD: ("POST", CONTROL),
    UNLOAD: ("POST", CONTROL),
    BOOT: ("GET", CONTROL),
    HEALTH: ("GET", OPEN),
    b"/metrics": ("GET", OPEN),
}
CONTROL_BODY_LIMIT = 16 * 1024  # a name and a path; bytes
TOKEN_LIMIT = 4096  # bytes


class Guard:
    """ASGI middleware: `Guard(app)`. The rest is for tests: in a pod the environment names the folders."""

    def __init__(
        self,
        app: App,
        folder: Path | None = None,
        adapters: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app, self._clock = app, clock
        self._folder = folder or Path(os.environ.get("LORIKEET_GUARD_DIR") or "/run/lorikeet")
        self._adapters = str(adapters or os.environ.get("LORIKEET_ADAPTERS_DIR") or "/adapters")
        self._tokens = {name: Token(self._folder / name) for name in (INFERENCE, CONTROL)}
        self._boot = secrets.token_hex(16)
        self._started_at = time.time()
        self._flights: set[Flight] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self._http(scope, receive, self._stamped(send))
        elif scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008, "reason": "no such route"})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            path = self._admitted(scope)
            if path == BOOT:
                await reply(send, 200, self._life())
                return
            if path in (LOAD, UNLOAD):
                body = self._control_body(path, await read_body(receive))
                scope, receive = with_body(scope, receive, body)
        except Refusal as refusal:
            await reply(send, refusal.status, refusal.body(), refusal.headers)
            return
        if ROUTES[path][1] == INFERENCE:
            await self._fly(scope, Flight(receive, send, self._clock))
        else:
            await self._app(scope, receive, send)

    async def _fly(self, scope: Scope, flight: Flight) -> None:
        self._flights.add(flight)
        try:
            await self._app(scope, flight.receive, flight.send)
        finally:
            self._flights.discard(flight)

    def _life(self) -> dict[str, object]:
        quiet = [flight.quiet_for for flight in self._flights]
        seen = {"inFlight": len(self._flights), "quietFor": max(quiet, default=0.0)}
        return {"boot": self._boot, "startedAt": self._started_at, **seen}

    def _hangs(self) -> bool:
        try:
            return (self._folder / HUNG).read_text("ascii") == self._boot
        except (OSError, UnicodeDecodeError):
            return False

    def _admitted(self, scope: Scope) -> bytes:
        """The route asked for, compared as raw bytes: `//`, `%2e`, `..`, case, a last slash fail. Raises Refusal."""
        path: bytes = scope.get("raw_path") or b""
        route = ROUTES.get(path)
        # The app below routes by the decoded path: both must say the same, whatever server or root path is in front.
        if route is None or scope["path"].encode() != path or scope.get("query_string"):
            raise Refusal(404, "NotFoundError", "Not Found")
        method, token = route
        if scope["method"] != method:
            raise Refusal(405, "MethodNotAllowedError", "Method Not Allowed", [(b"allow", method.encode())])
        if token != OPEN:
            self._authorize(scope, self._tokens[token])
        if path == HEALTH and self._hangs():
            raise Refusal(503, "ServiceUnavailableError", "the engine hangs: requests wait and no token comes")
        return path

    def _authorize(self, scope: Scope, token: Token) -> None:
        wanted = b"Bearer " + token.read()
        given = [value for name, value in scope["headers"] if name.lower() == b"authorization"]
        if len(given) != 1 or not hmac.compare_digest(given[0], wanted):
            raise Refusal(401, "AuthenticationError", "Unauthorized", [(b"www-authenticate", b"Bearer")])

    def _control_body(self, path: bytes, body: bytes) -> bytes:
        """The body of a load or unload, written anew, so that vLLM parses nothing we did not see. Raises Refusal."""
        fields = parse_object(body)
        wanted = {"lora_name", "lora_path"} if path == LOAD else {"lora_name"}
        if set(fields) != wanted or not all(isinstance(value, str) and value for value in fields.values()):
            # load_inplace above all: vLLM would read the adapter anew from the disk on every later step.
            raise Refusal(400, "BadRequestError", f"exactly these fields are accepted: {', '.join(sorted(wanted))}")
        if path == LOAD:
            self._check_path(fields["lora_path"])
        return json.dumps(fields).encode()

    def _check_path(self, path: str) -> None:
        # vLLM takes a path that is not there for a hub repository and downloads it.
        if "\0" in path or os.path.normpath(path) != path or not path.startswith(self._adapters + "/"):
            raise Refusal(400, "BadRequestError", f"lora_path must be a plain path under {self._adapters}")

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        # uvicorn takes an exception here for "this app has no lifespan" and goes on; the message below stops it.
        for token in self._tokens.values():
            try:
                token.read()
            except Refusal as refusal:
                await receive()
                await send({"type": "lifespan.startup.failed", "message": f"lorikeet guard: {refusal}"})
                return
        await self._app(scope, receive, send)

    def _stamped(self, send: Send) -> Send:
        async def stamped(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", ()), (b"x-lorikeet-boot", self._boot.encode())]
                message = {**message, "headers": headers}
            await send(message)

        return stamped


class Flight:
    """One inference request between its client and the engine."""

    def __init__(self, receive: Receive, send: Send, clock: Callable[[], float]) -> None:
        self._receive, self._send, self._clock = receive, send, clock
        self._since: float | None = None  # since when it is the engine's turn; None while it is the client's

    @property
    def quiet_for(self) -> float:
        """Seconds for which the engine has had the request and said nothing."""
        return self._clock() - self._since if self._since is not None else 0.0

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            self._since = self._clock()
        return message

    async def send(self, message: Message) -> None:
        self._since = None  # a client that reads slowly keeps us here
        await self._send(message)
        self._since = self._clock()


class Refusal(Exception):
    """A request that goes no further: an HTTP status and OpenAI's error shape."""

    def __init__(self, status: int, kind: str, message: str, headers: list[tuple[bytes, bytes]] | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.headers = status, kind, headers or []

    def body(self) -> dict[str, object]:
        return {"error": {"message": str(self), "type": self.kind, "param": None, "code": self.status}}


class Token:
    """A secret in a file, read again when the file changes. A missing or empty one refuses everybody (503)."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._value = b""

    def read(self) -> bytes:
        try:
            stat = self._path.stat()
            seen = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
            if seen != self._seen:
                self._value, self._seen = self._path.read_bytes()[:TOKEN_LIMIT].strip(), seen
        except OSError as error:
            raise Refusal(503, "ServiceUnavailableError", f"cannot read {self._path}: {error.strerror}") from error
        if not self._value:
            raise Refusal(503, "ServiceUnavailableError", f"{self._path} is empty")
        return self._value


async def read_body(receive: Receive) -> bytes:
    """The whole body of a control request. Raises Refusal above the limit, or when the client left."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refusal(400, "BadRequestError", "the request ended early")
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > CONTROL_BODY_LIMIT:
            raise Refusal(413, "RequestTooLargeError", f"a control request has at most {CONTROL_BODY_LIMIT} bytes")
        if not message.get("more_body"):
            return body


def with_body(scope: Scope, receive: Receive, body: bytes) -> tuple[Scope, Receive]:
    """The same request with another body."""
    replaced = (b"content-length", b"transfer-encoding")
    headers = [(name, value) for name, value in scope["headers"] if name.lower() not in replaced]
    pending = [body]

    async def receive_again() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}, receive_again


def parse_object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, "BadRequestError", "the body is not JSON") from error
    if not isinstance(value, dict):
        raise Refusal(400, "BadRequestError", "the body is not a JSON object")
    return value


async def reply(send: Send, status: int, body: object, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    data = json.dumps(body).encode()
    start = [(b"content-type", b"application/json"), (b"content-length", str(len(data)).encode()), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": data})

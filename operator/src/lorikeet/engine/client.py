"""One engine over HTTP. All of vLLM's replies become values or our errors here, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import aiohttp

from lorikeet.engine import metrics
from lorikeet.engine.errors import EngineError, Refused, Unknown, Unreachable, Why

REPLY_LIMIT = 64 * 1024 * 1024  # bytes; /v1/models has about 0.5 KB for each adapter


@dataclass(frozen=True)
class Timeouts:
    """Seconds. A load waits for the engine's current step and then for the disk; the others answer at once."""

    quick: float = 5.0
    list: float = 15.0
    load: float = 120.0


@dataclass(frozen=True)
class Boot:
    """One life of an engine process. Another id means that every adapter of the old one is gone."""

    id: str
    started_at: float  # seconds since the epoch
    in_flight: int = 0  # inference requests
    quiet_for: float = 0.0  # seconds for which the quietest of them has waited for the engine


@dataclass(frozen=True)
class Reply:
    status: int
    text: str

    def error(self) -> tuple[str, str]:
        """(type, message) of an OpenAI-shaped error, nested (vLLM >= 0.10) or flat (older); ("", text) otherwise."""
        body = parse_json(self.text)
        error = body.get("error", body) if isinstance(body, dict) else None
        if not isinstance(error, dict) or not isinstance(error.get("message"), str):
            return "", self.text[:500]
        return str(error.get("type", "")), error["message"]


class EngineClient:
    """Calls to one engine behind its guard. `http` and its life are the caller's; `url` has no slash at the end."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: str, timeouts: Timeouts | None = None) -> None:
        self._http, self._url = http, url
        self._headers = {"Authorization": f"Bearer {token}"}
        self._timeouts = timeouts or Timeouts()

    async def boot(self) -> Boot:
        """Which life of the engine this is. Raises Unreachable, Refused, Unknown."""
        body = await self._json("/-/boot", self._timeouts.quick)
        match body:
            case {"boot": str(boot), "startedAt": int() | float() as started}:
                return Boot(boot, float(started), int(body.get("inFlight", 0)), float(body.get("quietFor", 0)))
        raise Unknown(f"/-/boot answered {str(body)[:200]}")

    async def health(self) -> bool:
        """Whether the engine says it is well. Raises Unreachable."""
        return (await self._call("GET", "/health", self._timeouts.quick)).status == 200

    async def models(self) -> dict[str, str]:
        """Each adapter the engine has: engine name → the folder it came from. Raises Unreachable, Refused, Unknown.

        vLLM re-reads evicted adapters on use, so all of these answer. The base model, which has no parent, is left out.
        """
        body = await self._json("/v1/models", self._timeouts.list)
        try:
            return {str(card["id"]): str(card["root"]) for card in body["data"] if card.get("parent") is not None}
        except (KeyError, TypeError, AttributeError) as error:
            raise Unknown(f"/v1/models answered {str(body)[:200]}") from error

    async def load(self, name: str, path: str) -> None:
        """Make the engine serve the adapter in folder `path` as `name`. Already so is success.

        Raises Unreachable (the load may still happen: look at models), Refused, Unknown.
        """
        body = {"lora_name": name, "lora_path": path}
        reply = await self._call("POST", "/v1/load_lora_adapter", self._timeouts.load, body)
        if reply.status == 200 and reply.text.startswith("Success"):
            return
        error = load_error(reply)
        if isinstance(error, Refused) and error.reason in (Why.UNAUTHORIZED, Why.FILES_MISSING):
            raise error
        # "Already loaded" is only good if it is our folder, and a reply we do not know may hide a success: look.
        if (await self.models()).get(name) != path:
            raise error

    async def unload(self, name: str) -> None:
        """Make the engine forget `name`. Not known is success. Raises Unreachable, Refused, Unknown."""
        body = {"lora_name": name}
        reply = await self._call("POST", "/v1/unload_lora_adapter", self._timeouts.load, body)
        if reply.status == 200:
            return
        if name in await self.models():
            raise refusal(reply)

    async def metrics(self) -> metrics.EngineMetrics:
        """Raises Unreachable, Unknown."""
        reply = await self._call("GET", "/metrics", self._timeouts.list)
        if reply.status != 200:
            raise refusal(reply)
        try:
            return metrics.parse(reply.text)
        except ValueError as error:
            raise Unknown(f"/metrics is no Prometheus text: {error}") from error

    async def _json(self, path: str, timeout: float) -> Any:
        reply = await self._call("GET", path, timeout)
        if reply.status != 200:
            raise refusal(reply)
        body = parse_json(reply.text)
        if body is None:
            raise Unknown(f"{path} answered no JSON: {reply.text[:200]}")
        return body

    async def _call(self, method: str, path: str, timeout: float, body: object = None) -> Reply:
        try:
            async with self._http.request(
                method,
                self._url + path,
                json=body,
                headers=self._headers,
                timeout=aiohttp.ClientTimeout(total=timeout),
                allow_redirects=False,
            ) as response:
                return Reply(response.status, await read_text(response))
        except TimeoutError as error:
            raise Unreachable(f"{method} {self._url}{path}: no answer in {timeout:g} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{method} {self._url}{path}: {error}") from error


async def read_text(response: aiohttp.ClientResponse) -> str:
    data = bytearray()
    async for chunk in response.content.iter_chunked(65536):
        data += chunk
        if len(data) > REPLY_LIMIT:
            raise Unknown(f"{response.url.path} answered more than {REPLY_LIMIT} bytes")
    return data.decode(errors="replace")


def load_error(reply: Reply) -> EngineError:
    """What a load's reply says. vLLM answers 500 for adapters it cannot use, so that is no reason to try again."""
    kind, message = reply.error()
    match reply.status, kind:
        case 404, _ if message == "Not Found":  # the route itself: an engine that was not started our way
            return Unknown("the engine has no load route: is VLLM_ALLOW_RUNTIME_LORA_UPDATING set?")
        case 404, "NotFoundError":
            return Refused(Why.FILES_MISSING, message)
        case 400, "InvalidUserInput":
            return Refused(Why.NAME_TAKEN, message)
        case 500, _ if kind:
            return Refused(Why.NOT_LOADABLE, message)
    return refusal(reply)


def refusal(reply: Reply) -> EngineError:
    kind, message = reply.error()
    if reply.status in (401, 403):
        return Refused(Why.UNAUTHORIZED, message)
    if reply.status in (408, 429, 502, 503, 504):
        return Unreachable(f"HTTP {reply.status}: {message}")
    if reply.status in range(400, 500) and kind:
        return Refused(Why.INVALID, message)
    return Unknown(f"HTTP {reply.status}: {message}")


def parse_json(text: str) -> Any:
    """None where it is no JSON."""
    try:
        return json.loads(text)
    except ValueError:
        return None

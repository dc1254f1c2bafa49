"""The gateway does what its OpenAPI document says, whatever schemathesis makes of it: statuses, headers and bodies.

A gateway on loopback ports in a thread, with keys and two simulated engines behind the real guard. `make explore` asks
with new examples.
"""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import uvloop
from hypothesis import HealthCheck, given, settings

from lorikeet.api.apikeys import digest, id_of
from lorikeet.api.keys import Purpose, derive
from lorikeet.api.ref import Ref
from lorikeet.engine.client import EngineClient
from lorikeet.gateway.catalog import Catalog
from lorikeet.gateway.gateway import Gateway, serve_admin
from lorikeet.gateway.keys import Keys
from lorikeet.gateway.limits import Limits
from lorikeet.gateway.openapi.document import document
from lorikeet.gateway.rows import AdapterRow, ServerRow
from lorikeet.testing.adapters import write_adapter, write_base
from lorikeet.testing.apiserver.process import free_ports
from lorikeet.testing.engine import Engine

pytestmark = pytest.mark.slow

ROOT_KEY, PEPPER = b"r" * 32, b"p" * 32
KEY = "sk-aaaaaaaaaaaa-x"
SERVER = Ref("ns", "qwen")
ENGINE_NAME = "sql@3f9c1a7d20b4"
NAMES = ["base", "ns:base", "sql", "ns:sql", "acme/sql"]
EXAMPLES = 10 if settings.default.derandomize else 200
WAYS = [
    (path, method, mode)
    for path, item in document()["paths"].items()
    for method in ("get", "post")
    for mode in ("positive", "negative")
    if method in item and (mode == "positive" or "requestBody" in item[method] or "parameters" in item)
]


@dataclass(frozen=True)
class World:
    """What is served where."""

    urls: dict[str, str]  # by tag


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as opened:
        engines = {f"pod-{n}": await opened.enter_async_context(engine(folder / str(n))) for n in range(2)}
        for each in engines.values():
            await load(each)
        catalog = Catalog()
        ready = {pod: f"127.0.0.1:{each.port}" for pod, each in engines.items()}
        catalog.put(ServerRow(SERVER, "uid", "2026-01-01T00:00:00Z", "base", ready, replicas=2))
        loaded = frozenset((pod, ENGINE_NAME) for pod in ready)
        names = ("sql", "acme/sql")
        catalog.put(AdapterRow(Ref("ns", "sql"), "2026-01-02T00:00:00Z", names, SERVER, ENGINE_NAME, loaded))
        gateway = Gateway(catalog, ROOT_KEY, Limits(), asyncio.get_running_loop(), keys())
        port, admin_port = await gateway.listen("127.0.0.1", 0), free_ports(1)[0]
        opened.push_async_callback(gateway.drain, 0, 0)
        admin = await serve_admin(gateway, [], "127.0.0.1", admin_port)
        opened.push_async_callback(admin.cleanup)
        yield World({"clients": f"http://127.0.0.1:{port}", "scripts": f"http://127.0.0.1:{admin_port}"})


def engine(folder: Path) -> Engine:
    made = Engine(write_base(folder / "base"), folder / "run", folder / "adapters")
    made.inference_key = derive(ROOT_KEY, Purpose.INFERENCE, SERVER, "uid")
    return made


async def load(engine: Engine) -> None:
    path = write_adapter(engine._adapters / "store" / "sql")
    async with aiohttp.ClientSession() as http:
        await EngineClient(http, engine.url, engine.control_token).load(ENGINE_NAME, str(path))


def keys() -> Keys:
    """One key, of an administrator with limits that nobody reaches."""
    limits = {"requestsPerSecond": 1e6, "tokensPerMinute": 10**9}
    entry = {"hmac": digest(PEPPER, KEY.encode()), "tenant": "t", "admin": True, "limits": limits}
    fields = {"pepper": PEPPER, f"key.{id_of(KEY.encode())}": json.dumps(entry).encode()}
    found = Keys(ROOT_KEY, open=False)
    found.put("one", {name: base64.b64encode(value).decode() for name, value in fields.items()})
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    found: list[World] = []
    up, stop = threading.Event(), asyncio.Event()

    async def serve() -> None:
        async with serving(tmp_path_factory.mktemp("world")) as world:
            found.append(world)
            up.set()
            await stop.wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        loop = runner.get_loop()
        thread = threading.Thread(target=runner.run, args=(serve(),))
        thread.start()
        assert up.wait(30)
        yield found[0]
        loop.call_soon_threadsafe(stop.set)
        thread.join()


def told() -> dict[str, Any]:
    """The document for this world: with the names that there are, and nothing left to what is not exactly described."""
    found: dict[str, Any] = copy.deepcopy(document())
    schemas = found["components"]["schemas"]
    for schema in schemas.values():
        forget_the_engine(schema)
        for field in {"model", "lora_name", "adapter"} & set(schema.get("properties", {})):
            if "maxLength" in schema["properties"][field]:
                schema["properties"][field] = {"enum": NAMES if field == "model" else ["sql"]}
    schemas["CompletionRequest"]["properties"]["prompt"] = {"type": "string"}  # vLLM takes tokens, too
    for field in ("model", "max_tokens"):  # 400 beside another `adapter`; below 1
        del schemas["GenerateRequest"]["properties"][field]
    schemas["AdapterNames"]["properties"]["adapters"]["items"] = {"enum": NAMES}
    found["paths"]["/v1/models/{name}"]["parameters"][0]["schema"] = {"enum": NAMES}
    for item in found["paths"].values():
        item.pop("servers", None)
        for operation in (item[method] for method in ("get", "post") if method in item):
            operation["responses"] = {status: it for status, it in operation["responses"].items() if "XX" not in status}
    return found


def forget_the_engine(node: Any) -> None:
    """The simulator is laxer than vLLM about what only engines read."""
    if isinstance(node, dict):
        if "x-read-by" in node:
            for word in set(node) - {"description"}:
                del node[word]
        for inner in node.values():
            forget_the_engine(inner)


@pytest.fixture(scope="module")
def schema() -> Any:
    import schemathesis

    return schemathesis.openapi.from_dict(told())


@pytest.mark.hypothesis
@pytest.mark.parametrize(("path", "method", "mode"), WAYS)
def test_whatever_is_asked_the_answer_is_as_the_document_says(
    world: World, schema: Any, path: str, method: str, mode: str
) -> None:
    from schemathesis import GenerationMode

    operation = schema[path][method]
    url = world.urls[operation.definition.raw["tags"][0]]
    headers = {} if operation.definition.raw.get("security") == [] else {"Authorization": f"Bearer {KEY}"}

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(GenerationMode(mode)))
    def asked(case: Any) -> None:
        case.call_and_validate(base_url=url, headers=headers)

    asked()

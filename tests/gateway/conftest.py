"""What the gateway's tests stand on: objects of the API server, engines that follow a script, a client of bytes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvloop

from lorikeet.api.ref import engine_name
from lorikeet.gateway.catalog import Catalog
from lorikeet.gateway.gateway import Gateway
from lorikeet.gateway.keys import Keys
from lorikeet.gateway.limits import Limits
from lorikeet.gateway.rows import AdapterRow, ServerRow
from lorikeet.gateway.snapshot import Snapshot
from lorikeet.gateway.trace import Traces
from lorikeet.testing.apiserver.process import free_ports

ROOT_KEY = b"r" * 32
DIGEST = "3f9c1a7d20b4" + "0" * 52
SECONDS = 30.0
LoopFactory = Callable[[], asyncio.AbstractEventLoop]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> dict[str, LoopFactory]:
    """The loop that runs in production."""
    return {"uvloop": uvloop.new_event_loop}


class Objects:
    """Bodies of both kinds."""

    digest = DIGEST

    @staticmethod
    def server(
        name: str = "qwen",
        endpoints: dict[str, str] | None = None,
        *,
        namespace: str = "ns",
        model: str = "base",
        created: str = "2026-01-01T00:00:00Z",
        unready: tuple[str, ...] = (),
    ) -> dict[str, Any]:
        rows = [{"pod": p, "address": a, "ready": p not in unready} for p, a in (endpoints or {}).items()]
        meta = {"namespace": namespace, "name": name, "uid": f"uid-{name}", "creationTimestamp": created}
        return {"metadata": meta, "spec": {}, "status": {"modelName": model, "endpoints": rows}}

    @staticmethod
    def adapter(
        name: str = "sql",
        pods: dict[str, str] | None = None,
        *,
        namespace: str = "ns",
        server: str = "qwen",
        names: tuple[str, ...] | None = None,
        created: str = "2026-01-02T00:00:00Z",
        engine: str | None = None,
        state: str = "Loaded",
    ) -> dict[str, Any]:
        """`pods`: pod → digest."""
        replicas = [{"pod": pod, "digest": digest, "state": state} for pod, digest in (pods or {}).items()]
        status = {
            "engineName": engine_name(name, DIGEST) if engine is None else engine,
            "names": list((name,) if names is None else names),
            "replicas": replicas,
        }
        meta = {"namespace": namespace, "name": name, "uid": f"uid-{name}", "creationTimestamp": created}
        return {"metadata": meta, "spec": {"modelServerRef": {"name": server}}, "status": status}


@pytest.fixture
def objects() -> Objects:
    return Objects()


@dataclass
class Heard:
    """A request as an engine got it."""

    head: str
    body: bytes

    @property
    def model(self) -> str:
        return str(json.loads(self.body)["model"])

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.split("\r\n")[1:]
        return {name.lower(): value for name, _, value in (line.partition(": ") for line in lines if line)}


Script = Callable[[Heard, asyncio.StreamWriter], Awaitable[None]]


def reply(body: bytes = b'{"ok":true}', status: str = "200 OK", headers: str = "") -> Script:
    """Answer with a whole JSON body and keep the connection."""
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {len(body)}\r\n\r\n"
    return say(head.encode() + body)


def say(data: bytes, *, close: bool = False) -> Script:
    """Answer with these bytes."""

    async def script(_: Heard, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        if close:
            writer.close()

    return script


@dataclass
class ScriptedEngine:
    """A TCP server that answers each request by the next script, the last one for ever."""

    scripts: list[Script]
    address: str = ""
    heard: list[Heard] = field(default_factory=list)
    connections: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """A client has gone."""

    async def start(self) -> None:
        self._listener = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    def stop_listening(self) -> None:
        self._listener.close()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while not writer.is_closing():
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                heard = Heard(head, b"")
                heard.body = await reader.readexactly(int(heard.headers.get("content-length", "0")))
                self.heard.append(heard)
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                await script(heard, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.left.set()
            writer.close()


@dataclass
class Answer:
    """A reply as a client of bytes got it."""

    status: int
    head: str
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Client:
    """Speaks bytes."""

    port: int

    async def raw(self, data: bytes) -> bytes:
        """Everything the gateway says to `data` until it closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            writer.write(data)
            async with asyncio.timeout(SECONDS):
                return await reader.read()
        finally:
            writer.close()

    async def ask(
        self, model: str = "sql", *, path: str = "/v1/completions", headers: str = "", **fields: Any
    ) -> Answer:
        return await self.post(json.dumps({"model": model, "prompt": "hi", **fields}).encode(), path, headers)

    async def post(self, body: bytes, path: str = "/v1/completions", headers: str = "") -> Answer:
        head = f"POST {path} HTTP/1.1\r\nhost: gw\r\nconnection: close\r\n{headers}content-length: {len(body)}\r\n\r\n"
        return parsed(await self.raw(head.encode() + body))

    async def get(self, path: str) -> Answer:
        return parsed(await self.raw(f"GET {path} HTTP/1.1\r\nhost: gw\r\nconnection: close\r\n\r\n".encode()))


def parsed(data: bytes) -> Answer:
    head, _, body = data.partition(b"\r\n\r\n")
    return Answer(int(head.split(b" ")[1]), head.decode(), body)


@dataclass
class Stack:
    """A gateway on a loopback port, and the catalog it routes by."""

    catalog: Catalog
    gateway: Gateway
    client: Client

    def put(self, *bodies: dict[str, Any]) -> None:
        for body in bodies:
            kind = AdapterRow if "modelServerRef" in body["spec"] else ServerRow
            self.catalog.put(kind.parse(body))

    def route(self, *engines: ScriptedEngine) -> None:
        """Server `qwen` on these engines (pods pod-0, pod-1, …), each with adapter `sql`."""
        pods = {f"pod-{number}": engine.address for number, engine in enumerate(engines)}
        self.put(Objects.server(endpoints=pods), Objects.adapter(pods=dict.fromkeys(pods, DIGEST)))


@pytest.fixture
async def make_engine() -> AsyncIterator[Callable[..., Awaitable[ScriptedEngine]]]:
    engines: list[ScriptedEngine] = []

    async def make(*scripts: Script) -> ScriptedEngine:
        engine = ScriptedEngine(list(scripts) or [reply()])
        await engine.start()
        engines.append(engine)
        return engine

    yield make
    for engine in engines:
        engine.stop_listening()


@asynccontextmanager
async def running_stack(limits: Limits, traces: Traces | None = None) -> AsyncIterator[Stack]:
    catalog = Catalog()
    gateway = Gateway(catalog, ROOT_KEY, limits, asyncio.get_running_loop(), traces=traces)
    port = await gateway.listen("127.0.0.1", 0)
    try:
        yield Stack(catalog, gateway, Client(port))
    finally:
        await gateway.drain(0, 0)


@pytest.fixture
async def stack() -> AsyncIterator[Stack]:
    # Engines are in this loop: one that is slow to connect waits for its turn on this machine, and is not gone.
    async with running_stack(Limits(cold_seconds=0, connect_seconds=60)) as stack:
        yield stack


@pytest.fixture
def stack_with() -> Callable[..., Any]:
    return running_stack


KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: nowhere
contexts: [{name: nowhere, context: {cluster: nowhere, user: nobody}}]
clusters: [{name: nowhere, cluster: {server: "http://127.0.0.1:9"}}]
users: [{name: nobody, user: {}}]
"""


@pytest.fixture
async def start_process(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[tuple[Process, int]]]]:
    """Starts `lorikeet-gateway`, with an older table and without an API server; the process and its port."""
    processes: list[Process] = []
    older = Snapshot(tmp_path / "table.json", Catalog(), Keys(ROOT_KEY, open=True))

    async def start(**settings: str) -> tuple[Process, int]:
        port, admin = free_ports(2)
        (tmp_path / "kubeconfig").write_text(KUBECONFIG)
        (tmp_path / "root-key").write_bytes(ROOT_KEY)
        older.write(older.table())
        told = {
            "KUBECONFIG": str(tmp_path / "kubeconfig"),
            "LORIKEET_ROOT_KEY_FILE": str(tmp_path / "root-key"),
            "LORIKEET_AUTH": "none",
            "LORIKEET_HOST": "127.0.0.1",
            "LORIKEET_PORT": str(port),
            "LORIKEET_ADMIN_PORT": str(admin),
            "LORIKEET_LINGER_SECONDS": "0",
            "LORIKEET_STATE_DIR": str(tmp_path),
        }
        command = (sys.executable, "-m", "lorikeet.gateway.main")
        processes.append(await asyncio.create_subprocess_exec(*command, env={**os.environ, **told, **settings}))
        return processes[-1], port

    yield start
    for process in processes:
        if process.returncode is None:
            process.terminate()
        await asyncio.wait_for(process.wait(), 30)


@pytest.fixture
def say_bytes() -> Callable[..., Script]:
    return say


@pytest.fixture
def reply_with() -> Callable[..., Script]:
    return reply

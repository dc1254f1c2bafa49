"""Everything a row of the benchmark plays on: API server, operator, replicas, hub, and a watch that notes when."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import aiohttp

from lorikeet.api.conditions import Kind
from lorikeet.api.loraadapter import LoRAAdapterStatus
from lorikeet.api.ref import Ref
from lorikeet.api.wire import AGENT_PORT
from lorikeet.controller.report import is_true
from lorikeet.controller.workload import child_name
from lorikeet.kube.client import Kube
from lorikeet.kube.errors import Conflict, NotFound
from lorikeet.kube.resource import DEPLOYMENTS, LORAADAPTERS, MODELSERVERS, SECRETS
from lorikeet.kube.watch import Changed, Gone, Listed, follow
from lorikeet.testing import builders as b
from lorikeet.testing.adapters import Dimensions, write_adapter, write_base
from lorikeet.testing.apiserver import ApiServer, api_server
from lorikeet.testing.bench.meter import Audit, Used, used
from lorikeet.testing.hub.repos import Repos
from lorikeet.testing.operator import add_pod, set_pod_status

NAMESPACE, ACCOUNT = "bench", "operator"
TINY = Dimensions(hidden=32, intermediate=64, layers=2, heads=2, kv_heads=2, head=16)
LOAD_SECONDS = 0.03
PROBE, THRESHOLD = 2.0, 2
"""A kubelet's readiness probe, as pods have it."""
DEADLINE = 900.0
Body = dict[str, Any]


class Process:
    """A child that answers lines with lines."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        self._child, self._turn = child, asyncio.Lock()

    @property
    def pid(self) -> int:
        return self._child.pid

    async def ask(self, what: str, **more: Any) -> Any:
        assert self._child.stdin
        async with self._turn:
            self._child.stdin.write(json.dumps({"do": what, **more}).encode() + b"\n")
            return await self.hear()

    async def hear(self) -> Any:
        assert self._child.stdout
        return json.loads(await self._child.stdout.readline())

    async def end(self) -> None:
        with suppress(ProcessLookupError):
            self._child.kill()
        await self._child.wait()


@asynccontextmanager
async def process(module: str, *arguments: str, log: Path) -> AsyncIterator[Process]:
    """A module of this package as a process, until the end of the block."""
    with log.open("ab") as sink:
        child = await asyncio.create_subprocess_exec(
            *("setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", f"lorikeet.testing.bench.{module}"),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=sink,
            limit=64 * 1024 * 1024,
        )
    found = Process(child)
    try:
        yield found
    finally:
        await found.end()


@dataclass(frozen=True)
class Told:
    """What a status said, and when we heard."""

    at: float
    ready: bool
    reason: str
    status: LoRAAdapterStatus


class Notes:
    """Every status of every adapter, as a watch brings them."""

    def __init__(self) -> None:
        self.told: dict[str, list[Told]] = {}
        self.gone: dict[str, float] = {}
        self.server: Body = {}
        self._turned = asyncio.Event()

    async def follow_adapters(self, kube: Kube) -> None:
        async for change in follow(kube, LORAADAPTERS):
            match change:
                case Listed(items):
                    for item in items:
                        self._note(item)
                case Changed(body):
                    self._note(body)
                case Gone(ref):
                    self.gone[ref.name] = time.monotonic()
            self._turn()

    async def follow_server(self, kube: Kube) -> None:
        async for change in follow(kube, MODELSERVERS):
            for body in change.items if isinstance(change, Listed) else (getattr(change, "body", None),):
                self.server = body or self.server
            self._turn()

    async def until(self, met: Callable[[], bool], what: str, seconds: float = DEADLINE) -> None:
        """Wait for news until they meet `met`. Raises TimeoutError."""
        try:
            async with asyncio.timeout(seconds):
                while not met():
                    await self._turned.wait()
        except TimeoutError:
            raise TimeoutError(f"after {seconds:.0f} s not yet: {what}") from None

    def last(self, name: str) -> Told | None:
        return self.told[name][-1] if self.told.get(name) else None

    def is_ready(self, name: str) -> bool:
        found = self.last(name)
        return found is not None and found.ready

    def _turn(self) -> None:
        turned, self._turned = self._turned, asyncio.Event()
        turned.set()

    def _note(self, body: Body) -> None:
        status = LoRAAdapterStatus.parse(body.get("status", {}))
        current = status.observed_generation == body["metadata"]["generation"]
        reason = next((each.reason for each in status.conditions if each.type == Kind.READY), "")
        ready = current and is_true(status.conditions, Kind.READY)
        self.told.setdefault(body["metadata"]["name"], []).append(Told(time.monotonic(), ready, reason, status))


@dataclass
class Stage:
    """Built by `stage`."""

    api: ApiServer
    kube: Kube
    audit: Audit
    operator: Process
    replicas: Mapping[str, Process]
    notes: Notes
    root: Path
    server: Ref

    def publish(self, count: int, prefix: str = "ad") -> list[str]:
        """Put so many different adapters on the hub; their pinned sources."""
        repos = Repos(self.root / "hub")
        found = []
        for number in range(count):
            repo = f"acme/{prefix}-{number}"
            if not (self.root / "hub" / repo).exists():
                write_adapter(self.root / "hub" / repo / "v1", dimensions=TINY, rank=8, seed=hash_of(repo))
            found.append(f"hf://{repo}@{repos.revision(repo, 'v1', None).commit}")
        return found

    async def create(self, name: str, uri: str, /, **spec: Any) -> float:
        """When the API server had it."""
        body = b.adapter_body(Ref(self.server.namespace, name), self.server.name, source={"uri": uri}, **spec)
        await self.kube.create(LORAADAPTERS, body)
        return time.monotonic()

    async def change_source(self, name: str, uri: str) -> float:
        while True:
            body = await self.kube.get(LORAADAPTERS, Ref(self.server.namespace, name))
            body["spec"]["source"] = {"uri": uri}
            with suppress(Conflict):
                await self.kube.update(LORAADAPTERS, body)
                return time.monotonic()

    async def delete(self, *names: str) -> float:
        """Delete them and wait until no engine has them; when."""
        began = time.monotonic()
        await asyncio.gather(*(self.kube.delete(LORAADAPTERS, Ref(self.server.namespace, name)) for name in names))
        return began

    async def reports(self) -> dict[str, Any]:
        """What each replica did since it was last asked."""
        said = await asyncio.gather(*(each.ask("report") for each in self.replicas.values()))
        return dict(zip(self.replicas, said, strict=True))

    async def clear(self) -> None:
        """Delete every adapter, and wait until the engines are empty and the operator is quiet."""
        listed = (await self.kube.list(LORAADAPTERS, self.server.namespace))["items"]
        await self.delete(*(item["metadata"]["name"] for item in listed))
        await eventually(self._is_empty)
        self.notes.told.clear()
        self.notes.gone.clear()
        await self.quiet()

    async def _is_empty(self) -> bool:
        return not any(report["lists"] for report in (await self.reports()).values())

    async def quiet(self) -> None:
        """Wait until the operator has written nothing for three seconds."""
        while True:
            self.audit.skip()
            await asyncio.sleep(3.0)
            if not [name for name in self.audit.calls() if "status" in name]:
                return

    def spent(self) -> Used:
        return used(self.operator.pid)


@asynccontextmanager
async def stage(folder: Path, *, replicas: int = 4, slots: int = 256) -> AsyncIterator[Stage]:
    """One server with so many ready replicas, and nothing on them."""
    async with AsyncExitStack() as stack:
        api, kube = await prepared(stack)
        operator = await stack.enter_async_context(operator_of(api, folder))
        base = write_base(folder / "hub/acme/base/v1", dimensions=TINY)
        hub = await stack.enter_async_context(process("hub_process", str(folder / "hub"), log=folder / "hub.log"))
        hub_url = (await hub.hear())["url"]
        notes, server = Notes(), Ref(NAMESPACE, b.SERVER.name)
        for work in (notes.follow_adapters(kube), notes.follow_server(kube)):
            stack.push_async_callback(cancelled, asyncio.create_task(work))
        keys = await served(kube, server, replicas, slots)
        found: dict[str, Process] = {}
        for name, ip in zip("abcdefgh"[:replicas], addresses(), strict=False):
            config = folder / f"{name}.json"
            config.write_text(
                json.dumps(
                    {
                        "folder": str(folder / name),
                        "base": str(base),
                        "model": f"hf://acme/base@{Repos(folder / 'hub').revision('acme/base', 'v1', None).commit}",
                        "hub": hub_url,
                        "server": server.name,
                        "namespace": server.namespace,
                        "pod": name,
                        "ip": ip,
                        "keys": keys,
                        "slots": slots,
                        "load_seconds": LOAD_SECONDS,
                    }
                )
            )
            running = process("replica_process", str(config), log=folder / f"{name}.log")
            found[name] = await stack.enter_async_context(running)
            await found[name].hear()
            await add_pod(kube, server, name, ip, ready=False)
            kubelet = asyncio.create_task(keep_ready(kube, Ref(NAMESPACE, name), ip))
            stack.push_async_callback(cancelled, kubelet)

        def ready() -> bool:
            return bool(notes.server.get("status", {}).get("readyReplicas") == replicas)

        await notes.until(ready, "all replicas take requests", 120)
        yield Stage(api, kube, audit_of(api), operator, found, notes, folder, server)


async def prepared(stack: AsyncExitStack) -> tuple[ApiServer, Kube]:
    """An API server that writes an audit log, with our kinds and an account for the operator."""
    api = stack.enter_context(api_server(audit=True))
    api.install_crds()
    api.kubectl("create", "namespace", NAMESPACE)
    api.kubectl("create", "serviceaccount", ACCOUNT, "-n", NAMESPACE)
    account = f"--serviceaccount={NAMESPACE}:{ACCOUNT}"
    api.kubectl("create", "clusterrolebinding", "bench", "--clusterrole=cluster-admin", account)
    return api, await stack.enter_async_context(await Kube.connect(api.kubeconfig))


def operator_of(api: ApiServer, folder: Path) -> AbstractAsyncContextManager[Process]:
    """Our operator as a process of its own."""
    kubeconfig = api.account_kubeconfig(NAMESPACE, ACCOUNT)
    return process("operator_process", str(kubeconfig), NAMESPACE, log=folder / "operator.log")


def audit_of(api: ApiServer) -> Audit:
    """What the operator asks of the API server."""
    return Audit(api.folder / "audit.log", f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}")


async def served(kube: Kube, server: Ref, replicas: int, slots: int) -> dict[str, str]:
    """Create the server; its keys, once the operator has made them."""
    lora = {"maxLoras": 4, "maxCpuLoras": slots}
    await kube.create(MODELSERVERS, b.server_body(server, replicas=replicas, lora=lora))
    while True:
        with suppress(NotFound):
            await kube.get(DEPLOYMENTS, Ref(server.namespace, child_name(server)))
            found = await kube.get(SECRETS, Ref(server.namespace, f"{server.name}-lorikeet-keys"))
            return {name: base64.b64decode(value).decode() for name, value in found["data"].items()}
        await asyncio.sleep(0.1)


async def keep_ready(kube: Kube, pod: Ref, ip: str) -> None:
    """What a kubelet does: a pod is ready when its agent says so."""
    ready, missed = False, THRESHOLD
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5.0)) as http:
        while True:
            missed = 0 if await probed(http, ip) else missed + 1
            if ready != (missed < THRESHOLD) and (ready or not missed):
                ready = not ready
                await set_pod_status(kube, pod, b.ready_status(ip, ready))
            await asyncio.sleep(PROBE)


async def probed(http: aiohttp.ClientSession, ip: str) -> bool:
    try:
        async with http.get(f"http://{ip}:{AGENT_PORT}/readyz") as reply:
            return reply.status == 200
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False


async def eventually(met: Callable[[], Awaitable[bool]], seconds: float = DEADLINE) -> None:
    """Look now and then until it is so. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while not await met():  # noqa: ASYNC110 - what other processes do has no event here
            await asyncio.sleep(0.1)


def addresses() -> Iterator[str]:
    """Agents listen on a fixed port, each on an address of its own; runs beside each other use different ones."""
    block = os.getpid() % 250
    return (f"127.9.{block}.{number}" for number in range(1, 250))


def hash_of(text: str) -> int:
    """A seed from a name: other names, other bytes."""
    return crc32(text.encode())


async def cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

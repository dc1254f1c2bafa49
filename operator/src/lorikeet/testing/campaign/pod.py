"""One replica: a real agent, an engine behind the real guard, wires around them, and who plays its kubelet."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from lorikeet.agent.agent import agent
from lorikeet.agent.keeper import Pace
from lorikeet.agent.settings import from_environment
from lorikeet.api.ref import Ref
from lorikeet.api.wire import AGENT_PORT
from lorikeet.controller.workload import child_name
from lorikeet.engine.flags import COMMAND
from lorikeet.kube.client import Kube
from lorikeet.kube.resource import DEPLOYMENTS, SECRETS
from lorikeet.testing.builders import ready_status
from lorikeet.testing.campaign.container import Container, Runtime
from lorikeet.testing.campaign.effects import OPERATOR, Ledger, of_agent, of_engine, of_hub
from lorikeet.testing.campaign.wire import Call, Ends, Wire
from lorikeet.testing.engine import Engine
from lorikeet.testing.engine.settings import parse
from lorikeet.testing.operator import add_pod, set_pod_status

PROBE, THRESHOLD = 0.4, 2
"""Seconds between probes, and failures in a row that make a pod unready: a kubelet's periods, made short."""
QUICK = aiohttp.ClientTimeout(total=5.0)


@dataclass(frozen=True)
class Caller:
    """The operator as a replica knows it: whether it is dead, and what kills it."""

    is_dead: Callable[[Call], bool]
    kill: Callable[[], None]


@dataclass(frozen=True)
class Machine:
    """Where a pod runs: its address, its disk, the hub in reach, how hurried its agent is, and what its engine runs on:
    nothing but this process, where `runtime` is None."""

    ip: str
    folder: Path
    hub: str
    pace: Pace
    runtime: Runtime | None = None


class Pod:
    """`async with Pod(...) as pod:` runs what its server's Deployment says, is ready when its agent says so, and has
    its agent started anew whenever that was killed."""

    def __init__(self, kube: Kube, server: Ref, name: str, machine: Machine) -> None:
        self.name, self.machine = name, machine
        self._kube, self._server = kube, server
        self._stack, self._life = AsyncExitStack(), AsyncExitStack()
        self.engine: KeptKeys | Container | None = None
        self._agent: str | None = None
        self._killed = asyncio.Event()
        self.deaths = 0

    def plug_in(self, ledger: Ledger, operator: Caller) -> None:
        """Say who numbers its effects, and who calls it."""
        name = self.name
        inward = Ends(
            lambda: self._agent,
            lambda call: ledger.judge(OPERATOR, of_agent(name, call)),
            operator.kill,
            operator.is_dead,
        )
        to_hub = Ends(lambda: self.machine.hub, lambda call: ledger.judge(name, of_hub(call)), self.kill)
        to_engine = Ends(self._engine_url, lambda call: ledger.judge(name, of_engine(call)), self.kill)
        self._inward = Wire(inward, self.machine.ip, AGENT_PORT)
        self._to_hub, self._to_engine = Wire(to_hub), Wire(to_engine)

    async def __aenter__(self) -> Self:
        for wire in (self._inward, self._to_hub, self._to_engine):
            await self._stack.enter_async_context(wire)
        self._http = await self._stack.enter_async_context(aiohttp.ClientSession(timeout=QUICK))
        await self._take_spec()
        await add_pod(self._kube, self._server, self.name, self.machine.ip, ready=False)
        self._stack.push_async_callback(self._stop)
        self._kubelet = asyncio.create_task(self._keep())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def polls(self) -> int:
        """How often the operator asked for its state."""
        return self._inward.calls["GET /v1/state"]

    def kill(self) -> None:
        """SIGKILL to the agent: nothing of it gets out any more, and nobody reaches it."""
        self.deaths += 1
        self._agent = None
        for wire in (self._inward, self._to_hub, self._to_engine):
            wire.cut()
        self._killed.set()

    def lists(self) -> dict[str, Path]:
        """What its engine lists: engine name → folder."""
        return self.engine.lists() if self.engine else {}

    def holds(self) -> dict[str, list[str] | None]:
        """What lies on its volume. None: no such folder, in the moment in which an agent that starts makes it anew."""
        root = self.machine.folder / "adapters"
        return {folder: _names(root / folder) for folder in ("store", "incoming")}

    async def _take_spec(self) -> None:
        child = Ref(self._server.namespace, child_name(self._server))
        spec = (await self._kube.get(DEPLOYMENTS, child))["spec"]["template"]["spec"]
        self._env = {each["name"]: each.get("value", self.name) for each in spec["initContainers"][0]["env"]}
        self._container: dict[str, Any] = spec["containers"][0]
        keys = await self._kube.get(SECRETS, Ref(self._server.namespace, f"{self._server.name}-lorikeet-keys"))
        (self.machine.folder / "keys").mkdir(parents=True)
        for name, value in keys["data"].items():
            (self.machine.folder / "keys" / name).write_bytes(base64.b64decode(value))

    async def _keep(self) -> None:
        await self._start_agent()
        await self._until_started()
        engine = self._made_engine()
        await self._stack.enter_async_context(engine)
        self.engine = engine
        ready, missed = False, 0
        while True:
            if self._killed.is_set():
                await self._stop_agent()
                await self._start_agent()
            missed = 0 if await self._probe("/readyz") else missed + 1
            if ready != (missed < THRESHOLD) and (ready or not missed):
                ready = not ready
                await set_pod_status(
                    self._kube, Ref(self._server.namespace, self.name), ready_status(self.machine.ip, ready)
                )
            with suppress(TimeoutError):
                async with asyncio.timeout(PROBE):
                    await self._killed.wait()

    async def _until_started(self) -> None:
        while not await self._probe("/startupz"):
            await asyncio.sleep(PROBE)
            if self._killed.is_set():
                await self._stop_agent()
                await self._start_agent()

    async def _probe(self, path: str) -> bool:
        if self._agent is None:
            return False
        try:
            async with self._http.get(self._agent + path) as reply:
                return reply.status == 200
        except (aiohttp.ClientError, OSError, TimeoutError):
            return False

    def _engine_url(self) -> str | None:
        return self.engine.url if self.engine else None

    def _made_engine(self) -> KeptKeys | Container:
        folder, runtime = self.machine.folder, self.machine.runtime
        if runtime is not None:
            return Container(self._container, folder, self.machine.ip, runtime)
        command = self._container["command"][len(COMMAND) :]
        settings, _ = parse(command, {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "1"})
        model = folder / "models" / settings.model.name
        return KeptKeys(model, folder / "guard", folder / "adapters", settings=replace(settings, model=model))

    async def _start_agent(self) -> None:
        folder = self.machine.folder
        settings = replace(
            from_environment(self._env),
            hub_endpoint=self._to_hub.url,
            engine_url=self._to_engine.url,
            port=0,
            adapters=folder / "adapters",
            guard=folder / "guard",
            models=folder / "models",
            server_keys=folder / "keys",
            sources=folder / "sources",
        )
        self._agent = await self._life.enter_async_context(agent(settings, "127.0.0.1", self.machine.pace))

    async def _stop_agent(self) -> None:
        life, self._life = self._life, AsyncExitStack()
        await life.aclose()
        for wire in (self._inward, self._to_hub, self._to_engine):
            wire.mend()
        self._killed.clear()

    async def _stop(self) -> None:
        self._kubelet.cancel()
        await asyncio.gather(self._kubelet, return_exceptions=True)
        await self._stop_agent()


class KeptKeys(Engine):
    """A simulated engine whose guard's keys the agent wrote."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    def lists(self) -> dict[str, Path]:
        """Engine name → folder."""
        return {name: found.path for name, found in self.core.adapters.items()}


def _names(folder: Path) -> list[str] | None:
    try:
        return sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return None

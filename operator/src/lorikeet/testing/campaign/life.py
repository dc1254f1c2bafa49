"""One life: a namespace, its operators, its two replicas, and what its user does in one afternoon."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from lorikeet.api.conditions import Kind
from lorikeet.api.loraadapter import LoRAAdapterStatus, State
from lorikeet.api.modelserver import ModelServerStatus
from lorikeet.api.ref import Ref
from lorikeet.controller.report import is_true
from lorikeet.controller.workload import FINGERPRINT, child_name
from lorikeet.kube.errors import Conflict, NotFound
from lorikeet.kube.resource import DEPLOYMENTS, LORAADAPTERS, MODELSERVERS, SECRETS, SERVICES, Resource
from lorikeet.testing import builders as b
from lorikeet.testing.campaign.effects import Ledger
from lorikeet.testing.campaign.invariants import Sample, Watcher
from lorikeet.testing.campaign.operators import Operators
from lorikeet.testing.campaign.pod import Machine, Pod
from lorikeet.testing.campaign.world import Version, World

DEADLINE = 120.0
"""Seconds for a step: longer than anybody's patience with a stall, on a machine that is shared with builds."""
LOOK = 0.1
ITS_OWN = frozenset({"lastTransitionTime", "since", "boot", FINGERPRINT})
"""What differs from life to life: times, lives of engines, and what identities go into."""
OPERATORS = "operators"
TOLD = (MODELSERVERS, LORAADAPTERS)
Body = dict[str, Any]


class Stuck(AssertionError):
    """The user waited in vain."""


class Life:
    """Built by `life`."""

    def __init__(self, world: World, namespace: str, ledger: Ledger, expected: list[Any] | None) -> None:
        """`expected`: what shall be left, where that is known."""
        self.namespace, self.ledger, self._expected = namespace, ledger, expected
        self.server = Ref(namespace, b.SERVER.name)
        self.pods: dict[str, Pod] = {}
        self.operators = Operators(namespace, ledger, world.way_to_api, world.folder)
        self.old, self.new = world.version("sql", "v1"), world.version("sql", "v2")
        self.other = world.version("other", "v1", pinned=False)
        self.running: tuple[asyncio.Task[None], ...] = ()
        """Its operators and its watcher: they end by being cancelled, and in no other way."""
        self.watcher = Watcher(self._seen, self._asked, (self.old, self.new, self.other))
        self.patience = DEADLINE
        """Seconds for each wait."""
        self._world, self._kube, self._mirror = world, world.kube, world.mirror

    async def live(self, stack: AsyncExitStack) -> list[Any]:
        """Create, update and delete. Returns what is left once one adapter is gone, and once both are."""
        await self.two_replicas(stack)
        for version in (self.old, self.other):
            await self.create(version)
        await self.serve(self.old, self.other)
        await self.change_source("sql", self.new.uri)
        await self.serve(self.new, self.other)
        await self.delete("other")
        one = await self._rest(0, self.new, kept=(self.old,))
        await self.delete("sql")
        return [one, await self._rest(1)]

    async def two_replicas(self, stack: AsyncExitStack, **spec: Any) -> None:
        """A server whose replicas live as long as `stack`; `spec` replaces parts of its spec."""
        await self._kube.create(MODELSERVERS, b.server_body(self.server, **spec))
        for kind, name in ((DEPLOYMENTS, child_name(self.server)), (SECRETS, f"{self.server.name}-lorikeet-keys")):
            await self._until_there(kind, Ref(self.namespace, name))
        world = self._world
        for name in ("a", "b"):
            folder = world.folder / self.namespace / name
            machine = Machine(next(world.addresses), folder, world.hub.url, world.pace, world.runtime)
            pod = self.pods[name] = Pod(self._kube, self.server, name, machine)
            pod.plug_in(self.ledger, self.operators.caller)
            await stack.enter_async_context(pod)

    async def create(self, version: Version, **spec: Any) -> None:
        ref = Ref(self.namespace, version.adapter)
        await self._kube.create(LORAADAPTERS, b.adapter_body(ref, source={"uri": version.uri}, **spec))

    async def delete(self, name: str) -> None:
        await self._kube.delete(LORAADAPTERS, Ref(self.namespace, name))

    async def change_source(self, name: str, uri: str) -> None:
        while True:
            body = await self._kube.get(LORAADAPTERS, Ref(self.namespace, name))
            body["spec"]["source"] = {"uri": uri}
            try:
                await self._kube.update(LORAADAPTERS, body)
            except Conflict:  # a status was written in between
                continue
            return

    async def serve(self, *versions: Version) -> None:
        """Wait until these and no others are served, everywhere, and status says so."""

        def served() -> bool:
            told = {version.adapter: self.status(version.adapter) for version in versions}
            return self._lists_only(*versions) and all(
                told[version.adapter].engine_name == version.engine_name
                and is_true(told[version.adapter].conditions, Kind.READY)
                and told[version.adapter].ready_replicas == len(self.pods)
                for version in versions
            )

        await self.until(served, f"{' and '.join(version.engine_name for version in versions)} are served")

    async def _rest(self, act: int, *versions: Version, kept: tuple[Version, ...] = ()) -> Any:
        """Wait until nothing but these is left anywhere, and all else is as it shall be; everything that is left.

        `kept`: further versions whose files stay, for a way back."""
        digests = sorted({version.digest for version in (*versions, *kept)})

        def alone() -> bool:
            clean = all(pod.holds() == {"store": digests, "incoming": []} for pod in self.pods.values())
            told = (self._mirror.get(MODELSERVERS, self.server) or {}).get("status", {})
            count = {"wanted": len(versions), "ready": len(versions)}
            rows = [row for version in versions for row in self.status(version.adapter).replicas]
            quiet = all(row.state in (State.LOADED, State.STAGED) for row in rows)
            return clean and quiet and self._lists_only(*versions) and told.get("adapters") == count

        await self.until(alone, f"nothing is left but {[version.engine_name for version in versions]}")
        deadline = time.monotonic() + DEADLINE
        while wrong := self._unlike(act, left := await self.picture()):
            if time.monotonic() > deadline:
                raise Stuck(f"it does not end as it shall: {wrong}")
            await asyncio.sleep(0.2)
        return left

    def _unlike(self, act: int, left: Any) -> list[str]:
        return difference(self._expected[act], left) if self._expected else []

    def _lists_only(self, *versions: Version) -> bool:
        wanted = {version.engine_name for version in versions}
        return bool(self.pods) and all(pod.lists().keys() == wanted for pod in self.pods.values())

    def adapters(self) -> list[str]:
        """Those that there are, as a watch told it last."""
        return [body["metadata"]["name"] for body in self._mirror.of(LORAADAPTERS, self.namespace)]

    def status(self, name: str) -> LoRAAdapterStatus:
        """As a watch told it last; an empty one where there is no such adapter."""
        body = self._mirror.get(LORAADAPTERS, Ref(self.namespace, name))
        return LoRAAdapterStatus.parse(body.get("status", {}) if body else {})

    async def _until_there(self, kind: Any, ref: Ref) -> None:
        deadline = time.monotonic() + DEADLINE
        while True:
            try:
                await self._kube.get(kind, ref)
            except NotFound:
                if time.monotonic() > deadline:
                    raise Stuck(f"{kind.kind} {ref} never came") from None
                await asyncio.sleep(0.1)
            else:
                return

    async def until(self, met: Callable[[], bool], what: str) -> None:
        """Raises Stuck, with all that is told."""
        deadline = time.monotonic() + self.patience
        while not met():
            if time.monotonic() > deadline:
                raise Stuck(f"waited in vain until {what}: {json.dumps(await self.picture(*TOLD))[:6000]}")
            await asyncio.sleep(LOOK)

    async def picture(self, *kinds: Resource) -> Any:
        """Everything there is, without what differs from life to life: times, identities, addresses."""
        objects = {
            f"{kind.kind} {item['metadata']['name']}": {key: item[key] for key in ("spec", "status") if key in item}
            for kind in kinds or (*TOLD, DEPLOYMENTS, SERVICES, SECRETS)
            for item in (await self._kube.list(kind, self.namespace))["items"]
        }
        pods = {name: {"lists": sorted(pod.lists()), **pod.holds()} for name, pod in self.pods.items()}
        text = json.dumps([objects, pods], sort_keys=True).replace(self.namespace, "NAMESPACE")
        for name, pod in self.pods.items():
            text = text.replace(pod.machine.ip, f"IP-{name}")
        return shared(json.loads(text))

    @asynccontextmanager
    async def without_operator(self) -> AsyncIterator[None]:
        """It ends, and another comes after the block."""
        mine = [task for task in self.running if task.get_name() == OPERATORS]
        for task in mine:
            task.cancel()
        await asyncio.gather(*mine, return_exceptions=True)
        yield
        again = asyncio.create_task(self.operators.run(), name=OPERATORS)
        self.running = (*(task for task in self.running if task not in mine), again)

    @property
    def server_status(self) -> ModelServerStatus:
        """As a watch told it last."""
        return ModelServerStatus.parse((self._mirror.get(MODELSERVERS, self.server) or {}).get("status", {}))

    def _lists(self) -> dict[str, Any]:
        return {name: pod.lists() for name, pod in self.pods.items()}

    def _seen(self) -> Sample | None:
        server = self._mirror.get(MODELSERVERS, self.server)
        adapters = self._mirror.of(LORAADAPTERS, self.namespace)
        return Sample(server, tuple(adapters), self._lists()) if server and self.pods else None

    async def _asked(self) -> Sample:
        server = await self._kube.get(MODELSERVERS, self.server)
        adapters = (await self._kube.list(LORAADAPTERS, self.namespace))["items"]
        return Sample(server, tuple(adapters), self._lists())


@asynccontextmanager
async def life(
    world: World, ledger: Ledger, expected: list[Any] | None = None
) -> AsyncIterator[tuple[Life, AsyncExitStack]]:
    """A namespace with an operator and a watcher; what the stack takes in ends with it."""
    namespace = next(world.names)
    await asyncio.to_thread(world.api.call, "POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    found = Life(world, namespace, ledger, expected)
    found.running = (
        asyncio.create_task(found.operators.run(), name=OPERATORS),
        asyncio.create_task(found.watcher.run(), name="watcher"),
    )
    try:
        async with AsyncExitStack() as stack:
            yield found, stack
    finally:
        for task in found.running:
            task.cancel()
        await asyncio.gather(*found.running, return_exceptions=True)


def shared(value: Any) -> Any:
    """What two lives have in common."""
    if isinstance(value, dict):
        return {key: shared(each) for key, each in value.items() if key not in ITS_OWN}
    return [shared(each) for each in value] if isinstance(value, list) else value


def difference(expected: Any, found: Any, path: str = "") -> list[str]:
    """Where two pictures differ."""
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = sorted(expected.keys() | found.keys())
        return [each for key in keys for each in difference(expected.get(key), found.get(key), f"{path}.{key}")]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [each for number, (one, two) in pairs for each in difference(one, two, f"{path}[{number}]")]
    return [] if expected == found else [f"{path}: {expected!r} became {found!r}"]

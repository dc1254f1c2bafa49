"""What all lives share: one API server, one hub, and a picture of all objects that a watch keeps."""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from lorikeet.agent.calls import Deadlines
from lorikeet.agent.keeper import Pace
from lorikeet.agent.plan import Policy
from lorikeet.api.ref import Ref, engine_name
from lorikeet.artifacts.digest import content_digest
from lorikeet.backoff import Backoff
from lorikeet.kube.client import Kube
from lorikeet.kube.resource import LORAADAPTERS, MODELSERVERS, Resource
from lorikeet.kube.watch import Changed, Gone, Listed, follow, ref_of
from lorikeet.testing.adapters import CONFIG, WEIGHTS, Dimensions, write_adapter, write_base
from lorikeet.testing.apiserver import ApiServer
from lorikeet.testing.campaign.container import Runtime
from lorikeet.testing.campaign.operators import WayToApi
from lorikeet.testing.hub import Hub
from lorikeet.testing.hub.repos import Repos

SMALL = Dimensions(hidden=32, intermediate=64, layers=2, heads=2, kv_heads=2, head=16)
PACE = Pace(
    policy=Policy(grace=0.3, drain=5.0, linger=1.0), backoff=Backoff(cap=1.0), deadlines=Deadlines(load=5.0, hold=8.0)
)
"""Real, but for the waits that only make a life longer."""
Body = dict[str, Any]
Build = Callable[[Path], object]
"""Writes a model or an adapter into a folder."""


@dataclass(frozen=True)
class Version:
    """One version of an adapter on the hub."""

    adapter: str
    uri: str
    """As a user writes it."""
    digest: str

    @property
    def engine_name(self) -> str:
        return engine_name(self.adapter, self.digest)


class Mirror:
    """Every object of both kinds as the API server tells it, a moment later."""

    def __init__(self) -> None:
        self._objects: dict[tuple[Resource, Ref], Body] = {}

    async def follow(self, kube: Kube, resource: Resource) -> None:
        async for change in follow(kube, resource):
            match change:
                case Listed(items):
                    self._objects = {key: body for key, body in self._objects.items() if key[0] != resource}
                    self._objects |= {(resource, ref_of(item)): item for item in items}
                case Changed(body):
                    self._objects[resource, ref_of(body)] = body
                case Gone(ref):
                    self._objects.pop((resource, ref), None)

    def get(self, resource: Resource, ref: Ref) -> Body | None:
        return self._objects.get((resource, ref))

    def of(self, resource: Resource, namespace: str) -> list[Body]:
        found = sorted(key for key in self._objects if key[0] == resource and key[1].namespace == namespace)
        return [self._objects[key] for key in found]


@dataclass
class World:
    """Built by `world`."""

    api: ApiServer
    kube: Kube
    mirror: Mirror
    hub: Hub
    repos: Repos
    way_to_api: WayToApi
    folder: Path
    addresses: Iterator[str]
    pace: Pace = PACE
    runtime: Runtime | None = None
    """What engines run on; None: on this process."""
    names: Iterator[str] = field(default_factory=lambda: names(secrets.token_hex(3)))

    def publish(self, adapter: str, revision: str = "v1", build: Build | None = None) -> Version:
        """Put a version of acme/<adapter> on the hub: a small one, unless `build` writes another."""
        folder = self.folder / "hub/acme" / adapter / revision
        if build is not None:
            build(folder)
        else:
            write_adapter(folder, dimensions=SMALL, seed=crc32(f"{adapter} {revision}".encode()))
        return self.version(adapter, revision)

    def version(self, adapter: str, revision: str, *, pinned: bool = True) -> Version:
        """A version of acme/<adapter>; not pinned, it is written as the branch main."""
        found = self.repos.revision(f"acme/{adapter}", revision, None)
        digest = content_digest(
            {entry.name: entry.sha256 for entry in found.entries if entry.name in (CONFIG, WEIGHTS)}
        )
        uri = f"hf://acme/{adapter}@{found.commit if pinned else 'main'}"
        return Version(adapter, uri, digest)


def small_base(folder: Path) -> None:
    """Enough of one for the simulator."""
    write_base(folder, dimensions=SMALL)


def names(stem: str) -> Iterator[str]:
    """Namespaces that no other world on the same API server has."""
    return (f"life-{stem}-{number}" for number in itertools.count(1))


@asynccontextmanager
async def world(
    api: ApiServer, folder: Path, addresses: Iterator[str], base: Build = small_base, **more: Any
) -> AsyncIterator[World]:
    """Everything that lives need, until the end of the block. `base` writes the model, `more` are World's fields."""
    root = folder / "hub"
    base(root / "acme/base/v1")
    async with await Kube.connect(api.kubeconfig) as kube, Hub(root) as hub:
        mirror = Mirror()
        following = [asyncio.create_task(mirror.follow(kube, kind)) for kind in (MODELSERVERS, LORAADAPTERS)]
        try:
            way = WayToApi.read(api.kubeconfig)
            found = World(api, kube, mirror, hub, Repos(root), way, folder, addresses, **more)
            for adapter, revision in (("sql", "v1"), ("sql", "v2"), ("other", "v1")):
                found.publish(adapter, revision)
            yield found
        finally:
            for task in following:
                task.cancel()
            await asyncio.gather(*following, return_exceptions=True)

"""What must hold at every moment of a life, whatever strikes.

truth       what status lets gateways route by, the engines list, from the folder of the right bytes
ready       Ready means: every replica that takes requests lists the adapter
declared    an engine lists nothing that nobody ever declared
base        a public name never leads to the base model, nor to another adapter
no gap      an adapter that served once has somewhere to go until it is deleted
bounded     no call is made again and again
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorikeet.api.conditions import Kind
from lorikeet.api.loraadapter import LoRAAdapterStatus, State
from lorikeet.api.modelserver import ModelServerStatus
from lorikeet.api.ref import Ref, engine_name
from lorikeet.controller.report import is_true
from lorikeet.gateway.catalog import Catalog
from lorikeet.gateway.rows import AdapterRow, ServerRow
from lorikeet.kube.errors import KubeError
from lorikeet.kube.watch import ref_of
from lorikeet.testing.campaign.effects import Name
from lorikeet.testing.campaign.world import Version

Body = dict[str, Any]
Lists = Mapping[str, Mapping[str, Path]]
"""Pod → engine name → folder."""
SAMPLE = 0.05
"""Seconds between samples."""
MORE = 3
"""So many more calls than in peace are what one fault may cost: its own, and two tries."""
TALK = frozenset({"tell", "push"})
"""What is said anew about every step: a life with a detour has up to twice as much to say."""
ENDLESS = frozenset({"list", "update", "tell-event"})
"""Effects whose number says how long a life took, not how hard it was."""


@dataclass(frozen=True)
class Sample:
    """One moment: the objects as the API server tells them, and what the engines list."""

    server: Body
    adapters: tuple[Body, ...]
    lists: Lists

    def same_as(self, other: Sample | None) -> bool:
        """Whether nothing has happened between the two."""
        return other is not None and self._key == other._key

    @property
    def _key(self) -> tuple[Any, ...]:
        versions = [body["metadata"]["resourceVersion"] for body in (self.server, *self.adapters)]
        return versions, self.lists

    def wrong(self, declared: Iterable[Version]) -> Iterator[str]:
        """Each way in which this moment is not as promised."""
        yield from undeclared(self.lists, declared)
        catalog = table(self.server, self.adapters)
        routed = {end.pod for end in ModelServerStatus.parse(self.server.get("status", {})).endpoints if end.ready}
        for body in self.adapters:
            name, status = body["metadata"]["name"], LoRAAdapterStatus.parse(body.get("status", {}))
            yield from untrue(name, status, routed, self.lists)
            if is_true(status.conditions, Kind.READY):
                yield from unready(name, status, routed, self.lists, "replicas" not in body["spec"])
            yield from stray(name, status, catalog)


def untrue(name: str, status: LoRAAdapterStatus, routed: set[str], lists: Lists) -> Iterator[str]:
    """What status lets gateways route by, and an engine does not list."""
    rows = {row.pod for row in status.replicas if row.state is State.LOADED and row.digest == status.digest}
    for pod in sorted(rows & routed if status.engine_name else ()):
        if not listed(status, lists.get(pod, {})):
            yield f"truth: status of {name} has {status.engine_name} loaded on {pod}, which does not list it"


def unready(name: str, status: LoRAAdapterStatus, routed: set[str], lists: Lists, everywhere: bool) -> Iterator[str]:
    """Replicas that lack what is called Ready: any of them may be asked, or some where it is not `everywhere`."""
    lacking = [pod for pod in sorted(routed) if not listed(status, lists.get(pod, {}))]
    if lacking if everywhere else len(lacking) == len(routed):
        yield f"ready: {name} is Ready, and {lacking} do not list {status.engine_name or 'anything of it'}"


def listed(status: LoRAAdapterStatus, lists: Mapping[str, Path]) -> bool:
    """Whether an engine lists the served version, from the folder of its bytes."""
    found = lists.get(status.engine_name)
    return found is not None and found.name == status.digest


def stray(name: str, status: LoRAAdapterStatus, catalog: Catalog) -> Iterator[str]:
    """Where a gateway would send requests for the adapter, and must not."""
    versions = {engine_name(name, row.digest) for row in status.replicas if row.digest}
    for public in status.names:
        route = catalog.find(public)
        for target in route.targets if route else ():
            if target.model not in versions:
                yield f"base: {public} leads to {target.model} on {target.pod}"


def undeclared(lists: Lists, declared: Iterable[Version]) -> Iterator[str]:
    """What engines list that nobody asked for, or from other bytes."""
    digests = {version.engine_name: version.digest for version in declared}
    for pod, listed in sorted(lists.items()):
        for name, folder in sorted(listed.items()):
            if digests.get(name) != folder.name:
                yield f"declared: {pod} lists {name} from {folder}"


def table(server: Body, adapters: Iterable[Body]) -> Catalog:
    """A gateway's routing table, fed with these objects."""
    catalog = Catalog()
    catalog.put(ServerRow.parse(server))
    for body in adapters:
        catalog.put(AdapterRow.parse(body))
    return catalog


def unbounded(counts: Counter[Name], in_peace: Counter[Name]) -> list[str]:
    """Calls made more often than one fault explains."""
    return [
        f"bounded: {':'.join(name)} {count} times, in peace {in_peace[name]}"
        for name, count in sorted(counts.items())
        if name[1] not in ENDLESS and count > in_peace[name] * (1 + (name[1] in TALK)) + MORE
    ]


@dataclass
class Watcher:
    """Samples a life. `see` gives what a watch told, at no cost; `ask` what the API server says now.

    A watch is late by a moment. What looks wrong is looked at again: the engines, the API server, the engines; it is
    wrong if it is so with both pictures of the engines.
    """

    see: Callable[[], Sample | None]
    ask: Callable[[], Awaitable[Sample]]
    declared: Iterable[Version]
    samples: int = 0
    wrong: dict[str, None] = field(default_factory=dict)
    _served: set[Ref] = field(default_factory=set)

    async def run(self) -> None:
        last = None
        while True:
            await asyncio.sleep(SAMPLE)
            sample = self.see()
            if sample is None:
                continue
            self.samples += 1
            if not sample.same_as(last) and self._look(sample):
                await self._look_again(sample.lists)
            last = sample

    async def _look_again(self, before: Lists) -> None:
        try:
            sample = await self.ask()
        except KubeError:  # it is the user's own way to the API server, and nobody's fault but the machine's
            return
        early = Sample(sample.server, sample.adapters, before)
        self.wrong |= dict.fromkeys(sorted(set(self._look(sample)) & set(self._look(early))))

    def _look(self, sample: Sample) -> list[str]:
        return [*sample.wrong(self.declared), *self._gaps(sample)]

    def _gaps(self, sample: Sample) -> Iterator[str]:
        catalog = table(sample.server, sample.adapters)
        for body in sample.adapters:
            status = LoRAAdapterStatus.parse(body.get("status", {}))
            if is_true(status.conditions, Kind.READY):
                self._served.add(ref_of(body))
            for public in status.names if ref_of(body) in self._served else ():
                if not answers(catalog, public, sample.lists):
                    ends = [f"{end['pod']} {end['ready']}" for end in sample.server["status"].get("endpoints", ())]
                    rows = [f"{row.pod} {row.digest[:12]} {row.state}" for row in status.replicas]
                    yield f"no gap: {public} was Ready, and leads nowhere: {ends} {rows} {status.engine_name}"


def answers(catalog: Catalog, public: str, lists: Lists) -> bool:
    """Whether some replica that a gateway may ask for this name has it."""
    route = catalog.find(public)
    return any(target.model in lists.get(target.pod, {}) for target in (route.targets if route else ()))

"""What must hold at every moment on the virtual clock, and what may not for a while after a loss.

The invariants of the campaign (`lorikeet.testing.campaign.invariants`), but for what no operator can know at once: that
an engine died. Then status has some seconds to say so, counted while there is an operator that may write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from lorikeet.api.conditions import Kind
from lorikeet.api.loraadapter import LoRAAdapterStatus
from lorikeet.controller.report import is_true
from lorikeet.gateway.catalog import Catalog
from lorikeet.kube.client import Body
from lorikeet.kube.resource import MODELSERVERS
from lorikeet.testing import builders as b
from lorikeet.testing.campaign.invariants import Lists, Sample, answers, table, undeclared
from lorikeet.testing.campaign.world import Version
from lorikeet.testing.simulation.cluster import Cluster

SAMPLE = 0.1
AFTER_A_LOSS = 6.0
"""Seconds in which status may be behind: 4 of an agent's silence, and what it takes to write."""


@dataclass
class Promises:
    """`run` samples `cluster` until cancelled; what was broken is in `broken`."""

    cluster: Cluster
    declared: list[Version] = field(default_factory=list)
    broken: dict[str, None] = field(default_factory=dict)
    _grace: float = 0.0
    _ready: set[str] = field(default_factory=set)
    """Adapters that were Ready, and have lost nothing since."""
    _answered: set[str] = field(default_factory=set)
    """Public names that led somewhere, and whose holder is one of these."""
    _last: Sample | None = None

    def loss(self) -> None:
        """An engine or a pod is gone, or slots are."""
        self._grace = AFTER_A_LOSS
        self._ready.clear()
        self._answered.clear()

    async def run(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE)
            self.look()

    def look(self) -> None:
        """One sample."""
        sample = self._sample()
        if sample is None:
            return
        settling = self._grace > 0
        if settling and self._operator_may_write():
            self._grace -= SAMPLE
        if sample.same_as(self._last) and not settling:
            return
        self._last = sample
        wrong = undeclared(sample.lists, self.declared) if settling else self._wrong(sample)
        for each in wrong:
            self.broken.setdefault(f"{each} at {self.cluster.now:.2f} s")

    def _wrong(self, sample: Sample) -> Iterator[str]:
        yield from sample.wrong(self.declared)
        catalog = table(sample.server, sample.adapters)
        holders: dict[str, str] = {}
        for body in sorted(sample.adapters, key=_age):
            name, status = body["metadata"]["name"], LoRAAdapterStatus.parse(body.get("status", {}))
            self._note(name, status)
            for public in (body["spec"].get("name") or name, *body["spec"].get("aliases", ())):
                holders.setdefault(public, name)
        self._answered &= {public for public, name in holders.items() if name in self._ready}
        yield from self._gaps(holders, catalog, sample.lists)

    def _note(self, name: str, status: LoRAAdapterStatus) -> None:
        if not is_true(status.conditions, Kind.PLACED):
            self._ready.discard(name)
        elif is_true(status.conditions, Kind.READY):
            self._ready.add(name)

    def _gaps(self, holders: dict[str, str], catalog: Catalog, lists: Lists) -> Iterator[str]:
        for public, name in sorted(holders.items()):
            if name not in self._ready:
                continue
            if answers(catalog, public, lists):
                self._answered.add(public)
            elif public in self._answered:
                yield f"no gap: {public} of {name} led somewhere, and leads nowhere"

    def _sample(self) -> Sample | None:
        server = self.cluster.objects.find(MODELSERVERS, b.SERVER)
        lists: dict[str, dict[str, Path]] = {
            name: dict(replica.engine.lists) for name, replica in self.cluster.replicas.items()
        }
        return Sample(server, tuple(self.cluster.adapters()), lists) if server else None

    def _operator_may_write(self) -> bool:
        return self.cluster.world is not None and self.cluster.world.lease.held


def _age(body: Body) -> tuple[str, str]:
    return body["metadata"]["creationTimestamp"], body["metadata"]["uid"]

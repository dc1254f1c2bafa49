"""The leader's lease: one operator writes at a time.

Our own few lines rather than the client's `leaderelection`: that one compares wall clocks, offers no way to ask "may I
still write?" between two writes, and keeps its record in an annotation. Here time is monotonic and local: a holder that
was stopped for a minute knows on its first instruction that its time has run out.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lorikeet.api.ref import Ref
from lorikeet.kube.client import Body, Kube
from lorikeet.kube.errors import Conflict, KubeError, NotFound
from lorikeet.kube.resource import LEASES

log = logging.getLogger(__name__)


class NotLeader(Exception):
    """The lease is not ours, or may no longer be: write nothing."""


@dataclass(frozen=True)
class Terms:
    """Seconds. A holder that could not renew for `renew` stops writing well before others may take over."""

    duration: float = 15.0
    renew: float = 10.0
    retry: float = 3.0


class Lease:
    """A coordination.k8s.io Lease that `holder` tries to keep."""

    def __init__(self, kube: Kube, ref: Ref, holder: str, clock: Callable[[], float], terms: Terms = Terms()) -> None:
        self._kube, self._ref, self._holder, self._clock, self._terms = kube, ref, holder, clock, terms
        self._held_until = 0.0
        self._seen: tuple[Any, float] = (None, 0.0)
        self.epoch = 0
        """Grows whenever the lease changes hands: what an older leader sends can be told by it."""

    @property
    def held(self) -> bool:
        """True while nobody else can hold it, by our own clock."""
        return self._clock() < self._held_until

    def must_hold(self) -> None:
        """Raise `NotLeader` unless we may write."""
        if not self.held:
            raise NotLeader(f"{self._holder} does not hold lease {self._ref}")

    async def keep(self, gained: Callable[[], Awaitable[None]], lost: Callable[[], Awaitable[None]]) -> None:
        """Acquire and renew for ever; call `gained` and `lost` at each turn. Cancel to stop; then `release`."""
        leading = False
        while True:
            try:
                async with asyncio.timeout(self._terms.renew):
                    await self._try()
            except (KubeError, TimeoutError) as error:
                log.warning("lease %s: %s", self._ref, error)
            if self.held != leading:
                leading = self.held
                log.info("%s %s lease %s", self._holder, "holds" if leading else "lost", self._ref)
                await (gained() if leading else lost())
            await asyncio.sleep(self._terms.retry)

    async def release(self) -> None:
        """Give it up at once, so that a successor need not wait for it to run out."""
        if not self.held:
            return
        self._held_until = 0.0
        body = await self._kube.get(LEASES, self._ref)
        if body["spec"].get("holderIdentity") == self._holder:
            body["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": _now()}
            await self._kube.update(LEASES, body)

    async def _try(self) -> None:
        asked = self._clock()
        try:
            body = await self._kube.get(LEASES, self._ref)
        except NotFound:
            body = {"metadata": {"namespace": self._ref.namespace, "name": self._ref.name}, "spec": {}}
            await self._write(body, asked, self._kube.create)
            return
        if self._ours_or_run_out(body):
            await self._write(body, asked, self._kube.update)

    def _ours_or_run_out(self, body: Body) -> bool:
        """Ours, given up, or unchanged for its whole duration as watched by our own clock."""
        spec = body["spec"]
        if spec.get("holderIdentity") in (self._holder, "", None):
            return True
        record = (spec.get("holderIdentity"), spec.get("renewTime"))
        if record != self._seen[0]:
            self._seen = (record, self._clock())
        duration: float = spec.get("leaseDurationSeconds", self._terms.duration)
        return self._clock() - self._seen[1] > duration

    async def _write(self, body: Body, asked: float, write: Callable[..., Awaitable[Body]]) -> None:
        spec = body["spec"]
        now = _now()
        ours = spec.get("holderIdentity") == self._holder
        if not ours:
            transitions = spec.get("leaseTransitions", 0) + 1
            spec |= {"holderIdentity": self._holder, "acquireTime": now, "leaseTransitions": transitions}
        spec |= {"renewTime": now, "leaseDurationSeconds": int(self._terms.duration)}
        try:
            written = await write(LEASES, body)
        except Conflict:
            return  # somebody else was faster
        self.epoch = _epoch(written)
        late = self._clock() - self._held_until
        if ours and late > 0 and self._held_until:  # a container that was restarted has the name of the one before
            log.warning("lease %s was renewed %.1f s too late: nothing was written meanwhile", self._ref, late)
        self._held_until = asked + self._terms.renew


def _epoch(body: Body) -> int:
    """A Lease that was deleted counts its transitions anew, and agents remember: its creation time comes first."""
    created = datetime.fromisoformat(body["metadata"]["creationTimestamp"])
    transitions: int = body["spec"]["leaseTransitions"]
    return (int(created.timestamp()) << 20) + transitions


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

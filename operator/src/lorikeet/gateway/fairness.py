"""Queues of tenants before saturated replicas, served by weighted deficit round-robin.

Each tenant in turn gets credit by its weight, and goes on for as long as its credit pays for the work that waits first:
who sends ten times as much, or prompts ten times as long, waits ten times as long, and nobody else does.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from lorikeet.gateway.callers import Tenant

CREDIT = 8.0
"""For each turn and weight 1, in short requests."""
LOOK_PAST = 16
"""Requests of one tenant that are looked at for one whose replicas have room."""


@dataclass(eq=False, slots=True)
class Waiter:
    """One request that waits. `fits`: whether a replica that it can go to has room."""

    work: float
    fits: Callable[[], bool]
    turn: asyncio.Future[bool]
    """Whether its turn has come, or else its patience ended."""

    def tell(self, called: bool) -> None:
        """One of the two."""
        if not self.turn.done():
            self.turn.set_result(called)

    @property
    def called(self) -> bool:
        """Its turn has come, whether it is still there to hear it or not."""
        return self.turn.done() and not self.turn.cancelled() and self.turn.result()


@dataclass(slots=True)
class _Line:
    tenant: Tenant
    credit: float = 0.0
    waiters: deque[Waiter] = field(default_factory=deque)


class Lines:
    """The queues before one server's replicas."""

    def __init__(self) -> None:
        self._lines: OrderedDict[str, _Line] = OrderedDict()  # the first is whose turn it is

    def __len__(self) -> int:
        return sum(len(line.waiters) for line in self._lines.values())

    def length(self, tenant: Tenant) -> int:
        """How many of a tenant's wait."""
        line = self._lines.get(tenant.name)
        return len(line.waiters) if line else 0

    def join(self, tenant: Tenant, waiter: Waiter) -> None:
        """Wait behind one's own tenant's."""
        line = self._lines.setdefault(tenant.name, _Line(tenant))
        line.tenant = tenant  # its weight may be another by now
        line.waiters.append(waiter)

    def leave(self, tenant: Tenant, waiter: Waiter) -> None:
        """Wait no longer."""
        line = self._lines.get(tenant.name)
        if line and waiter in line.waiters:
            line.waiters.remove(waiter)
            if not line.waiters:
                del self._lines[tenant.name]

    def next(self) -> Waiter | None:
        """Whose turn it is; None where nobody waits, or nobody's replicas have room."""
        stuck: set[str] = set()
        while len(stuck) < len(self._lines):
            name, line = next(iter(self._lines.items()))
            waiter = next((one for one in list(line.waiters)[:LOOK_PAST] if not one.turn.done() and one.fits()), None)
            if waiter is not None and waiter.work <= line.credit:
                line.credit -= waiter.work
                self.leave(line.tenant, waiter)
                return waiter
            if waiter is None:
                stuck.add(name)
            else:
                line.credit += CREDIT * line.tenant.weight
            self._lines.move_to_end(name)
        return None

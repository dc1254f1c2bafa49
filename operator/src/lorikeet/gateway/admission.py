"""Who may go on, and when: quotas first, then a place at a replica, in fair turns where places are few."""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from lorikeet.api.ref import Ref
from lorikeet.gateway.callers import Caller, Tenant
from lorikeet.gateway.catalog import Route
from lorikeet.gateway.fairness import Lines, Waiter
from lorikeet.gateway.limits import Limits
from lorikeet.gateway.openai import ApiError
from lorikeet.gateway.pick import PROMPT_UNIT, Picker
from lorikeet.gateway.quota import Quota
from lorikeet.gateway.tally import Tally

CALLERS = 10_000
"""Whose quotas are found at once."""
BYTES_A_TOKEN = 4
"""Of a prompt, before the engine has counted."""


@dataclass(slots=True)
class Pass:
    """One request that was let in, until the block ends."""

    caller: Caller
    size: int
    quotas: list[Quota]
    sequences: int = 1
    queued: float = 0.0  # seconds
    _guess: float = 0.0
    _settled: bool = False

    def used(self, tokens: int) -> None:
        """The request's tokens, now that they were counted."""
        if self._settled:
            return
        self._settled = True
        for quota in self.quotas:
            quota.spend(tokens - self._guess)

    def __enter__(self) -> Self:
        self._guess = self.size / BYTES_A_TOKEN
        for quota in self.quotas:
            quota.start(self._guess)
        return self

    def __exit__(self, *_: object) -> None:
        self.used(0)  # no engine counted: it cost nothing
        for quota in self.quotas:
            quota.end()


class Admission:
    """Quotas by key and by tenant; queues by server."""

    def __init__(
        self, picker: Picker, limits: Limits, loop: asyncio.AbstractEventLoop, tally: Tally | None = None
    ) -> None:
        self._picker, self._limits, self._loop, self._tally = picker, limits, loop, tally
        self._quotas: dict[tuple[str, str], Quota] = {}
        self._found: dict[Caller, list[Quota]] = {}
        self._lines: defaultdict[Ref, Lines] = defaultdict(Lines)
        self._called: defaultdict[Ref, int] = defaultdict(int)  # whose turn has come, and who have not gone yet

    @property
    def waiting(self) -> int:
        """How many requests wait for a place."""
        return sum(len(lines) for lines in self._lines.values())

    def enter(self, caller: Caller, quotas: list[Quota], size: int, sequences: int = 1) -> Pass:
        """Let in a request for so many answers, with a body of `size` bytes. Raises ApiError (429)."""
        now = self._loop.time()
        for quota in quotas:
            seconds, limit = quota.wait(now)
            if seconds > 0:
                raise too_many(f"the limit of {limit} is reached", seconds)
        return Pass(caller, size, quotas, sequences)

    def free(self, route: Route) -> bool:
        """Whether one of the route's replicas has a place, and nobody waits for it. If not, `wait` for one's turn."""
        server = route.targets[0].server
        return not (self._lines and self._lines.get(server)) and self._fits(route, server)

    async def wait(self, admitted: Pass, route: Route, meant: Callable[[], Route]) -> None:
        """Until one's turn has come. Raises ApiError (429).

        `meant` is the route by the table of the moment: who waits may find new replicas in it.
        """
        began = self._loop.time()
        await self._wait(admitted, meant, route.targets[0].server)
        admitted.queued = self._loop.time() - began

    def call(self, server: Ref) -> None:
        """Places may be free: call whose turn it is."""
        if not self._lines:
            return
        lines = self._lines.get(server)
        while lines and (waiter := lines.next()) is not None:
            self._called[server] += 1
            waiter.tell(True)
        if lines is not None and not lines and not self._called[server]:
            del self._lines[server], self._called[server]

    def call_all(self) -> None:
        """The table has changed: places may be free anywhere."""
        for server in list(self._lines):
            self.call(server)

    async def _wait(self, admitted: Pass, meant: Callable[[], Route], server: Ref) -> None:
        lines, tenant = self._lines[server], admitted.caller.tenant
        if lines.length(tenant) >= self._limits.queue_length:
            raise too_many("as many requests wait as may wait", self._limits.queue_seconds / 2)
        work = admitted.sequences + admitted.size / PROMPT_UNIT
        waiter = Waiter(work, lambda: self._may_go(meant, server), self._loop.create_future())
        lines.join(tenant, waiter)
        patience = self._loop.call_later(self._limits.queue_seconds, waiter.tell, False)
        try:
            called = await waiter.turn
        finally:
            patience.cancel()
            self._gone(lines, tenant, waiter, server)
        if not called:
            raise too_many("no replica had room in time", self._limits.retry_after)

    def _gone(self, lines: Lines, tenant: Tenant, waiter: Waiter, server: Ref) -> None:
        if waiter.called:
            self._called[server] -= 1
        else:
            lines.leave(tenant, waiter)
        # Called and then cancelled: the place is somebody else's. Otherwise nothing is free, and nobody is called.
        self._loop.call_soon(self.call, server)

    def _may_go(self, meant: Callable[[], Route], server: Ref) -> bool:
        try:
            return self._fits(meant(), server)
        except ApiError:  # its model has gone: it may go, and hear that
            return True

    def _fits(self, route: Route, server: Ref) -> bool:
        """Whether one of the replicas has room, not counting the places of who were called."""
        called = self._called.get(server, 0)
        for target in route.targets:
            free = self.room(target.seqs) - self._picker.places(target.address)
            called -= max(free, 0)
            if called < 0:
                return True
        return False

    def room(self, seqs: int) -> int:
        """Our share of one replica's batch. Several gateways each have more than their part: not all are as busy."""
        whole = seqs or self._limits.replica_requests
        return whole if self._limits.gateways == 1 else math.ceil(whole * 1.5 / self._limits.gateways)

    def quotas(self, caller: Caller) -> list[Quota]:
        """What bounds a caller."""
        found = self._found.get(caller)
        if found is None:
            if len(self._found) > CALLERS:
                self._found.clear()
            found = self._found[caller] = self._look(caller)
        return found

    def _look(self, caller: Caller) -> list[Quota]:
        found: list[Quota] = []
        tenant = caller.tenant
        for kind, name, limits in (("key", caller.id, caller.limits), ("tenant", tenant.name, tenant.limits)):
            if limits.bounded:
                quota = self._quotas.get((kind, name))
                if quota is None or quota.limits != limits:
                    row = self._tally.row(f"{kind} {name}") if self._tally is not None else None
                    quota = self._quotas[kind, name] = Quota(limits, self._loop.time(), row)
                found.append(quota)
        return found


def too_many(why: str, seconds: float) -> ApiError:
    """The error for one request more than may be now."""
    wait = max(1, math.ceil(seconds))
    message = f"{why}; try again in {wait} s"
    return ApiError(429, message, code="rate_limit_exceeded", retry_after=wait)

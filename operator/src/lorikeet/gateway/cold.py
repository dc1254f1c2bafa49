"""Requests for what is known and not there yet: they wait for it a while, in place of being told to come back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lorikeet.gateway.catalog import Catalog, Route
from lorikeet.gateway.limits import Limits
from lorikeet.gateway.openai import not_ready


class Cold:
    """The waiting room, woken by each change of the catalog."""

    def __init__(self, catalog: Catalog, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self._limits, self._loop = limits, loop
        self._waiting: set[asyncio.Future[None]] = set()
        catalog.listeners.append(self._wake)

    @property
    def waiting(self) -> int:
        """How many wait now."""
        return len(self._waiting)

    async def route(self, name: str, meant: Callable[[], Route]) -> Route:
        """What `meant` says once it has a target. Raises ApiError: 503 after the limit, or if no target will come."""
        route = meant()
        until = self._loop.time() + self._limits.cold_seconds
        while not route.targets:
            left = until - self._loop.time()
            if left <= 0 or not route.row.coming or self.waiting >= self._limits.cold_waiting:
                raise not_ready(name, route.row.why, self._limits.cold_retry_after)
            await self._change(left)
            route = meant()  # a name may come to mean another object, or nobody's, meanwhile
        return route

    async def _change(self, seconds: float) -> None:
        change = self._loop.create_future()
        self._waiting.add(change)
        patience = self._loop.call_later(seconds, _happen, change)
        try:
            await change
        finally:
            patience.cancel()
            self._waiting.discard(change)

    def _wake(self) -> None:
        for change in self._waiting:
            _happen(change)


def _happen(change: asyncio.Future[None]) -> None:
    if not change.done():
        change.set_result(None)

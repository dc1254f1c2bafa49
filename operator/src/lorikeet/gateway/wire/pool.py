"""Connections to engines, kept for the next request."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from lorikeet.gateway.limits import Limits
from lorikeet.gateway.wire.deadline import within
from lorikeet.gateway.wire.upstream import Unconnected, Upstream


class Pool:
    """Spare connections by address, the last used first: the others grow old and are closed."""

    def __init__(self, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self._limits, self._loop = limits, loop
        self._spare: dict[str, list[Upstream]] = defaultdict(list)

    def spare(self, address: str) -> Upstream | None:
        """A connection that is there."""
        spare = self._spare.get(address)
        while spare:
            upstream = spare.pop()
            if self._loop.time() - upstream.idle_since < self._limits.upstream_idle_seconds:
                return upstream
            upstream.close()
        return None

    async def connect(self, address: str) -> Upstream:
        """A new connection. Raises Unconnected."""
        connecting = self._loop.create_task(self._connect(address))
        try:
            return await connecting
        except asyncio.CancelledError:
            connecting.cancel()
            connecting.add_done_callback(_drop)  # it may have come in the same moment
            raise

    async def _connect(self, address: str) -> Upstream:
        host, _, port = address.rpartition(":")
        try:
            async with within(self._loop, self._limits.connect_seconds):
                _, upstream = await self._loop.create_connection(
                    lambda: Upstream(address, self._limits, self._loop, self._forget), host.strip("[]"), int(port)
                )
        except (OSError, TimeoutError, ValueError) as error:
            raise Unconnected(f"{address}: {error!r}") from error
        return upstream

    def give_back(self, upstream: Upstream) -> None:
        """Done with it: keep it if it can be used again, close it if not."""
        spare = self._spare[upstream.address]
        if not upstream.reusable or len(spare) >= self._limits.upstream_spare:
            upstream.close()
            return
        upstream.rest(self._loop.time())
        spare.append(upstream)

    def close(self) -> None:
        """Close every spare connection."""
        for spare in self._spare.values():
            for upstream in list(spare):
                upstream.close()
        self._spare.clear()

    def _forget(self, upstream: Upstream) -> None:
        spare = self._spare.get(upstream.address, [])
        if upstream in spare:
            spare.remove(upstream)
        if not spare:
            self._spare.pop(upstream.address, None)


def _drop(connecting: asyncio.Task[Upstream]) -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().close()

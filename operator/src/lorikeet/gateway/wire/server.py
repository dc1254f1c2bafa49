"""The listening side: every client's connection, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from lorikeet.gateway.limits import Limits
from lorikeet.gateway.wire.client import ClientConnection, Handler
from lorikeet.gateway.wire.ids import RequestIds
from lorikeet.gateway.wire.request import Gate
from lorikeet.gateway.wire.room import Room

POLL_SECONDS = 0.05


class WireServer:
    """Accepts clients on `host`:`port` and gives each whole request to `handler`."""

    def __init__(
        self,
        handler: Handler,
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
        refused: Callable[[int], None] = lambda status: None,
        gate: Gate = lambda headers: None,
    ) -> None:
        self._handler, self._limits, self._loop = handler, limits, loop
        self._clients: set[ClientConnection] = set()
        self._listener: asyncio.Server | None = None
        self.closing = False
        """Every reply from now on is its connection's last."""
        self.refused = refused
        """Told the status of each answer to what was no request."""
        self.gate = gate
        """Asked before a large body is read."""
        self.request_id = RequestIds().next
        self.room = Room(limits.bodies_bytes)

    @property
    def listening(self) -> bool:
        """Clients may come, or could until we were told to end."""
        return self._listener is not None

    async def listen(self, host: str, port: int, *, shared: bool = False) -> int:
        """Accept clients; the port that was bound (another than 0). `shared`: with other processes."""
        self._listener = await self._loop.create_server(
            self._connection, host, port, backlog=1024, reuse_port=shared or None
        )
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    async def drain(self, linger: float, grace: float) -> None:
        """End without failing anybody, in seconds.

        For `linger` new clients are still served, because the news that we go travels slowly, but each reply closes
        its connection. Then nobody is accepted, and what is in flight has `grace` to end.
        """
        self.closing = True
        await asyncio.sleep(linger)
        if self._listener is not None:
            self._listener.close()
        until = self._loop.time() + grace
        while self._clients and self._loop.time() < until:
            self._close_clients()
            await asyncio.sleep(POLL_SECONDS)
        for client in list(self._clients):
            client.abort()

    def opened(self, client: ClientConnection) -> bool:
        """A client came. Whether there is a place for it."""
        self._clients.add(client)
        return len(self._clients) <= self._limits.connections

    def closed(self, client: ClientConnection) -> None:
        """A client went."""
        self._clients.discard(client)

    def _connection(self) -> ClientConnection:
        return ClientConnection(self, self._handler, self._limits, self._loop)

    def _close_clients(self) -> None:
        for client in list(self._clients):
            client.close()

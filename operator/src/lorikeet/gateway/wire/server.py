"""The listening side: every client's connection, and how it ends."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from lorikeet.gateway.limits import Limits
from lorikeet.gateway.wire.client import ClientConnection, Handler
from lorikeet.gateway.wire.handshakes import BACKLOG, Handshakes
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
        gate: Gate = lambda headers: "",
    ) -> None:
        self._handler, self._limits, self._loop = handler, limits, loop
        self._clients: set[ClientConnection] = set()
        self._listeners: list[asyncio.Server | Handshakes] = []
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
        return bool(self._listeners)

    async def listen(
        self, host: str, port: int, *, shared: bool = False, tls: Callable[[], ssl.SSLContext] | None = None
    ) -> int:
        """Accept clients; the port that was bound (another than 0). `shared`: with other processes."""
        if tls is not None:
            return self._listen_tls(host, port, shared, tls)
        listener = await self._loop.create_server(
            self._connection, host, port, backlog=BACKLOG, reuse_port=shared or None
        )
        self._listeners.append(listener)
        bound: int = listener.sockets[0].getsockname()[1]
        return bound

    async def drain(self, linger: float, grace: float) -> None:
        """End without failing anybody, in seconds.

        For `linger` new clients are still served, because the news that we go travels slowly, but each reply closes
        its connection. Then nobody is accepted, and what is in flight has `grace` to end.
        """
        self.closing = True
        await asyncio.sleep(linger)
        for listener in self._listeners:
            listener.close()
        until = self._loop.time() + grace
        while self._anybody() and self._loop.time() < until:
            self._close_clients()
            await asyncio.sleep(POLL_SECONDS)
        for handshakes in self._handshakes():
            await handshakes.end()
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

    def _listen_tls(self, host: str, port: int, shared: bool, tls: Callable[[], ssl.SSLContext]) -> int:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG, reuse_port=shared)
        listener.setblocking(False)
        self._listeners.append(Handshakes(listener, tls, self._connection, self._has_place, self._limits, self._loop))
        bound: int = listener.getsockname()[1]
        return bound

    def _has_place(self, handshakes: int) -> bool:
        """Whether one more may come, beside the clients and `handshakes` that will be clients."""
        return len(self._clients) + handshakes < self._limits.connections

    def _handshakes(self) -> list[Handshakes]:
        return [listener for listener in self._listeners if isinstance(listener, Handshakes)]

    def _anybody(self) -> bool:
        return bool(self._clients) or any(handshakes.running for handshakes in self._handshakes())

    def _close_clients(self) -> None:
        for client in list(self._clients):
            client.close()

"""Clients that speak TLS: each has a place from the moment it is there, and shows soon that it means it."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable

from lorikeet.gateway.limits import Limits

log = logging.getLogger(__name__)

BACKLOG = 1024
EXHAUSTED_SECONDS = 0.1
"""Until a process without a file descriptor to spare looks for clients again."""


class Handshakes:
    """Accepts on `listener` and makes a `client` of each connection whose handshake succeeds.

    asyncio's own server counts nobody before the handshake: whoever never begins it would cost a socket and be no
    client. `tls` is asked for each connection, so that a new certificate is a new context and never half of one.
    """

    def __init__(
        self,
        listener: socket.socket,
        tls: Callable[[], ssl.SSLContext],
        client: Callable[[], asyncio.Protocol],
        room: Callable[[int], bool],
        limits: Limits,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._listener, self._tls, self._client, self._limits, self._loop = listener, tls, client, limits, loop
        self._room = room
        self._running: set[asyncio.Task[None]] = set()
        self._accepting = loop.create_task(self._accept())

    @property
    def running(self) -> int:
        """Clients that are not there yet."""
        return len(self._running)

    def close(self) -> None:
        """Accept nobody any more; who is here may go on."""
        self._accepting.cancel()

    async def end(self) -> None:
        """Time is up."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(self._accepting, *self._running, return_exceptions=True)
        self._listener.close()

    async def _accept(self) -> None:
        with self._listener:
            while True:
                try:
                    connection, _ = await self._loop.sock_accept(self._listener)
                except OSError as error:  # gone again before we looked; or no file descriptor is left
                    log.warning("a client could not be accepted: %s", error)
                    await asyncio.sleep(EXHAUSTED_SECONDS)
                else:
                    self._take(connection)

    def _take(self, connection: socket.socket) -> None:
        if not self._room(self.running):
            connection.close()  # a word to it would cost a handshake
            return
        task = self._loop.create_task(self._shake(connection))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _shake(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._client,
                connection,
                ssl=self._tls(),
                ssl_handshake_timeout=self._limits.handshake_seconds,
                ssl_shutdown_timeout=self._limits.stall_seconds,  # a last reply may be read for so long
            )
        except (OSError, TimeoutError) as error:  # ssl.SSLError is an OSError
            log.debug("no handshake: %r", error)

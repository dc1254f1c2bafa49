"""Clients by the thousand that cost nearly nothing: some never end their requests, some listen to long streams."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import cast

AT_ONCE = 100
"""Connections that are begun together: a listener's backlog has an end."""
EVENT, DONE, END = b"data: {", b"data: [DONE]\n\n", b"\r\n0\r\n\r\n"


class Client(asyncio.Protocol):
    """Sends some bytes, and listens until the other side ends or the reply does."""

    def __init__(self, request: bytes) -> None:
        self.request = request
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.status = self.events = 0
        self.whole = False
        """A stream came to its end, in both of the ways that a stream has."""
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self.request)

    def data_received(self, data: bytes) -> None:
        if not self.status and (found := re.match(rb"HTTP/1\.1 (\d+) ", data)):
            self.status = int(found[1])
        # Nothing that is counted is counted twice: the tail is too short for it.
        seen = self._tail + data
        self.events += seen.count(EVENT)
        self.whole = self.whole or (DONE in seen and seen.endswith(END))
        self._tail = seen[-len(DONE + END) :] if not self.whole else b""
        self.events -= self._tail.count(EVENT)
        if self.whole:
            self.leave()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ended.done():
            self.ended.set_result(None)

    def leave(self) -> None:
        """Close the connection."""
        self._transport.abort()


async def connect(port: int, requests: Iterable[bytes]) -> list[Client]:
    """A client for each of these."""
    loop, places = asyncio.get_running_loop(), asyncio.Semaphore(AT_ONCE)

    async def one(request: bytes) -> Client:
        async with places:
            _, client = await loop.create_connection(lambda: Client(request), "127.0.0.1", port)
            return client

    return await asyncio.gather(*(one(request) for request in requests))


async def ended(clients: Sequence[Client]) -> Counter[int]:
    """Wait for all of them; what they were told."""
    await asyncio.gather(*(client.ended for client in clients))
    return Counter(client.status for client in clients)


def request(body: bytes, key: str, length: int | None = None) -> bytes:
    """As a client sends it. `length`: what it says of the body, where that is something else."""
    head = f"POST /v1/completions HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {key}\r\n"
    return f"{head}content-length: {len(body) if length is None else length}\r\n\r\n".encode() + body

"""Clients that cost nearly nothing, and count what is wrong."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import httptools


@dataclass
class Load:
    """What was asked, and what came of it."""

    request: bytes
    number: int
    replies: int = 0
    errors: int = 0
    events: int = 0
    delays: list[float] = field(default_factory=list)
    """Seconds, of each whole reply, from when it was due to be asked."""
    wrong: str = ""
    """What was said to the last request that went wrong."""

    @property
    def over(self) -> int:
        """Requests that have ended, well or not."""
        return self.replies + self.errors


class Client(asyncio.Protocol):
    """One connection. `free` is called whenever it can ask."""

    def __init__(self, load: Load, free: Callable[[Client], None]) -> None:
        self._load, self._free = load, free
        self._asking = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._free(self)

    def ask(self, due: float) -> None:
        """Ask once more; it was to be asked at `due`."""
        self._parser = httptools.HttpResponseParser(self)
        self._began, self._asking = due, True
        self._transport.write(self._load.request)

    def close(self) -> None:
        """No more."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._load.events += data.count(b"data: {")
        self._said = data
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        if self._asking:
            self._load.errors += 1
            self._load.wrong = f"closed: {error}"

    def on_message_complete(self) -> None:
        self._asking = False
        if self._parser.get_status_code() == 200:
            self._load.replies += 1
        else:
            self._load.errors += 1
            self._load.wrong = self._said[-300:].decode(errors="replace")
        self._load.delays.append(time.perf_counter() - self._began)
        self._free(self)


async def run(load: Load, port: int, connections: int) -> None:
    """Ask everything over so many connections, each again as soon as it was answered."""
    asked = 0

    def again(client: Client) -> None:
        nonlocal asked
        if asked < load.number:
            asked += 1
            client.ask(time.perf_counter())
        else:
            client.close()

    await _connect(load, again, port, connections)
    await _until_over(load)


async def run_paced(load: Load, port: int, connections: int, rate: float) -> None:
    """Ask everything at `rate` a second, whatever is answered; who finds no connection free is late."""
    loop = asyncio.get_running_loop()
    idle: list[Client] = []
    late: deque[float] = deque()

    def free(client: Client) -> None:
        if late:
            client.ask(late.popleft())
        else:
            idle.append(client)

    def due(when: float) -> None:
        if idle:
            idle.pop().ask(when)
        else:
            late.append(when)

    await _connect(load, free, port, connections)
    begin, now = time.perf_counter() + 0.1, loop.time() + 0.1
    for number in range(load.number):
        loop.call_at(now + number / rate, due, begin + number / rate)
    await _until_over(load)
    for client in idle:
        client.close()


async def _connect(load: Load, free: Callable[[Client], None], port: int, connections: int) -> None:
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: Client(load, free), "127.0.0.1", port)


async def _until_over(load: Load) -> None:
    ended = -1
    while load.over < load.number:
        if load.errors and load.over == ended:  # who is gone asks no more
            return
        ended = load.over
        await asyncio.sleep(0.05 if not load.errors else 5)


def request(model: str, key: str, prompt: int = 300, *, stream: bool = False, slow: bool = False) -> bytes:
    """A chat request with a prompt of so many bytes."""
    flags = (',"stream":true' if stream else "") + (',"user":"slow"' if slow else "")
    body = f'{{"model":"{model}","messages":[{{"role":"user","content":"{"y" * prompt}"}}],"max_tokens":64{flags}}}'
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: gw\r\naccept: application/json\r\nuser-agent: OpenAI/Python\r\n"
        f"authorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()

"""Clients that cost nearly nothing, and count what is wrong."""

from __future__ import annotations

import asyncio
import time
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
    asked: int = 0
    wrong: str = ""
    """What was said to the last request that went wrong."""

    def more(self) -> bool:
        """Take one request of those that are left."""
        self.asked += 1
        return self.asked <= self.number


class Client(asyncio.Protocol):
    """One connection that asks again as soon as it was answered."""

    def __init__(self, load: Load, done: asyncio.Future[None]) -> None:
        self._load, self._done = load, done

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._load.events += data.count(b"data: {")
        self._said = data
        self._parser.feed_data(data)

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.done():
            self._load.errors += 1
            self._load.wrong = f"closed: {error}"
            self._done.set_result(None)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        self._load.replies += status == 200
        if status != 200:
            self._load.errors += 1
            self._load.wrong = self._said[-300:].decode(errors="replace")
        self._load.delays.append(time.perf_counter() - self._began)
        self._ask()

    def _ask(self) -> None:
        if not self._load.more():
            self._done.set_result(None)
            self._transport.close()
            return
        self._parser = httptools.HttpResponseParser(self)
        self._began = time.perf_counter()
        self._transport.write(self._load.request)


async def run(load: Load, port: int, connections: int) -> None:
    """Ask everything over so many connections."""
    loop = asyncio.get_running_loop()
    futures = []
    for _ in range(connections):
        done = loop.create_future()
        futures.append(done)
        await loop.create_connection(lambda done=done: Client(load, done), "127.0.0.1", port)  # type: ignore[misc]
    await asyncio.gather(*futures)


def request(model: str, key: str, prompt: int = 300, *, stream: bool = False) -> bytes:
    """A chat request with a prompt of so many bytes."""
    flag = ',"stream":true' if stream else ""
    body = f'{{"model":"{model}","messages":[{{"role":"user","content":"{"y" * prompt}"}}],"max_tokens":64{flag}}}'
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: gw\r\naccept: application/json\r\nuser-agent: OpenAI/Python\r\n"
        f"authorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return (head + body).encode()

"""An engine that writes down what it hears, and says what it is told to say."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import orjson

from lorikeet.testing.fuzz.engines import Said


@dataclass(frozen=True)
class Heard:
    """One request."""

    number: int
    lines: list[str]
    body: dict[str, Any]


class Recorder:
    """Strict: a request that is not head, Content-Length and JSON is an error in its loop."""

    def __init__(self) -> None:
        self.heard: list[Heard] = []
        self.say: Said | None = None
        """None: a good answer with the request's number as its text."""
        self.open = 0
        """Connections now."""
        self._count = 0

    async def start(self) -> str:
        """Listen; HOST:PORT."""
        self._listener = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"127.0.0.1:{self._listener.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Listen no longer."""
        self._listener.close()
        while self.open:  # noqa: ASYNC110 - nobody says it
            await asyncio.sleep(0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while not writer.is_closing():
                await self._answer(await self._hear(reader), writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open -= 1
            writer.close()

    async def _hear(self, reader: asyncio.StreamReader) -> Heard:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        length = next(int(line.partition(": ")[2]) for line in lines if line.startswith("content-length: "))
        body = orjson.loads(await reader.readexactly(length))
        self._count += 1
        self.heard.append(Heard(self._count, lines, body))
        return self.heard[-1]

    async def _answer(self, heard: Heard, writer: asyncio.StreamWriter) -> None:
        if self.say is None:
            writer.write(plain(heard))
            return
        for piece in self.say.pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if self.say.ends == "resets":
            writer.transport.abort()
        elif self.say.ends == "closes":
            writer.close()


def plain(heard: Heard) -> bytes:
    """A good answer whose text is the request's number, in the form that was asked for."""
    said = b'{"choices":[{"text":"%d"}]}' % heard.number
    if heard.body.get("stream") is True:
        events = b"data: %b\n\ndata: [DONE]\n\n" % said
        head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
        return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(events), events)
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(said), said)

"""An engine that costs nearly nothing: `python3 -m … PORT [CHUNKS TICK DELAY]`. Answers as vLLM does, and always so."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from typing import cast

import httptools
import uvloop

MODEL = "sql@3f9c1a7d20b4"
TEXT = "x" * 560
BODY = (
    f'{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"{MODEL}","choices":[{{"index":0,"message":'
    f'{{"role":"assistant","content":"{TEXT}"}},"logprobs":null,"finish_reason":"stop"}}],'
    '"usage":{"prompt_tokens":20,"total_tokens":30,"completion_tokens":10}}'
).encode()
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY)
EVENT = (
    f'data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"{MODEL}","choices":[{{"index":0,'
    '"delta":{"content":" word"},"logprobs":null,"finish_reason":null}]}\n\n'
).encode()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
LAST = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


@dataclass(frozen=True)
class Pace:
    """Of one stream: how many chunks, and seconds between them. Of a whole reply: seconds before it."""

    chunks: int = 200
    tick: float = 0.01
    delay: float = 0.0


SLOW = Pace(20, 0.5)
"""Where a body says `slow`."""


class Connection(asyncio.Protocol):
    """One connection of a gateway."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)
        self._stream = self._slow = False

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._stream = self._stream or b'"stream":true' in body
        self._slow = self._slow or b'"user":"slow"' in body

    def on_message_complete(self) -> None:
        if self._stream:
            self._transport.write(HEAD)
            pace = SLOW if self._slow else self._pace
            self._stream = self._slow = False
            self._next(pace.chunks, pace.tick)
        elif self._pace.delay:
            asyncio.get_running_loop().call_later(self._pace.delay, self._transport.write, WHOLE)
        else:
            self._transport.write(WHOLE)

    def _next(self, left: int, tick: float) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(CHUNK if left else LAST)
        if left:
            asyncio.get_running_loop().call_later(tick, self._next, left - 1, tick)


async def serve(port: int, pace: Pace) -> None:
    """For ever."""
    server = await asyncio.get_running_loop().create_server(lambda: Connection(pace), "127.0.0.1", port, backlog=8192)
    await server.serve_forever()


if __name__ == "__main__":
    chunks, tick, delay = (*sys.argv[2:], *("200", "0.01", "0")[len(sys.argv) - 2 :])
    uvloop.run(serve(int(sys.argv[1]), Pace(int(chunks), float(tick), float(delay))))

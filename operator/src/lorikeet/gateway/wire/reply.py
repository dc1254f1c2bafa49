"""Writes one reply to a client: whole, or piece by piece as an engine gives them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import cache
from http import HTTPStatus
from typing import Protocol

from lorikeet.gateway.openai import ApiError
from lorikeet.gateway.wire.request import Headers

JSON = b"content-type: application/json\r\n"


class Flow(Protocol):
    """Where pieces come from: slowed down while the client does not read."""

    def pause(self) -> None: ...
    def resume(self) -> None: ...


class Reply:
    """One reply on a client's transport. Nothing is kept: what is written is the transport's."""

    def __init__(
        self, transport: asyncio.Transport, request_id: bytes, keep_alive: bool, bodiless: bool = False
    ) -> None:
        self._transport = transport
        self.request_id = request_id
        self._bodiless = bodiless  # a HEAD's reply ends with its head, whatever that says
        self._chunked = False
        self._flow: Flow | None = None
        self._head = b""
        self._full = False
        self.also = b""
        """Header lines of every answer to this request, also of an error; each with its end."""
        self.keep_alive = keep_alive
        """Whether the connection can take another request after this."""
        self.status = 0
        """What the client was told; 0 before the first byte."""
        self.complete = False

    def send(self, status: int, body: bytes, headers: Headers | None = None) -> None:
        """A whole reply of JSON."""
        self.start(status, len(body), JSON + header_lines(headers or ()))
        self.write(body)
        self.finish()

    def fail(self, error: ApiError) -> None:
        """The whole reply is an error."""
        self.send(error.status, error.body(), error.headers())

    def start(self, status: int, length: int | None, lines: bytes) -> None:
        """The head. `length` in bytes; None: chunked, for as long as it takes. `lines`: headers, each with its end."""
        self.status, self._chunked = status, length is None
        framing = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
        self._head = b"%b%b\r\nx-request-id: %b\r\n%b%b%b\r\n" % (
            _first_line(status),
            framing,
            self.request_id,
            lines,
            self.also,
            b"" if self.keep_alive else b"connection: close\r\n",
        )

    def write(self, data: bytes) -> None:
        """A piece of the body."""
        if not data or self._bodiless:
            return
        head, self._head = self._head, b""
        if self._chunked:
            self._transport.write(b"%b%x\r\n%b\r\n" % (head, len(data), data))
        else:
            self._transport.write(head + data if head else data)

    def finish(self) -> None:
        """The body is whole."""
        self.flush()
        if self._chunked:
            self._transport.write(b"0\r\n\r\n")
        self.complete = True

    def flush(self) -> None:
        """Send the head, if it still waits for a first piece to go with."""
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)

    def flush_soon(self) -> None:
        """Send the head at the end of this turn of the loop, with or without a piece."""
        asyncio.get_running_loop().call_soon(self.flush)

    def cut(self, last: bytes = b"") -> None:
        """The body will never be whole: say `last`, then close without the end that HTTP would have."""
        self.write(last)
        self.flush()
        self.keep_alive = False
        self._transport.close()

    def feed_from(self, flow: Flow | None) -> None:
        """Slow `flow` down while the client does not read; None: nothing any more."""
        self._flow = flow
        if flow is not None and self._full:
            flow.pause()

    def pause(self) -> None:
        """The client does not read."""
        self._full = True
        if self._flow is not None:
            self._flow.pause()

    def resume(self) -> None:
        """The client reads again."""
        self._full = False
        if self._flow is not None:
            self._flow.resume()


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers as they are sent."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


@cache
def _first_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    return b"HTTP/1.1 %d %b\r\n" % (status, phrase.encode())

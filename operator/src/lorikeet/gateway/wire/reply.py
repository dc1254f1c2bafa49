"""Writes one reply to a client: whole, or piece by piece as an engine gives them."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Protocol

from lorikeet.gateway.openai import ApiError
from lorikeet.gateway.wire.request import Headers

JSON = b"application/json"


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
        self._full = False
        self.also: Headers = []
        """Headers of every answer to this request, also of an error."""
        self.keep_alive = keep_alive
        """Whether the connection can take another request after this."""
        self.status = 0
        """What the client was told; 0 before the first byte."""
        self.complete = False

    def send(self, status: int, body: bytes, headers: Headers | None = None) -> None:
        """A whole reply of JSON."""
        self.start(status, [(b"content-type", JSON), *(headers or [])], len(body))
        self.write(body)
        self.finish()

    def fail(self, error: ApiError) -> None:
        """The whole reply is an error."""
        self.send(error.status, error.body(), error.headers())

    def start(self, status: int, headers: Headers, length: int | None) -> None:
        """The head. `length` in bytes; None: chunked, for as long as it takes."""
        self.status, self._chunked = status, length is None
        framing = b"transfer-encoding: chunked" if length is None else b"content-length: %d" % length
        lines = [b"HTTP/1.1 %d %b" % (status, _phrase(status)), framing, b"x-request-id: " + self.request_id]
        lines += [b"%b: %b" % header for header in headers]
        lines += [b"%b: %b" % header for header in self.also]
        if not self.keep_alive:
            lines.append(b"connection: close")
        self._transport.write(b"\r\n".join(lines) + b"\r\n\r\n")

    def write(self, data: bytes) -> None:
        """A piece of the body."""
        if not data or self._bodiless:
            return
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def finish(self) -> None:
        """The body is whole."""
        if self._chunked:
            self._transport.write(b"0\r\n\r\n")
        self.complete = True

    def cut(self, last: bytes = b"") -> None:
        """The body will never be whole: say `last`, then close without the end that HTTP would have."""
        self.write(last)
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


def _phrase(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b"Unknown"

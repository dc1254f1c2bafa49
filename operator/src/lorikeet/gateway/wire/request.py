"""Reads a client's requests: one at a time, strictly, with bounds.

llhttp refuses by itself what two parsers could read in two ways: both framings or two lengths, folded headers, bare
line ends, spaces before colons, unknown codings. What it accepts and we do not is refused in `_check`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httptools

from lorikeet.gateway.limits import Limits
from lorikeet.gateway.openai import ApiError
from lorikeet.gateway.wire.heads import LONGEST, Head, head_of
from lorikeet.gateway.wire.room import Room

Headers = list[tuple[bytes, bytes]]
Fields = Mapping[bytes, bytes]
"""Headers by their names in lower case."""
Gate = Callable[[Fields], str]
"""Who sends, as the memory for bodies is shared. Raises ApiError for a sender whose large body is not read."""

ONCE = (b"host", b"authorization", b"x-api-key", b"content-type", b"expect")
HEADS = 8
"""Heads of one client that are remembered, the last of them: who says something new each time is not followed on."""


@dataclass(slots=True)  # frozen ones cost a microsecond for each request
class Request:
    """A whole request. Of headers given twice the last: those that matter are never given twice."""

    method: bytes
    target: bytes
    headers: Fields
    body: bytes


class RequestReader:
    """Bytes in, requests out. The parser's callbacks are the `on_` methods."""

    def __init__(self, limits: Limits, room: Room, gate: Gate) -> None:
        self._limits, self._room, self._gate = limits, room, gate
        self._holder, self._taken = "", 0
        self._parser = httptools.HttpRequestParser(self)
        self._refusal: ApiError | None = None
        self._last: Head | None = None
        self._heads = HEADS  # that may still be remembered
        self._beginning = b""
        self._waiting = b""  # a known head, whose body is to come
        self._headers: Headers = []
        self._fields: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._target = b""
        self._head_size = self._body_size = 0
        self._in_head = self._whole = False
        self.reading = False
        """A request has begun and is not whole."""
        self.keep_alive = True
        """Whether another request may follow the last one."""
        self.awaits_continue = False
        """The client sends the body only when told to."""

    def feed(self, data: bytes) -> Request | None:
        """The request that `data` completes. Raises ApiError for one that is refused: then the connection is done.

        Until `release`, what follows a whole request is not read: a second request on its heels (pipelining) or
        garbage only ends `keep_alive`. So no reading of the bytes can make two requests of one.
        """
        if self._whole and not self.keep_alive:
            return None
        had_request = self._whole
        if not had_request and (self._waiting or not self.reading):
            data, self._waiting = self._waiting + data, b""
            if self._last is not None:
                request = self._known(self._last, data)
                if request is not None or self._waiting:
                    return request
            self._beginning = data[:LONGEST] if self._heads else b""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, "protocol upgrades are not served")
        except httptools.HttpParserError as error:
            self._broken(error)
        self._count_head(data)
        if self._refusal is not None:
            raise self._refusal
        return self._request() if self._whole and not had_request else None

    def _known(self, head: Head, data: bytes) -> Request | None:
        """The request that `data` is, if it is one like the last. Where its body is not there yet, it waits for it."""
        frame = head.frame(data)
        if frame is None or frame[1] - frame[0] > self._limits.small_bytes:
            return None
        body, end = frame
        if len(data) == end:
            self._whole, self.reading = True, False
            return Request(head.method, head.target, head.headers, data[body:])
        if len(data) == body:
            self._waiting, self.reading = data, True
        return None

    def release(self) -> None:
        """The last request is answered: read the next."""
        self._whole = False
        self.close()

    def close(self) -> None:
        """Nothing is held any longer."""
        if self._taken:
            self._room.give_back(self._holder, self._taken)
        self._taken = self._body_size = 0

    def _broken(self, error: httptools.HttpParserError) -> None:
        if self._whole:
            self.keep_alive = False
        else:
            self._refuse(400, f"not HTTP/1.1: {error}")

    def _count_head(self, data: bytes) -> None:
        # A header that does not end is kept by the parser and seen by no callback: count what went in.
        if self._in_head:
            self._head_size += len(data)
        elif len(data) > self._limits.head_bytes:  # a whole head may have come at once
            self._head_size = len(self._target) + sum(len(name) + len(value) for name, value in self._headers)
        if self._head_size > self._limits.head_bytes:
            self._refuse(431, f"the request's head has more than {self._limits.head_bytes} bytes")

    def _request(self) -> Request:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        request = Request(self._parser.get_method(), self._target, self._fields, body)
        if self._beginning and self.keep_alive:
            self._last = head_of(self._beginning, request.method, request.target, request.headers)
            self._heads -= 1
        self._beginning = b""
        return request

    def on_message_begin(self) -> None:
        if self._whole:
            self.keep_alive = False
            return
        self._headers, self._body, self._target = [], [], b""
        self._head_size = 0
        self._in_head = self.reading = True
        self.awaits_continue = False

    def on_url(self, url: bytes) -> None:
        if not self._whole:
            self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        # After the head these are trailers, which nobody needs.
        if self._in_head and not self._whole:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._whole:
            return
        self._in_head = False
        self._fields = dict(self._headers)
        self._check(self._fields)

    def on_body(self, body: bytes) -> None:
        if self._whole or self._refusal is not None:
            return
        if self._body_size + len(body) > self._limits.body_bytes:
            self._too_large()
        elif not self._make_room(self._body_size + len(body) - self._limits.small_bytes):
            self._refuse(503, "too many requests are being read; try again", retry_after=self._limits.retry_after)
        else:
            self._body_size += len(body)
            self._body.append(body)

    def _make_room(self, large: int) -> bool:
        """Hold so many bytes of a body beyond the first ones. Before the first of them its sender must be known."""
        if large <= 0:
            return True
        if not self._taken:
            try:
                self._holder = self._gate(self._fields)
            except ApiError as error:
                self._refusal = error
                return True
        if not self._room.take(self._holder, large - self._taken):
            return False
        self._taken = large
        return True

    def on_message_complete(self) -> None:
        if self._whole:
            return
        self._whole, self.reading, self.awaits_continue = True, False, False
        self.keep_alive = self._parser.should_keep_alive()

    def _check(self, headers: dict[bytes, bytes]) -> None:
        """Refuse what llhttp accepts and this gateway does not."""
        if self._parser.get_http_version() != "1.1":
            self._refuse(505, "only HTTP/1.1 is served")
        elif len(self._headers) > self._limits.headers:
            self._refuse(431, f"the request has more than {self._limits.headers} headers")
        elif b"host" not in headers:
            self._refuse(400, "the Host header is missing")
        elif len(headers) < len(self._headers) and (twice := self._twice()):
            self._refuse(400, f"the header {twice.decode()} is given twice")
        elif b"upgrade" in headers or self._parser.get_method() == b"CONNECT":
            self._refuse(400, "protocol upgrades are not served")
        elif b"content-encoding" in headers:
            self._refuse(415, "a compressed body is not read")
        elif headers.get(b"expect", b"100-continue").lower() != b"100-continue":
            self._refuse(417, "the only expectation that is met is 100-continue")
        elif int(headers.get(b"content-length", b"0")) > self._limits.body_bytes:
            self._too_large()
        else:
            self.awaits_continue = b"expect" in headers

    def _twice(self) -> bytes | None:
        names = [name for name, _ in self._headers]
        return next((name for name in ONCE if names.count(name) > 1), None)

    def _too_large(self) -> None:
        self._refuse(413, f"the body has more than {self._limits.body_bytes} bytes")

    def _refuse(self, status: int, message: str, retry_after: int | None = None) -> None:
        code = "overloaded" if status == 503 else "bad_request"
        self._refusal = self._refusal or ApiError(status, message, code=code, retry_after=retry_after)

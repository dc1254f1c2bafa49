"""One connection to an engine: a request out, its reply in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, cast

import httptools

from lorikeet.gateway.limits import Limits
from lorikeet.gateway.wire.deadline import Deadline
from lorikeet.gateway.wire.errand import Promise
from lorikeet.gateway.wire.request import Fields, Headers
from lorikeet.keepalive import keep_alive

HEAD_LIMIT = 64 * 1024  # bytes in the head of an engine's reply
INTERIM_LIMIT = 8  # replies of 1xx before the real one
BODILESS = frozenset({204, 304})


class UpstreamError(Exception):
    """A reply that did not come, or not whole."""


class Unconnected(UpstreamError):
    """No connection: the engine saw nothing of the request."""


class Silent(UpstreamError):
    """The connection ended, or the time did, before a head came: the engine may have seen the request."""


class TooSlow(Silent):
    """The time ended: the engine may be at work on it still."""


class Cut(UpstreamError):
    """The reply ended before its end."""


@dataclass(slots=True)  # frozen ones cost a microsecond for each request
class ReplyHead:
    """How an engine's reply begins. `length` in bytes; None: chunked."""

    status: int
    headers: Fields
    length: int | None


class Sink(Protocol):
    """Takes the pieces of a body."""

    def write(self, data: bytes) -> None: ...


class Upstream(asyncio.Protocol):
    """asyncio and the parser call the plain and the `on_` methods; `ask` then `relay` or `read` is the use."""

    def __init__(
        self, address: str, limits: Limits, loop: asyncio.AbstractEventLoop, lost: Callable[[Upstream], None]
    ) -> None:
        self.address = address
        self._limits, self._loop, self._lost = limits, loop, lost
        self._deadline = Deadline(loop, lambda: self._end("took too long", TooSlow))
        self._transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._asked: Promise[ReplyHead] | None = None
        self._end_of_body: Promise[None] | None = None
        self._sink: Sink | None = None
        self._ended = ""  # why nothing more will come
        self.used = False
        """Has carried a request before: an error may only mean that the engine closed it meanwhile."""
        self.idle_since = 0.0
        self._begin()

    def _begin(self) -> None:
        self._headers: Headers = []
        self._pieces: list[bytes] = []
        self._head_size = self._interim = 0
        self._head: ReplyHead | None = None
        self._wrong = ""  # why this is no reply
        self._in_head, self._complete, self._keep_alive = True, False, False

    async def ask(self, message: Sequence[bytes]) -> ReplyHead:
        """Send a whole request, wait for the reply's head. Raises Silent; without a head the connection is closed."""
        self._begin()
        if self._ended:
            raise Silent(self._ended)
        self._asked = Promise(loop=self._loop)
        self._transport.writelines(message)
        self._deadline.set(self._limits.first_byte_seconds)
        try:
            return await self._asked
        except BaseException:  # the client left, too: nobody will read this reply
            self.close()
            raise

    async def relay(self, sink: Sink) -> None:
        """Hand each piece of the body to `sink` as it comes, until the end. Raises Cut."""
        self._sink = sink
        self._hand_over()
        if not self._complete:
            if self._ended:
                raise Cut(self._ended)
            self._end_of_body = Promise(loop=self._loop)
            await self._end_of_body

    async def read(self, limit: int) -> bytes:
        """The whole body of a short reply. Raises Cut, also for more than `limit` bytes."""
        if self._complete and len(self._pieces) == 1 and len(self._pieces[0]) <= limit:
            return self._pieces.pop()  # as nearly always
        short = _Short(limit, self.close)
        await self.relay(short)
        return bytes(short.body)

    @property
    def reusable(self) -> bool:
        """The reply is whole, and another request may follow on this connection."""
        return self._complete and self._keep_alive and not self._ended

    def close(self) -> None:
        """Drop the connection: an engine stops its work on a reply that nobody reads."""
        self._ended = self._ended or "closed"
        self._deadline.close()
        self._transport.abort()

    def rest(self, now: float) -> None:
        """Between two requests."""
        self.used, self.idle_since, self._sink = True, now, None
        self._deadline.clear()

    def pause(self) -> None:
        """Flow: read no more for now. The engine is not the one who waits."""
        self._deadline.clear()
        if not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """Flow: read on."""
        if self._transport.is_closing():
            return
        if not self._complete:
            self._deadline.set(self._limits.gap_seconds)
        self._transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by behaviour alone
        keep_alive(transport.get_extra_info("socket"), self._limits.gone_seconds)

    def connection_lost(self, error: Exception | None) -> None:
        self._end(str(error) if error else "the engine closed the connection")
        self._deadline.close()
        self._lost(self)

    def data_received(self, data: bytes) -> None:
        if self._complete or self._asked is None:
            self._end("the engine spoke unasked")
            return
        self._deadline.set(self._limits.gap_seconds)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._wrong = f"not HTTP: {error}"
        if self._in_head:
            self._head_size += len(data)
            if self._head_size > HEAD_LIMIT or self._interim > INTERIM_LIMIT:
                self._wrong = "the reply's head does not end"
        self._tell()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 or self._complete:
            return
        self._in_head = False
        fields = dict(self._headers)
        length = None
        if status in BODILESS:
            length = 0
        elif b"content-length" in fields:
            length = int(fields[b"content-length"])
        elif fields.get(b"transfer-encoding", b"").lower() != b"chunked":
            # It would end where the connection does, and a cut could not be told from the end.
            self._wrong = "the reply has no length"
            return
        self._head = ReplyHead(status, fields, length)

    def on_body(self, body: bytes) -> None:
        if not self._complete:
            self._pieces.append(body)

    def on_message_complete(self) -> None:
        if self._in_head:  # a 1xx: the real reply follows
            self._interim += 1
            self._headers = []
        elif not self._complete:
            self._complete, self._keep_alive = True, self._parser.should_keep_alive()

    def on_message_begin(self) -> None:
        if self._complete:  # more than was asked for
            self._keep_alive = False

    def _tell(self) -> None:
        """After a read, outside the parser: who waits goes on in here, and may be done with this reply after it."""
        if self._wrong:
            self._keep_alive = False
        if self._sink is None:
            if self._head is not None and self._asked is not None:
                self._asked.keep(self._head)
        else:
            self._hand_over()
            if self._complete and self._end_of_body is not None:
                self._end_of_body.keep(None)
        if self._wrong:
            self._end(self._wrong)

    def _hand_over(self) -> None:
        """Everything of one read goes on as one piece."""
        if self._pieces and self._sink is not None:
            pieces, self._pieces = self._pieces, []
            self._sink.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def _end(self, why: str, silence: type[Silent] = Silent) -> None:
        if not self._ended:
            self._ended = why
            self._transport.abort()
        if self._asked is not None and not self._asked.done():
            self._asked.breach(silence(self._ended))
        elif self._end_of_body is not None:
            self._end_of_body.breach(Cut(self._ended))


class _Short:
    """A body that is kept, up to a limit."""

    def __init__(self, limit: int, overflow: Callable[[], None]) -> None:
        self.body = bytearray()
        self._limit, self._overflow = limit, overflow

    def write(self, data: bytes) -> None:
        self.body += data
        if len(self.body) > self._limit:
            self._overflow()

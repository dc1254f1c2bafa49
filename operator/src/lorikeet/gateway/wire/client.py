"""One client's connection: requests in, each answered before the next is read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Protocol, cast

from lorikeet.gateway.limits import Limits
from lorikeet.gateway.openai import ApiError
from lorikeet.gateway.wire.deadline import Deadline
from lorikeet.gateway.wire.errand import Errand
from lorikeet.gateway.wire.reply import Reply
from lorikeet.gateway.wire.request import Fields, Request, RequestReader
from lorikeet.gateway.wire.room import Room

Handler = Callable[[Request, Reply], Coroutine[Any, Any, None]]
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Door(Protocol):
    """What a connection knows of the server it belongs to."""

    @property
    def closing(self) -> bool: ...
    def opened(self, client: ClientConnection) -> bool: ...
    def closed(self, client: ClientConnection) -> None: ...
    def refused(self, status: int) -> None: ...
    def request_id(self) -> bytes: ...
    @property
    def room(self) -> Room: ...
    def gate(self, headers: Fields) -> str: ...


class ClientConnection(asyncio.Protocol):
    """A client that goes away cancels its request's errand, and with it the engine's work on it."""

    def __init__(self, door: Door, handler: Handler, limits: Limits, loop: asyncio.AbstractEventLoop) -> None:
        self._door, self._handler, self._limits, self._loop = door, handler, limits, loop
        self._reader = RequestReader(limits, door.room, door.gate)
        self._deadline = Deadline(loop, self._expired)
        self._transport: asyncio.Transport
        self._reply: Reply | None = None
        self._errand: Errand | None = None
        self._refused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one by behaviour alone
        self._deadline.set(self._limits.idle_seconds)
        if not self._door.opened(self):
            said = "this gateway has as many clients as it may have; try again"
            self._refuse(ApiError(503, said, code="overloaded", retry_after=self._limits.retry_after))

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        was_reading = self._reader.reading
        try:
            request = self._reader.feed(data)
        except ApiError as error:
            self._refuse(error)
            return
        if request is not None:
            self._answer(request)
        elif self._reader.reading:
            if not was_reading:
                self._deadline.set(self._limits.request_seconds)
            if len(data) > self._limits.small_bytes:
                self._let_others()
        if self._reader.awaits_continue:
            self._reader.awaits_continue = False
            self._transport.write(CONTINUE)

    def _let_others(self) -> None:
        """Read on in the loop's next turn: it would take megabytes of one client before it looks at another."""
        self._transport.pause_reading()
        self._loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._deadline.close()
        if self._errand is not None:
            self._errand.cancel()
        self._reader.close()
        self._door.closed(self)

    def pause_writing(self) -> None:
        self._deadline.set(self._limits.stall_seconds)
        if self._reply is not None:
            self._reply.pause()

    def resume_writing(self) -> None:
        self._deadline.clear()
        if self._reply is not None:
            self._reply.resume()

    @property
    def busy(self) -> bool:
        """A request is being answered, or read."""
        return self._errand is not None or self._reader.reading

    def close(self) -> None:
        """No further request: at once, or after the one that is being answered."""
        if self._reply is not None and not self._reply.status:
            self._reply.keep_alive = False
        elif not self.busy:
            self._transport.close()

    def abort(self) -> None:
        """Time is up."""
        self._transport.abort()

    def _answer(self, request: Request) -> None:
        self._deadline.clear()
        keep_alive = self._reader.keep_alive and not self._door.closing
        bodiless = request.method == b"HEAD"
        self._reply = Reply(self._transport, self._door.request_id(), keep_alive, bodiless)
        self._errand = Errand(self._handler(request, self._reply), self._loop, self._answered)
        self._errand.start()

    def _answered(self) -> None:
        reply, self._errand, self._reply = self._reply, None, None
        if reply is None or self._transport.is_closing():
            return
        if not reply.complete:
            self._transport.abort()
        elif not (reply.keep_alive and self._reader.keep_alive) or self._door.closing:
            self._transport.close()
        else:
            self._reader.release()
            self._deadline.set(self._limits.idle_seconds)

    def _refuse(self, error: ApiError) -> None:
        """Answer what was no request, and listen on for a moment: closing now would reset the answer away."""
        self._refused = True
        self._door.refused(error.status)
        Reply(self._transport, self._door.request_id(), keep_alive=False).fail(error)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._deadline.set(self._limits.linger_seconds)

    def _expired(self) -> None:
        if self._reader.reading and not self._refused:
            self._refuse(ApiError(408, "the request did not arrive in time", code="timeout"))
        else:
            self._transport.abort()

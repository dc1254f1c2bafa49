"""Carries one request to a replica that can answer it, and the reply back.

Until the first byte has gone to the client, a replica that fails is passed over for the next one. After it, a failure
can only be told.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import orjson

from lorikeet.gateway.body import Asked
from lorikeet.gateway.catalog import Route, Target
from lorikeet.gateway.counters import Counters
from lorikeet.gateway.keyring import Keyring
from lorikeet.gateway.limits import Limits
from lorikeet.gateway.meter import Meter, Metered
from lorikeet.gateway.openai import ApiError, engine_failed, interrupted, no_route, not_ready
from lorikeet.gateway.pick import Picker
from lorikeet.gateway.relay import Events, Garbled, Pieces, Translation
from lorikeet.gateway.renamed import renaming
from lorikeet.gateway.trace import Trace
from lorikeet.gateway.wire.pool import Pool
from lorikeet.gateway.wire.reply import Reply, header_lines
from lorikeet.gateway.wire.upstream import Cut, ReplyHead, Silent, TooSlow, Unconnected, Upstream, UpstreamError

log = logging.getLogger(__name__)

RELAYED = (b"content-type", b"cache-control", b"retry-after")
"""Headers of an engine's reply that are the client's business."""
PASSED_OVER = {401: "unauthorized", 404: "stale", 429: "busy", 503: "busy"}
"""An engine that does not know our key (another pod has the address), or the model (a stale row), or has no room."""
REFUSAL_LIMIT = 64 * 1024
EVENTS = b"text/event-stream"
ENDED = frozenset({"reset", "failed"})
"""Ends of which the request itself may be the cause: it is not carried through every engine there is."""


UNWELL = ENDED | {"unreachable", "busy"}
"""Ends that say something of the replica, and not only of this row of the table."""


class Passed(Exception):
    """This replica did not answer, and the client knows nothing of it. `why` is one word.

    `error` is what the client hears if no other replica answers; None: that none could.
    """

    def __init__(self, why: str, error: ApiError | None = None) -> None:
        super().__init__(why)
        self.why, self.error = why, error


@dataclass(slots=True)  # frozen ones cost a microsecond for each request
class Ask:
    """What an engine is asked, and in which words the client hears what it says."""

    path: bytes
    body: Asked
    accept: bytes
    salt: str = ""
    words: Callable[[bytes, bytes], Translation] = renaming
    trace: Trace | None = None


@dataclass(frozen=True)
class Forwarder:
    """The way from a route to an answer."""

    pool: Pool
    picker: Picker
    keyring: Keyring
    counters: Counters
    limits: Limits

    async def forward(self, ask: Ask, route: Route, meant: Callable[[], Route], reply: Reply, meter: Meter) -> None:
        """Answer `reply` from one of the route's targets. Raises ApiError where none could, before the first byte.

        `meant` is the route by the table of the moment: when one replica dies another may have come, since seconds.
        """
        asked = ask.body
        tried: list[Target] = []
        resets = 0
        error: ApiError | None = None
        while len(tried) < self.limits.attempts and resets < self.limits.resets:
            target = self.picker.pick(route.targets, tried, len(asked.body), asked.prefix)
            if target is None:
                break
            tried.append(target)
            body = asked.of(target.name, ask.salt)  # replicas may have different versions
            try:
                with self.picker.in_flight(target, len(asked.body), asked.prefix, asked.sequences):
                    message = [self._head(ask, len(body), target), body]
                    await self._through(target, message, ask.words(target.name, asked.written), reply, meter)
            except Passed as passed:
                self.picker.doubt(target)
                if passed.why in UNWELL:
                    self.picker.outliers.failed(target.address)
                self.counters.retried(passed.why)
                resets += passed.why in ENDED
                error = passed.error or error
                log.info("%s passed over for %s: %s", target.pod, target.model, passed.why)
                route = meant()
            else:
                (self.picker.outliers.answered if reply.complete else self.picker.outliers.failed)(target.address)
                return
        raise error or not_ready(asked.model, "could not be answered by any replica", self.limits.retry_after)

    async def touch(self, path: bytes, target: Target, body: bytes) -> int:
        """Ask one replica, and no other, something short; the reply's status. Raises Passed, UpstreamError."""
        asked = body % target.name
        ask = Ask(path, Asked(target.model, asked, 0, 0), b"*/*")
        try:
            upstream, head = await self._ask(target.address, [self._head(ask, len(asked), target), asked])
        except Unconnected as error:
            raise Passed("unreachable") from error
        try:
            await upstream.read(self.limits.held_bytes)
        finally:
            self.pool.give_back(upstream)
        return head.status

    async def _through(
        self, target: Target, message: list[bytes], words: Translation, reply: Reply, meter: Meter
    ) -> None:
        """One replica's try. Raises Passed."""
        try:
            upstream, head = await self._ask(target.address, message)
        except Unconnected as error:
            raise Passed("unreachable") from error
        except Silent as error:
            raise Passed("reset") from error
        try:
            if head.status in PASSED_OVER or head.status >= 500 or 300 <= head.status < 400:
                await self._pass_over(upstream, head)
            meter.pod = target.pod
            limit = self.limits.body_bytes if words.whole else self.limits.held_bytes
            if is_stream(head) or not (words.whole or (head.length is not None and head.length <= limit)):
                await self._piece_by_piece(upstream, head, target, words, reply, meter)
            else:
                self._at_once(await self._whole(upstream, limit), head, target, words, reply, meter)
        except Garbled as error:  # the client knows nothing of it yet
            raise Passed("failed", engine_failed(502)) from error
        finally:
            reply.feed_from(None)
            self.pool.give_back(upstream)

    async def _ask(self, address: str, message: list[bytes]) -> tuple[Upstream, ReplyHead]:
        """Send, and wait for the head. Raises Unconnected, Silent.

        An engine may close a spare connection in the moment we use it. That says nothing about the replica: ask again
        on a new one.
        """
        upstream = self.pool.spare(address)
        if upstream is None:
            upstream = await self.pool.connect(address)
            return upstream, await upstream.ask(message)
        try:
            return upstream, await upstream.ask(message)
        except TooSlow:
            raise
        except Silent as silent:
            try:
                upstream = await self.pool.connect(address)
            except Unconnected:
                raise silent from None  # it was no farewell to a spare connection: the engine went, with the request
        return upstream, await upstream.ask(message)

    async def _pass_over(self, upstream: Upstream, head: ReplyHead) -> None:
        body = await self._whole(upstream, REFUSAL_LIMIT)
        if head.status == 404 and is_missing_route(body):
            raise no_route()
        if why := PASSED_OVER.get(head.status):
            raise Passed(why)
        log.warning("%s answered %d: %.200s", upstream.address, head.status, body.decode(errors="replace"))
        raise Passed("failed", engine_failed(head.status))

    async def _whole(self, upstream: Upstream, limit: int) -> bytes:
        """A body of up to `limit` bytes. Raises Passed where it broke off: the client has not seen anything of it."""
        try:
            return await upstream.read(limit)
        except Cut as error:
            raise Passed("reset") from error

    def _at_once(
        self, body: bytes, head: ReplyHead, target: Target, words: Translation, reply: Reply, meter: Meter
    ) -> None:
        """A reply that is short enough to be held, and whole."""
        meter.whole(body)
        body = words.of(body) if head.status < 400 else words.error(body)
        self.counters.answered(head.status)
        reply.start(head.status, len(body), relayed(head) + target.lines)  # goes out with the body
        reply.write(body)
        reply.finish()

    async def _piece_by_piece(
        self, upstream: Upstream, head: ReplyHead, target: Target, words: Translation, reply: Reply, meter: Meter
    ) -> None:
        self.counters.answered(head.status)
        reply.start(head.status, None if words.longest else head.length, relayed(head) + target.lines)
        reply.feed_from(upstream)
        reply.flush_soon()
        streamed = is_stream(head)
        pieces = Events(words, reply, meter) if streamed else Pieces(words, reply)
        try:
            await upstream.relay(pieces if streamed else Metered(meter, pieces))
            pieces.finish()
        except UpstreamError as error:
            self.counters.cut()
            log.warning("a reply of %s broke off: %s", upstream.address, error)
            reply.cut(interrupted().event() if streamed else b"")
            return
        reply.finish()

    def _head(self, ask: Ask, length: int, target: Target) -> bytes:
        """Written anew: of the client's headers an engine sees what it should accept, and no other."""
        authorization = self.keyring.authorization(target.server, target.server_uid)
        traced = b"" if ask.trace is None else ask.trace.line
        return (
            b"POST %b HTTP/1.1\r\nhost: %b\r\nauthorization: %b\r\naccept: %b\r\n%b"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
        ) % (ask.path, target.address.encode(), authorization, ask.accept, traced, length)


def relayed(head: ReplyHead) -> bytes:
    """What a client sees of an engine's headers."""
    return _relayed(*map(head.headers.get, RELAYED))


@lru_cache(256)
def _relayed(*values: bytes | None) -> bytes:
    return header_lines((name, value) for name, value in zip(RELAYED, values, strict=True) if value is not None)


def is_stream(head: ReplyHead) -> bool:
    """Whether events follow, for as long as it takes."""
    return head.length is None and head.headers.get(b"content-type", b"").startswith(EVENTS)


def is_missing_route(body: bytes) -> bool:
    """Whether a 404 means the route (an engine that does no embeddings has none) and not the model."""
    try:
        reply = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    match reply:
        case {"detail": "Not Found"} | {"error": {"message": "Not Found"}}:
            return True
    return False

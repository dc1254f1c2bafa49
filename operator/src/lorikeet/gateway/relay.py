"""Pieces of a reply on their way from an engine to a client, in the client's words."""

from __future__ import annotations

from typing import Protocol

from lorikeet.gateway.meter import Meter
from lorikeet.gateway.wire.events import END, WholeEvents
from lorikeet.gateway.wire.upstream import Sink, UpstreamError


class Garbled(UpstreamError):
    """A reply that is not what was asked for: it cannot be told in the client's words."""


class Translation(Protocol):
    """What a client reads in place of what an engine says."""

    @property
    def longest(self) -> int:
        """Bytes of the longest thing that changes; 0: nothing does."""
        ...

    @property
    def whole(self) -> bool:
        """Whether an answer that is no stream must be there as a whole."""
        ...

    def of(self, data: bytes) -> bytes:
        """A whole answer, whole events, or a piece that cuts through nothing that changes. Raises Garbled."""
        ...

    def error(self, body: bytes) -> bytes:
        """The engine's error."""
        ...

    def held(self, data: bytes) -> int:
        """How many of the last bytes must wait for the next piece."""
        ...


class Pieces:
    """Each piece is translated as it comes; of what a piece's end may cut in two only that much is held."""

    def __init__(self, translation: Translation, sink: Sink) -> None:
        self._translation, self._sink = translation, sink
        self._tail = b""

    @property
    def holds(self) -> bool:
        """Something waits for the next piece."""
        return bool(self._tail)

    def write(self, data: bytes) -> None:
        """A piece as the network gave it."""
        if not data:
            return
        data = self._tail + data if self._tail else data
        held = self._translation.held(data)
        self._tail = data[len(data) - held :] if held else b""
        if held < len(data):
            self._sink.write(self._translation.of(data[: len(data) - held] if held else data))

    def finish(self) -> None:
        """The answer is whole."""
        if self._tail:
            self._sink.write(self._translation.of(self._tail))


class Events:
    """A stream of events: a client gets whole ones, each translated; `meter` sees them as they come."""

    def __init__(self, translation: Translation, sink: Sink, meter: Meter | None = None) -> None:
        self._translation, self._sink, self._meter = translation, sink, meter
        self._pieces = Pieces(translation, sink)  # an event of no sane size comes in pieces
        self._whole = WholeEvents(self._pieces)

    def write(self, data: bytes) -> None:
        """A piece as the network gave it: nearly always whole events."""
        if self._meter is not None:
            self._meter.piece(data)
        if data[-2:] == END and not self._whole.holds and not self._pieces.holds:
            self._sink.write(self._translation.of(data))
        else:
            self._whole.write(data)

    def finish(self) -> None:
        """The stream is whole."""
        self._whole.finish()
        self._pieces.finish()

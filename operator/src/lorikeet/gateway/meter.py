"""Counts one reply as it passes: its tokens, and when they came."""

from __future__ import annotations

import re
from collections.abc import Callable

from lorikeet.gateway.wire.upstream import Sink

_END = b"\n\n"
_OUT = re.compile(rb'"(?:completion|output)_tokens": ?(\d{1,12})')
_IN = re.compile(rb'"(?:prompt|input)_tokens": ?(\d{1,12})')
_SAID = b'_tokens"'


class Meter:
    """One request's. Times are seconds from its start."""

    def __init__(self, clock: Callable[[], float], gap: Callable[[float], None]) -> None:
        self._clock, self._gap = clock, gap
        self.began = self._last = clock()
        self.first: float | None = None
        self.tokens_in: int | None = None
        self.tokens_out: int | None = None
        self.events = 0
        self.pod = ""
        """Who answered."""

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return self._clock() - self.began

    def whole(self, body: bytes) -> None:
        """A reply that came at once."""
        self.first = self.seconds
        self._count(body)

    def piece(self, data: bytes) -> None:
        """A piece of a stream."""
        now = self._clock()
        if self.first is None:
            self.first = now - self.began
        else:
            self._gap(now - self._last)
        self._last = now
        self.events += data.count(_END)
        if _SAID in data:
            self._count(data)

    def total(self, guess: int) -> tuple[int, int]:
        """Tokens in and out: as the engine counted them; else `guess`, and one for each event."""
        tokens_in = guess if self.tokens_in is None else self.tokens_in
        return tokens_in, max(self.events - 1, 0) if self.tokens_out is None else self.tokens_out

    def _count(self, data: bytes) -> None:
        # A bare quote ends each of these words, so they are keys of the answer and never a piece of its content.
        start = max(0, data.rfind(b'"usage"'))  # the last one counts: some streams count on in each event
        if found := _IN.search(data, start):
            self.tokens_in = int(found[1])
        if found := _OUT.search(data, start):
            self.tokens_out = int(found[1])


class Metered:
    """Counts what goes to `sink`."""

    def __init__(self, meter: Meter, sink: Sink) -> None:
        self._meter, self._sink = meter, sink

    def write(self, data: bytes) -> None:
        """A piece."""
        self._meter.piece(data)
        self._sink.write(data)

"""A stream of server-sent events, passed on in whole events."""

from __future__ import annotations

from lorikeet.gateway.wire.upstream import Sink

END = b"\n\n"
LIMIT = 256 * 1024
"""A longer event is passed on in pieces: it is nobody's we know, and we keep nothing of that size."""


class WholeEvents:
    """Holds back the beginning of an event until its end is there.

    An engine sends each event whole and the network rarely splits one, so hardly anything is ever held. But a reply
    that is cut inside an event must not hand half of it to a client, whose JSON parser would fail on it before it
    sees the error that says why.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._tail = b""

    @property
    def holds(self) -> bool:
        """The beginning of an event waits for its end."""
        return bool(self._tail)

    def write(self, data: bytes) -> None:
        """A piece of the stream."""
        data = self._tail + data if self._tail else data
        end = data.rfind(END) + len(END)
        if end < len(END):
            end = len(data) if len(data) > LIMIT else 0
        self._tail = data[end:]
        self._sink.write(data[:end])

    def finish(self) -> None:
        """The stream is whole: what is left belongs to it."""
        self._sink.write(self._tail)
        self._tail = b""

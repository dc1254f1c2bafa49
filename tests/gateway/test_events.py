"""Clients see whole events."""

from __future__ import annotations

from lorikeet.gateway.wire.events import LIMIT, WholeEvents


class Written(list[bytes]):
    def write(self, data: bytes) -> None:
        if data:
            self.append(data)


def test_the_beginning_of_an_event_waits_for_its_end() -> None:
    events = WholeEvents(written := Written())
    for piece in (b"data: 1\n\nda", b"ta: 2", b"\n", b"\ndata: 3\n\n"):
        events.write(piece)
    assert written == [b"data: 1\n\n", b"data: 2\n\ndata: 3\n\n"]


def test_what_is_left_of_a_whole_stream_belongs_to_it_and_of_a_cut_one_to_nobody() -> None:
    events = WholeEvents(written := Written())
    events.write(b"data: 1")
    assert written == []
    events.finish()
    assert written == [b"data: 1"]


def test_an_event_without_an_end_is_not_kept() -> None:
    events = WholeEvents(written := Written())
    events.write(b"x" * LIMIT)
    assert written == []
    events.write(b"x")
    assert written == [b"x" * (LIMIT + 1)]

"""A client that writes the same head again: known by its bytes, and read as if it were new."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorikeet.gateway.limits import Limits
from lorikeet.gateway.openai import ApiError
from lorikeet.gateway.wire.request import HEADS, Request, RequestReader
from lorikeet.gateway.wire.room import Room

from .test_wire import REFUSED

LIMITS = Limits(small_bytes=64)
HEAD = (
    b"POST /v1/completions HTTP/1.1\r\nHost: gw\r\nAuthorization: Bearer sk-%b\r\n"
    b"Content-Length: %d\r\nAccept: */*\r\n\r\n"
)


def message(body: bytes, key: bytes = b"a") -> bytes:
    return HEAD % (key, len(body)) + body


class Spied(RequestReader):
    """Counts the requests whose head was parsed."""

    parsed = 0

    def __init__(self) -> None:
        super().__init__(LIMITS, Room(1 << 20), lambda headers: "somebody")

    def on_headers_complete(self) -> None:
        self.parsed += 1
        super().on_headers_complete()

    def take(self, *pieces: bytes) -> Request | None:
        found = None
        for piece in pieces:
            found = self.feed(piece) or found
        if found is not None:
            self.release()
        return found


@pytest.fixture
def reader() -> Spied:
    reader = Spied()
    reader.take(message(b"first"))
    return reader


def test_a_head_is_read_once_whatever_the_length_of_the_body(reader: Spied) -> None:
    for body in (b"second", b"", b"x" * 64, b"\r\n\r\n"):
        request = reader.take(message(body))
        assert request is not None
        assert (request.method, request.target, request.body) == (b"POST", b"/v1/completions", body)
        assert request.headers == {b"host": b"gw", b"authorization": b"Bearer sk-a", b"accept": b"*/*"}
    assert reader.parsed == 1


def test_a_body_that_comes_after_its_head_is_waited_for(reader: Spied) -> None:
    said = message(b"second")
    assert reader.feed(said[:-6]) is None
    assert reader.reading
    request = reader.take(said[-6:])
    assert request is not None
    assert (request.body, reader.parsed, reader.reading) == (b"second", 1, False)


def test_a_body_that_comes_in_pieces_and_a_large_one_are_the_parsers(reader: Spied) -> None:
    for pieces in ((message(b"second")[:-3], b"ond"), (message(b"second")[:-6], b"sec", b"ond"), (message(b"x" * 65),)):
        request = reader.take(*pieces)
        assert request is not None
        assert len(request.body) in (6, 65)
    assert reader.parsed == 4


def test_another_key_is_another_head(reader: Spied) -> None:
    request = reader.take(message(b"second", b"b"))
    assert request is not None
    assert request.headers[b"authorization"] == b"Bearer sk-b"


def test_what_comes_behind_a_known_request_ends_the_connection_after_it(reader: Spied) -> None:
    request = reader.feed(message(b"second") + message(b"third"))
    assert request is not None
    assert (request.body, reader.keep_alive) == (b"second", False)
    assert reader.feed(message(b"fourth")) is None


def test_what_comes_while_a_known_request_is_answered_ends_the_connection_after_it(reader: Spied) -> None:
    assert reader.feed(message(b"second")) is not None
    assert reader.feed(message(b"third")) is None
    assert not reader.keep_alive


def test_who_says_something_new_each_time_is_not_followed_for_ever() -> None:
    reader = Spied()
    for number in range(HEADS + 1):
        reader.take(message(b"body", b"%d" % number))
    assert reader.take(message(b"body", b"%d" % HEADS)) is not None
    assert reader.parsed == HEADS + 2
    reader.take(message(b"body", b"%d" % (HEADS - 1)))
    assert reader.parsed == HEADS + 2


@pytest.mark.parametrize(
    "said",
    [
        message(b"x").replace(b": 1\r\n", b": +1\r\n"),
        message(b"x").replace(b": 1\r\n", b": 1 \n"),
        message(b"x").replace(b": 1\r\n", b": \xb2\r\n"),
        message(b"x").replace(b": 1\r\n", b": \r\n"),
        message(b"x").replace(b": 1\r\n", b": 1, 1\r\n"),
        message(b"x").replace(b": 1\r\n", b": 18446744073709551617\r\n"),
    ],
    ids=["a sign", "a bare line end", "no ASCII digit", "nothing", "two", "2^64 and one"],
)
def test_a_length_that_is_none_is_refused_as_ever(reader: Spied, said: bytes) -> None:
    assert refusal(reader, [said]) == refusal(Spied(), [said])
    assert refusal(Spied(), [said])


@pytest.mark.parametrize("said", [data for _, data in REFUSED.values()], ids=REFUSED.keys())
def test_what_is_refused_first_is_refused_later(reader: Spied, said: bytes) -> None:
    assert refusal(reader, [said]) == refusal(Spied(), [said])


@given(
    st.lists(st.tuples(st.binary(max_size=80), st.sampled_from([b"a", b"b"])), max_size=6),
    st.lists(st.integers(1, 120), max_size=12),
)
def test_however_requests_come_they_are_those_of_a_reader_that_knows_nothing(
    asked: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    reader, sizes = Spied(), iter(cuts)
    for body, key in asked:
        said, pieces = message(body, key), []
        while said:
            size = next(sizes, len(said))
            pieces.append(said[:size])
            said = said[size:]
        request = reader.take(*pieces)
        assert request is not None
        assert (request.body, request.headers[b"authorization"]) == (body, b"Bearer sk-" + key)
        assert not reader.reading


def refusal(reader: Spied, pieces: Iterable[bytes]) -> tuple[int, str] | None:
    """With which status and words it is refused."""
    try:
        reader.take(*pieces)
    except ApiError as error:
        return error.status, str(error)
    return None

"""Clients and engines that do what none should: each row is refused, or passed on as one plain request or reply."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from lorikeet.gateway.limits import Limits

HEAD = b"POST /v1/completions HTTP/1.1\r\nhost: gw\r\nconnection: close\r\n"
ASK = b'{"model":"sql"}'
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def posted(body: bytes, headers: bytes = b"") -> bytes:
    return HEAD + headers + b"content-length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    "field",
    [
        b'"n":1000000',
        b'"max_tokens":9223372036854775808',
        b'"max_tokens":-1',
        b'"stop":[' + b'"x",' * 5000 + b'"x"]',
    ],
    ids=["n", "max_tokens", "negative", "stops"],
)
async def test_a_number_that_only_the_engine_can_judge_reaches_it_as_it_was_written_and_its_answer_comes_back(
    stack: Any, make_engine: Any, reply_with: Any, field: bytes
) -> None:
    stack.route(engine := await make_engine(reply_with(b'{"error":{"message":"too large"}}', "400 Bad Request")))
    answer = await stack.client.post(b'{"model":"sql",%b}' % field)
    assert (answer.status, answer.json()["error"]["message"]) == (400, "too large")
    assert [heard.body for heard in engine.heard] == [b'{"model":"sql@3f9c1a7d20b4",%b}' % field]


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (431, HEAD + b"x: y\r\n" * 20_000 + b"\r\n"),
        (431, HEAD + b"authorization: Bearer " + b"k" * 20_000 + b"\r\n\r\n"),
        (400, posted(b'{"model":"sql","x":' + b"[" * 10_000 + b"]" * 10_000 + b"}")),
        (400, posted(b'{"model":"sql","x":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_001)),
        (400, posted(b'{"model":"sql","temperature":1e400}')),
        (400, posted(b'{"model":"sql","seed":%b}' % (b"9" * 400))),
        (400, posted(b"")),
        (400, HEAD + b"\r\n"),
        (404, posted(json.dumps({"model": "ѕql"}).encode())),
        (404, posted(b'{"model":"sql\\u0000"}')),
        (404, posted(b'{"model":"sql\\r\\nx-admin: 1"}')),
        (404, posted(b'{"model":"../sql"}')),
        (413, HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunk(b" " * 900_000) * 60),
    ],
    ids=[
        *(
            "20k headers",
            "a key of 20 KB",
            "depth of lists",
            "depth of objects",
            "1e400",
            "400 digits",
            "an empty body",
            "no body",
        ),
        *("a look-alike", "NUL in a name", "a header in a name", "a path for a name", "50 MB in chunks"),
    ],
)
async def test_what_no_client_should_send_is_refused_and_the_next_request_is_answered(
    stack: Any, make_engine: Any, status: int, data: bytes
) -> None:
    stack.route(engine := await make_engine())
    assert (await stack.client.raw(data)).startswith(b"HTTP/1.1 %d " % status)
    assert engine.heard == []
    assert (await stack.client.ask()).status == 200


@pytest.mark.parametrize("value", [b"Bearer \xff\xfe", "Bearer schlüssel".encode(), b"Bearer \xd1\x84" * 100, b"\x80"])
async def test_a_key_that_is_no_ascii_is_a_key_that_is_not_known(stack: Any, value: bytes) -> None:
    stack.gateway.keys._anybody = None
    said = await stack.client.raw(posted(ASK, b"authorization: " + value + b"\r\n"))
    assert said.startswith((b"HTTP/1.1 401 ", b"HTTP/1.1 400 "))
    assert value not in said


@pytest.mark.parametrize("begun", [b"", SSE + chunk(b"data: 1\n\n")], ids=["before the answer", "within it"])
async def test_a_client_that_closes_its_half_has_gone_and_takes_its_request_from_the_engine(
    stack: Any, make_engine: Any, say_bytes: Any, begun: bytes
) -> None:
    stack.route(engine := await make_engine(say_bytes(begun)))
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.client.port)
    writer.write(posted(ASK))
    async with asyncio.timeout(5):
        while not engine.heard:  # noqa: ASYNC110 - nobody says it
            await asyncio.sleep(0)
        writer.write_eof()
        await engine.left.wait()
        await reader.read()
    writer.close()


@pytest.mark.parametrize(
    "said",
    [
        SSE + b"5\r\ndata: 1\n\n\r\n",
        SSE + b"zz\r\ndata: 1\n\n\r\n",
        SSE + b"-1\r\n",
        SSE + b"ffffffffffffffffff\r\n",
        SSE + chunk(b"data: 1\n\n") + b"HTTP/1.1 200 OK\r\n\r\n",
    ],
    ids=["a chunk longer than it says", "no number", "a negative one", "2^72", "another reply inside"],
)
async def test_a_stream_that_is_no_http_any_more_is_cut_and_says_so(
    stack: Any, make_engine: Any, say_bytes: Any, said: bytes
) -> None:
    stack.route(await make_engine(say_bytes(said)))
    answer = await stack.client.ask(stream=True)
    assert b"stream_interrupted" in answer.body or answer.status == 503
    assert b"[DONE]" not in answer.body
    assert not answer.body.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(("status", "told"), [("304 Not Modified", 502), ("204 No Content", 204)])
async def test_a_reply_without_a_body_ends_with_its_head_and_the_connection_goes_on(
    stack: Any, make_engine: Any, say_bytes: Any, status: str, told: int
) -> None:
    said = f"HTTP/1.1 {status}\r\ncontent-length: 5\r\n\r\n".encode()
    stack.route(engine := await make_engine(say_bytes(said)))
    for _ in range(2):
        answer = await stack.client.ask()
        assert answer.status == told
    assert (len(engine.heard), engine.connections) == (2, 1)


async def test_a_line_without_an_end_is_passed_on_and_never_kept(stack: Any, make_engine: Any) -> None:
    """1 GB of it in small: what the gateway holds does not grow with it."""
    size, sent = 32 * 1024 * 1024, 0
    piece = b"x" * 65_536

    async def script(_: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(SSE + chunk(b"data: "))
        while sent < size:
            writer.write(chunk(piece))
            await writer.drain()
            sent += len(piece)
        writer.write(b"0\r\n\r\n")

    stack.route(await make_engine(script))
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.client.port)
    writer.write(posted(ASK))
    heard = 0
    async with asyncio.timeout(30):
        while data := await reader.read(1 << 20):
            heard += len(data)
            assert sent - heard < 16 * 1024 * 1024, "kernel buffers, and no more"
    assert heard > size
    writer.close()


async def test_a_flood_of_interim_replies_within_time_is_given_up(stack_with: Any, make_engine: Any) -> None:
    async def flood(_: Any, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"HTTP/1.1 102 Processing\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0)

    async with stack_with(Limits(cold_seconds=0)) as stack:
        stack.route(engine := await make_engine(flood))
        assert (await stack.client.ask()).status == 503
        await asyncio.wait_for(engine.left.wait(), 5)

"""Clients' bytes: each thing here is an error or one plain request at the engine, never two."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

import pytest

from lorikeet.gateway.limits import Limits

BODY = b'{"model":"sql"}'
LINE = b"POST /v1/completions HTTP/1.1\r\n"
HOST = b"Host: gw\r\n"
CL = b"Content-Length: 15\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"f\r\n" + BODY + b"\r\n0\r\n\r\n"
PLAIN = LINE + HOST + CL + b"\r\n" + BODY
CLOSE = b"Connection: close\r\n"

REFUSED = {
    "both framings": (400, LINE + HOST + CL + CHUNKED + b"\r\n" + CHUNKS),
    "both framings, other order": (400, LINE + HOST + CHUNKED + CL + b"\r\n" + CHUNKS),
    "two equal lengths": (400, LINE + HOST + CL + CL + b"\r\n" + BODY),
    "two lengths": (400, LINE + HOST + CL + b"Content-Length: 1\r\n\r\n" + BODY),
    "a list of lengths": (400, LINE + HOST + b"Content-Length: 15, 15\r\n\r\n" + BODY),
    "a signed length": (400, LINE + HOST + b"Content-Length: +15\r\n\r\n" + BODY),
    "a hex length": (400, LINE + HOST + b"Content-Length: 0xf\r\n\r\n" + BODY),
    "a length of 2^64": (400, LINE + HOST + b"Content-Length: 18446744073709551616\r\n\r\n"),
    "unknown coding": (400, LINE + HOST + b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS),
    "coding after chunked": (400, LINE + HOST + b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKS),
    "two codings": (400, LINE + HOST + CHUNKED + b"Transfer-Encoding: identity\r\n\r\n" + CHUNKS),
    "chunk size by bare LF": (400, LINE + HOST + CHUNKED + b"\r\nf\n" + BODY + b"\r\n0\r\n\r\n"),
    "length in a trailer": (400, LINE + HOST + CHUNKED + b"\r\nf\r\n" + BODY + b"\r\n0\r\nContent-Length: 5\r\n\r\n"),
    "folded header": (400, LINE + HOST + b"X: a\r\n b\r\n" + CL + b"\r\n" + BODY),
    "bare LF": (400, PLAIN.replace(b"\r\n", b"\n")),
    "bare CR": (400, LINE + b"Host: gw\rX: y\r\n" + CL + b"\r\n" + BODY),
    "space before colon": (400, LINE + HOST + b"Content-Length : 15\r\n\r\n" + BODY),
    "NUL in a header": (400, LINE + b"Host: g\0w\r\n" + CL + b"\r\n" + BODY),
    "no Host": (400, LINE + CL + b"\r\n" + BODY),
    "two Hosts": (400, LINE + HOST + HOST + CL + b"\r\n" + BODY),
    "two Authorizations": (400, LINE + HOST + b"Authorization: a\r\nauthorization: b\r\n" + CL + b"\r\n" + BODY),
    "HTTP/0.9": (505, b"GET /v1/models\r\n\r\n"),
    "HTTP/1.0": (505, b"POST /v1/completions HTTP/1.0\r\n" + HOST + CL + b"\r\n" + BODY),
    "HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "h2c": (400, LINE + HOST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n" + CL + b"\r\n" + BODY),
    "upgrade unasked": (400, LINE + HOST + b"Upgrade: websocket\r\n" + CL + b"\r\n" + BODY),
    "CONNECT": (400, b"CONNECT gw:80 HTTP/1.1\r\n" + HOST + b"\r\n"),
    "unknown method": (400, b"FOO / HTTP/1.1\r\n" + HOST + b"\r\n"),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "space in the target": (400, b"POST /v1/completions x HTTP/1.1\r\n" + HOST + CL + b"\r\n" + BODY),
    "compressed": (415, LINE + HOST + b"Content-Encoding: gzip\r\n" + CL + b"\r\n" + BODY),
    "unknown expectation": (417, LINE + HOST + b"Expect: a-miracle\r\n" + CL + b"\r\n" + BODY),
    "a body too large by its length": (413, LINE + HOST + b"Content-Length: 50000000\r\n\r\n"),
    "a long header": (431, LINE + HOST + b"X: " + b"y" * 70_000),
    "a long target": (431, b"GET /" + b"y" * 70_000),
    "many headers": (431, LINE + HOST + b"X: y\r\n" * 2_000 + CL + b"\r\n" + BODY),
    "an absolute target": (404, b"POST http://gw/v1/completions HTTP/1.1\r\n" + HOST + CLOSE + CL + b"\r\n" + BODY),
    "TRACE": (404, b"TRACE /v1/completions HTTP/1.1\r\n" + HOST + CLOSE + b"\r\n"),
}


@pytest.mark.parametrize(("status", "data"), REFUSED.values(), ids=REFUSED.keys())
async def test_what_could_be_read_in_two_ways_is_refused_in_openais_shape(
    stack: Any, make_engine: Any, status: int, data: bytes
) -> None:
    engine = await make_engine()
    stack.route(engine)
    said = await stack.client.raw(data)
    assert said.startswith(b"HTTP/1.1 %d " % status), said[:200]
    assert b"connection: close" in said
    assert b'{"error":{"message":' in said
    assert (b'"code":"not_found"' if status == 404 else b'"code":"bad_request"') in said
    assert said.count(b"\r\n\r\n") == 1
    assert engine.heard == []


ONE = {
    "pipelining": PLAIN + PLAIN,
    "pipelining after close": LINE + HOST + CLOSE + CL + b"\r\n" + BODY + PLAIN,
    "garbage behind": PLAIN + b"\0\0\0garbage",
    "a chunk extension": LINE + HOST + CHUNKED + b"\r\nf;a=b\r\n" + BODY + b"\r\n0\r\n\r\n" + PLAIN,
    "a trailer": LINE
    + HOST
    + CHUNKED
    + b"\r\nf\r\n"
    + BODY
    + b"\r\n0\r\nAuthorization: x\r\nAccept: y\r\n\r\n"
    + PLAIN,
    "credentials as hop-by-hop": LINE + HOST + b"Connection: close, authorization\r\n" + CL + b"\r\n" + BODY,
}


@pytest.mark.parametrize("data", ONE.values(), ids=ONE.keys())
async def test_what_hides_a_second_request_is_one_plain_request(stack: Any, make_engine: Any, data: bytes) -> None:
    engine = await make_engine()
    stack.route(engine)
    said = await stack.client.raw(data)
    assert said.count(b"HTTP/1.1 200 OK") == said.count(b"HTTP/1.1") == 1
    assert [heard.body for heard in engine.heard] == [b'{"model":"sql@3f9c1a7d20b4"}']
    assert engine.heard[0].headers["authorization"].startswith("Bearer ")
    assert engine.heard[0].headers["content-length"] == "28"
    assert engine.heard[0].headers["accept"] == "*/*"


@pytest.mark.parametrize("data", [PLAIN, LINE + HOST + CHUNKED + b"\r\n" + CHUNKS], ids=["length", "chunks"])
async def test_a_request_that_comes_byte_by_byte_is_the_same_request(stack: Any, make_engine: Any, data: bytes) -> None:
    engine = await make_engine()
    stack.route(engine)
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.client.port)
    for byte in data:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
    assert [heard.body for heard in engine.heard] == [b'{"model":"sql@3f9c1a7d20b4"}']
    writer.close()


async def test_a_connection_carries_one_request_after_another(stack: Any, make_engine: Any) -> None:
    stack.route(await make_engine())
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.client.port)
    async with asyncio.timeout(5):
        for _ in range(3):
            writer.write(PLAIN)
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(11) == b'{"ok":true}'
    writer.close()


async def test_a_heads_reply_has_no_body_that_the_next_reply_could_be_lost_in(stack: Any, make_engine: Any) -> None:
    stack.route(await make_engine())
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.client.port)
    async with asyncio.timeout(5):
        writer.write(b"HEAD /v1/models HTTP/1.1\r\n" + HOST + b"\r\n")
        assert b"404 Not Found" in await reader.readuntil(b"\r\n\r\n")
        writer.write(PLAIN)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
    writer.close()


async def test_a_client_that_waits_for_100_continue_is_told_to_go_on(stack: Any, make_engine: Any) -> None:
    stack.route(await make_engine())
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.client.port)
    writer.write(LINE + HOST + b"Expect: 100-continue\r\n" + CL + b"\r\n")
    async with asyncio.timeout(5):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(BODY)
        assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def test_a_body_too_large_is_answered_though_the_client_is_still_sending(stack_with: Any) -> None:
    async with stack_with(Limits(body_bytes=100_000)) as stack:
        chunks = b"ffff\r\n" + b"x" * 0xFFFF + b"\r\n"
        said = await stack.client.raw(LINE + HOST + CHUNKED + b"\r\n" + chunks * 60)
        assert said.startswith(b"HTTP/1.1 413 ")


async def test_slow_clients_end(stack_with: Any) -> None:
    async with stack_with(Limits(request_seconds=0.05, idle_seconds=0.05, linger_seconds=0.05)) as stack:
        assert (await stack.client.raw(PLAIN[:-1])).startswith(b"HTTP/1.1 408 ")
        assert (await stack.client.raw(LINE)).startswith(b"HTTP/1.1 408 ")
        assert await stack.client.raw(b"") == b""


async def test_a_client_that_stops_reading_is_dropped(stack_with: Any, make_engine: Any, say_bytes: Any) -> None:
    size = 64 * 1024 * 1024
    async with stack_with(Limits(stall_seconds=0.1)) as stack:
        engine = await make_engine(say_bytes(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size + b"x" * size))
        stack.route(engine)
        _, writer = await asyncio.open_connection("127.0.0.1", stack.client.port, limit=1024)
        writer.write(PLAIN)
        await asyncio.wait_for(engine.left.wait(), 5)
        writer.close()


async def test_one_client_more_than_there_may_be_is_told_to_come_back(stack_with: Any, make_engine: Any) -> None:
    async with stack_with(Limits(connections=1)) as stack:
        stack.route(await make_engine())
        _, first = await asyncio.open_connection("127.0.0.1", stack.client.port)
        first.write(LINE)
        refused = await stack.client.raw(b"")
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: 1" in refused
        first.close()
        await until(lambda: not stack.gateway._server._clients)
        assert (await stack.client.ask()).status == 200


async def test_bodies_of_all_clients_together_have_a_bound_and_it_is_given_back(
    stack_with: Any, make_engine: Any
) -> None:
    body = b'{"model":"sql","prompt":"%b"}' % (b"x" * 60_000)
    async with stack_with(Limits(bodies_bytes=200_000, small_bytes=100)) as stack:
        stack.route(await make_engine())
        held = len(body) - 100
        for _ in range(3):
            assert (await stack.client.post(body)).status == 200
        _, slow = await asyncio.open_connection("127.0.0.1", stack.client.port)
        slow.write(LINE + HOST + b"Content-Length: 70000\r\n\r\n" + body)
        room = stack.gateway._server.room
        await until(lambda: room.free == 200_000 - held)
        answer = await stack.client.post(body)
        assert (answer.status, answer.json()["error"]["code"]) == (503, "overloaded")
        assert (await stack.client.ask()).status == 200, "a small one always"
        slow.close()
        await until(lambda: room.free == 200_000)
        assert (await stack.client.post(body)).status == 200


async def test_of_a_large_body_that_is_there_at_once_only_a_part_is_read_before_others_are_answered(stack: Any) -> None:
    with socket.create_connection(("127.0.0.1", stack.client.port)) as large:
        large.setblocking(False)
        large.send(LINE + HOST + b"Content-Length: 8000000\r\n\r\n")
        sent = 0
        with contextlib.suppress(BlockingIOError):  # the kernel holds no more, and the gateway had no turn yet
            while True:
                sent += large.send(b" " * min(65_536, 8_000_000 - sent))
        assert (await stack.client.get("/health")).status == 200
        held = stack.gateway._server._limits.bodies_bytes - stack.gateway._server.room._free
        assert 0 < held < sent / 2
        await until(lambda: stack.gateway._server._limits.bodies_bytes - stack.gateway._server.room._free > sent / 2)


async def until(holds: Any) -> None:
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - nobody says it
            await asyncio.sleep(0)

"""Only listed routes exist, and no bytes of a client make two requests of one."""

from __future__ import annotations

import asyncio
import json
import random
from itertools import product
from typing import Any

import pytest

from lorikeet.gateway.limits import Limits

OPEN_IN_VLLM = [
    *(
        "/adapters",
        "/adapters/sql",
        "/invocations",
        "/tokenize",
        "/detokenize",
        "/metrics",
        "/version",
        "/load",
        "/ping",
    ),
    *("/openapi.json", "/docs", "/pause", "/resume", "/scale_elastic_ep", "/init_weight_transfer_engine", "/sleep"),
    *("/update_weights", "/pooling", "/score", "/rerank", "/v1/rerank", "/v1/score", "/v1/messages", "/v1/realtime"),
    *("/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/v1/audio/transcriptions", "/server_info", "/-/boot"),
]
TRICKS = ["{}", "/{}", "/v1/..{}", "/v1/%2e%2e{}", "{}/", "{}?x=1", "{};x", "{}%00", "http://gw{}", "/v1/completions{}"]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE"])
async def test_no_route_of_an_engine_is_reached_by_any_spelling(stack: Any, make_engine: Any, method: str) -> None:
    """P26."""
    stack.route(engine := await make_engine())
    body = b'{"model":"sql","lora_name":"x","lora_path":"/x"}'
    hosts = ("host: gw\r\n", "host: 127.0.0.1:8000\r\nx-forwarded-host: engine\r\nx-original-url: /pause\r\n")
    for path, trick, host in product(OPEN_IN_VLLM, TRICKS, hosts):
        head = (
            f"{method} {trick.format(path)} HTTP/1.1\r\n{host}connection: close\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        said = await stack.client.raw(head.encode() + body)
        assert said.startswith((b"HTTP/1.1 404 ", b"HTTP/1.1 400 ")), (method, path, trick)
    assert engine.heard == []


BODY = b'{"model":"sql","prompt":"hi"}'
SEEDS = [
    b"POST /v1/completions HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY),
    b"POST /v1/completions HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n"
    % (len(BODY), BODY),
    b"POST /v1/generate HTTP/1.1\r\nHost: gw\r\nContent-Length: 31\r\n\r\n" + b'{"prompt":"hi","adapter":"sql"}',
    b"GET /v1/models/sql HTTP/1.1\r\nHost: gw\r\n\r\n",
]
SCRAPS = [
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"0\r\n\r\n", b"Content-Length: 5\r\n", b"\r\n\r\n", b"\xff"),
    *(b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Host: x\r\n", b" HTTP/1.1", b"\x0b"),
    *(b"POST /v1/completions HTTP/1.1\r\n", b"GET /pause HTTP/1.1\r\nHost: e\r\n\r\n", b"Expect: 100-continue\r\n"),
    *(b"Connection: close, authorization\r\n", b"Authorization: Bearer x\r\n", b"Content-Length: 0\r\n", b";a=b", b"-"),
]


def mutated(chance: random.Random) -> bytes:
    """One or two requests with a few wounds."""
    data = bytearray(b"".join(chance.choices(SEEDS, k=chance.choice([1, 1, 2]))))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0:
                data[at:at] = chance.choice(SCRAPS)
            case 1:
                del data[at : at + chance.randint(1, 8)]
            case 2:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case _:
                data[at:at] = data[at : at + chance.randint(1, 60)]
    return bytes(data)


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_bytes_come_an_engine_hears_nothing_or_one_plain_request(
    stack_with: Any, make_engine: Any, seed: int
) -> None:
    chance = random.Random(seed)
    limits = Limits(request_seconds=0.05, idle_seconds=0.05, linger_seconds=0.02)
    async with stack_with(limits) as stack:
        stack.route(engine := await make_engine())
        for _ in range(150):
            engine.heard.clear()
            data = mutated(chance)
            try:
                said = await stack.client.raw(data)
            except ConnectionResetError:  # it went on speaking after it was refused
                said = b""
            assert len(engine.heard) <= 1, data
            for heard in engine.heard:
                lines = heard.head.split("\r\n")
                assert lines[0] == "POST /v1/completions HTTP/1.1", data
                names = [line.split(":")[0] for line in lines[1:] if line]
                assert names == ["host", "authorization", "accept", "content-type", "content-length"], data
                assert json.loads(heard.body)["model"] in ("sql@3f9c1a7d20b4", "base"), data
            assert said == b"" or said.startswith(b"HTTP/1.1 "), data
        assert (await stack.client.ask()).status == 200


async def test_many_slow_clients_and_large_bodies_cost_others_nothing(stack_with: Any, make_engine: Any) -> None:
    """P29, in small: what one tenant's clients hold is bounded, and everybody else is served meanwhile."""
    async with stack_with(Limits(bodies_bytes=2_000_000, body_bytes=1_000_000)) as stack:
        stack.route(await make_engine())
        head = b"POST /v1/completions HTTP/1.1\r\nHost: gw\r\nContent-Length: 900000\r\n\r\n"
        slow = [await asyncio.open_connection("127.0.0.1", stack.client.port) for _ in range(200)]
        for _, writer in slow:
            writer.write(head + b'{"model":"sql"' + b" " * 100_000)
        answers = await asyncio.gather(*(stack.client.ask() for _ in range(20)))
        assert {answer.status for answer in answers} == {200}
        assert 0 <= stack.gateway._server.room._free < 2_000_000
        large = await stack.client.raw(b"POST /v1/completions HTTP/1.1\r\nHost: gw\r\nContent-Length: 50000000\r\n\r\n")
        assert large.startswith(b"HTTP/1.1 413 ")
        for _, writer in slow:
            writer.close()

"""Requests through a gateway to engines that follow a script."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from lorikeet.api.keys import Purpose, derive
from lorikeet.api.ref import Ref
from lorikeet.gateway.limits import Limits

STALE = b'{"error":{"message":"The model `sql@1` does not exist.","type":"NotFoundError","param":"model","code":404}}'
SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_an_adapter_is_asked_by_its_engine_name_and_the_rest_of_the_body_is_untouched(
    stack: Any, make_engine: Any
) -> None:
    engine = await make_engine()
    stack.route(engine)
    answer = await stack.client.post(b'{ "n":1.0, "model" : "sql", "seed": 12345678901234567890123 }')
    assert (answer.status, answer.body) == (200, b'{"ok":true}')
    assert engine.heard[0].body == b'{ "n":1.0, "model" : "sql@3f9c1a7d20b4", "seed": 12345678901234567890123 }'


async def test_the_base_model_is_asked_by_its_public_name(stack: Any, make_engine: Any) -> None:
    engine = await make_engine()
    stack.route(engine)
    assert (await stack.client.ask("base")).status == 200
    assert engine.heard[0].model == "base"


async def test_engines_get_the_servers_key_and_none_of_the_clients_headers(stack: Any, make_engine: Any) -> None:
    engine = await make_engine()
    stack.route(engine)
    await stack.client.ask(headers="authorization: Bearer sk-client\r\ncookie: a=b\r\nx-request-id: 7\r\n")
    key = derive(b"r" * 32, Purpose.INFERENCE, Ref("ns", "qwen"), "uid-qwen")
    heard = engine.heard[0].headers
    assert heard["authorization"] == f"Bearer {key}"
    assert set(heard) == {"host", "authorization", "accept", "content-type", "content-length"}


async def test_of_an_engines_headers_the_client_sees_only_its_own_business(
    stack: Any, make_engine: Any, reply_with: Any
) -> None:
    stack.route(await make_engine(reply_with(headers="x-lorikeet-boot: 1\r\nserver: uvicorn\r\nretry-after: 3\r\n")))
    head = (await stack.client.ask()).head.lower()
    assert "retry-after: 3" in head
    assert "boot" not in head
    assert "uvicorn" not in head


async def test_a_client_error_of_the_engine_is_the_clients(stack: Any, make_engine: Any, reply_with: Any) -> None:
    body = b'{"error":{"message":"max_tokens is too large","type":"BadRequestError","code":400}}'
    stack.route(await make_engine(reply_with(body, "400 Bad Request")))
    answer = await stack.client.ask()
    assert (answer.status, answer.body) == (400, body)


async def test_connections_to_an_engine_are_used_again(stack: Any, make_engine: Any) -> None:
    engine = await make_engine()
    stack.route(engine)
    for _ in range(5):
        assert (await stack.client.ask()).status == 200
    assert engine.connections == 1


async def test_a_spare_connection_that_the_engine_closed_meanwhile_costs_the_client_nothing(
    stack: Any, make_engine: Any, reply_with: Any, say_bytes: Any
) -> None:
    # The engine hears the second request on the spare connection and hangs up on it, as uvicorn does when its
    # keep-alive time ends in that moment.
    engine = await make_engine(reply_with(), say_bytes(b"", close=True), reply_with())
    stack.route(engine)
    assert [(await stack.client.ask()).status for _ in range(2)] == [200, 200]
    assert len(engine.heard) == 3


@pytest.mark.parametrize("order", [1, -1])
async def test_a_stale_row_goes_to_the_next_replica_and_stands_back_for_a_moment(
    stack: Any, make_engine: Any, reply_with: Any, order: int
) -> None:
    stale, good = await make_engine(reply_with(STALE, "404 Not Found")), await make_engine()
    stack.route(*[stale, good][::order])
    assert [(await stack.client.ask()).status for _ in range(4)] == [200] * 4
    assert len(stale.heard) <= 1


@pytest.mark.parametrize("order", [1, -1])
async def test_while_replicas_have_different_versions_each_is_asked_for_its_own_also_in_place_of_another(
    stack: Any, objects: Any, make_engine: Any, reply_with: Any, order: int
) -> None:
    old = "aaaaaaaaaaaa" + "0" * 52
    stale, good = await make_engine(reply_with(STALE, "404 Not Found")), await make_engine()
    pods = {"pod-0": stale.address, "pod-1": good.address}
    has = dict(zip(pods, [old, objects.digest][::order], strict=True))
    stack.put(objects.server(endpoints=pods), objects.adapter(pods=has))
    for _ in range(2):
        assert (await stack.client.ask()).status == 200
    assert {heard.model for heard in good.heard} == {f"sql@{has['pod-1'][:12]}"}
    assert {heard.model for heard in stale.heard} <= {f"sql@{has['pod-0'][:12]}"}


async def test_where_every_row_is_stale_the_client_is_told_to_come_back_and_never_the_engines_404(
    stack: Any, make_engine: Any, reply_with: Any
) -> None:
    engines = [await make_engine(reply_with(STALE, "404 Not Found")) for _ in range(2)]
    stack.route(*engines)
    answer = await stack.client.ask()
    assert answer.status == 503
    assert "retry-after: 1" in answer.head
    assert answer.json()["error"]["code"] == "model_not_ready"
    assert [len(engine.heard) for engine in engines] == [1, 1]


async def test_a_route_the_engine_does_not_have_is_a_404_and_no_stale_row(
    stack: Any, make_engine: Any, reply_with: Any
) -> None:
    engine = await make_engine(reply_with(b'{"detail":"Not Found"}', "404 Not Found"))
    stack.route(engine)
    answer = await stack.client.ask(path="/v1/embeddings")
    assert (answer.status, answer.json()["error"]["code"]) == (404, "not_found")


async def test_replicas_that_refuse_reset_or_are_busy_are_passed_over(
    stack: Any, make_engine: Any, reply_with: Any, say_bytes: Any
) -> None:
    busy = await make_engine(reply_with(b"{}", "503 Service Unavailable"))
    reset = await make_engine(say_bytes(b"", close=True))
    stranger = await make_engine(reply_with(b"{}", "401 Unauthorized"))
    gone = type(busy)([], address="127.0.0.1:1")
    stack.route(busy, reset, stranger, gone, await make_engine())
    for _ in range(3):
        assert (await stack.client.ask()).status == 200


@pytest.mark.parametrize("known", [True, False])
async def test_a_replica_that_came_meanwhile_takes_over_from_one_that_died(
    stack: Any, make_engine: Any, known: bool
) -> None:
    """Also where the table knows already that the other is gone."""
    good = await make_engine()

    async def die(_: Any, writer: asyncio.StreamWriter) -> None:
        stack.route(*([good] if known else [dying, good]))
        writer.transport.abort()

    dying = await make_engine(die)
    stack.route(dying)
    assert (await stack.client.ask()).status == 200


async def test_a_request_that_takes_engines_down_is_not_carried_through_all_of_them(
    stack: Any, make_engine: Any, say_bytes: Any
) -> None:
    engines = [await make_engine(say_bytes(b"", close=True)) for _ in range(5)]
    stack.route(*engines)
    assert (await stack.client.ask()).status == 503
    assert sum(len(engine.heard) for engine in engines) == 2


async def test_an_engine_that_a_request_takes_down_on_a_spare_connection_counts_as_taken_down(
    stack: Any, make_engine: Any, reply_with: Any
) -> None:
    async def die(_: Any, writer: asyncio.StreamWriter) -> None:
        for engine in engines:
            engine.stop_listening()
        writer.transport.abort()

    engines: list[Any] = []
    engines += [await make_engine(reply_with(), die) for _ in range(5)]
    stack.route(*engines)
    await asyncio.gather(*(stack.client.ask() for _ in range(5)))
    assert [len(engine.heard) for engine in engines] == [1] * 5
    assert (await stack.client.ask()).status == 503
    assert sum(len(engine.heard) for engine in engines) == 7


async def test_a_known_model_without_a_replica_is_503_with_retry_after(stack: Any, objects: Any) -> None:
    stack.put(objects.server(), objects.adapter())
    answer = await stack.client.ask()
    assert answer.status == 503
    assert "retry-after" in answer.head
    assert "sql" in answer.json()["error"]["message"]


async def test_an_unknown_model_is_404_with_close_matches(stack: Any, make_engine: Any) -> None:
    engine = await make_engine()
    stack.route(engine)
    answer = await stack.client.ask("sqll")
    error = answer.json()["error"]
    assert (answer.status, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert "`sql`" in error["message"]
    assert engine.heard == []


async def test_an_engine_name_is_no_public_name(stack: Any, make_engine: Any) -> None:
    stack.route(await make_engine())
    assert (await stack.client.ask("sql@3f9c1a7d20b4")).status == 404


async def test_a_stream_is_relayed_event_by_event(stack: Any, make_engine: Any) -> None:
    go_on = asyncio.Event()

    async def script(_: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(SSE_HEAD + chunk(b"data: 1\n\n"))
        await go_on.wait()
        writer.write(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    stack.route(await make_engine(script))
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.client.port)
    body = b'{"model":"sql","stream":true}'
    writer.write(b"POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    async with asyncio.timeout(5):
        await reader.readuntil(b"data: 1\n\n")
        go_on.set()
        rest = await reader.readuntil(b"0\r\n\r\n")
    assert b"data: [DONE]\n\n" in rest
    writer.close()


async def test_a_stream_cut_inside_an_event_ends_in_an_error_event_after_whole_ones(
    stack: Any, make_engine: Any, say_bytes: Any
) -> None:
    cut = SSE_HEAD + chunk(b'data: {"a":1}\n\n') + chunk(b'data: {"hal')
    engine = await make_engine(say_bytes(cut, close=True))
    stack.route(engine)
    answer = await stack.client.ask(stream=True)
    first, second = answer.body.split(b"data: ")[1:]
    assert first.startswith(b'{"a":1}\n\n')
    assert json.loads(second.split(b"\n\n")[0])["error"]["code"] == "stream_interrupted"
    assert b"[DONE]" not in answer.body
    assert not answer.body.endswith(b"0\r\n\r\n"), "no HTTP end either"
    assert len(engine.heard) == 1, "never asked again once the client has seen a byte"


async def test_a_reply_that_breaks_off_is_answered_by_another_replica(
    stack: Any, make_engine: Any, reply_with: Any, say_bytes: Any
) -> None:
    broken = await make_engine(say_bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", close=True))
    good = await make_engine(reply_with(b"whole"))
    for engines in ((broken, good), (good, broken)):  # one of the orders asks the broken one first
        stack.route(*engines)
        answer = await stack.client.ask()
        assert (answer.status, answer.body) == (200, b"whole")
    assert len(broken.heard) == 1


async def test_a_reply_too_long_to_be_held_is_seen_as_cut(stack_with: Any, make_engine: Any, say_bytes: Any) -> None:
    async with stack_with(Limits(held_bytes=99)) as stack:
        stack.route(await make_engine(say_bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", close=True)))
        answer = await stack.client.ask("base")
        assert "content-length: 100" in answer.head
        assert answer.body == b"{"
        answer = await stack.client.ask()
        assert "transfer-encoding: chunked" in answer.head, "its name may be longer or shorter"
        assert answer.body == b"1\r\n{\r\n"


async def test_bad_replies_of_engines_never_reach_the_client(stack_with: Any, make_engine: Any, say_bytes: Any) -> None:
    bad = [
        b"HTTP/1.1 200 OK\r\n\r\nno length",
        b"SSH-2.0-x\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000,
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n",
    ]
    for data in bad:
        async with stack_with(Limits()) as stack:
            stack.route(await make_engine(say_bytes(data)))
            assert (await stack.client.ask()).status == 503, data[:40]


async def test_an_interim_reply_is_not_the_reply(stack: Any, make_engine: Any, say_bytes: Any) -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n"
    stack.route(await make_engine(say_bytes(early + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")))
    answer = await stack.client.ask()
    assert (answer.status, answer.body) == (200, b"ok")


async def test_an_engine_that_says_more_than_was_asked_is_not_asked_on_that_connection_again(
    stack: Any, make_engine: Any, say_bytes: Any, reply_with: Any
) -> None:
    twice = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" * 2
    engine = await make_engine(say_bytes(twice), reply_with(b"second"))
    stack.route(engine)
    assert [(await stack.client.ask()).body for _ in range(2)] == [b"ok", b"second"]
    assert engine.connections == 2


async def test_an_engine_that_stays_silent_is_given_up(stack_with: Any, make_engine: Any, say_bytes: Any) -> None:
    async with stack_with(Limits(first_byte_seconds=0.05)) as stack:
        engine = await make_engine(say_bytes(b""))
        stack.route(engine)
        assert (await stack.client.ask()).status == 503
        await asyncio.wait_for(engine.left.wait(), 5)


async def test_an_engine_that_stays_silent_is_not_asked_the_same_again(
    stack_with: Any, make_engine: Any, reply_with: Any, say_bytes: Any
) -> None:
    async with stack_with(Limits(first_byte_seconds=0.2)) as stack:
        engine = await make_engine(reply_with(), say_bytes(b""))
        stack.route(engine)
        assert [(await stack.client.ask()).status for _ in range(2)] == [200, 503]
        assert len(engine.heard) == 2


async def test_a_stream_that_stands_still_is_cut(stack_with: Any, make_engine: Any, say_bytes: Any) -> None:
    async with stack_with(Limits(gap_seconds=0.05)) as stack:
        stack.route(await make_engine(say_bytes(SSE_HEAD + chunk(b"data: 1\n\n"))))
        assert b"stream_interrupted" in (await stack.client.ask()).body


async def test_a_client_that_leaves_takes_its_request_from_the_engine(stack: Any, make_engine: Any) -> None:
    for head in (b"", SSE_HEAD + chunk(b"data: 1\n\n")):
        begun = asyncio.Event()

        async def script(_: Any, writer: asyncio.StreamWriter, head: bytes = head, begun: Any = begun) -> None:
            writer.write(head)
            begun.set()

        engine = await make_engine(script)
        stack.route(engine)
        _, writer = await asyncio.open_connection("127.0.0.1", stack.client.port)
        writer.write(b'POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 15\r\n\r\n{"model":"sql"}')
        await asyncio.wait_for(begun.wait(), 5)
        writer.close()
        await asyncio.wait_for(engine.left.wait(), 5)


async def test_a_client_that_does_not_read_holds_the_engine_back(stack: Any, make_engine: Any) -> None:
    piece, sent = b"x" * 65536, 0

    async def script(_: Any, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(chunk(piece))
            await asyncio.wait_for(writer.drain(), 0.5)
            sent += len(piece)

    engine = await make_engine(held := flow(script))
    stack.route(engine)
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.client.port, limit=1024)
    writer.write(b'POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 15\r\n\r\n{"model":"sql"}')
    await asyncio.wait_for(held.stopped.wait(), 20)
    assert sent < 64 * 1024 * 1024, "kernel buffers, and no more"
    assert await reader.read(1024)
    writer.close()


class flow:  # noqa: N801 - reads as a script
    """A script that is told when its writer was held back."""

    def __init__(self, script: Any) -> None:
        self._script, self.stopped = script, asyncio.Event()

    async def __call__(self, heard: Any, writer: asyncio.StreamWriter) -> None:
        try:
            await self._script(heard, writer)
        except TimeoutError:
            self.stopped.set()
        writer.transport.abort()


async def test_sixty_four_streams_at_once_stay_apart(stack: Any, make_engine: Any) -> None:
    all_there = asyncio.Barrier(64)

    async def script(heard: Any, writer: asyncio.StreamWriter) -> None:
        seed = json.loads(heard.body)["seed"]
        await all_there.wait()
        writer.write(SSE_HEAD)
        for number in range(20):
            writer.write(chunk(b"data: %d-%d\n\n" % (seed, number)))
            await asyncio.sleep(0)
        writer.write(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    engines = [await make_engine(script) for _ in range(2)]
    stack.route(*engines)
    answers = await asyncio.gather(*(stack.client.ask(seed=seed) for seed in range(64)))
    for seed, answer in enumerate(answers):
        events = [line for line in answer.body.split(b"\n") if line.startswith(b"data: ") or b"data: " in line]
        assert [event.partition(b"data: ")[2] for event in events] == [
            *(b"%d-%d" % (seed, number) for number in range(20)),
            b"[DONE]",
        ]
    assert sorted(len(engine.heard) for engine in engines) == [32, 32], "least in flight spreads them"


async def test_draining_finishes_what_is_in_flight_and_closes_what_is_idle(stack: Any, make_engine: Any) -> None:
    go_on = asyncio.Event()

    async def script(_: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(SSE_HEAD + chunk(b"data: 1\n\n"))
        await go_on.wait()
        writer.write(chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")

    stack.route(await make_engine(script))
    idle, idle_writer = await asyncio.open_connection("127.0.0.1", stack.client.port)
    reader, writer = await asyncio.open_connection("127.0.0.1", stack.client.port)
    writer.write(b'POST /v1/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 15\r\n\r\n{"model":"sql"}')
    async with asyncio.timeout(5):
        await reader.readuntil(b"data: 1\n\n")
        draining = asyncio.create_task(stack.gateway.drain(0, 5))
        assert await idle.read() == b""
        go_on.set()
        assert (await reader.read()).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        await draining
    writer.close()
    idle_writer.close()


@pytest.mark.parametrize("written", ['"sql"', '"ns:sql"', '"\\u0073ql"'])
async def test_the_reply_has_the_models_name_as_the_client_wrote_it_and_says_who_answered(
    stack: Any, objects: Any, make_engine: Any, reply_with: Any, written: str
) -> None:
    said = b'{"id":"1","model":"sql@3f9c1a7d20b4","choices":[{"text":"\\"model\\":\\"sql@3f9c1a7d20b4\\""}]}'
    engine = await make_engine(reply_with(said))
    version = {"engineName": "sql@3f9c1a7d20b4", "revision": "c" * 40, "uri": "", "digest": "", "since": ""}
    adapter = objects.adapter(pods={"pod-0": objects.digest})
    adapter["status"]["history"] = [version]
    stack.put(objects.server(endpoints={"pod-0": engine.address}), adapter)
    answer = await stack.client.post(b'{"model":%b}' % written.encode())
    assert answer.body == said.replace(b'"sql@3f9c1a7d20b4"', written.encode(), 1)
    for line in ("adapter: ns/sql", "digest: 3f9c1a7d20b4", f"revision: {'c' * 40}", "replica: pod-0"):
        assert f"x-lorikeet-{line}\r\n" in answer.head
    assert "x-request-id: req_" in answer.head


async def test_each_event_of_a_stream_has_the_clients_name(stack: Any, make_engine: Any, say_bytes: Any) -> None:
    event = b'data: {"model":"sql@3f9c1a7d20b4","choices":[]}\n\n'
    whole = SSE_HEAD + b"".join(chunk(part) for part in (event + event[:20], event[20:], b"data: [DONE]\n\n"))
    stack.route(await make_engine(say_bytes(whole + b"0\r\n\r\n")))
    body = (await stack.client.ask(stream=True)).body
    assert body.count(b'data: {"model":"sql","choices":[]}\n\n') == 2
    assert b"@" not in body


async def test_a_long_answer_is_renamed_too_and_never_kept(stack_with: Any, make_engine: Any, reply_with: Any) -> None:
    async with stack_with(Limits(held_bytes=10)) as stack:
        stack.route(await make_engine(reply_with(b'{"model":"sql@3f9c1a7d20b4","text":"%b"}' % (b"x" * 300_000))))
        answer = await stack.client.ask()
        assert "transfer-encoding: chunked" in answer.head
        assert b'{"model":"sql","text":"xxx' in answer.body
        assert answer.body.endswith(b"\r\n0\r\n\r\n")


async def test_an_engines_error_names_no_version(stack: Any, make_engine: Any, reply_with: Any) -> None:
    body = b'{"error":{"message":"`sql@3f9c1a7d20b4` allows 4096 tokens"}}'
    stack.route(await make_engine(reply_with(body, "400 Bad Request")))
    assert (await stack.client.ask()).json()["error"]["message"] == "`sql` allows 4096 tokens"


@pytest.mark.parametrize("replicas", [1, 2])
async def test_an_engine_that_fails_inside_is_tried_elsewhere_and_keeps_its_reasons(
    stack: Any, make_engine: Any, reply_with: Any, replicas: int
) -> None:
    body = b'{"error":{"message":"EngineCore: no adapter found for /adapters/store/3f9c"}}'
    engines = [await make_engine(reply_with(body, "500 Internal Server Error")) for _ in range(replicas)]
    stack.route(*engines)
    answer = await stack.client.ask()
    assert (answer.status, answer.json()["error"]["code"]) == (500, "engine_error")
    assert b"/adapters" not in answer.body
    assert [len(engine.heard) for engine in engines] == [1] * replicas
    stack.route(*engines, await make_engine())
    assert (await stack.client.ask()).status == 200


@pytest.mark.parametrize("status", ["304 Not Modified", "301 Moved", "999 What"])
async def test_a_status_that_no_engine_should_say_is_an_engine_that_failed(
    stack: Any, make_engine: Any, reply_with: Any, status: str
) -> None:
    stack.route(await make_engine(reply_with(b"", status)))
    answer = await stack.client.ask()
    assert (answer.status, answer.json()["error"]["code"]) == (502, "engine_error")


async def test_each_request_has_an_id_of_ours(stack: Any, make_engine: Any) -> None:
    stack.route(await make_engine())
    heads = [(await stack.client.ask(headers="x-request-id: theirs\r\n")).head for _ in range(3)]
    heads.append((await stack.client.raw(b"garbage\r\n\r\n")).decode())
    ids = {line for head in heads for line in head.split("\r\n") if line.startswith("x-request-id: ")}
    assert len(ids) == 4
    assert not any("theirs" in line for line in ids)


@pytest.mark.parametrize("model", ["base", "ns:base", "sql"])
async def test_a_base_with_a_lora_name_is_that_adapter_under_the_name_in_model(
    stack: Any, make_engine: Any, reply_with: Any, model: str
) -> None:
    engine = await make_engine(reply_with(b'{"model":"sql@3f9c1a7d20b4"}'))
    stack.route(engine)
    assert (await stack.client.ask(model, lora_name="sql")).json() == {"model": model}
    assert engine.heard[0].model == "sql@3f9c1a7d20b4"
    assert (await stack.client.ask(model, lora_name=None)).status == 200


async def test_a_lora_name_of_another_base_or_of_nobody_is_404_and_never_the_base(
    stack: Any, objects: Any, make_engine: Any
) -> None:
    engine = await make_engine()
    stack.route(engine)
    stack.put(
        objects.server("other", {"pod-9": engine.address}, model="other"),
        objects.adapter("poet", {"pod-9": objects.digest}, server="other"),
    )
    for model, lora, status in (("base", "poet", 404), ("base", "nobody", 404), ("poet", "sql", 404), ("base", 7, 400)):
        answer = await stack.client.ask(model, lora_name=lora)
        assert (answer.status, answer.json()["error"]["param"]) == (status, "lora_name")
    assert engine.heard == []


async def test_anybody_may_ask_whether_it_runs_and_takes_requests(stack: Any) -> None:
    assert [(await stack.client.get(path)).status for path in ("/health", "/ready")] == [200, 200]
    stack.gateway.follow([type("Feed", (), {"synced": False})()])
    assert [(await stack.client.get(path)).status for path in ("/health", "/ready")] == [200, 503]

"""Traces: what a collector hears of a request, and whose child each span is."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from lorikeet.gateway import spans
from lorikeet.gateway.limits import Limits
from lorikeet.gateway.trace import make_traces

LIMITS = Limits(cold_seconds=0)
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CHAT = "/v1/chat/completions"
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
TOLD = b'{"choices":[],"usage":{"prompt_tokens": 7, "completion_tokens": 3}}'


@dataclass
class Collector:
    """OTLP over HTTP."""

    raw: list[bytes] = field(default_factory=list)

    @property
    def requests(self) -> list[ExportTraceServiceRequest]:
        return [ExportTraceServiceRequest.FromString(raw) for raw in self.raw]

    @property
    def spans(self) -> list[Span]:
        return [s for request in self.requests for r in request.resource_spans for c in r.scope_spans for s in c.spans]

    async def take(self, request: web.Request) -> web.Response:
        self.raw.append(await request.read())
        return web.Response(content_type="application/x-protobuf")


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    for variable in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(variable)
    collector, app = Collector(), web.Application()
    app.router.add_post("/v1/traces", collector.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield collector
    await runner.cleanup()


@asynccontextmanager
async def traced(stack_with: Any, limits: Limits = LIMITS) -> AsyncIterator[Any]:
    """A gateway by the environment there is; at the end of the block every span has been sent."""
    traces = make_traces(os.environ, asyncio.get_running_loop().time)
    assert traces is not None
    async with stack_with(limits, traces) as stack:
        yield stack
    await traces.end()


def of(span: Span) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in span.attributes}


def traceparent(flags: str = "01") -> str:
    return f"traceparent: 00-{TRACE}-{PARENT}-{flags}\r\n"


async def test_a_span_says_who_asked_what_of_whom_and_how_it_went(
    stack_with: Any, make_engine: Any, reply_with: Any, collector: Collector
) -> None:
    engine = await make_engine(reply_with(TOLD))
    async with traced(stack_with) as stack:
        stack.route(engine)
        answer = await stack.client.ask(path=CHAT)
    (span,) = collector.spans
    host, _, port = engine.address.partition(":")
    values = of(span)
    assert values.pop("lorikeet.request_id") in answer.head
    assert values.pop("lorikeet.queue_seconds") == 0
    assert values == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "vllm",
        "gen_ai.request.model": "sql",
        "gen_ai.response.model": "sql@3f9c1a7d20b4",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
        "http.response.status_code": 200,
        "lorikeet.adapter": "ns/sql",
        "lorikeet.replica": "pod-0",
        "lorikeet.server": "ns/qwen",
        "lorikeet.tenant": "anybody",
        "server.address": host,
        "server.port": int(port),
    }
    assert (span.name, span.kind, span.parent_span_id) == ("chat sql", Span.SPAN_KIND_CLIENT, b"")
    assert span.status.code == Status.STATUS_CODE_UNSET
    assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano
    assert service(collector) == "lorikeet-gateway"


def service(collector: Collector) -> str:
    (name,) = [
        pair.value.string_value
        for pair in collector.requests[0].resource_spans[0].resource.attributes
        if pair.key == "service.name"
    ]
    return str(name)


@pytest.mark.parametrize(
    ("path", "name"),
    [("/v1/completions", "text_completion"), ("/v1/embeddings", "embeddings"), ("/v1/responses", "chat")],
)
async def test_each_route_is_an_operation(
    stack_with: Any, make_engine: Any, collector: Collector, path: str, name: str
) -> None:
    async with traced(stack_with) as stack:
        stack.route(await make_engine())
        await stack.client.ask(path=path)
    assert [span.name for span in collector.spans] == [f"{name} sql"]


async def test_our_span_is_the_clients_child_and_the_engines_parent(
    stack_with: Any, make_engine: Any, collector: Collector
) -> None:
    engine = await make_engine()
    async with traced(stack_with) as stack:
        stack.route(engine)
        await stack.client.ask(headers=traceparent())
    (span,) = collector.spans
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == (TRACE, PARENT)
    assert engine.heard[0].headers["traceparent"] == f"00-{TRACE}-{span.span_id.hex()}-01"
    assert span.span_id.hex() != PARENT


@pytest.mark.parametrize(
    "headers",
    [
        "",
        "traceparent: none\r\n",
        f"traceparent: 00-{TRACE.upper()}-{PARENT}-01\r\n",
        f"traceparent: 00-{'0' * 32}-{PARENT}-01\r\n",
        f"traceparent: ff-{TRACE}-{PARENT}-01\r\n",
        f"traceparent: 00-{TRACE}-{PARENT}-01-more\r\n",
        f"traceparent: 00-{TRACE}-{PARENT}-01{'x' * 4000}\r\n",
    ],
)
async def test_without_a_valid_parent_a_trace_begins_here(
    stack_with: Any, make_engine: Any, collector: Collector, headers: str
) -> None:
    engine = await make_engine()
    async with traced(stack_with) as stack:
        stack.route(engine)
        await stack.client.ask(headers=headers)
    (span,) = collector.spans
    assert span.trace_id.hex() not in (TRACE, "0" * 32)
    assert span.parent_span_id == b""
    assert engine.heard[0].headers["traceparent"] == f"00-{span.trace_id.hex()}-{span.span_id.hex()}-01"


async def test_what_a_client_writes_of_traces_is_in_no_log(
    stack_with: Any, make_engine: Any, collector: Collector, caplog: pytest.LogCaptureFixture
) -> None:
    async with traced(stack_with) as stack:
        stack.route(await make_engine())
        long = f"traceparent: 00-{'f' * 4000}\r\n"
        await stack.client.ask(headers=traceparent() + "tracestate: a=1,=the-secret\r\n")
        await stack.client.ask(headers=long)
    assert "secret" not in caplog.text
    assert "exceeded" not in caplog.text
    assert collector.spans[0].trace_id.hex() == TRACE


async def test_what_the_client_does_not_record_we_do_not_and_the_engine_hears_so(
    stack_with: Any, make_engine: Any, collector: Collector
) -> None:
    engine = await make_engine()
    async with traced(stack_with) as stack:
        stack.route(engine)
        await stack.client.ask(headers=traceparent("00"))
    assert collector.spans == []
    assert engine.heard[0].headers["traceparent"].startswith(f"00-{TRACE}-")
    assert engine.heard[0].headers["traceparent"].endswith("-00")


async def test_sampler_and_name_are_by_opentelemetrys_variables(
    stack_with: Any, make_engine: Any, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    monkeypatch.setenv("OTEL_SERVICE_NAME", "birds")
    async with traced(stack_with) as stack:
        stack.route(await make_engine())
        await stack.client.ask()
        await stack.client.ask(headers=traceparent())
    assert [span.trace_id.hex() for span in collector.spans] == [TRACE]
    assert service(collector) == "birds"


async def test_a_stream_says_when_its_first_piece_came(
    stack_with: Any, make_engine: Any, say_bytes: Any, collector: Collector
) -> None:
    event = b'data: {"usage":{"prompt_tokens": 7, "completion_tokens": 3}}\n\ndata: [DONE]\n\n'
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    engine = await make_engine(say_bytes(head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(event), event)))
    async with traced(stack_with) as stack:
        stack.route(engine)
        await stack.client.ask(stream=True)
    (span,) = collector.spans
    values = of(span)
    lasted = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
    assert 0 <= values["gen_ai.response.time_to_first_chunk"] <= lasted + 1e-3
    assert values["gen_ai.request.stream"] is True
    assert (values["gen_ai.usage.input_tokens"], values["gen_ai.usage.output_tokens"]) == (7, 3)


async def test_a_name_that_is_nobodys_is_in_no_span(stack_with: Any, collector: Collector) -> None:
    async with traced(stack_with) as stack:
        assert (await stack.client.ask("my-secret")).status == 404
    (span,) = collector.spans
    assert (span.name, span.status.code) == ("text_completion", Status.STATUS_CODE_ERROR)
    assert of(span)["error.type"] == "model_not_found"
    assert of(span)["http.response.status_code"] == 404
    assert b"my-secret" not in collector.raw[0]


async def test_a_model_that_is_not_ready_is_named(stack_with: Any, objects: Any, collector: Collector) -> None:
    async with traced(stack_with) as stack:
        stack.put(objects.server(), objects.adapter())
        assert (await stack.client.ask()).status == 503
    (span,) = collector.spans
    assert (span.name, of(span)["error.type"]) == ("text_completion sql", "model_not_ready")


async def test_an_answer_that_is_an_error_is_told_by_its_status(
    stack_with: Any, make_engine: Any, reply_with: Any, collector: Collector
) -> None:
    async with traced(stack_with) as stack:
        stack.route(await make_engine(reply_with(b'{"error":{}}', "422 Unprocessable Entity")))
        await stack.client.ask()
    (span,) = collector.spans
    assert (of(span)["error.type"], span.status.code) == ("422", Status.STATUS_CODE_ERROR)
    assert of(span)["lorikeet.replica"] == "pod-0"


async def test_a_stream_that_breaks_off_is_an_error(
    stack_with: Any, make_engine: Any, say_bytes: Any, collector: Collector
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    async with traced(stack_with) as stack:
        stack.route(await make_engine(say_bytes(head + b"9\r\ndata: 1\n\n\r\n", close=True)))
        await stack.client.ask(stream=True)
    (span,) = collector.spans
    assert of(span)["error.type"] == "stream_interrupted"


async def test_a_client_that_leaves_is_told(stack_with: Any, make_engine: Any, collector: Collector) -> None:
    asked = asyncio.Event()

    async def silent(*_: object) -> None:
        asked.set()

    async with traced(stack_with) as stack:
        engine = await make_engine(silent)
        stack.route(engine)
        leaving = asyncio.create_task(stack.client.ask())
        await asked.wait()
        leaving.cancel()
        with suppress(asyncio.CancelledError):
            await leaving
        await engine.left.wait()
    (span,) = collector.spans
    assert (of(span)["error.type"], of(span)["http.response.status_code"]) == ("client_gone", 499)


async def test_neither_prompt_nor_answer_nor_key_is_told(
    stack_with: Any, make_engine: Any, reply_with: Any, collector: Collector
) -> None:
    async with traced(stack_with) as stack:
        stack.route(await make_engine(reply_with(b'{"text":"the-answer"}')))
        await stack.client.ask(prompt="the-prompt", headers="authorization: Bearer sk-the-key\r\n", user="the-user")
    (raw,) = collector.raw
    assert b"sql" in raw
    for secret in (b"the-prompt", b"the-answer", b"the-key", b"the-user"):
        assert secret not in raw


@pytest.mark.parametrize("listening", [False, True], ids=["refuses", "is silent"])
async def test_a_collector_that_is_down_costs_no_request_and_no_end(
    stack_with: Any, make_engine: Any, monkeypatch: pytest.MonkeyPatch, collector: Collector, listening: bool
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "1")
    monkeypatch.setattr(spans, "LAST_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:  # nobody accepts
        monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{server.getsockname()[1]}")
        if not listening:
            server.close()
        async with traced(stack_with) as stack:
            stack.route(await make_engine())
            for _ in range(20):
                assert (await stack.client.ask()).status == 200
    assert collector.raw == []


def test_without_a_collector_nothing_of_opentelemetry_is_imported() -> None:
    code = """
import sys, lorikeet.gateway.main
from lorikeet.gateway.trace import make_traces
assert make_traces({}, float) is None
assert make_traces({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_SDK_DISABLED": "true"}, float) is None
print([name for name in sys.modules if name.startswith(("opentelemetry", "google.protobuf"))])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


async def test_without_a_collector_the_engine_hears_nothing_of_traces(stack: Any, make_engine: Any) -> None:
    engine = await make_engine()
    stack.route(engine)
    await stack.client.ask(headers=traceparent())
    assert "traceparent" not in engine.heard[0].headers


def test_a_protocol_that_is_not_spoken_is_refused() -> None:
    with pytest.raises(ValueError, match="OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf, not 'grpc'"):
        make_traces({ENDPOINT: "http://x:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, float)


def test_an_installation_without_opentelemetry_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "lorikeet.gateway.spans")
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(ValueError, match=r"install lorikeet\[traces\]"):
        make_traces({ENDPOINT: "http://x:4318"}, float)


@pytest.mark.slow
async def test_a_gateway_that_ends_has_told_of_every_request(start_process: Any, collector: Collector) -> None:
    process, port = await start_process()
    async with asyncio.timeout(100), aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
        while not await asked(http):  # noqa: ASYNC110 - another process says it
            await asyncio.sleep(0.05)
        process.terminate()
        assert await process.wait() == 0
    assert [of(span)["error.type"] for span in collector.spans] == ["model_not_found"]


async def asked(http: aiohttp.ClientSession) -> bool:
    try:
        async with http.post(CHAT, json={"model": "sql"}) as reply:
            return reply.status == 404
    except aiohttp.ClientConnectionError:
        return False

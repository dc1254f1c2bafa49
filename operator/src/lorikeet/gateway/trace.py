"""What is told of one request in a trace, by OpenTelemetry's conventions for generative AI; never a prompt or a key.

https://github.com/open-telemetry/semantic-conventions-genai: `gen_ai.` names are theirs, `lorikeet.` names ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from lorikeet.gateway.catalog import Route, Target
from lorikeet.gateway.meter import Meter
from lorikeet.gateway.rows import AdapterRow
from lorikeet.gateway.wire.reply import Reply
from lorikeet.gateway.wire.request import Request

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
HTTP = "http/protobuf"
OPERATIONS = {b"/v1/completions": "text_completion", b"/v1/embeddings": "embeddings"}
CHAT = "chat"
NOT_READY = "model_not_ready"
CLIENT_GONE = 499
"""As nginx says it: the client left before it was told anything."""
Values = dict[str, str | int | float | bool]


@dataclass(slots=True)
class Trace:
    """One request while it runs: where it stands in its trace, and what came of it."""

    parent: object
    """The client's span, if it told of one; only who made this looks into it."""
    trace_id: int
    span_id: int
    sampled: bool
    began: float  # by the gateway's clock
    asked: str
    """The model, in the client's words."""
    route: Route | None = None
    meter: Meter | None = None
    queued: float = 0.0
    error: str = ""

    @property
    def line(self) -> bytes:
        """The header by which the engine's span is the child of ours, with its end."""
        return b"traceparent: 00-%032x-%016x-%02x\r\n" % (self.trace_id, self.span_id, self.sampled)

    @property
    def model(self) -> str:
        """What was asked, if it is the name of something: others would be as many as clients can think of."""
        return self.asked if self.route is not None or self.error == NOT_READY else ""

    def answered(self, route: Route, meter: Meter, queued: float) -> None:
        """A replica was asked."""
        self.route, self.meter, self.queued = route, meter, queued


Open = AbstractContextManager[Trace]


class Traces(Protocol):
    """Makes a span of each request, at its end."""

    def of(self, request: Request, asked: str, path: bytes, tenant: str, reply: Reply) -> Open: ...
    async def end(self) -> None: ...


def make_traces(environment: Mapping[str, str], clock: Callable[[], float]) -> Traces | None:
    """None where no collector is named: then nothing of OpenTelemetry is even imported. Raises ValueError."""
    if not wanted(environment):
        return None
    for variable in PROTOCOLS:
        if environment.get(variable, HTTP) != HTTP:
            raise ValueError(f"{variable} must be {HTTP}, not {environment[variable]!r}: no other is spoken here")
    try:
        from lorikeet.gateway.spans import Spans
    except ImportError as error:
        raise ValueError(f"a collector of traces is named, and {error}: install lorikeet[traces]") from error
    return Spans(clock)


def wanted(environment: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's own variables ask for traces."""
    off = (
        environment.get("OTEL_SDK_DISABLED", "").lower() == "true" or environment.get("OTEL_TRACES_EXPORTER") == "none"
    )
    return not off and any(environment.get(variable) for variable in ENDPOINTS)


def operation(path: bytes) -> str:
    """What an engine does at `path`."""
    return OPERATIONS.get(path, CHAT)


def attributes(trace: Trace, path: bytes, tenant: str, request_id: bytes, status: int) -> Values:
    """Everything there is to tell, now that it is over."""
    values: Values = {
        "gen_ai.operation.name": operation(path),
        "gen_ai.provider.name": "vllm",
        "http.response.status_code": status,
        "lorikeet.request_id": request_id.decode(),
        "lorikeet.tenant": tenant,
    }
    if trace.model:
        values["gen_ai.request.model"] = trace.model
    if trace.error:
        values["error.type"] = trace.error
    if trace.route is not None and trace.meter is not None:
        values |= _of_route(trace, trace.route) | _of_meter(trace, trace.meter)
        if target := next((target for target in trace.route.targets if target.pod == trace.meter.pod), None):
            values |= _of_target(target)
    return values


def _of_route(trace: Trace, route: Route) -> Values:
    values: Values = {"lorikeet.queue_seconds": trace.queued}
    if isinstance(route.row, AdapterRow):
        values["lorikeet.adapter"] = route.label
    return values


def _of_meter(trace: Trace, meter: Meter) -> Values:
    values: Values = {}
    if meter.tokens_in is not None:
        values["gen_ai.usage.input_tokens"] = meter.tokens_in
    if meter.tokens_out is not None:
        values["gen_ai.usage.output_tokens"] = meter.tokens_out
    if meter.events and meter.first is not None:
        values["gen_ai.request.stream"] = True
        values["gen_ai.response.time_to_first_chunk"] = meter.began - trace.began + meter.first
    return values


def _of_target(target: Target) -> Values:
    host, _, port = target.address.rpartition(":")
    return {
        "gen_ai.response.model": target.model,
        "lorikeet.replica": target.pod,
        "lorikeet.server": str(target.server),
        "server.address": host.strip("[]"),
        "server.port": int(port),
    }

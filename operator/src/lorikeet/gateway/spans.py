"""Spans for an OpenTelemetry collector. Imported where one is named, and nowhere else."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import cast

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import SpanKind, Status, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from lorikeet.gateway.openai import ApiError
from lorikeet.gateway.trace import CLIENT_GONE, Trace, attributes, operation
from lorikeet.gateway.wire.reply import Reply
from lorikeet.gateway.wire.request import Request

NAME = "lorikeet-gateway"
LAST_SECONDS = 3.0
"""For the last spans, at our end: a collector that does not answer holds nobody up."""
HEADERS = ((b"traceparent", "traceparent"), (b"tracestate", "tracestate"))
CHATTY = ("opentelemetry.exporter", "opentelemetry.trace")
"""Loggers that warn of each try of a batch, and of headers in the words of clients."""


class Spans:
    """Endpoint, sampler, name and batches are by OpenTelemetry's own variables; sending is in a thread of its own."""

    def __init__(self, clock: Callable[[], float]) -> None:
        for chatty in CHATTY:
            logging.getLogger(chatty).setLevel(logging.ERROR)
        self._clock = clock
        self._ids = ChosenIds()
        resource = Resource.create().merge(Resource({SERVICE_NAME: NAME})).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("lorikeet.gateway", version("lorikeet"))
        self._propagator = TraceContextTextMapPropagator()

    @contextmanager
    def of(self, request: Request, asked: str, path: bytes, tenant: str, reply: Reply) -> Iterator[Trace]:
        """The request runs inside."""
        trace = self._begin(request, asked, path)
        status = 0
        try:
            yield trace
            status = reply.status
            trace.error = "" if reply.complete else "stream_interrupted"
        except ApiError as error:
            status, trace.error = error.status, error.code
            raise
        except asyncio.CancelledError:
            status, trace.error = reply.status or CLIENT_GONE, "client_gone"
            raise
        except Exception:
            status, trace.error = 500, "internal_error"
            raise
        finally:
            if trace.sampled:
                self._tell(trace, path, tenant, reply.request_id, status)

    async def end(self) -> None:
        """Send what is left."""
        last = threading.Thread(target=self._provider.shutdown, daemon=True)
        last.start()
        await asyncio.to_thread(last.join, LAST_SECONDS)

    def _begin(self, request: Request, asked: str, path: bytes) -> Trace:
        parent = self._parent(request)
        above = get_current_span(parent).get_span_context()
        trace_id = above.trace_id if above.is_valid else self._ids.generate_trace_id()
        sampling = self._provider.sampler.should_sample(parent, trace_id, operation(path), SpanKind.CLIENT)
        span_id = self._ids.generate_span_id()
        return Trace(parent, trace_id, span_id, sampling.decision is Decision.RECORD_AND_SAMPLE, self._clock(), asked)

    def _parent(self, request: Request) -> Context:
        """What the client says of its span."""
        said = {name: request.headers[raw].decode("latin-1") for raw, name in HEADERS if raw in request.headers}
        return self._propagator.extract(said, Context())

    def _tell(self, trace: Trace, path: bytes, tenant: str, request_id: bytes, status: int) -> None:
        now, lasted = time.time_ns(), self._clock() - trace.began
        if not trace.error and status >= 400:
            trace.error = str(status)
        with self._ids.chosen(trace.trace_id, trace.span_id):
            span = self._tracer.start_span(
                f"{operation(path)} {trace.model}".rstrip(),
                cast(Context, trace.parent),
                SpanKind.CLIENT,
                attributes(trace, path, tenant, request_id, status),
                start_time=now - int(lasted * 1e9),
            )
        if trace.error:
            span.set_status(Status(StatusCode.ERROR))
        span.end(now)


class ChosenIds(RandomIdGenerator):
    """Random, but for a span whose id the engine was told before there was a span."""

    def __init__(self) -> None:
        super().__init__()
        self._chosen: tuple[int, int] | None = None

    @contextmanager
    def chosen(self, trace_id: int, span_id: int) -> Iterator[None]:
        """A span that is begun inside has these."""
        self._chosen = trace_id, span_id
        try:
            yield
        finally:
            self._chosen = None

    def generate_trace_id(self) -> int:
        """Of a trace that begins here."""
        return self._chosen[0] if self._chosen else super().generate_trace_id()

    def generate_span_id(self) -> int:
        """Of the next span."""
        return self._chosen[1] if self._chosen else super().generate_span_id()

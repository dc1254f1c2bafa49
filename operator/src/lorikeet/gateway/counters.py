"""What is counted. Labels are names of objects and tenants that exist, never what a client wrote."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from lorikeet.gateway.meter import Meter
from lorikeet.gateway.series import Count, Counts, Histogram, Histograms

KINDS_OF_ANSWER = 20_000
"""Remembered with their series."""


class Answered:
    """The series of one kind of answer: a model's, a tenant's, a replica's, with one class of status."""

    __slots__ = ("answers", "first", "seconds", "tokens_in", "tokens_out")

    def __init__(
        self, seconds: Histogram, first: Histogram, tokens_in: Count, tokens_out: Count, answers: Count
    ) -> None:
        self.seconds, self.first, self.answers = seconds, first, answers
        self.tokens_in, self.tokens_out = tokens_in, tokens_out

    def one_more(self, meter: Meter, tokens: tuple[int, int]) -> None:
        """A replica has answered so."""
        self.seconds.observe(meter.seconds)
        if meter.first is not None:
            self.first.observe(meter.first)
        self.tokens_in.add(tokens[0])
        self.tokens_out.add(tokens[1])
        self.answers.add(1)


class Counters:
    """One registry of its own, so that two gateways in one process (tests) do not meet."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counts("lorikeet_gateway_requests", "Answers begun.", ["code"])
        self._statuses: dict[int, Count] = {}
        self._kinds: dict[tuple[str, str, str, int], Answered] = {}
        self._running = 0
        self._retries = Counter(
            "lorikeet_gateway_retries",
            "Replicas that failed before their first byte.",
            ["why"],
            registry=self._registry,
        )
        self._cut = Counter("lorikeet_gateway_cut_replies", "Replies that broke off.", registry=self._registry)
        self._gone = Counter("lorikeet_gateway_gone_clients", "Clients that left early.", registry=self._registry)
        self._ejections = Counter(
            "lorikeet_gateway_ejections",
            "Replicas told to stand back for failing again and again.",
            registry=self._registry,
        )
        self._seconds = Histograms("lorikeet_gateway_request_seconds", "From a request to its last byte.", ["model"])
        self._first = Histograms("lorikeet_gateway_first_token_seconds", "From a request to its first byte.", ["model"])
        self._gaps = Histograms("lorikeet_gateway_token_gap_seconds", "Between pieces of a stream.", ["model"])
        self._queued = Histograms("lorikeet_gateway_queue_seconds", "Waiting for a place at a replica.", ["tenant"])
        self._tokens = Counts("lorikeet_gateway_tokens", "Tokens, as engines count them.", ["model", "tenant", "way"])
        self._answers = Counts("lorikeet_gateway_answers", "Answers of replicas.", ["model", "replica", "code"])
        for series in (
            self._requests,
            self._seconds,
            self._first,
            self._gaps,
            self._queued,
            self._tokens,
            self._answers,
        ):
            self._registry.register(series)
        self._waiting = Gauge("lorikeet_gateway_waiting", "Requests that wait.", ["for"], registry=self._registry)
        self._in_flight = Gauge("lorikeet_gateway_in_flight", "Requests being answered.", registry=self._registry)
        self._in_flight.set_function(lambda: self._running)
        self._models = Gauge("lorikeet_gateway_models", "Public names that are known.", registry=self._registry)

    def answered(self, status: int) -> None:
        """An answer with HTTP status `status` was begun."""
        count = self._statuses.get(status)
        if count is None:
            count = self._statuses[status] = self._requests.of(str(status))
        count.add(1)

    def retried(self, why: str) -> None:
        """A replica failed before its first byte; `why` is one word."""
        self._retries.labels(why).inc()

    def ejected(self) -> None:
        """A replica fails again and again."""
        self._ejections.inc()

    def cut(self) -> None:
        """A reply broke off after its first byte."""
        self._cut.inc()

    def gone(self) -> None:
        """A client left before its reply was whole."""
        self._gone.inc()

    def entered(self) -> None:
        """A request came in."""
        self._running += 1

    def left(self) -> None:
        """A request is done, well or not."""
        self._running -= 1

    def gap(self, model: str) -> Callable[[float], None]:
        """To be told the seconds between two pieces of a stream."""
        return self._gaps.of(model).observe

    def finished(self, model: str, tenant: str, status: int, meter: Meter, tokens: tuple[int, int]) -> None:
        """A replica has answered."""
        kind = (model, tenant, meter.pod, status // 100)
        answered = self._kinds.get(kind)
        if answered is None:
            if len(self._kinds) >= KINDS_OF_ANSWER:
                self._kinds.clear()
            answered = self._kinds[kind] = self._answered(*kind)
        answered.one_more(meter, tokens)

    def _answered(self, model: str, tenant: str, pod: str, hundreds: int) -> Answered:
        return Answered(
            self._seconds.of(model),
            self._first.of(model),
            self._tokens.of(model, tenant, "in"),
            self._tokens.of(model, tenant, "out"),
            self._answers.of(model, pod, f"{hundreds}xx"),
        )

    def queued(self, tenant: str, seconds: float) -> None:
        """A request of `tenant` had to wait for a place."""
        self._queued.of(tenant).observe(seconds)

    def count_waiting(self, what: str, number: Callable[[], float]) -> None:
        """Ask `number` for how many requests wait for `what`."""
        self._waiting.labels(what).set_function(number)

    def count_models(self, number: Callable[[], float]) -> None:
        """Ask `number` for how many names are known whenever somebody reads."""
        self._models.set_function(number)

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)

"""What is counted: a handful of numbers, none of them by model name."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest


class Counters:
    """One registry of its own, so that two gateways in one process (tests) do not meet."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("lorikeet_gateway_requests", "Answers begun.", ["code"], registry=self._registry)
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
        self._in_flight = Gauge("lorikeet_gateway_in_flight", "Requests being answered.", registry=self._registry)
        self._models = Gauge("lorikeet_gateway_models", "Public names that are known.", registry=self._registry)

    def answered(self, status: int) -> None:
        """An answer with HTTP status `status` was begun."""
        self._requests.labels(str(status)).inc()

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
        self._in_flight.inc()

    def left(self) -> None:
        """A request is done, well or not."""
        self._in_flight.dec()

    def count_models(self, number: Callable[[], float]) -> None:
        """Ask `number` for how many names are known whenever somebody reads."""
        self._models.set_function(number)

    def text(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)

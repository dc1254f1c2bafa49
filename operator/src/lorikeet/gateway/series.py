"""Histograms and counts with labels, cheap enough for each piece of each stream, and bounded in number."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

SECONDS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    120.0,
    300.0,
    600.0,
)
MOST = 2000
"""Sets of labels for one name: then the rest are one, whose labels all say `other`."""
OTHER = "other"
Labels = tuple[str, ...]


class Histogram:
    """One line of buckets."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.sum = 0.0

    def observe(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.sum += seconds


class Count:
    """One number that grows."""

    __slots__ = ("total",)

    def __init__(self) -> None:
        self.total = 0.0

    def add(self, amount: float) -> None:
        """So much more."""
        self.total += amount


class Histograms(Collector):
    """A histogram for each set of labels."""

    def __init__(self, name: str, help: str, labels: Sequence[str]) -> None:
        self._name, self._help, self._labels = name, help, labels
        self._lines: dict[Labels, Histogram] = {}

    def of(self, *labels: str) -> Histogram:
        """The line of these labels."""
        line = self._lines.get(labels)
        if line is None:
            if len(self._lines) >= MOST:
                labels = (OTHER,) * len(labels)
            line = self._lines.setdefault(labels, Histogram())
        return line

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """For prometheus_client."""
        family = HistogramMetricFamily(self._name, self._help, labels=self._labels)
        for labels, line in self._lines.items():
            family.add_metric(labels, _buckets(line.counts), line.sum)
        yield family


class Counts(Collector):
    """A count for each set of labels."""

    def __init__(self, name: str, help: str, labels: Sequence[str]) -> None:
        self._name, self._help, self._labels = name, help, labels
        self._lines: dict[Labels, Count] = {}

    def of(self, *labels: str) -> Count:
        """The line of these labels."""
        line = self._lines.get(labels)
        if line is None:
            if len(self._lines) >= MOST:
                labels = (OTHER,) * len(labels)
            line = self._lines.setdefault(labels, Count())
        return line

    def collect(self) -> Iterator[CounterMetricFamily]:
        """For prometheus_client."""
        family = CounterMetricFamily(self._name, self._help, labels=self._labels)
        for labels, line in self._lines.items():
            family.add_metric(labels, line.total)
        yield family


def _buckets(counts: list[int]) -> list[tuple[str, float]]:
    total, told = 0, []
    for bound, count in zip((*map(str, SECONDS), "+Inf"), counts, strict=True):
        total += count
        told.append((bound, float(total)))
    return told

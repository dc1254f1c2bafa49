"""The metrics of several workers as those of one gateway: samples of the same name and labels, added up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

Key = tuple[str, tuple[tuple[str, str], ...]]
PER_TABLE = frozenset({"lorikeet_gateway_models"})
"""What each worker knows alike: not added up."""


def merged(texts: Iterable[str]) -> bytes:
    """Prometheus' text of all of these together."""
    families: dict[str, tuple[Metric, dict[Key, float]]] = {}
    for text in texts:
        for family in text_string_to_metric_families(text):
            _, sums = families.setdefault(family.name, (family, {}))
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    key = sample.name, tuple(sorted(sample.labels.items()))
                    value = sums.get(key, 0.0)
                    sums[key] = max(value, sample.value) if family.name in PER_TABLE else value + sample.value
    registry = CollectorRegistry()
    registry.register(_Sums(families))
    return generate_latest(registry)


class _Sums(Collector):
    def __init__(self, families: dict[str, tuple[Metric, dict[Key, float]]]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        for family, sums in self._families.values():
            told = Metric(family.name, family.documentation, family.type)
            for (name, labels), value in sums.items():
                told.add_sample(name, dict(labels), value)
            yield told

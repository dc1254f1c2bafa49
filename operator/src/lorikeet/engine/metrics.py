"""What we read from an engine's `/metrics`: who is busy, and whether the engine moves."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


@dataclass(frozen=True)
class EngineMetrics:
    """One reading. Counts are requests; `iterations` and `tokens` only grow while one boot lives."""

    running: int
    waiting: int
    busy: frozenset[str]  # engine names of adapters with a request running or waiting
    iterations: int  # engine steps so far: no growth while `running` > 0 is a hung engine
    tokens: float  # tokens handled in those steps


def parse(text: str) -> EngineMetrics:
    """Read vLLM's Prometheus text; an absent metric counts as nothing. Raises ValueError on any other text."""
    wanted: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            wanted.setdefault(sample.name, []).append(sample)

    def total(name: str) -> float:
        return sum(sample.value for sample in wanted.get(name, ()))

    return EngineMetrics(
        running=int(total("vllm:num_requests_running")),
        waiting=int(total("vllm:num_requests_waiting")),
        busy=busy_adapters(wanted.get("vllm:lora_requests_info", [])),
        iterations=int(total("vllm:iteration_tokens_total_count")),
        tokens=total("vllm:iteration_tokens_total_sum"),
    )


def busy_adapters(samples: list[Sample]) -> frozenset[str]:
    """vLLM leaves a series behind for each combination it ever saw; the value is a time, and the newest is true."""
    if not samples:
        return frozenset()
    newest = max(samples, key=lambda sample: sample.value).labels
    names = f"{newest.get('running_lora_adapters', '')},{newest.get('waiting_lora_adapters', '')}".split(",")
    return frozenset(name for name in names if name)

"""What we read from an engine's `/metrics`: who is busy, and whether the engine moves."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample


@dataclass(frozen=True)
class EngineMetrics:
    """One reading. Counts are requests; `work` only grows while one boot lives."""

    running: int
    waiting: int
    busy: frozenset[str]  # engine names of adapters with a request running or waiting
    work: float | None  # steps and tokens so far, added up: it moves when the engine does; None where nobody counts


WORK = (
    "vllm:iteration_tokens_total_count",
    "vllm:iteration_tokens_total_sum",
    "vllm:generation_tokens_total",
    "vllm:prompt_tokens_total",
)


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
        work=sum(map(total, WORK)) if any(name in wanted for name in WORK) else None,
    )


def busy_adapters(samples: list[Sample]) -> frozenset[str]:
    """vLLM leaves a series behind for each combination it ever saw; the value is a time, and the newest is true."""
    if not samples:
        return frozenset()
    newest = max(samples, key=lambda sample: sample.value).labels
    names = f"{newest.get('running_lora_adapters', '')},{newest.get('waiting_lora_adapters', '')}".split(",")
    return frozenset(name for name in names if name)

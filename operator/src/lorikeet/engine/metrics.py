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


RUNNING, WAITING, LORAS = "vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:lora_requests_info"
WORK = (
    "vllm:iteration_tokens_total_count",
    "vllm:iteration_tokens_total_sum",
    "vllm:generation_tokens_total",
    "vllm:prompt_tokens_total",
)


def parse(text: str) -> EngineMetrics:
    """Read vLLM's Prometheus text; an absent metric counts as nothing. Raises ValueError on any other text."""
    if text and not (text[0] == "#" or text[0].isalpha()):
        raise ValueError(f"it begins with {text[:40]!r}")
    # Of a page of a thousand lines about ten are ours; parsing the others would cost fifty times as much.
    lines = text.splitlines(keepends=True)
    ours = [line for line in lines if line.startswith((RUNNING, WAITING, *WORK))]
    wanted: dict[str, list[Sample]] = {}
    for family in text_string_to_metric_families("".join([*ours, newest_of(lines)])):
        for sample in family.samples:
            wanted.setdefault(sample.name, []).append(sample)

    def total(name: str) -> float:
        return sum(sample.value for sample in wanted.get(name, ()))

    return EngineMetrics(
        running=int(total(RUNNING)),
        waiting=int(total(WAITING)),
        busy=busy_adapters(wanted.get(LORAS, [])),
        work=sum(map(total, WORK)) if any(name in wanted for name in WORK) else None,
    )


def newest_of(lines: list[str]) -> str:
    """vLLM leaves a series behind for each combination of adapters it ever saw; its value is when."""
    return max((line for line in lines if line.startswith(LORAS)), key=lambda line: float(line.split()[-1]), default="")


def busy_adapters(samples: list[Sample]) -> frozenset[str]:
    """The adapters that the newest series names."""
    if not samples:
        return frozenset()
    labels = samples[0].labels
    names = f"{labels.get('running_lora_adapters', '')},{labels.get('waiting_lora_adapters', '')}".split(",")
    return frozenset(name for name in names if name)

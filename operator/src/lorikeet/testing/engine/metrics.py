"""The simulator's /metrics: vLLM's names, and only those we read or show."""

from __future__ import annotations

import time

from lorikeet.testing.engine.core import Core


def render(core: Core) -> str:
    """Prometheus text."""
    counters, settings = core.counters, core.settings
    label = f'{{engine="0",model_name="{settings.served_name}"}}'
    lines = [
        *metric("vllm:num_requests_running", "gauge", label, len(counters.running)),
        *metric("vllm:num_requests_waiting", "gauge", label, len(counters.waiting)),
        *metric("vllm:kv_cache_usage_perc", "gauge", label, 0.0),
        *metric("vllm:prompt_tokens_total", "counter", label, counters.prompt_tokens),
        *metric("vllm:generation_tokens_total", "counter", label, counters.tokens),
        *metric("vllm:prefix_cache_queries_total", "counter", label, counters.prompt_tokens),
        *metric("vllm:prefix_cache_hits_total", "counter", label, 0),
        "# TYPE vllm:iteration_tokens_total histogram",
        f'vllm:iteration_tokens_total_bucket{label[:-1]},le="+Inf"}} {counters.steps}',
        f"vllm:iteration_tokens_total_count{label} {counters.steps}",
        f"vllm:iteration_tokens_total_sum{label} {counters.tokens + counters.prompt_tokens}",
        *lora_info(core),
    ]
    return "\n".join(lines) + "\n"


def metric(name: str, kind: str, label: str, value: float) -> list[str]:
    return [f"# TYPE {name} {kind}", f"{name}{label} {float(value)}"]


def lora_info(core: Core) -> list[str]:
    running, waiting = (
        ",".join(sorted({name for name in names if name in core.adapters}))
        for names in (core.counters.running, core.counters.waiting)
    )
    labels = f'max_lora="{core.settings.max_loras}",running_lora_adapters="{running}",waiting_lora_adapters="{waiting}"'
    return ["# TYPE vllm:lora_requests_info gauge", f"vllm:lora_requests_info{{{labels}}} {time.time()}"]

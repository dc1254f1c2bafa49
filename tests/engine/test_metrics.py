"""What is read from an engine's metrics."""

from __future__ import annotations

import pytest

from lorikeet.engine.metrics import EngineMetrics, parse

TEXT = """# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="base"} 2.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="base"} 1.0
# TYPE vllm:lora_requests_info gauge
vllm:lora_requests_info{max_lora="2",running_lora_adapters="a@1,b@2",waiting_lora_adapters=""} 1.7e+09
vllm:lora_requests_info{max_lora="2",running_lora_adapters="b@2",waiting_lora_adapters="c@3"} 1.8e+09
vllm:lora_requests_info{max_lora="2",running_lora_adapters="",waiting_lora_adapters=""} 1.6e+09
# TYPE vllm:iteration_tokens_total histogram
vllm:iteration_tokens_total_bucket{engine="0",le="1.0",model_name="base"} 5.0
vllm:iteration_tokens_total_bucket{engine="0",le="+Inf",model_name="base"} 9.0
vllm:iteration_tokens_total_count{engine="0",model_name="base"} 9.0
vllm:iteration_tokens_total_sum{engine="0",model_name="base"} 74.0
"""


def test_the_newest_lora_series_says_who_is_busy() -> None:
    assert parse(TEXT) == EngineMetrics(running=2, waiting=1, busy=frozenset({"b@2", "c@3"}), work=83.0)


def test_thousands_of_old_series_are_passed_over() -> None:
    old = (
        f'vllm:lora_requests_info{{running_lora_adapters="x@{at}",waiting_lora_adapters=""}} {at}.0\n'
        for at in range(5000)
    )
    assert parse(TEXT + "".join(old)).busy == frozenset({"b@2", "c@3"})


def test_an_engine_that_counts_nothing_is_idle_as_far_as_we_know() -> None:
    assert parse("") == EngineMetrics(running=0, waiting=0, busy=frozenset(), work=None)


def test_nobody_is_busy_when_the_newest_series_is_empty() -> None:
    newest = 'vllm:lora_requests_info{max_lora="2",running_lora_adapters="",waiting_lora_adapters=""} 1.9e+09\n'
    assert parse(TEXT + newest).busy == frozenset()


@pytest.mark.parametrize("text", ["<html>", '{"error": 1}', "vllm:num_requests_running{ 1"])
def test_other_text_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(text)

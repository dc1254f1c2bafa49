"""From a spec to the engine's command line."""

from __future__ import annotations

from typing import Any

import pytest

from lorikeet.api.modelserver import ModelServerSpec
from lorikeet.engine.flags import PROFILES, engine_command, refused_arguments
from lorikeet.testing.engine.settings import parse as parse_as_vllm

BASE: dict[str, Any] = {"model": {"uri": "hf://acme/tiny@main"}, "lora": {"maxRank": 16}}


def command(engine: dict[str, Any] | None = None, **more: Any) -> tuple[tuple[str, ...], dict[str, str]]:
    spec = ModelServerSpec.parse({**BASE, "engine": engine or {}, **more})
    made = engine_command(spec, "/models/0123", "tiny", "/run/lorikeet")
    return made.argv, dict(made.env)


def value(argv: tuple[str, ...], option: str) -> str | None:
    return argv[argv.index(option) + 1] if option in argv else None


def test_the_command_names_model_port_guard_and_lora() -> None:
    argv, _ = command(lora={"maxLoras": 3, "maxCpuLoras": 9, "maxRank": 32})
    assert argv[:3] == ("python3", "-m", "vllm.entrypoints.openai.api_server")
    assert value(argv, "--model") == "/models/0123"
    assert value(argv, "--served-model-name") == "tiny"
    assert value(argv, "--port") == "8000"
    assert value(argv, "--middleware") == "lorikeet_guard.Guard"
    assert "--enable-lora" in argv
    assert [value(argv, name) for name in ("--max-loras", "--max-cpu-loras", "--max-lora-rank")] == ["3", "9", "32"]


def test_every_engine_is_offline_silent_and_finds_its_guard() -> None:
    for profile in PROFILES:
        _, env = command({"profile": profile})
        assert env["PYTHONPATH"] == env["LORIKEET_GUARD_DIR"] == "/run/lorikeet"
        assert env["HF_HUB_OFFLINE"] == env["VLLM_NO_USAGE_STATS"] == env["DO_NOT_TRACK"] == "1"
        assert env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"


def test_a_t4_gets_float16_and_the_triton_backend() -> None:
    argv, _ = command({"profile": "T4"})
    assert (value(argv, "--dtype"), value(argv, "--attention-backend")) == (
        "half",
        "TRITON_ATTN",
    )
    assert value(argv, "--gpu-memory-utilization") == "0.80"


def test_a_cpu_engine_asks_for_no_gpu() -> None:
    argv, env = command({"profile": "CPU", "gpuMemoryPercent": 50}, resources={"gpus": 2})
    assert env["VLLM_TARGET_DEVICE"] == "cpu"
    assert "--enforce-eager" in argv
    assert "--gpu-memory-utilization" not in argv
    assert "--tensor-parallel-size" not in argv


def test_the_spec_wins_over_the_profile() -> None:
    argv, _ = command(
        {
            "profile": "T4",
            "dtype": "float32",
            "gpuMemoryPercent": 65,
            "maxModelLen": 512,
        }
    )
    assert (value(argv, "--dtype"), value(argv, "--gpu-memory-utilization")) == (
        "float32",
        "0.65",
    )
    assert value(argv, "--max-model-len") == "512"


def test_several_gpus_share_the_model() -> None:
    assert value(command(resources={"gpus": 4})[0], "--tensor-parallel-size") == "4"
    assert (
        value(
            command({"tensorParallelSize": 2}, resources={"gpus": 4})[0],
            "--tensor-parallel-size",
        )
        == "2"
    )
    assert value(command()[0], "--tensor-parallel-size") is None


@pytest.mark.parametrize("compiled", ["None", "Piecewise", "Full", None])
@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_vllm_knows_every_option_we_write(profile: str, compiled: str | None) -> None:
    engine = {
        "profile": profile, "compile": compiled, "dtype": "half", "maxNumSeqs": 8, "quantization": "awq",
        "tensorParallelSize": 2, "prefixCaching": False, "extraArgs": ["--block-size", "16", "--seed=1"],
    }  # fmt: skip
    argv, env = command(engine)
    settings, serve = parse_as_vllm(argv[3:], env)
    assert (settings.served_name, serve.port, serve.middleware) == (
        "tiny",
        8000,
        ("lorikeet_guard.Guard",),
    )
    assert settings.runtime_updates


def test_extra_arguments_come_last() -> None:
    argv, _ = command({"extraArgs": ["--block-size", "16"]})
    assert argv[-2:] == ("--block-size", "16")


@pytest.mark.parametrize(
    "argument",
    [
        "--api-key", "--api_key", "--api-key=x", "--api-k", "--middleware", "--midd", "--trust-remote-code",
        "--trust_remote", "--no-enable-lora", "--lora-modules", "--max-lora", "--api-server-count", "--host",
        "--ssl-keyfile", "--root-path", "--compilation-config.level", "--data-parallel-size", "--data-parallel-new",
        "--allowed-origins", "--config",
        "--disable-log-stats", "--enable-log-requests", "--", "-tp", "-O3", "--load-format", "--tool-parser-plugin",
        "--worker-extension-cls", "--kv-transfer-config", "--model-class-overrides", "--grpc", "--headless", "--uds",
    ],
)  # fmt: skip
def test_arguments_that_open_the_engine_are_refused_in_each_spelling(
    argument: str,
) -> None:
    assert refused_arguments(["--seed", "-1", argument]) == (argument,)
    with pytest.raises(ValueError, match=r"spec\.engine\.extraArgs may not set"):
        command({"extraArgs": [argument]})


@pytest.mark.parametrize(
    "argument",
    [
        "--block-size",
        "--seed",
        "--max-num-batched-tokens",
        "--scheduling-policy=priority",
    ],
)
def test_harmless_arguments_pass(argument: str) -> None:
    assert refused_arguments([argument, "16"]) == ()


@pytest.mark.parametrize("rank", [24, "Auto"])
def test_a_rank_vllm_has_not_is_refused(rank: int | str) -> None:
    spec = ModelServerSpec.parse({**BASE, "lora": {"maxRank": rank}})
    with pytest.raises(ValueError, match=f"maxRank {rank}"):
        engine_command(spec, "/m", "tiny", "/run/lorikeet")

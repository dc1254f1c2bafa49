"""From a ModelServer's spec to the engine's command line and environment. Pure.

The profiles hold what is known to work on each kind of hardware; typed fields of the spec win over the profile, and
`extraArgs` come last, behind the list of `lorikeet.api.arguments`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from lorikeet.api.arguments import refused_arguments as refused_arguments
from lorikeet.api.modelserver import MAX_RANKS, Engine, ModelServerSpec

PORT: Final = 8000
COMMAND: Final = ("python3", "-m", "vllm.entrypoints.openai.api_server")
GUARD_MIDDLEWARE: Final = "lorikeet_guard.Guard"


@dataclass(frozen=True)
class Profile:
    """Defaults for one kind of hardware. `None` leaves vLLM's own choice."""

    dtype: str | None = None
    attention_backend: str | None = None
    gpu_memory_percent: int | None = None
    compile: str | None = None
    max_model_len: int | None = None
    executor: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)


PROFILES: Final[Mapping[str, Profile]] = {
    # Compute capability 7.5: no bfloat16, and FlashInfer needs 8.0.
    "T4": Profile(dtype="half", attention_backend="TRITON_ATTN", gpu_memory_percent=80, max_model_len=4096),
    "Generic": Profile(gpu_memory_percent=90),
    # The registry's torch believes in a GPU until told otherwise; the KV cache (GiB) is main memory. One process fewer
    # than vLLM's own choice of executor starts a quarter sooner and leaves 0.8 GB of memory.
    "CPU": Profile(compile="None", executor="uni", env={"VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": "1"}),
}

ENVIRONMENT: Final[Mapping[str, str]] = {
    "HF_HUB_OFFLINE": "1",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}

COMPILE: Final[Mapping[str, tuple[str, ...]]] = {
    "None": ("--enforce-eager",),
    "Piecewise": ("--compilation-config", json.dumps({"cudagraph_mode": "PIECEWISE"})),
    "Full": ("--compilation-config", json.dumps({"cudagraph_mode": "FULL_AND_PIECEWISE"})),
}


@dataclass(frozen=True)
class EngineCommand:
    """What the container `engine` runs. `env` lacks nothing but what the pod's volumes decide."""

    argv: tuple[str, ...]
    env: Mapping[str, str]


def engine_command(spec: ModelServerSpec, model_path: str, served_name: str, guard_folder: str) -> EngineCommand:
    """The command for one replica. `model_path` is absolute, inside the engine's container.

    Raises ValueError for an illegal rank or a denied argument (`refused_arguments` tells which, beforehand).
    """
    if spec.lora.max_rank not in MAX_RANKS:
        raise ValueError(f"maxRank {spec.lora.max_rank} is none of {', '.join(map(str, MAX_RANKS))}")
    if refused := refused_arguments(spec.engine.extra_args):
        raise ValueError(f"spec.engine.extraArgs may not set {', '.join(refused)}")
    profile = PROFILES[spec.engine.profile]
    return EngineCommand(
        argv=(
            *COMMAND,
            *("--model", model_path, "--served-model-name", served_name),
            *("--host", "0.0.0.0", "--port", str(PORT), "--middleware", GUARD_MIDDLEWARE),
            *lora_arguments(spec),
            *engine_arguments(spec.engine, profile, spec.resources.gpus),
            *spec.engine.extra_args,
        ),
        env={**ENVIRONMENT, **profile.env, "PYTHONPATH": guard_folder, "LORIKEET_GUARD_DIR": guard_folder},
    )


def lora_arguments(spec: ModelServerSpec) -> tuple[str, ...]:
    lora = spec.lora
    return (
        "--enable-lora",
        *("--max-loras", str(lora.max_loras)),
        *("--max-cpu-loras", str(lora.max_cpu_loras)),
        *("--max-lora-rank", str(lora.max_rank)),
    )


def engine_arguments(engine: Engine, profile: Profile, gpus: int) -> tuple[str, ...]:
    memory = engine.gpu_memory_percent or profile.gpu_memory_percent
    on_gpu = engine.profile != "CPU"
    chosen: list[tuple[str, object]] = [
        ("--dtype", engine.dtype or profile.dtype),
        ("--attention-backend", profile.attention_backend),
        ("--max-model-len", engine.max_model_len or profile.max_model_len),
        ("--max-num-seqs", engine.max_num_seqs),
        ("--distributed-executor-backend", profile.executor),
        ("--gpu-memory-utilization", f"{memory / 100:.2f}" if memory and on_gpu else None),
        ("--quantization", engine.quantization),
        ("--tensor-parallel-size", engine.tensor_parallel_size or (gpus if on_gpu and gpus > 1 else None)),
    ]
    named = [part for name, value in chosen if value is not None for part in (name, str(value))]
    caching = "--enable-prefix-caching" if engine.prefix_caching else "--no-enable-prefix-caching"
    return (*named, caching, *COMPILE.get(engine.compile or profile.compile or "", ()))

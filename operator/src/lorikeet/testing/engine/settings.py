"""The simulator's command line: vLLM's own, of which it obeys the part that shows."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
OBEYED = (
    "--model", "--served-model-name", "--host", "--port", "--middleware", "--enable-lora", "--max-loras",
    "--max-lora-rank", "--max-cpu-loras", "--max-model-len", "--max-num-seqs",
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What the simulator does as vLLM would. Times in seconds."""

    model: Path
    served_name: str
    enable_lora: bool = True
    max_loras: int = 1
    max_cpu_loras: int = 1
    max_lora_rank: int = 16
    max_model_len: int = 1024
    max_num_seqs: int = 256
    runtime_updates: bool = True
    load_seconds: float = 0.0
    token_seconds: float = 0.0


@dataclass(frozen=True)
class Serve:
    """Where the server listens and what stands in front of it."""

    host: str
    port: int
    middleware: tuple[str, ...]


def parse(argv: Sequence[str], env: Mapping[str, str]) -> tuple[Settings, Serve]:
    """Settings from vLLM's arguments and environment. Exits with 2 on what vLLM's parser refuses; raises ValueError for
    what its configuration refuses.

    Ours alone: LORIKEET_SIM_LOAD_SECONDS and LORIKEET_SIM_TOKEN_SECONDS.
    """
    given = parser().parse_args([dashed(argument) for argument in argv])
    max_cpu_loras = given.max_cpu_loras or given.max_loras
    if max_cpu_loras < given.max_loras:
        raise ValueError(
            f"max_cpu_loras ({max_cpu_loras}) must be greater than or equal to max_loras ({given.max_loras})."
        )
    settings = Settings(
        model=Path(given.model),
        served_name=(given.served_model_name or [given.model])[0],
        enable_lora=given.enable_lora,
        max_loras=given.max_loras,
        max_cpu_loras=max_cpu_loras,
        max_lora_rank=given.max_lora_rank,
        max_model_len=given.max_model_len,
        max_num_seqs=given.max_num_seqs,
        runtime_updates=env.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "0").lower() in ("1", "true"),
        load_seconds=float(env.get("LORIKEET_SIM_LOAD_SECONDS", "0")),
        token_seconds=float(env.get("LORIKEET_SIM_TOKEN_SECONDS", "0")),
    )
    return settings, Serve(given.host or "0.0.0.0", given.port, tuple(given.middleware))


def dashed(argument: str) -> str:
    """vLLM reads `--max_loras` as `--max-loras`."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value


def parser() -> argparse.ArgumentParser:
    vllm = argparse.ArgumentParser(prog="api_server.py", description="lorikeet's engine simulator")
    vllm.add_argument("--model", required=True)
    vllm.add_argument("--served-model-name", nargs="+")
    vllm.add_argument("--host")
    vllm.add_argument("--port", type=int, default=8000)
    vllm.add_argument("--middleware", action="append", default=[])
    vllm.add_argument("--enable-lora", action=argparse.BooleanOptionalAction, default=False)
    vllm.add_argument("--max-loras", type=positive, default=1)
    vllm.add_argument("--max-lora-rank", type=int, choices=RANKS, default=16)
    vllm.add_argument("--max-cpu-loras", type=positive)
    vllm.add_argument("--max-model-len", type=positive, default=1024)
    vllm.add_argument("--max-num-seqs", type=positive, default=256)
    add_ignored(vllm)
    return vllm


def add_ignored(vllm: argparse.ArgumentParser) -> None:
    """All other options of vLLM: taken and without effect, so that only what vLLM refuses is refused."""
    known = {*OBEYED, "--no-enable-lora"}
    table = files("lorikeet.testing.engine").joinpath("vllm_options.txt").read_text()
    for option, values in (line.split() for line in table.splitlines() if line.startswith("-")):
        if option in known:
            continue
        if values == "0":
            vllm.add_argument(option, action="store_true")
        else:
            vllm.add_argument(option, nargs=None if values == "1" else values)


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not positive")
    return number

"""Other gateways, each as a command that is given its port and the engine's. PyPI's are installed when asked for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lorikeet.testing.bench_gateway.nginx import nginx_command

LITELLM = """
model_list:
  - model_name: sql
    litellm_params: {{model: openai/sql, api_base: "http://127.0.0.1:{engine}/v1", api_key: none}}
litellm_settings: {{telemetry: false}}
general_settings: {{dangerously_permit_weak_or_unset_master_key: true}}
"""


@dataclass(frozen=True)
class Peer:
    """One other gateway."""

    name: str
    command: Callable[[Path, int, int], list[str]]
    """From a folder of its own, its port and the engine's."""
    child: bool = False
    """Whether a child of the command does the work."""
    share: float = 1.0
    """Of the requests that others get: some are a hundred times as slow."""


def peers(cache: Path, names: list[str]) -> Iterator[Peer]:
    """Those of `names` that can be had here; for the others a word of why not."""
    for name in names:
        try:
            yield MAKE[name](cache)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"{name} is left out: {error}", file=sys.stderr)


def _nginx(_: Path) -> Peer:
    if shutil.which("nginx") is None:
        raise FileNotFoundError("nginx is not installed")
    return Peer("nginx", nginx_command, child=True)


def _aiohttp(_: Path) -> Peer:
    module = "lorikeet.testing.bench_gateway.aiohttp_relay"
    return Peer("aiohttp", lambda folder, port, engine: [sys.executable, "-m", module, str(port), str(engine)])


def _vllm_router(cache: Path) -> Peer:
    program = _installed(cache, "vllm-router", "vllm-router==0.1.17")

    def command(folder: Path, port: int, engine: int) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(port), "--worker-urls", f"http://127.0.0.1:{engine}"]
        return [program, *where, "--policy", "round_robin", "--log-level", "error"]

    return Peer("vllm-router", command)


def _litellm(cache: Path) -> Peer:
    program = _installed(cache, "litellm", "litellm[proxy]==1.106.2")

    def command(folder: Path, port: int, engine: int) -> list[str]:
        config = folder / "litellm.yaml"
        config.write_text(LITELLM.format(engine=engine))
        return [program, "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]

    return Peer("litellm", command, share=0.02)


MAKE: dict[str, Callable[[Path], Peer]] = {
    "nginx": _nginx,
    "vllm-router": _vllm_router,
    "aiohttp": _aiohttp,
    "litellm": _litellm,
}


def _installed(cache: Path, program: str, wanted: str) -> str:
    """The path of `program` of the package `wanted`, installed at the first call."""
    folder = cache / "peers" / wanted.replace("[", "-").replace("]", "")
    if not (folder / "bin" / program).exists():
        print(f"installing {wanted} into {folder}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)  # noqa: S603 - ours
        subprocess.run([folder / "bin/pip", "install", "-q", wanted], check=True)  # noqa: S603 - ours
    return str(folder / "bin" / program)

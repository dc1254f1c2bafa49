"""What the agent is told by its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lorikeet.api import layout
from lorikeet.api.wire import AGENT_PORT, ENGINE_PORT


@dataclass(frozen=True)
class Settings:
    """Names for sentences, the engine's limits, and places; the places are the pod's unless a test says otherwise."""

    server: str
    namespace: str
    pod: str
    model_uri: str
    max_rank: int
    max_cpu_loras: int = 0
    """Slots in the engine's memory; 0 where we were not told."""
    adapters_limit: int = 0
    """Bytes that `adapters` may hold; 0 where only the disk limits it."""
    hub_endpoint: str = "https://huggingface.co"
    engine_url: str = f"http://127.0.0.1:{ENGINE_PORT}"
    port: int = AGENT_PORT
    adapters: Path = Path(layout.ADAPTERS)
    guard: Path = Path(layout.GUARD)
    models: Path = Path(layout.MODELS)
    server_keys: Path = Path(layout.SERVER_KEYS)
    sources: Path = Path(layout.SOURCES)

    @property
    def model_folder(self) -> Path:
        """Where the engine looks for the base model."""
        return self.models / Path(layout.model_path(self.model_uri)).name


def from_environment(env: Mapping[str, str]) -> Settings:
    """Settings from LORIKEET_* variables. Raises ValueError naming the one that is missing or wrong."""
    try:
        return Settings(
            server=env["LORIKEET_SERVER"],
            namespace=env["LORIKEET_NAMESPACE"],
            pod=env["LORIKEET_POD"],
            model_uri=env["LORIKEET_MODEL_URI"],
            max_rank=int(env["LORIKEET_MAX_RANK"]),
            max_cpu_loras=int(env.get("LORIKEET_MAX_CPU_LORAS") or 0),
            adapters_limit=number_of_bytes(env.get("LORIKEET_ADAPTERS_LIMIT") or "0"),
            hub_endpoint=env.get("LORIKEET_HUB_ENDPOINT") or Settings.hub_endpoint,
            engine_url=env.get("LORIKEET_ENGINE_URL") or Settings.engine_url,
            port=int(env.get("LORIKEET_AGENT_PORT") or AGENT_PORT),
            adapters=Path(env.get("LORIKEET_ADAPTERS") or layout.ADAPTERS),
            guard=Path(env.get("LORIKEET_GUARD") or layout.GUARD),
            models=Path(env.get("LORIKEET_MODELS") or layout.MODELS),
            server_keys=Path(env.get("LORIKEET_SERVER_KEYS") or layout.SERVER_KEYS),
            sources=Path(env.get("LORIKEET_SOURCES") or layout.SOURCES),
        )
    except KeyError as missing:
        raise ValueError(f"the environment has no {missing.args[0]}") from missing


def number_of_bytes(quantity: str) -> int:
    """A Kubernetes quantity in bytes: 20Gi → 21474836480. Raises ValueError."""
    number = quantity.rstrip("mkMGTi")
    unit = quantity[len(number) :]
    factors = {"m": 0.001, "": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12} | {
        f"{prefix}i": 1024**power for power, prefix in enumerate("KMGT", start=1)
    }
    if unit not in factors:
        raise ValueError(f"{quantity} is no number of bytes")
    return int(float(number) * factors[unit])

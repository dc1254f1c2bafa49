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
        rank = int(env["LORIKEET_MAX_RANK"])
        return Settings(
            server=env["LORIKEET_SERVER"],
            namespace=env["LORIKEET_NAMESPACE"],
            pod=env["LORIKEET_POD"],
            model_uri=env["LORIKEET_MODEL_URI"],
            max_rank=rank,
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

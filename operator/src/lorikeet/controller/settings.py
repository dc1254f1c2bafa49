"""What the operator's pod is told by its environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """See charts/lorikeet/templates for where each comes from."""

    namespace: str
    pod: str
    watch_namespaces: tuple[str, ...]
    """Empty: all."""
    agent_image: str
    engine_images: Mapping[str, str]
    hub_endpoint: str
    root_key_secret: str
    pull_policy: str
    log_level: str

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Settings:
        """From `env`; KeyError names what is missing."""
        watched = env.get("LORIKEET_WATCH_NAMESPACES", "")
        return cls(
            namespace=env["LORIKEET_NAMESPACE"],
            pod=env["LORIKEET_POD"],
            watch_namespaces=tuple(name.strip() for name in watched.split(",") if name.strip()),
            agent_image=env["LORIKEET_AGENT_IMAGE"],
            engine_images={
                "Generic": env["LORIKEET_ENGINE_IMAGE_GENERIC"],
                "T4": env["LORIKEET_ENGINE_IMAGE_T4"],
                "CPU": env["LORIKEET_ENGINE_IMAGE_CPU"],
            },
            hub_endpoint=env.get("LORIKEET_HUB_ENDPOINT", ""),
            root_key_secret=env.get("LORIKEET_ROOT_KEY_SECRET", "lorikeet-root-key"),
            pull_policy=env.get("LORIKEET_IMAGE_PULL_POLICY", "IfNotPresent"),
            log_level=env.get("LORIKEET_LOG_LEVEL", "INFO").upper(),
        )

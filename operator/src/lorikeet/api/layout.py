"""Where things lie in an engine pod: agreed between the operator, which mounts, and the agent, which writes."""

from __future__ import annotations

import hashlib

ADAPTERS = "/adapters"
"""Volume of staged adapters; the engine sees it read-only. Holds `store/<digest>/` and the persisted wanted set."""
STORE = f"{ADAPTERS}/store"
GUARD = "/run/lorikeet"
"""Memory volume: the guard's module and the tokens it checks; the engine sees it read-only."""
GUARD_MODULE = "lorikeet_guard"
CONTROL_TOKEN = "control-token"  # noqa: S105 - a file's name
INFERENCE_KEY = "inference-key"
AGENT_TOKEN = "agent-token"  # noqa: S105 - a file's name
MODELS = "/models"
SERVER_KEYS = "/etc/lorikeet/server"
"""The server's Secret, mounted into the agent alone: AGENT_TOKEN and INFERENCE_KEY."""
SOURCES = "/etc/lorikeet/sources"
"""The user's Secret of source tokens, mounted into the agent alone."""


TMP = "/tmp"  # noqa: S108 - a pod's own empty volume
SHM = "/dev/shm"  # noqa: S108 - a pod's own memory volume


def model_path(uri: str) -> str:
    """The folder the engine loads the base model from."""
    if uri.startswith("image://"):
        return uri.removeprefix("image://")
    return f"{MODELS}/{hashlib.sha256(uri.encode()).hexdigest()[:16]}"

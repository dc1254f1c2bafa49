"""The messages between operator and agent.

`PUT /v1/wanted` carries a whole `Wanted`; `GET /v1/state?since=SEQ&wait=SECONDS` answers with an `AgentState` as soon
as its `seq` passes `since`, or after `wait`; `POST /v1/resolve` takes a `Resolve` and answers `Resolved`, or a
`Problem` with status 422 (lasting) or 503 (later). All carry the server's agent token as bearer.
"""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Literal

from pydantic import field_validator

from lorikeet.api.conditions import Reason
from lorikeet.api.loraadapter import State
from lorikeet.api.shape import Shape

AGENT_PORT = 8001
ENGINE_PORT = 8000


class WantedAdapter(Shape):
    """One version of one adapter that a replica shall hold. Its identity is (adapter, uri)."""

    adapter: str
    """The LoRAAdapter's metadata.name."""
    uri: str
    """The source, pinned to an immutable revision."""
    credentials_key: str | None = None
    sha256: str | None = None
    load: bool = True
    """False: stage the bytes (fetch and check them as ever, if they are not here) and do not load them: a new version
    whose slot is not free yet, or an old one that may be wanted back. Its row says Staged. Such files are the first to
    go when the disk is full, and nothing waits for them."""

    @cached_property
    def text(self) -> str:
        """Its JSON, the same for the same content."""
        return json.dumps(self.dump(), sort_keys=True)


class Wanted(Shape):
    """Everything one replica shall hold: what is not in it is drained, unloaded and removed."""

    adapters: tuple[WantedAdapter, ...] = ()
    epoch: int = 0
    """Grows with each leader: an agent refuses a set of an older one with 409."""

    @field_validator("adapters")
    @classmethod
    def _in_order(cls, adapters: tuple[WantedAdapter, ...]) -> tuple[WantedAdapter, ...]:
        return tuple(sorted(adapters, key=lambda wanted: (wanted.adapter, wanted.uri)))

    @cached_property
    def id(self) -> str:
        """Names the set by its content, whatever the epoch: 16 hex digits."""
        text = ", ".join(wanted.text for wanted in self.adapters)
        return hashlib.sha256(f"[{text}]".encode()).hexdigest()[:16]


class AdapterState(Shape):
    """One version of one adapter on this replica, wanted or on its way out."""

    adapter: str
    uri: str
    revision: str = ""
    digest: str = ""
    engine_name: str = ""
    rank: int = 0
    bytes: int = 0
    state: State
    reason: Reason | None = None
    message: str = ""
    lasting: bool = False
    """With Failed: the same input fails again, so the agent does not try before it changes. A source that says no (not
    found, gated, no token) can change its mind unseen: it is asked again every ten minutes."""
    since: str = ""


class ModelState(Shape):
    """The base model on this replica."""

    ready: bool = False
    revision: str = ""
    lora_width: int = 0
    """Numbers that one slot of the engine holds for each rank; 0 where the agent cannot tell."""
    reason: Reason | None = None
    message: str = ""


class AgentState(Shape):
    """What one replica holds, as its agent sees it."""

    seq: int
    """Grows with each change within one life of the agent."""
    life: str
    """One life of the agent process: a new one counts `seq` from 1 again."""
    boot: str = ""
    """One life of the engine process; empty while it does not answer."""
    engine: Literal["Starting", "Healthy", "Unreachable", "Hung"] = "Starting"
    """Hung: it answers, requests wait for it, and no token comes. Only a Healthy one may be sent requests."""
    wanted: str = ""
    """`Wanted.id` of the set it works on; empty before the first one."""
    epoch: int = 0
    settled: bool = False
    """Each wanted adapter is Loaded, or Failed for good."""
    model: ModelState = ModelState()
    adapters: tuple[AdapterState, ...] = ()


class Resolve(Shape):
    """Ask what a source means now."""

    uri: str
    credentials_key: str | None = None


class Resolved(Shape):
    """The pinned source and its revision."""

    uri: str
    revision: str

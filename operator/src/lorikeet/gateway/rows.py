"""What the gateway keeps of an object: the part of its status that routes."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from lorikeet.api.conditions import UNDER_WAY, Kind
from lorikeet.api.loraadapter import LoRAAdapterStatus, State
from lorikeet.api.modelserver import ModelServerStatus
from lorikeet.api.ref import Ref, engine_name

Age = tuple[str, Ref]
"""Sorts older objects first: RFC 3339 in UTC sorts as text, the reference breaks ties."""

MOVING = frozenset({State.FETCHING, State.STAGED, State.LOADING, State.LOADED})
"""States of a version that lead to an answer."""


@dataclass(frozen=True, eq=False, slots=True)
class ServerRow:
    """A ModelServer. Compared by identity: a changed object is another row."""

    ref: Ref
    uid: str
    created_at: str
    model: str
    ready: dict[str, str] = field(default_factory=dict)  # pod → HOST:PORT of each replica that takes requests
    gpu: int = 0  # adapters in one batch; 0: not said
    memory: int = 0  # adapters in a replica's memory
    replicas: int = 0
    seqs: int = 0  # requests that a replica works at together; 0: not said

    @property
    def coming(self) -> bool:
        """Whether a replica that answers may be expected."""
        return self.replicas > 0

    @property
    def why(self) -> str:
        """Why there is none now."""
        return "has no replica that is ready" if self.replicas else "has no replicas"

    @property
    def names(self) -> tuple[str, ...]:
        """The public names that mean the base model."""
        return (self.model,) if self.model else ()

    @property
    def age(self) -> Age:
        """The oldest holder of a name has it."""
        return self.created_at, self.ref

    @classmethod
    def parse(cls, body: dict[str, Any]) -> ServerRow:
        """From an object of the API server. Raises pydantic's ValidationError for a status nobody of ours wrote."""
        meta, status = body["metadata"], ModelServerStatus.parse(body.get("status") or {})
        ready = {endpoint.pod: endpoint.address for endpoint in status.endpoints if endpoint.ready}
        return cls(
            _ref(meta),
            meta.get("uid", ""),
            meta.get("creationTimestamp", ""),
            status.model_name,
            ready,
            status.slots.gpu,
            status.slots.memory,
            max(status.replicas, len(status.endpoints)),
            ((body.get("spec") or {}).get("engine") or {}).get("maxNumSeqs") or 0,
        )

    @classmethod
    def load(cls, row: dict[str, Any]) -> ServerRow:
        """From a row that was written to disk. Raises KeyError or TypeError for one of another shape."""
        return cls(**row | {"ref": Ref(**row["ref"])})


@dataclass(frozen=True, eq=False, slots=True)
class AdapterRow:
    """A LoRAAdapter. Compared by identity: a changed object is another row."""

    ref: Ref
    created_at: str
    names: tuple[str, ...]
    server: Ref
    engine: str  # the version that is served, as engines call it
    loaded: frozenset[tuple[str, str]]  # (pod, engine name) of each version that an engine lists
    revisions: dict[str, str] = field(default_factory=dict)  # engine name → the source's revision, where it is known
    coming: bool = True  # whether a replica that answers may be expected
    reason: str = ""  # of the condition Ready, where it is not so

    @property
    def why(self) -> str:
        """Why there is none now."""
        return f"is not ready ({self.reason})" if self.reason else "has no replica that is ready"

    @property
    def age(self) -> Age:
        """The oldest holder of a name has it."""
        return self.created_at, self.ref

    @classmethod
    def parse(cls, body: dict[str, Any]) -> AdapterRow:
        """From an object of the API server. Raises pydantic's ValidationError for a status nobody of ours wrote."""
        meta, status = body["metadata"], LoRAAdapterStatus.parse(body.get("status") or {})
        ref = _ref(meta)
        loaded = frozenset(
            (replica.pod, engine_name(ref.name, replica.digest))
            for replica in status.replicas
            if replica.state is State.LOADED and replica.digest
        )
        server = Ref(ref.namespace, body["spec"]["modelServerRef"]["name"])
        revisions = {version.engine_name: version.revision for version in status.history}
        ready = next((condition for condition in status.conditions if condition.type == Kind.READY), None)
        reason = ready.reason if ready is not None and ready.status != "True" else ""
        coming = not reason or reason in UNDER_WAY or any(replica.state in MOVING for replica in status.replicas)
        created = meta.get("creationTimestamp", "")
        return cls(ref, created, status.names, server, status.engine_name, loaded, revisions, coming, reason)

    @classmethod
    def load(cls, row: dict[str, Any]) -> AdapterRow:
        """From a row that was written to disk. Raises KeyError or TypeError for one of another shape."""
        typed = {
            "ref": Ref(**row["ref"]),
            "server": Ref(**row["server"]),
            "names": tuple(row["names"]),
            "loaded": frozenset((pod, engine) for pod, engine in row["loaded"]),
        }
        return cls(**row | typed)


Row = ServerRow | AdapterRow


def created_seconds(row: Row) -> int:
    """When the object was made, in seconds since the epoch; 0 where it does not say."""
    return int(datetime.fromisoformat(row.created_at).timestamp()) if row.created_at else 0


def _ref(meta: dict[str, Any]) -> Ref:
    return Ref(meta.get("namespace", ""), meta["name"])

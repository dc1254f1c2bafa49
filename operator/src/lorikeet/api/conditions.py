"""Conditions and the one list of reasons behind them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from lorikeet.api.shape import Shape


class Kind(StrEnum):
    """The condition types of both kinds."""

    READY = "Ready"
    """What users wait for; derived from the others, so it cannot disagree with them."""
    NAMED = "Named"
    """Adapter: the public names it asks for are its own."""
    RESOLVED = "Resolved"
    """Adapter: the source names one immutable revision."""
    STAGED = "Staged"
    """Adapter: the bytes are on each wanted replica's disk, complete and verified."""
    COMPATIBLE = "Compatible"
    """Adapter: the bytes are a LoRA that this server's model and flags can run."""
    PLACED = "Placed"
    """Adapter: it has a slot on as many replicas as it asks for."""
    LOADED = "Loaded"
    """Adapter: the engines of the wanted replicas list it."""
    AVAILABLE = "Available"
    """Server: at least one replica serves."""
    PROGRESSING = "Progressing"
    """Server: replicas are still being made or replaced."""


class Reason(StrEnum):
    """Every reason a condition, an Event or an agent's answer may give. `docs/reasons.md` is made from this list."""

    # good ends
    READY = "Ready"
    NAMED = "Named"
    RESOLVED = "Resolved"
    STAGED = "Staged"
    COMPATIBLE = "Compatible"
    PLACED = "Placed"
    LOADED = "Loaded"
    REPLICAS_READY = "ReplicasReady"
    COMPLETE = "Complete"
    # on the way
    RESOLVING = "Resolving"
    FETCHING = "Fetching"
    LOADING = "Loading"
    CHECKING = "Checking"
    WAITING_FOR_ENGINE = "WaitingForEngine"
    ROLLING_OUT = "RollingOut"
    # what an object says cannot be
    SERVER_NOT_FOUND = "ServerNotFound"
    NO_REPLICAS = "NoReplicas"
    NO_CAPACITY = "NoCapacity"
    NAME_CONFLICT = "NameConflict"
    NAME_RESERVED = "NameReserved"
    INVALID_SPEC = "InvalidSpec"
    # sources
    INVALID_SOURCE = "InvalidSource"
    SOURCE_NOT_FOUND = "SourceNotFound"
    REVISION_NOT_FOUND = "RevisionNotFound"
    SOURCE_UNAUTHORIZED = "SourceUnauthorized"
    SOURCE_GATED = "SourceGated"
    SOURCE_RATE_LIMITED = "SourceRateLimited"
    SOURCE_UNAVAILABLE = "SourceUnavailable"
    CREDENTIALS_MISSING = "CredentialsMissing"
    # bytes
    TOO_LARGE = "TooLarge"
    NO_SPACE = "NoSpace"
    DIGEST_MISMATCH = "DigestMismatch"
    UNSAFE_FORMAT = "UnsafeFormat"
    INVALID_ADAPTER = "InvalidAdapter"
    # adapter against model
    RANK_TOO_HIGH = "RankTooHigh"
    WRONG_BASE_MODEL = "WrongBaseModel"
    UNSUPPORTED_ADAPTER = "UnsupportedAdapter"
    NO_EFFECT = "NoEffect"
    # engines
    LOAD_FAILED = "LoadFailed"
    LOAD_TIMEOUT = "LoadTimeout"
    ENGINE_UNAVAILABLE = "EngineUnavailable"
    AGENT_UNREACHABLE = "AgentUnreachable"
    UNLOAD_FAILED = "UnloadFailed"
    UNLOADED = "Unloaded"
    # pods
    UNSCHEDULABLE = "Unschedulable"
    IMAGE_UNAVAILABLE = "ImageUnavailable"
    MODEL_UNAVAILABLE = "ModelUnavailable"
    CRASHING = "Crashing"
    REPLICAS_UNAVAILABLE = "ReplicasUnavailable"
    SCALED_TO_ZERO = "ScaledToZero"


Status = Literal["True", "False", "Unknown"]


UNDER_WAY = frozenset(
    {
        Reason.RESOLVING,
        Reason.FETCHING,
        Reason.LOADING,
        Reason.CHECKING,
        Reason.WAITING_FOR_ENGINE,
        Reason.ROLLING_OUT,
    }
)
"""Reasons of an adapter that is on its way: they pass by themselves."""


class Condition(Shape):
    """One condition, in the shape of Kubernetes' metav1.Condition."""

    type: Annotated[str, Field(description="What is stated, such as Ready.", max_length=316)]
    status: Annotated[Status, Field(description="Whether it holds: True, False or Unknown.")]
    reason: Annotated[str, Field(description="Why, as one word of the documented list of reasons.", max_length=64)]
    message: Annotated[
        str, Field(description="The object, the fact and the next step, for a person.", max_length=4096)
    ] = ""
    observed_generation: Annotated[int, Field(description="The metadata.generation this was computed from.", ge=0)] = 0
    last_transition_time: Annotated[
        str, Field(description="When the status last changed (RFC 3339).", json_schema_extra={"format": "date-time"})
    ] = ""


class Problem(Shape):
    """Why something cannot be: a reason of the list and a sentence naming object, fact and next step."""

    reason: Reason
    message: str
    lasting: bool = False
    """True where the same input fails again: retry only when the input changes."""

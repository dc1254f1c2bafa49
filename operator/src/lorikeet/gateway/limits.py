"""The bounds of one gateway process. Seconds and bytes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Every wait and every buffer ends somewhere."""

    head_bytes: int = 16 * 1024
    """Request line and headers of a client's request."""
    headers: int = 100
    body_bytes: int = 8 * 1024 * 1024
    bodies_bytes: int = 128 * 1024 * 1024
    """Bodies of all requests that are being read or answered, not counting the first `small_bytes` of each."""
    small_bytes: int = 16 * 1024
    """Of each body, always taken: large ones cannot keep small ones out. The sender of a larger one is known first."""
    connections: int = 8192
    """Clients at once."""
    request_seconds: float = 60.0
    """From a request's first byte to its last."""
    handshake_seconds: float = 10.0
    """From a TLS client's first packet until it may send a request."""
    idle_seconds: float = 75.0
    """A client's connection between two requests."""
    stall_seconds: float = 60.0
    """A client that does not read what it asked for."""
    linger_seconds: float = 2.0
    """After a refusal: how long we listen on, so that the client reads the answer and not a reset."""
    connect_seconds: float = 2.0
    gone_seconds: int = 10
    """An engine's machine that acknowledges nothing: it has lost its power, and another replica is asked."""
    first_byte_seconds: float = 600.0
    """An engine's silence before its first byte: a whole answer, where it is not streamed."""
    gap_seconds: float = 120.0
    """An engine's silence between two pieces of a reply."""
    held_bytes: int = 1024 * 1024
    """A reply of a length up to this is told once it is whole: where it breaks off, another replica answers."""
    upstream_idle_seconds: float = 4.0
    """A spare connection to an engine: uvicorn closes its side after 5 s, and we must be first."""
    upstream_spare: int = 256
    """Spare connections kept to one engine."""
    replica_requests: int = 256
    """Requests that one replica works at together, where its server does not say (spec.engine.maxNumSeqs)."""
    gateways: int = 1
    """Gateway processes that share the replicas."""
    queue_length: int = 256
    """Requests of one tenant that may wait for a place at a server's replicas."""
    queue_seconds: float = 30.0
    cold_seconds: float = 20.0
    """How long a request waits for a model that is being loaded."""
    cold_waiting: int = 1000
    """Requests that may wait so at once."""
    cold_retry_after: int = 5
    attempts: int = 5
    """Replicas asked for one request before the client is told to come back."""
    resets: int = 2
    """Of these, engines that went away after they had the whole request: perhaps it was the request."""
    retry_after: int = 1

    @classmethod
    def of(cls, gateways: int, part: int, request_seconds: float = request_seconds) -> Limits:
        """Those of one of `part` workers, in one of several gateways with `gateways` workers together."""
        return cls(
            gateways=gateways,
            bodies_bytes=cls.bodies_bytes // part,
            connections=cls.connections // part,
            request_seconds=request_seconds,
        )

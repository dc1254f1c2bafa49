"""Keys of one server, derived from the installation's root key.

Operator and gateway each hold the root key; both compute a server's keys, so neither needs to read Secrets, and an
engine pod that leaks its own keys tells nothing about another server's.
"""

from __future__ import annotations

import hashlib
import hmac
from enum import StrEnum

from lorikeet.api.ref import Ref

ROOT_KEY_BYTES = 32


class Purpose(StrEnum):
    """What a derived key opens."""

    AGENT = "agent"
    """The operator's bearer token at the server's agents."""
    INFERENCE = "inference"
    """The gateway's bearer token at the server's engines."""


def derive(root: bytes, purpose: Purpose, server: Ref, uid: str) -> str:
    """The key of `server` (its uid too: a re-created server has new keys) for `purpose`: 64 hex digits."""
    if len(root) < ROOT_KEY_BYTES:
        raise ValueError(f"the root key has {len(root)} bytes, at least {ROOT_KEY_BYTES} are needed")
    message = f"{purpose}/{server.namespace}/{server.name}/{uid}".encode()
    return hmac.new(root, message, hashlib.sha256).hexdigest()

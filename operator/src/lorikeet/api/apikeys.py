"""Clients' API keys: what a key looks like, and what a Secret holds of it, which is never the key.

A key is `sk-ID-SECRET`: 12 letters and digits that say which one it is, and 256 random bits. A Secret of keys has

    pepper        32 random bytes or more: digests of two installations tell nothing of each other
    key.ID        one KeyEntry, as JSON
    tenant.NAME   one TenantEntry, as JSON; a tenant without one has no limits and weight 1
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from typing import Annotated

from pydantic import AwareDatetime, Field

from lorikeet.api.shape import Shape

DEFAULT_SECRET = "lorikeet-api-keys"  # noqa: S105 - a Secret's name
PEPPER = "pepper"
PEPPER_BYTES = 32
KEY, TENANT = "key.", "tenant."
SECRET_BYTES = 32
ID_LENGTH = 12
ID_BYTES = 8  # 60 of their bits
KEY_LIMIT = 256
"""Longest text worth hashing."""
TENANT_NAME = r"^[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?$"


class KeyLimits(Shape):
    """Bounds of a key or a tenant. Absent: none."""

    requests_per_second: Annotated[float | None, Field(gt=0, le=1_000_000)] = None
    tokens_per_minute: Annotated[int | None, Field(gt=0, le=1_000_000_000)] = None
    concurrency: Annotated[int | None, Field(gt=0, le=1_000_000)] = None

    @property
    def bounded(self) -> bool:
        """Whether there is any."""
        return (self.requests_per_second or self.tokens_per_minute or self.concurrency) is not None


class KeyEntry(Shape):
    """One key at rest."""

    hmac: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    tenant: Annotated[str, Field(pattern=TENANT_NAME)]
    created: str = ""
    expires: AwareDatetime | None = None  # RFC 3339; absent: never
    models: tuple[str, ...] = ()  # public names, NAMESPACE:NAME, or a beginning and *; empty: every model
    limits: KeyLimits = KeyLimits()
    admin: bool = False  # may also use the admin port's POST routes


class TenantEntry(Shape):
    """What all keys of a tenant share."""

    weight: Annotated[float, Field(gt=0, le=1000)] = 1.0
    limits: KeyLimits = KeyLimits()


def new_key(random: Callable[[int], bytes]) -> tuple[str, str]:
    """A key's id, and the key. `random` gives so many unpredictable bytes."""
    key_id = base64.b32encode(random(ID_BYTES)).decode().lower()[:ID_LENGTH]
    secret = base64.urlsafe_b64encode(random(SECRET_BYTES)).decode().rstrip("=")
    return key_id, f"sk-{key_id}-{secret}"


def id_of(key: bytes) -> str:
    """The id in a key, or nothing where it is none of ours. Says nothing about its being right."""
    parts = key.split(b"-", 2)
    if len(key) > KEY_LIMIT or len(parts) != 3 or parts[0] != b"sk" or len(parts[1]) != ID_LENGTH:
        return ""
    return parts[1].decode("ascii", "replace")


def digest(pepper: bytes, key: bytes) -> str:
    """What is kept of a key."""
    return hmac.digest(pepper, key, hashlib.sha256).hex()

"""The keys there are, and whether a request has one of them.

Fed with whole Secrets. What cannot be read is left out, and said by its name; a Secret that is gone takes its keys with
it. Nothing here ever logs a value.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError

from lorikeet.api.apikeys import KEY, PEPPER, PEPPER_BYTES, TENANT, KeyEntry, TenantEntry, digest, id_of
from lorikeet.gateway.callers import ANYBODY, Caller, Tenant
from lorikeet.gateway.openai import ApiError

log = logging.getLogger(__name__)

Entry = TypeVar("Entry")
Headers = Mapping[bytes, bytes]
BEARER = b"bearer "


class Keys:
    """Every live key by its id. `open`: no key is asked for."""

    def __init__(self, root_key: bytes, *, open: bool, clock: Callable[[], float] = time.time) -> None:
        self._root, self._clock = root_key, clock
        self._anybody = Caller("", Tenant(ANYBODY), admin=True) if open else None
        self._secrets: dict[str, dict[str, str]] = {}
        self._ids: set[str] = set()
        self._callers: dict[bytes, dict[tuple[str, str], Caller]] = {}
        """By pepper, and then by what is kept of the key and its id."""
        self._seen: dict[bytes, Caller] = {}
        self._secret = secrets.token_bytes(32)
        self.version = 0

    @property
    def number(self) -> int:
        """How many keys there are."""
        return len(self._ids)

    def put(self, secret: str, data: Mapping[str, str] | None) -> None:
        """The fields of Secret `secret` in base64, as the API server sends them; None: it is gone."""
        self._secrets.pop(secret, None)
        if data is not None:
            self._secrets[secret] = dict(data)
        self.version += 1
        self._ids, self._callers, self._seen = set(), {}, {}
        for name in sorted(self._secrets):  # of two keys of one id, the first Secret's
            self._read(name, self._secrets[name])

    def dump(self) -> dict[str, dict[str, str]]:
        """Everything that was put, for the disk: digests, as in the Secrets."""
        return self._secrets

    def who(self, headers: Headers) -> Caller:
        """Whose request it is. Raises ApiError (401)."""
        if self._anybody is not None:
            return self._anybody
        key = _given(headers)
        # What was right before is found again by a cheaper digest, under a secret of this process.
        quick = hashlib.blake2b(key, digest_size=32, key=self._secret).digest()
        caller = self._seen.get(quick)
        if caller is None:
            caller = self._seen[quick] = self._find(key)
        if caller.until <= self._clock():
            raise refused("the API key is not known here, or has expired")
        return caller

    def _find(self, key: bytes) -> Caller:
        """Who has a key: by its digest alone, which without the pepper nobody can foresee. Before that matches, nothing
        is compared that can be known of a key, so how long it takes says nothing. Raises ApiError (401)."""
        found, key_id = None, id_of(key)
        for pepper, callers in self._callers.items():
            found = callers.get((digest(pepper, key), key_id)) or found
        if found is None:
            raise refused("the API key is not known here, or has expired")
        return found

    def _read(self, secret: str, data: dict[str, str]) -> None:
        pepper = _decoded(data.get(PEPPER, ""))
        if len(pepper) < PEPPER_BYTES:
            log.warning("Secret %s: `%s` has less than %d bytes: no key of it counts", secret, PEPPER, PEPPER_BYTES)
            return
        tenants: dict[str, TenantEntry] = {}
        for field, text in data.items():
            if field.startswith(TENANT) and (shared := _parsed(secret, field, text, TenantEntry.parse)):
                tenants[field.removeprefix(TENANT)] = shared
        for field, text in data.items():
            if field.startswith(KEY) and (entry := _parsed(secret, field, text, KeyEntry.parse)):
                key_id = field.removeprefix(KEY)
                if key_id not in self._ids:
                    self._ids.add(key_id)
                    self._callers.setdefault(pepper, {})[entry.hmac, key_id] = self._caller(key_id, entry, tenants)

    def _caller(self, key_id: str, entry: KeyEntry, tenants: dict[str, TenantEntry]) -> Caller:
        shared = tenants.get(entry.tenant, TenantEntry())
        salt = hmac.new(self._root, b"cache-salt/" + entry.tenant.encode(), hashlib.sha256).hexdigest()[:32]
        tenant = Tenant(entry.tenant, shared.weight, shared.limits, salt)
        until = entry.expires.timestamp() if entry.expires else float("inf")
        return Caller(key_id, tenant, entry.models, entry.limits, entry.admin, until)


def refused(message: str) -> ApiError:
    """The error for a request whose key opens nothing."""
    return ApiError(401, message, code="invalid_api_key", headers=[(b"www-authenticate", b"Bearer")])


def _given(headers: Headers) -> bytes:
    """The one key of a request. Raises ApiError (401)."""
    plain, bearer = headers.get(b"x-api-key"), headers.get(b"authorization")
    if bearer is None:
        if plain is None:
            raise refused("an API key is needed: `Authorization: Bearer`")
        return plain.strip()
    if bearer[: len(BEARER)].lower() != BEARER:
        raise refused("`Authorization` must be `Bearer` and an API key")
    key = bearer[len(BEARER) :].strip()
    if plain is not None and plain.strip() != key:
        raise refused("two different API keys were given")
    return key


def _parsed(secret: str, field: str, text: str, parse: Callable[[dict[str, Any]], Entry]) -> Entry | None:
    """An entry, or None and a word about it that shows nothing of it."""
    try:
        return parse(orjson.loads(_decoded(text)))
    except ValidationError as error:
        where = ", ".join(".".join(str(part) for part in problem["loc"]) for problem in error.errors())
        log.warning("Secret %s: `%s` does not count, wrong in: %s", secret, field, where)
    except ValueError:
        log.warning("Secret %s: `%s` does not count: not JSON", secret, field)
    return None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""
